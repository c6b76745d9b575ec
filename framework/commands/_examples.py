"""The example pipelines: what each is for, what it reached, and the files that it needs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import frozen

from framework.bundled import EXAMPLES, bundled_folder, example_names
from framework.errors import EXIT_USAGE, FrameworkError, writing
from framework.plugins import did_you_mean

#: What ``benchmarks/pages.py`` writes from the results of training the examples.
MEASURED = "measured.json"
_EXTRAS = re.compile(r" \(extras?: ([\w, ]+)\)")
_AIM = re.compile(r"(.*?)\.? ?Aim: (.+?) after [\d,]+ steps")
_EVALUATION = re.compile(r"an evaluation of (-?[\d.]+) or more")
#: The value of ``use``, or of another option, that names something in a file beside the pipeline.
_IN_FILE = re.compile(r"(\w+):\w+(\.\w+)*")


class ExampleError(FrameworkError):
    """An example that is not there, or a file that would be overwritten."""

    exit_code = EXIT_USAGE


@frozen
class Example:
    """An example pipeline, with what its first comment says of it, and what was measured."""

    name: str
    summary: str
    extras: tuple[str, ...]
    steps: int  #: of the environment that a run collects
    aim: str | None  #: least mean return of the last evaluation, or another aim in words; None where it has none
    reached: str | None  #: what the runs came to, seed by seed; None where nothing was measured
    minutes: tuple[float, float] | None  #: of the fastest and of the slowest of these runs


def list_examples() -> tuple[list[Example], str]:
    """All examples, and in one sentence what they were measured on."""
    measured = json.loads((bundled_folder(EXAMPLES) / MEASURED).read_text(encoding="utf-8"))
    return [_example(name, measured["examples"].get(name)) for name in example_names()], measured["note"]


def find_example(name: str) -> Path:
    """The pipeline file of an example. Raises `ExampleError`."""
    if name not in (names := example_names()):
        hint = did_you_mean(name, names) or f"; there are {', '.join(names)}"
        raise ExampleError(f"there is no example {name!r}{hint}")
    return bundled_folder(EXAMPLES) / f"{name}.toml"


def needed_files(pipeline: Path) -> list[Path]:
    """The pipeline file, those that it extends, and the Python files beside them that they name, in this order."""
    from framework.pipeline.toml import parse

    values, _ = parse(pipeline.read_text(encoding="utf-8"), str(pipeline))
    files = [pipeline]
    if "extends" in values:
        files += needed_files(pipeline.parent / values["extends"])
    modules = [match[1] for text in _strings(values) if (match := _IN_FILE.fullmatch(text))]
    files += [file for module in modules if (file := pipeline.parent / f"{module}.py").is_file()]
    return list(dict.fromkeys(files))


def copy(files: list[Path], folder: Path) -> list[Path]:
    """Copy the files; raises `ExampleError` where one is there already, and then copies none."""
    targets = [folder / file.name for file in files]
    if taken := [target for target in targets if target.exists()]:
        raise ExampleError(f"{taken[0]} already exists: move it away, or copy into another folder with --to FOLDER")
    for file, target in zip(files, targets, strict=True):
        with writing(target):
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    return targets


def _example(name: str, measured: dict[str, Any] | None) -> Example:
    from framework.pipeline.document import read

    path = find_example(name)
    comment = _first_comment(path.read_text(encoding="utf-8"))
    extras = _EXTRAS.search(comment)
    plain = _EXTRAS.sub("", comment)
    aim = _AIM.match(plain)
    sentence = aim[1] if aim else re.split(r"[.;] ", plain)[0]
    return Example(
        name,
        sentence.removesuffix("."),
        tuple(extras[1].split(", ")) if extras else (),
        read(path).values["run"]["total_steps"],
        _EVALUATION.sub(r"\1", aim[2]) if aim else None,
        measured["reached"] if measured else None,
        (measured["minutes"][0], measured["minutes"][1]) if measured else None,
    )


def _first_comment(text: str) -> str:
    lines = text.partition("\n\n")[0].splitlines()
    return " ".join(line.removeprefix("#").strip() for line in lines)


def _strings(value: Any) -> Iterator[str]:
    """Every string in a nested value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)
