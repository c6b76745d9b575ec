import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from framework.catalog import default_catalog

ROOT = Path(__file__).parents[1]
#: Floor of each module, by the longest prefix of its name; the toolkit is between the contract and all who use it.
FLOORS = {
    "framework": 0,
    "framework.errors": 0,
    "framework.exit_codes": 0,
    "framework.system": 0,
    "framework.schema": 0,
    "framework.entry_points": 0,
    "framework.hookspecs": 1,
    "framework.experience": 1,
    "framework.interfaces": 1,
    "framework.callbacks": 1,
    "framework.toolkit": 1.5,
    "framework.bundled": 2,
    "framework.plugins": 2,
    "framework.catalog": 2,
    "framework.plain_environment": 2,
    "framework.lifecycle": 2,
    "framework.pipeline": 3,
    "framework.runtime.data": 4.0,
    "framework.runtime.disk": 4.1,
    "framework.runtime.rollout": 4.2,
    "framework.runtime.evaluate": 4.3,
    "framework.runtime.link": 4.4,
    "framework.runtime.launch": 4.5,
    "framework.runtime.learn": 4.6,
    "framework.studies": 4.62,
    "framework.report": 4.65,
    "framework.runtime": 4.7,
    "framework.export": 4.72,
    "framework.report.evaluation": 4.8,
    "framework.report.live": 4.8,
    "framework.commands": 5,
    "framework.testing": 5,
    "framework.__main__": 5,
}
LONGEST = 400


def module_name(file: Path) -> str:
    parts = (
        file.relative_to(ROOT if file.is_relative_to(ROOT / "framework") else ROOT / "plugins").with_suffix("").parts
    )
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


KERNEL = {module_name(file): file for file in sorted((ROOT / "framework").rglob("*.py"))}
PLUGINS = {module_name(file): file for file in sorted((ROOT / "plugins").rglob("*.py"))}


def module_of(name: str) -> str:
    """The module or package that ``name`` is, or is inside of."""
    while name not in KERNEL and "." in name:
        name = name.rpartition(".")[0]
    return name


def floor(name: str) -> float:
    while name not in FLOORS:
        name = name.rpartition(".")[0]
    return FLOORS[name]


def may_import_torch(name: str) -> bool:
    """Whether a module may import torch when it is imported itself."""
    return floor(name) == 1.5 or 4 <= floor(name) < 5


def imports(file: Path, name: str) -> set[str]:
    """Names of the modules that a file imports anywhere: at its top, in functions, and for types."""
    names = set()
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            source = ".".join(filter(None, (base, node.module)))
            names |= {f"{source}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("name", sorted(KERNEL.keys() - {"framework"}))
def test_modules_import_from_lower_floors(name):
    """A module imports from floors below its own, and from its own; the toolkit from floors 0 and 1 only.

    The package itself is the face of all of them, and imports them when they are asked for.
    """
    above = [
        imported
        for imported in imports(KERNEL[name], name)
        if imported.partition(".")[0] == "framework" and floor(module_of(imported)) > floor(name)
    ]
    assert above == []


def test_no_imports_go_in_circles():
    """Imports at the top of modules and in functions, but for types, lead nowhere back."""
    graph = {
        name: {module_of(imported) for imported in imports(file, name)} & KERNEL.keys() for name, file in KERNEL.items()
    }
    graph.pop("framework")
    try:
        TopologicalSorter({name: targets - {name, "framework"} for name, targets in graph.items()}).prepare()
    except CycleError as error:
        raise AssertionError(f"imports in a circle: {error.args[1]}") from None


def test_bundled_plugins_know_neither_one_another_nor_does_the_kernel_know_them():
    """A bundled plugin imports the framework and itself, like anyone's."""
    bundled = {name.partition(".")[0] for name in PLUGINS}
    for name, file in (KERNEL | PLUGINS).items():
        roots = {imported.partition(".")[0] for imported in imports(file, name)}
        assert roots & bundled <= {name.partition(".")[0]}, name


def test_light_floors_do_not_import_torch():
    """Every module of floors 0 to 3 and 5, every declaration and every config class imports without torch."""
    light = [name for name in KERNEL if not may_import_torch(name) and not name.endswith("__main__")]
    light += [name for name, file in PLUGINS.items() if file.name == "__init__.py"]
    configs = [component.config for component in default_catalog().components() if component.config]
    light += {config.partition(":")[0] for config in configs}
    program = "import importlib, sys\n" + "".join(
        f"importlib.import_module({name!r})\nassert 'torch' not in sys.modules, {name!r}\n" for name in light
    )
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert process.stderr == ""


def test_the_kernel_names_no_algorithm():
    """No name of an algorithm or bonus is in the code of the kernel; documentation and help may give examples."""
    kinds = ("algorithm", "bonus")
    names = {name.rpartition("/")[2] for kind in kinds for name in default_catalog().names(kind)} | {"ppo", "rnd"}
    pattern = re.compile(rf"(?<![a-z])({'|'.join(sorted(names))})(?![a-z])", re.IGNORECASE)
    matches = [f"{name}: {word}" for name, file in KERNEL.items() for word in words(file) if pattern.search(word)]
    assert matches == []


def words(file: Path) -> list[str]:
    """Identifiers and strings of the code, less docstrings and help."""
    tree = ast.parse(file.read_text())
    prose = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            prose.add(node.value)
        elif isinstance(node, ast.keyword) and node.arg == "help":
            prose |= set(ast.walk(node.value))
    texts = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in prose:
            texts.append(node.value)
        texts += [
            getattr(node, field) for field in ("id", "attr", "arg", "name") if isinstance(getattr(node, field, 0), str)
        ]
    return texts


@pytest.mark.parametrize("folder", ["framework", "plugins", "tests", "benchmarks", "examples"])
def test_no_file_is_long(folder):
    """A file is one concept, so it has at most 400 lines, in the mean 150; a plugin's declarations at most 25."""
    lengths = {file: len(file.read_text().splitlines()) for file in (ROOT / folder).rglob("*.py")}
    assert [f"{file.relative_to(ROOT)}: {length}" for file, length in lengths.items() if length > LONGEST] == []
    if folder == "framework":
        assert sum(lengths.values()) / len(lengths) <= 150
    declarations = {file: length for file, length in lengths.items() if file.match("plugins/framework_*/__init__.py")}
    assert [str(file) for file, length in declarations.items() if length > 25] == []


def test_every_module_of_the_runtime_has_its_tests():
    """``framework/runtime/WING/MODULE.py`` is tested in ``tests/runtime/WING/test_MODULE.py``: a file for each.

    A module without one is tested by accident, by whatever else happens to run it.
    """
    modules = [file for file in (ROOT / "framework" / "runtime").glob("*/*.py") if file.name != "__init__.py"]
    tests = {file: ROOT / "tests" / "runtime" / file.parent.name / f"test_{file.name}" for file in modules}
    assert [str(file.relative_to(ROOT)) for file in modules if not tests[file].is_file()] == []
    assert modules
