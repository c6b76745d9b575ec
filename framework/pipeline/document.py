"""A pipeline file with what it extends and what overrides it: plain values, and where each of them comes from."""

from __future__ import annotations

import functools
import os
import stat
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from framework.bundled import example_names
from framework.errors import PipelineError, Problem
from framework.pipeline.toml import DEPTH_LIMIT, KEY, check_size, parse, split, too_large
from framework.schema import join, plain, quote


class Origin(NamedTuple):
    """Where a value comes from: a line of a file, or an override."""

    source: str
    line: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


OVERRIDE = Origin("override")
#: Bytes of a pipeline file, and files that extend one another: far more than anybody writes.
BYTES_LIMIT = 2**20
EXTENDS_LIMIT = 32
#: Stands for the value of a key that an override takes out.
_NOTHING = object()


class Document(NamedTuple):
    """Plain values by section, the origin of each dotted key, and what was wrong with the overrides."""

    values: dict[str, Any]
    origins: dict[str, Origin]
    problems: list[Problem]

    def origin(self, path: str) -> Origin | None:
        """Where the value at a dotted key comes from: its own origin, or that of the table or array it is in."""
        parts = split(path)
        while parts:
            if (origin := self.origins.get(functools.reduce(join, parts, ""))) is not None:
                return origin
            parts.pop()
        return None

    def locate(self, problem: Problem, file: str | None = None) -> Problem:
        """``problem`` with file and line, or with ``file`` where its key has no origin."""
        origin = self.origin(problem.path or "") or Origin(file or "")
        return problem._replace(file=origin.source or None, line=origin.line)

    def located(self, error: PipelineError, file: str | None = None) -> PipelineError:
        """``error`` with each of its problems located, and none of them twice."""
        return PipelineError(list(dict.fromkeys(self.locate(problem, file) for problem in error.problems)))


def read(path: str | Path, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Document:
    """Read the pipeline file ``path``, what it extends, and ``overrides``; later ones win.

    Tables merge and anything else is replaced; where ``use`` changes, the rest of its table goes too, as it was
    about another component. Overrides are ``"dotted.key=TOML value"`` or ``{"dotted.key": value}``; parts of the
    key may be indices of arrays, as in ``bonus.0.weight=0.5``. A string that is a word needs no quotes.
    ``"~dotted.key"`` takes a key or a table out. Raises `PipelineError` where a file
    cannot be read or is no TOML.
    """
    document = _read_file(Path(path), ())
    override(document, overrides)
    return document


def override(document: Document, overrides: Sequence[str] | Mapping[str, Any]) -> None:
    """Lay overrides, as `read` takes them, over a document; what is wrong with them is added to its problems."""
    pairs = []
    for written in overrides.items() if isinstance(overrides, Mapping) else overrides:
        keys, value, reason = _read_override(written)
        if reason:
            document.problems.append(Problem(reason, None, str(OVERRIDE)))
        else:
            pairs.append((keys, value))
    # What goes makes room, and a new component comes before its options, in whatever order they were given.
    for keys, value in sorted(pairs, key=lambda pair: (pair[1] is not _NOTHING, pair[0][-1] != "use")):
        _override(document, document.values, "", keys, value)


def differences(one: Any, other: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """Both values at each dotted key where nested plain values differ; None for one that is not there."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        inner = (differences(one.get(key), other.get(key), join(path, key)) for key in one.keys() | other.keys())
        return {key: values for differing in inner for key, values in differing.items()}
    return {} if one == other else {path: (one, other)}


def restrict(overrides: Sequence[str] | Mapping[str, Any], sections: Sequence[str], why: str) -> None:
    """Raise `PipelineError`, saying ``why``, where overrides change anything outside of ``sections``."""
    problems = []
    for written in overrides.items() if isinstance(overrides, Mapping) else overrides:
        keys, _, reason = _read_override(written)
        if not reason and keys[0] not in sections:  # what cannot be read is reported where it is laid over the document
            problems.append(Problem(why, functools.reduce(join, keys, ""), str(OVERRIDE)))
    if problems:
        raise PipelineError(problems)


def _read_file(path: Path, children: tuple[Path, ...]) -> Document:
    values, lines = parse(_text(path), str(path))
    document = Document(values, {key: Origin(str(path), line) for key, line in lines.items()}, [])
    if "extends" not in values:
        return document
    origin, base = document.origins.pop("extends"), values.pop("extends")
    place = ("extends", str(path), origin.line)
    if not isinstance(base, str):
        raise PipelineError([Problem("expected the name of one file, relative to this one", *place)])
    parent = path.parent / base
    try:
        children = (*children, path.resolve())
        if parent.resolve() in children:
            raise PipelineError([Problem(f"{base} extends this file in turn", *place)])
        if not parent.exists():
            raise PipelineError([Problem(f"there is no file {parent}", *place)])
    except (OSError, ValueError, RuntimeError) as error:  # a name that is too long, NUL in it, links in a circle
        raise PipelineError([Problem(f"{base!r} cannot be a file: {error}", *place)]) from None
    if len(children) > EXTENDS_LIMIT:
        raise PipelineError([Problem(f"more than {EXTENDS_LIMIT} files extend one another", *place)])
    result = _read_file(parent, children)
    _merge(result, "", result.values, values, document.origins)
    return result


def _text(path: Path) -> str:
    content = b""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode) and not path.is_dir():
            raise ValueError("it is no regular file")
        with path.open("rb") as file:
            content = file.read(BYTES_LIMIT + 1)
        if len(content) > BYTES_LIMIT:
            raise ValueError(f"it has more than {BYTES_LIMIT:,} bytes")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise PipelineError([Problem("not TOML: it is not encoded in UTF-8", None, str(path), line)]) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if isinstance(error, FileNotFoundError) and path.stem in example_names():
            reason += f"; the example of that name is copied into this folder by: framework examples {path.stem}"
        raise PipelineError([Problem(f"cannot be read: {reason}", None, str(path))]) from None


def _merge(document: Document, path: str, table: dict[str, Any], new: Any, origins: Mapping[str, Origin]) -> None:
    """Lay the table ``new`` over ``table``, which stands at ``path`` of the document."""
    if "use" in table and table["use"] != new.get("use", table["use"]):
        _forget(document, path, table)
        document.origins.pop(path, None)
        table.clear()
    if path in origins:
        document.origins.setdefault(path, origins[path])
    for key, value in new.items():
        where = join(path, key)
        if isinstance(value, dict) and isinstance(table.get(key), dict):
            _merge(document, where, table[key], value, origins)
        else:
            _forget(document, where, table.get(key))
            table[key] = value
            document.origins.update({at: origins[at] for at in [where, *_inside(where, value)] if at in origins})


def _forget(document: Document, path: str, value: Any) -> None:
    """Forget the origins of what is inside ``value``, which stands at ``path``."""
    for key in _inside(path, value):
        document.origins.pop(key, None)


def _inside(path: str, value: Any) -> Iterator[str]:
    """The dotted key of everything inside a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield join(path, key)
        yield from _inside(join(path, key), item)


# --- overrides ---------------------------------------------------------------------------------------------------


def _read_override(written: str | tuple[str, Any]) -> tuple[list[str], Any, str]:
    """Keys, value, and what is wrong with an override, too."""
    try:
        keys, value, reason = _parse_override(written) if isinstance(written, str) else _given(*written)
        check_size({"": value})
    except (RecursionError, ValueError) as error:
        return [], None, f"{_shortened(written)}: {too_large(error)}"
    if len(keys) > DEPTH_LIMIT:
        return [], None, f"{_shortened(written)}: a key of {len(keys):,} parts; {DEPTH_LIMIT} at most are possible"
    return keys, value, reason


def _shortened(written: str | tuple[str, Any]) -> str:
    text = written if isinstance(written, str) else written[0]
    return repr(text if len(text) <= 60 else f"{text[:60]}…")


def _parse_override(text: str) -> tuple[list[str], Any, str]:
    """Keys, value, and what is wrong with ``key=value`` or ``~key``."""
    if text.startswith("~") and KEY.fullmatch(text[1:]):
        return split(text[1:]), _NOTHING, ""
    match = KEY.match(text)
    if match is None or text[match.end() : match.end() + 1] != "=":
        return [], None, f"{text!r} is not written key=value, such as run.seed=2"
    keys, written = split(match[0]), text[match.end() + 1 :].strip()
    try:
        parsed = tomllib.loads(f"value = {written}\n")
    except tomllib.TOMLDecodeError:
        parsed = {}
    if set(parsed) == {"value"}:
        return keys, parsed["value"], ""
    if written and not set("\"'[]{}=,# \n") & set(written):  # a word: a string, where the option takes one
        return keys, written, ""
    quoted = f"{match[0].strip()}={quote(written)}"
    array = f"; an array: '{match[0].strip()}=[{written}]'" if "," in written and not set("[{") & set(written) else ""
    return [], None, f"{written!r} is not a TOML value; if it is a string it needs quotes: '{quoted}'{array}"


def _given(key: str, value: Any) -> tuple[list[str], Any, str]:
    if not KEY.fullmatch(key):
        return [], None, f"{key!r} is not a dotted key, such as run.seed"
    return split(key), plain(value), ""


def _override(document: Document, container: Any, path: str, keys: list[str], value: Any) -> None:
    """Set ``value`` at ``keys`` below the table or array ``container``, which stands at ``path``."""
    where, rest = join(path, keys[0]), keys[1:]
    if value is _NOTHING and not rest:
        _take_out(document, container, where, keys[0])
    elif isinstance(container, list):
        index = int(keys[0]) if keys[0].isdecimal() else len(container)
        if index >= len(container):
            reason = f"there is no such element in an array of {len(container)}"
            document.problems.append(Problem(reason, where, str(OVERRIDE)))
        elif rest:
            _override(document, container[index], where, rest, value)
        elif isinstance(value, dict) and isinstance(container[index], dict):
            _merge(document, where, container[index], value, _overridden(where, value))
        else:
            _forget(document, where, container[index])
            container[index] = value
            document.origins.update(_overridden(where, value))
    elif not isinstance(container, dict):
        document.problems.append(Problem(f"has no keys, so {where} cannot be set", path, str(OVERRIDE)))
    elif rest and keys[0] in container:
        _override(document, container[keys[0]], where, rest, value)
    elif value is _NOTHING:
        document.problems.append(Problem("there is no such key to take out", ".".join([where, *rest]), str(OVERRIDE)))
    else:
        for key in reversed(rest):
            value = {key: value}
        _merge(document, path, container, {keys[0]: value}, _overridden(where, value))


def _take_out(document: Document, container: Any, where: str, key: str) -> None:
    if isinstance(container, dict) and key in container:
        _forget(document, where, container.pop(key))
        document.origins.pop(where, None)
    else:
        of_array = isinstance(container, list)
        reason = (
            "elements of an array cannot be taken out: give the whole"
            if of_array
            else "there is no such key to take out"
        )
        document.problems.append(Problem(reason, where, str(OVERRIDE)))


def _overridden(path: str, value: Any) -> dict[str, Origin]:
    return dict.fromkeys([path, *_inside(path, value)], OVERRIDE)
