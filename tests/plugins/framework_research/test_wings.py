"""The wings of the plugin: who may import whom, and where each is tested."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PLUGIN = ROOT / "plugins/framework_research"
#: Modules and wings, from those that know nothing of the others to those that know all of them.
ORDER = (
    ("config", "compiled"),
    ("worlds",),
    ("browser",),
    ("observe",),
    ("render",),
    ("episodes", "vector", "environment"),
    ("policies",),
)
FLOORS = {name: floor for floor, names in enumerate(ORDER) for name in names}
#: They name what the plugin offers, and import none of it.
DECLARATIONS = ("__init__", "registration")
MODULES = {file.relative_to(PLUGIN).with_suffix("").parts: file for file in sorted(PLUGIN.rglob("*.py"))}


def imported_names(file: Path) -> set[str]:
    """The module or wing of this plugin that each import leads to: at the top, in functions, and for types."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            sources = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: a relative import"
            sources = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        names |= {source.split(".")[1] for source in sources if source.startswith("framework_research.")}
    return names


def test_everything_has_its_place() -> None:
    """Each module and each wing is in the order, and the order names no other."""
    assert {parts[0] for parts in MODULES} == {*FLOORS, *DECLARATIONS}


@pytest.mark.parametrize("parts", MODULES, ids="/".join)
def test_imports_lead_down(parts: tuple[str, ...]) -> None:
    """To what comes before in the order, or has the same place; so wings are in no circle."""
    floor = FLOORS.get(parts[0], -1)
    above = {name for name in imported_names(MODULES[parts]) if FLOORS[name] > floor}
    assert above == set()


def test_the_readme_says_the_order() -> None:
    """Each wing with what it holds, in this order."""
    text = (PLUGIN / "README.md").read_text().partition("## Code\n")[2]
    places = [text.find(f"`{name}{'/' if (PLUGIN / name).is_dir() else '.py'}`") for name in FLOORS]
    assert -1 not in places
    assert places == sorted(places)


@pytest.mark.parametrize("parts", MODULES, ids="/".join)
def test_each_module_has_tests_of_its_name(parts: tuple[str, ...]) -> None:
    """Where it has functions, in the same place under the tests; a wing itself says in a line what it holds."""
    tree = ast.parse(MODULES[parts].read_text())
    if parts[-1] == "__init__" and len(parts) > 1:
        assert len(tree.body) == 1
        assert len(MODULES[parts].read_text().splitlines()) == 1
    elif any(isinstance(node, ast.FunctionDef) for node in ast.walk(tree)) and parts != ("__init__",):
        assert Path(__file__).parent.joinpath(*parts[:-1], f"test_{parts[-1]}.py").is_file()
