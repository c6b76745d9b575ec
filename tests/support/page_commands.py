"""The files and commands that pages of the documentation show: found, written, taken apart, and cut down for a test."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from framework.hookspecs import GROUP

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "plugins/*/README.md", "benchmarks/*.md", "examples/*.md")
    for page in ROOT.glob(pattern)
)
#: What the lines of a pipeline file are cut down to: one or two updates, and an evaluation.
SMALL = {
    "total_steps": "512",
    "environments": "4",
    "shard": "2",
    "rollout_length": "64",
    "episodes": "2",
    "every_steps": "0",
    "samplers": "1",
}
#: The same for options of commands.
SMALL_OPTIONS = {"--episodes": "2", "--seeds": "2", "--trials": "2"}
_SEPARATORS = {";", "|", "||", "&", "&&", "(", ")"}
_KEYWORDS = {"do", "then", "else"}


class Shown(NamedTuple):
    """A simple command on a page."""

    line: str  #: the whole line that it stands in
    words: tuple[str, ...]
    whole: bool  #: in a block; else in a line of text, where its arguments may be left out


def text(page: str) -> str:
    """A page, or a file."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> Iterator[str]:
    """The blocks of code of a page in a language."""
    return (match[1] for match in re.finditer(rf"^```{language}\n(.*?)^```$", text(page), re.MULTILINE | re.DOTALL))


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
        entries = project["entry-points"][GROUP].items()
        lines = [f"[{GROUP}]", *(f"{name} = {value}" for name, value in entries)]
        files[f"{info}/entry_points.txt"] = "\n".join(lines)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")


def lines(page: str) -> list[str]:
    """The lines of a page's blocks of shell, without comments; those that are continued are joined."""
    joined = "".join(blocks(page, "sh")).replace("\\\n", " ")
    bare = (re.sub(r"(^|\s)#\s.*$", "", line).strip() for line in joined.splitlines())
    return [line for line in bare if line]


def shown(page: str) -> Iterator[Shown]:
    """The simple commands of a page: in blocks, and in lines of text those that begin with a program's name."""
    for line in lines(page):
        for words in simple_commands(line):
            yield Shown(line, tuple(words), True)
    prose = re.sub(r"^```.*?^```$", "", text(page), flags=re.MULTILINE | re.DOTALL)
    for line in re.findall(r"`((?:framework|make|python|pip|torchrun|accelerate|ray) [^`]+)`", prose):
        for words in simple_commands(line.replace("\n", " ")):
            yield Shown(line, tuple(words), False)


def simple_commands(line: str) -> Iterator[list[str]]:
    """The words of each simple command of a line, without redirections and assignments before it."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&()<>")
    lexer.whitespace_split, lexer.commenters = True, ""
    words: list[str] = []
    redirected = False
    for word in [*lexer, ";"]:
        if word in _SEPARATORS:
            while words and (words[0] in _KEYWORDS or re.match(r"\w+=", words[0])):
                words = words[1:]
            if words:
                yield words
            words = []
        elif redirected or word in ("<", ">", ">>"):
            redirected = not redirected
        else:
            words.append(word)


def framework_arguments(words: tuple[str, ...]) -> list[str] | None:
    """The arguments of the framework in a command, which another program may start; None where it is not in it."""
    places = [number for number, word in enumerate(words) if word == "framework"]
    if not places or words[0] == "pip":
        return None
    return list(words[places[0] + 1 :])


def small(arguments: list[str]) -> list[str]:
    """The arguments of the command line for a run, a study or an evaluation that is cut down."""
    cut = [re.sub(r"^(run\.total_steps)=.*", r"\1=512", word) for word in arguments]
    return [SMALL_OPTIONS.get(before, word) for before, word in zip(["", *cut], cut, strict=False)]


def cut_down(folder: Path) -> None:
    """Cut down all pipeline files in a folder."""
    for file in folder.rglob("*.toml"):
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        file.write_text("".join(_small_line(line) for line in lines), encoding="utf-8")


def _small_line(line: str) -> str:
    key, separator, _ = line.partition(" = ")
    return f"{key} = {SMALL[key]}\n" if separator and key in SMALL else line
