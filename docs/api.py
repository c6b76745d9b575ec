"""The public names of a module as Markdown: their signatures, docstrings, and the comments that begin with ``#:``.

Sources are read, and nothing is imported.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef


def module(name: str, only: tuple[str, ...] = ()) -> Iterator[str]:
    """The paragraphs about a module: its docstring as they stand, then each public name, or ``only`` some of them."""
    tree, lines = parsed(name)
    if not only:
        yield prose(ast.get_docstring(tree))
    for node in tree.body:
        public = (node.name in only) if only and isinstance(node, Function | ast.ClassDef) else not only
        if public:
            yield from _documented(node, lines)


def summaries(name: str, prefix: str) -> Iterator[tuple[str, str]]:
    """Name and first line of the docstring of each function of a module whose name starts with ``prefix``."""
    for node in parsed(name)[0].body:
        if isinstance(node, Function) and node.name.startswith(prefix):
            yield node.name, prose(ast.get_docstring(node)).partition("\n")[0]


def submodules(package: str) -> list[str]:
    """The names of the modules in a package, in order."""
    return sorted(f"{package}.{file.stem}" for file in _file(package).parent.glob("*.py") if file.stem != "__init__")


def parsed(name: str) -> tuple[ast.Module, list[str]]:
    """The syntax tree of a module, and its lines."""
    text = _file(name).read_text(encoding="utf-8")
    return ast.parse(text), text.splitlines()


def prose(docstring: str | None) -> str:
    """A docstring as Markdown; the lines below ``Args:`` become a list."""
    text = (docstring or "").replace("``", "`")
    head, _, arguments = text.partition("\nArgs:\n")
    return head + ("\n" + re.sub(r"^    (\w+):", r"- `\1`:", arguments, flags=re.MULTILINE) if arguments else "")


def _file(name: str) -> Path:
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin)


def _documented(node: ast.stmt, lines: list[str]) -> Iterator[str]:
    """A heading, the definition and the docstring of what a statement at the top of a module defines."""
    if isinstance(node, Function) and not node.name.startswith("_"):
        yield f"### {node.name}"
        yield from _function(node, lines)
    elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
        yield f"### {node.name}"
        yield prose(ast.get_docstring(node))
        if attributes := list(_attributes(node.body, lines)):
            yield "\n".join(attributes)
        for method in node.body:
            if isinstance(method, Function) and not (method.name.startswith("_") and method.name != "__call__"):
                yield from _function(method, lines)
    elif (
        isinstance(node, ast.Assign | ast.AnnAssign)
        and re.match(r"[A-Za-z]\w*$", _target(node))
        and (comment := _comment(node, lines))
    ):
        yield f"### {_target(node)}"
        yield _code(lines[node.lineno - 1 : node.end_lineno])
        yield comment


def _function(node: Function, lines: list[str]) -> Iterator[str]:
    """The head of a definition as it stands in the source, and its docstring; nothing where there is none."""
    if docstring := ast.get_docstring(node):
        first = min(part.lineno for part in (node, *node.decorator_list))
        yield _code(lines[first - 1 : node.body[0].lineno - 1])
        yield prose(docstring)


def _code(lines: list[str]) -> str:
    return "```python\n" + textwrap.dedent("\n".join(lines)).rstrip(":") + "\n```"


def _attributes(body: list[ast.stmt], lines: list[str]) -> Iterator[str]:
    """A line for each public attribute that is annotated in the body of a class."""
    for node in body:
        if isinstance(node, ast.AnnAssign) and not _target(node).startswith("_"):
            default = f" = {ast.unparse(node.value)}" if isinstance(node.value, ast.Constant) else ""
            comment = _comment(node, lines)
            yield f"- `{_target(node)}: {ast.unparse(node.annotation)}{default}`" + (f": {comment}" if comment else "")


def _target(node: ast.Assign | ast.AnnAssign) -> str:
    return ast.unparse(node.target if isinstance(node, ast.AnnAssign) else node.targets[0])


def _comment(node: ast.stmt, lines: list[str]) -> str:
    """The comment ``#: ...`` at the end of a statement's last line, or in the lines above it."""
    assert node.end_lineno is not None
    if match := re.search(r"#: (.*)$", lines[node.end_lineno - 1][node.end_col_offset :]):
        return prose(match[1])
    above = reversed(lines[: node.lineno - 1])
    comments = [match[1] for match in takewhile(bool, (re.match(r"\s*#: (.*)$", line) for line in above)) if match]
    return prose(" ".join(reversed(comments)))
