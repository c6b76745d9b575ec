import importlib.util
import inspect
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import framework
from framework import catalog, hookspecs, pipeline, plugins
from framework.commands import cli
from framework.pipeline.sections import KEYS

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "plugins/*/README.md", "benchmarks/*.md", "examples/*.md")
    for page in ROOT.glob(pattern)
)
EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.toml"))
GENERATED = [
    "command-line.md",
    "components.md",
    "hooks.md",
    "interfaces.md",
    "pipeline.md",
    "python.md",
    "testing.md",
    "toolkit.md",
]
#: What a block that shows a part of a pipeline file is laid over.
BASE = """
[run]
total_steps = 1000
[environment]
use = "gymnasium"
id = "CartPole-v1"
[algorithm]
use = "ppo"
"""


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs/generate.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs")
        spec.loader.exec_module(module)
    return module


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> Iterator[str]:
    return (match[1] for match in re.finditer(rf"^```{language}\n(.*?)^```$", text(page), re.MULTILINE | re.DOTALL))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# --- generated pages ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def generated(generate):
    return generate.pages()


@pytest.mark.parametrize("name", GENERATED)
def test_generated_pages_are_current(generated, name):
    """The reference says what the code says: `make docs` would change nothing."""
    assert text(f"docs/reference/{name}") == generated[name]


def test_all_generated_pages_are_known(generated):
    """The folder of the reference has the generated pages, and those that are made from measurements; no other."""
    pages = {page.name for page in (ROOT / "docs/reference").iterdir()} - {"results.md"}
    assert sorted(generated) == GENERATED == sorted(pages)


def test_every_hook_is_documented(generate):
    """Each hook of the contract has a docstring, and a heading in the reference."""
    page = text("docs/reference/hooks.md")
    hooks = generate.hook_names()
    assert {"register_encoders", "update_finished"} < set(hooks)
    assert [name for name in hooks if not getattr(hookspecs, name).__doc__] == []
    assert [name for name in hooks if f"\n### {name}\n" not in page] == []


@pytest.mark.parametrize(
    ("page", "modules"),
    [
        ("interfaces", ["framework.interfaces"]),
        ("toolkit", [f"framework.toolkit.{path.stem}" for path in (ROOT / "framework/toolkit").glob("[a-z]*.py")]),
        ("testing", ["framework.testing"]),
    ],
)
def test_public_names_are_documented(page, modules):
    """Each public function and class of a module that plugins use has a heading in the reference, and words below."""
    entries = dict(re.findall(r"^### (\w+)\n\n(.*?)(?=^##|\Z)", text(f"docs/reference/{page}.md"), re.M | re.S))
    for module in map(importlib.import_module, modules):
        public = {
            name
            for name, value in vars(module).items()
            if (inspect.isclass(value) or inspect.isfunction(value))
            and not name.startswith("_")
            and value.__module__.startswith(module.__name__)
        }
        assert {name for name in public if not entries.get(name, "").strip()} == set(), module.__name__


# --- links -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_lead_somewhere(page):
    """Every relative link and picture in a Markdown file is a file here, and its anchor a heading there."""
    prose = re.sub(r"^```.*?^```$", "", text(page), flags=re.MULTILINE | re.DOTALL)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        if "://" not in target and (not file.exists() or (anchor and anchor not in anchors(file))):
            broken.append(target)
    assert broken == []


def test_every_page_is_reachable():
    """From docs/index.md, every page of the documentation is one link away."""
    linked = {(ROOT / "docs" / target).resolve() for target in re.findall(r"\]\(([^)#]+)\)", text("docs/index.md"))}
    pages = {page.resolve() for page in (ROOT / "docs").glob("*/*.md")}
    assert pages - linked == set()


# --- code --------------------------------------------------------------------------------------------------------


def shown_files(page: str) -> dict[str, str]:
    """What a page shows of files: blocks whose first line is a comment with the file's name. The last one counts."""
    code = [block for language in ("python", "toml") for block in blocks(page, language)]
    matches = ((re.match(r"# (\S+\.(?:py|toml))\n", block), block) for block in code)
    return {match[1]: block for match, block in matches if match}


def write_files(page: str, folder: Path) -> None:
    """The files of a page; those of a package are installed there, as far as metadata goes."""
    files = shown_files(page)
    packages = [Path(name).parent for name in files if name.endswith("/__init__.py")]
    for package in packages:
        files |= {f"{package}/{name}": files[name] for name in files if "/" not in name and name.endswith(".py")}
    if "pyproject.toml" in files:
        project = tomllib.loads(files["pyproject.toml"])["project"]
        info = f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        files[f"{info}/METADATA"] = f"Name: {project['name']}\nVersion: {project['version']}\n"
        entries = project["entry-points"][hookspecs.GROUP].items()
        lines = [f"[{hookspecs.GROUP}]", *(f"{name} = {value}" for name, value in entries)]
        files[f"{info}/entry_points.txt"] = "\n".join(lines)
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")


def pipelines(page: str, folder: Path) -> list[Path]:
    """The pipeline files that a page shows, whole or in part; parts are laid over a small one."""
    (folder / "base.toml").write_text(BASE)
    for name in EXAMPLES:
        (folder / name).write_text(text(f"examples/{name}"))
    files = []
    for number, block in enumerate(blocks(page, "toml")):
        keys = set(tomllib.loads(block))
        if keys <= {*KEYS, "extends"}:
            whole = "extends" in keys or {"run", "environment", "algorithm"} <= keys
            files.append(folder / f"block-{number}.toml")
            files[-1].write_text(block if whole else f'extends = "base.toml"\n{block}')
    return files


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Writes a page's files, and returns its pipeline files and a catalogue with its plugins."""
    before = set(sys.modules)

    def write(page):
        write_files(page, tmp_path)
        monkeypatch.syspath_prepend(tmp_path)
        return pipelines(page, tmp_path), catalog.Catalog(plugins.load(plugins.installed()))

    yield write
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.parametrize("page", PAGES)
def test_python_blocks_compile(page):
    """What is shown as Python is Python; signatures in generated pages are not statements."""
    if "docs/reference/" not in page:
        for number, block in enumerate(blocks(page, "python")):
            compile(block, f"{page}, block {number}", "exec")


@pytest.mark.parametrize("page", [page for page in PAGES if "```toml" in text(page)])
def test_pipelines_load(page, written):
    """What a page shows of pipeline files loads, with the files and the package that the page shows."""
    files, installed = written(page)
    assert files
    for file in files:
        pipeline.load(file, catalog=installed)


@pytest.mark.parametrize(
    ("page", "use"),
    [
        ("README.md", "encoder.use=waves:Waves"),
        ("docs/tutorial/first-plugin.md", "encoder.use=waves:Waves"),
        ("docs/how-to/add-an-environment.md", "environment.use=corridor:Corridor"),
        ("docs/how-to/add-an-environment.md", "environment.use=corridors:Corridors"),
    ],
)
def test_shown_components_train(page, use, written, tmp_path):
    """The component that a page shows in a file goes through two updates and an evaluation."""
    written(page)
    small = ["sampling.rollout_length=64", "evaluation.episodes=1", "runtime.samplers=0", "run.total_steps=1024"]
    loaded = pipeline.load(tmp_path / "base.toml", [use, *small])
    updates = list(framework.train(loaded, root=tmp_path))
    assert [update.number for update in updates] == [1, 2]
    assert updates[-1].evaluation["evaluation/episodes"] == 1


def commands(page: str) -> Iterator[str]:
    """Command lines of a page: in blocks of shell, and in a line of text."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    lines += re.findall(r"`((?:framework|make) [^`\n]+)`", text(page))
    parts = (part.strip() for line in lines for part in re.split(r"[;|]|\bdo\b|  #", line))
    return filter(None, parts)


@pytest.mark.parametrize("page", PAGES)
def test_commands_exist(page):
    """Commands, their options, and targets of make that a page names are there."""
    root = click.Context(cli)
    targets = re.findall(r"^([a-z]+):", text("Makefile"), re.MULTILINE)
    for line in commands(page):
        program, *words = line.split()
        if program == "make":
            assert words[0] in targets, line
        if program == "framework":
            options = [option for parameter in cli.params for option in parameter.opts]
            accepted = {*options, "--help"}
            if words[0] in options:
                words = words[2:] if words[0] == "--no-plugin" else words[1:]
            if words and not words[0].startswith("-") and "/" not in words[0]:  # that would be a plugin's
                command = cli.get_command(root, words[0])
                assert command is not None, line
                accepted |= {option for parameter in command.params for option in parameter.opts}
            assert [word for word in words if word.startswith("-") and word not in accepted] == [], line


def test_every_event_is_documented():
    """Each event that the runtime records stands in the page about run directories."""
    source = "".join(path.read_text() for path in (ROOT / "framework/runtime").rglob("*.py"))
    events = set(re.findall(r"(?:Event|\.event)\(\s*\"(\w+)\"", source))
    assert {"sampler_lost", "resumed", "finished"} < events
    page = text("docs/how-to/read-a-run-directory.md")
    assert [event for event in sorted(events) if f"`{event}`" not in page] == []


def test_every_detail_of_ppo_is_where_the_page_says():
    """Each of the 13, once, as the line that is quoted."""
    rows = re.findall(
        r"^\| (\d+) \| .* \| `(.*?)` \| `(.*)` \|$", (ROOT / "docs/explanation/ppo.md").read_text(), re.MULTILINE
    )
    assert [int(number) for number, _, _ in rows] == list(range(1, 14))
    for number, file, line in rows:
        lines = [text.strip() for text in (ROOT / file).read_text().splitlines()]
        assert lines.count(line) == 1, f"detail {number} is not once in {file}"
