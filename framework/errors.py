"""Problems that a user can mend, and the exit codes they end with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

EXIT_DONE = 0
EXIT_RUN_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERNAL = 3
EXIT_PLUGIN = 4
EXIT_INTERRUPTED = 130


class Problem(NamedTuple):
    """One thing that is wrong, where it is, and how to mend it."""

    message: str
    path: str | None = None  #: dotted key in the pipeline, such as ``algorithm.learning_rate``
    file: str | None = None
    line: int | None = None  #: counted from 1
    exit_code: int = EXIT_USAGE  #: `EXIT_PLUGIN` where a plugin is missing or broken

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        return ": ".join(part for part in (place, self.path, self.message) if part)


class FrameworkError(Exception):
    """An error with a message for the user; no traceback is shown for it."""

    exit_code = EXIT_RUN_FAILED


class PipelineError(FrameworkError):
    """A pipeline that cannot be run; carries every problem found in it.

    The exit code is that of a missing or broken plugin only where nothing else is wrong.
    """

    def __init__(self, problems: Sequence[Problem]):
        self.problems = tuple(problems)
        self.exit_code = min(problem.exit_code for problem in problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class PluginError(FrameworkError):
    """A plugin that a pipeline needs is missing or broken."""

    exit_code = EXIT_PLUGIN


class RunError(FrameworkError):
    """A run that had to stop."""


class EnvironmentFailed(RunError):
    """An environment raised an exception, which is the cause of this one and whose traceback is shown; or many did."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the system refuses while a file or folder is written is a `FrameworkError` that names it."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error).partition("\n")[0]
        raise FrameworkError(f"{error.filename or path}: cannot be written: {reason}") from None
