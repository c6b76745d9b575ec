import importlib.util
import inspect
import re
import sys
import tomllib
from pathlib import Path

import pytest
from page_commands import PAGES, ROOT, blocks, text, write_files

import framework
from framework import catalog, hookspecs, pipeline, plugins
from framework.pipeline.sections import KEYS

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
