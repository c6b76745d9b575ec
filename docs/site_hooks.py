"""Hooks of MkDocs: what the site has beside the Markdown files of this folder.

The navigation is what `index.md` links to, section by section. What pages link to outside of this folder (examples,
sources, READMEs) becomes a page below ``source/``, and a notebook becomes a page of its text and code.
"""

from __future__ import annotations

import json
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
_FENCE = re.compile(r"^(````.*?^````|```.*?^```)$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s#]+)(#[^)\s]*)?\)")
#: The path in the repository of each page that was made here.
_origins: dict[str, str] = {}
_LANGUAGES = {
    ".md": "markdown",
    ".py": "python",
    ".toml": "toml",
    ".json": "json",
    ".sh": "sh",
    ".yml": "yaml",
    "": "text",
}


def on_config(config: Any) -> Any:
    """Take the navigation from the index."""
    sections: list[dict[str, list[dict[str, str]]]] = []
    for line in Path(config.docs_dir, "index.md").read_text(encoding="utf-8").splitlines():
        if heading := re.match(r"\*\*([\w-]+)\*\*:", line):
            sections.append({heading[1]: []})
        for path, _ in _LINK.findall(line) if sections else ():
            page = {_title(Path(config.docs_dir, path)): uri(f"docs/{path}")}
            pages = next(iter(sections[-1].values()))
            pages += [] if page in pages else [page]
    config.nav = [{"Start": "index.md"}, *sections]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add a page for each notebook, and for all that is linked outside of this folder, directly or not."""
    notebooks = [file.src_uri for file in files if file.src_uri.endswith(".ipynb")]
    texts = {f"docs/{path}": notebook_text(ROOT / "docs" / path) for path in notebooks}
    unread = {f"docs/{file.src_uri}": file.content_string for file in files.documentation_pages()} | texts
    while unread:
        origin, markdown = unread.popitem()
        for path in linked(markdown, origin):
            if not path.startswith("docs/") and path not in texts:
                texts[path] = unread[path] = shown(path)
    for path, text in texts.items():
        _origins[uri(path)] = path
        files.append(File.generated(config, uri(path), content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead the page's links to where their targets are on the site."""
    source = page.file.src_uri
    origin = _origins.get(source, f"docs/{source}")

    def link(match: re.Match[str]) -> str:
        path = _path(origin, match[1])
        if path is None:
            return match[0]
        return f"]({posixpath.relpath(uri(path), posixpath.dirname(source))}{match[2] or ''})"

    parts = _FENCE.split(markdown)  # blocks of code stand at odd places, and stay as they are
    return "".join(part if number % 2 else _LINK.sub(link, part) for number, part in enumerate(parts))


def uri(path: str) -> str:
    """The page of a file of the repository: of a notebook, Markdown, source or folder."""
    if path.startswith("docs/"):
        return re.sub(r"\.ipynb$", ".md", path.removeprefix("docs/"))
    if (ROOT / path).is_dir():
        return f"source/{path}/index.md"
    return f"source/{path}" if path.endswith(".md") else f"source/{path}.md"


def linked(markdown: str, origin: str) -> list[str]:
    """The files and folders of the repository that a page at ``origin`` links to."""
    targets = [target for part in _FENCE.split(markdown)[::2] for target, _ in _LINK.findall(part)]
    return [path for target in targets if (path := _path(origin, target)) is not None]


def shown(path: str) -> str:
    """A file or folder outside of this folder as Markdown; raises PluginError where it is not there."""
    file = ROOT / path
    if file.is_dir():
        names = sorted(entry.name for entry in file.iterdir() if entry.is_file() and not entry.name.startswith("."))
        return f"# {path}\n\n" + "\n".join(f"- [{name}]({posixpath.basename(path)}/{name})" for name in names) + "\n"
    if not file.is_file() or file.suffix not in _LANGUAGES:
        raise PluginError(f"{path} is linked from the documentation, and is no text that can be shown")
    text = file.read_text(encoding="utf-8")
    return text if path.endswith(".md") else f"# {path}\n\n````{_LANGUAGES[file.suffix]}\n{text}````\n"


def notebook_text(file: Path) -> str:
    """The cells of a notebook as Markdown, with a link to the notebook itself."""
    cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    parts = [
        f"```python\n{text}\n```" if cell["cell_type"] == "code" else text
        for cell, text in zip(cells, texts, strict=True)
    ]
    return "\n\n".join(parts) + "\n"


def _title(file: Path) -> str:
    """The first heading of a page or notebook, without the quotes and the end of its line in JSON."""
    match = re.search(r'^\s*"?# (.*?)(?:\\n)?"?,?$', file.read_text(encoding="utf-8"), re.MULTILINE)
    if match is None:
        raise PluginError(f"{file} is linked from index.md, and has no heading")
    return match[1]


def _path(origin: str, target: str) -> str | None:
    """The path in the repository of what a page links to; None for an address elsewhere."""
    return None if "://" in target else posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
