"""A study: variants of a pipeline, each trained with the same seeds, in a folder that it can go on from.

FOLDER/study.json              what is compared
FOLDER/VARIANT/seed-1/         one run: its run directory, and ``log.txt`` with what its process printed
FOLDER/lock                    locked while a process trains the study
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import frozen

import framework
from framework.errors import FrameworkError, RunError, writing
from framework.pipeline.document import differences
from framework.studies.groups import Group, unfinished
from framework.studies.identity import differing
from framework.studies.jobs import Job

RECORD = "study.json"
_FORMAT = 1
_LONGEST = 80  # characters of a folder's name
_CLOSING = {"[": "]", "{": "}"}


@frozen
class Variant:
    """A pipeline with overrides of its own; the first variant of a study has none."""

    name: str
    overrides: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """The name of its folder: its own name, with a hash where that is not the name of a file."""
        readable = re.sub(r"[^\w.=,+-]+", "-", ",".join(self.overrides) or self.name)[:_LONGEST].strip("-.")
        same = readable == (",".join(self.overrides) or self.name)
        return readable if same else f"{readable}-{hashlib.sha256(self.name.encode()).hexdigest()[:8]}"


class Study:
    """Variants of a pipeline, each with the same seeds.

    Args:
        folder: where its runs are; it is made by `at_work`.
        pipeline: the pipeline file.
        overrides: of all variants.
        against: the overrides of each further variant.
        seeds: one or more.

    Raises `PipelineError` where a variant is no valid pipeline, and `FrameworkError` where one is no variant of its
    own, or the folder is that of another pipeline.
    """

    def __init__(
        self,
        folder: Path,
        pipeline: Path,
        overrides: Sequence[str] = (),
        against: Sequence[Sequence[str]] = (),
        seeds: Sequence[int] = (1, 2, 3, 4, 5),
    ):
        self.folder = folder
        self.seeds = tuple(seeds)
        self.variants = (Variant(pipeline.stem), *(Variant(" ".join(changes), tuple(changes)) for changes in against))
        self._pipeline, self._overrides = pipeline, tuple(overrides)
        self._loaded = [framework.load(pipeline, [*overrides, *variant.overrides]) for variant in self.variants]
        self._base = _plain(self._loaded[0].to_plain())
        self._check_variants()
        if (folder / RECORD).exists():
            self._check(_read(folder))

    @property
    def jobs(self) -> dict[str, Job]:
        """All runs, by a name for each: first those of the first seed."""
        return {
            f"{variant.name}, seed {seed}": self._job(variant, seed) for seed in self.seeds for variant in self.variants
        }

    @property
    def total_steps(self) -> list[int]:
        """Environment steps of each job."""
        return [loaded.run.total_steps for _ in self.seeds for loaded in self._loaded]

    @property
    def evaluates(self) -> bool:
        """Whether the policies of all variants are evaluated."""
        return all(loaded.evaluation.episodes for loaded in self._loaded)

    @property
    def groups(self) -> list[Group]:
        """The runs of each variant, all of which have to be there."""
        return [
            Group(variant.name, tuple(run for seed in sorted(self.seeds) if (run := self._job(variant, seed).kept())))
            for variant in self.variants
        ]

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Record what is compared, and keep other processes from training the same study.

        Variants and seeds that the folder had before stay recorded. Raises `RunError` where another process is at it.
        """
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / "lock").open("a")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise RunError(f"{self.folder}: another process is training this study") from None
            self._record()
            yield

    def _job(self, variant: Variant, seed: int) -> Job:
        overrides = (*self._overrides, *variant.overrides, f"run.seed={seed}")
        return Job(self.folder / variant.folder / f"seed-{seed}", self._pipeline, overrides)

    def _check_variants(self) -> None:
        for override in (*self._overrides, *(text for variant in self.variants for text in variant.overrides)):
            if override.partition("=")[0].strip(" ~") == "run.seed":
                raise FrameworkError(f"{override}: seeds are those of --seeds, for all variants")
        plain = [_plain(loaded.to_plain()) for loaded in self._loaded]
        for number, variant in enumerate(self.variants):
            for earlier in range(number):
                if not differences(plain[earlier], plain[number]):
                    raise FrameworkError(f"{variant.name}: this is the same pipeline as {self.variants[earlier].name}")

    def _check(self, record: dict[str, Any]) -> None:
        changed = differing(record["pipeline"], self._base)
        if keys := [key for key in changed if key != "run.seed"]:
            told = ", ".join(f"{key} was {_shown(changed[key][0])} and is {_shown(changed[key][1])}" for key in keys)
            raise FrameworkError(
                f"{self.folder} is a study of another pipeline: {told}; choose another folder with --folder, or remove"
                " this one"
            )

    def _record(self) -> None:
        record = _read(self.folder) if (self.folder / RECORD).exists() else {"variants": {}, "seeds": []}
        variants = {variant.name: list(variant.overrides) for variant in self.variants}
        content = {
            "format": _FORMAT,
            "file": str(self._pipeline.resolve()),
            "overrides": list(self._overrides),
            "variants": record["variants"] | variants,
            "seeds": sorted({*record["seeds"], *self.seeds}),
            "pipeline": self._base,
        }
        with writing(self.folder):
            new = self.folder / f"{RECORD}.new"
            new.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            new.replace(self.folder / RECORD)


def recorded_groups(folder: Path) -> tuple[list[Group], list[str]]:
    """The runs of the study in ``folder`` by variant, and notes on those that are not whole.

    Raises `RunError` where a variant has no whole run.
    """
    record = _read(folder)
    groups, notes = [], []
    for name, overrides in record["variants"].items():
        runs = []
        for seed in record["seeds"]:
            job = Job(folder / Variant(name, tuple(overrides)).folder / f"seed-{seed}", Path(record["file"]))
            kept = job.kept()
            note = f"{name}, seed {seed}, is left out: it was not trained" if kept is None else unfinished(kept)
            if kept is None or note is not None:
                notes.append(str(note))
            else:
                runs.append(kept)
        if not runs:
            raise RunError(f"{folder}: no run of {name} is whole; train them with framework compare {record['file']}")
        groups.append(Group(name, tuple(runs)))
    return groups, notes


def is_study(folder: Path) -> bool:
    """Whether a folder is that of a study."""
    return (folder / RECORD).is_file()


def overrides_of(text: str) -> tuple[str, ...]:
    """The overrides in a text, which is split where a space is in neither quotes nor brackets.

    Quotes stay, as TOML has them: ``encoder.use=gru algorithm.name="a b"`` has two overrides.
    """
    words: list[str] = []
    word = quote = closing = ""
    for letter in text:
        if letter.isspace() and not quote and not closing:
            words, word = [*words, word], ""
            continue
        word += letter
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif closing and letter == closing[-1]:
            closing = closing[:-1]
        else:
            closing += _CLOSING.get(letter, "")
    return tuple(filter(None, [*words, word]))


def _read(folder: Path) -> dict[str, Any]:
    path = folder / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["format"] != _FORMAT:
            raise RunError(f"{path} is of another version of the framework: format {record['format']}, not {_FORMAT}")
        names = {str(name): [str(text) for text in overrides] for name, overrides in record["variants"].items()}
        seeds = [int(seed) for seed in record["seeds"]]
        return {"variants": names, "seeds": seeds, "pipeline": dict(record["pipeline"]), "file": str(record["file"])}
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RunError(f"{path} is not the record of a study: remove the folder, or choose another one") from None


def _plain(pipeline: dict[str, Any]) -> dict[str, Any]:
    """A pipeline as it is read back from JSON."""
    values: dict[str, Any] = json.loads(json.dumps(pipeline, default=str))
    return values


def _shown(value: Any) -> str:
    return "not there" if value is None else json.dumps(value)
