"""The batch script of an array of hosts."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from framework.errors import RunError
from framework.interfaces import LauncherContext, Work
from framework_slurm.config import SlurmConfig

#: What the script calls a host; bash replaces it.
_NAME = "$name"
#: The prefix of our own template in those of others: ``{% extends "framework/batch.sh" %}``.
_PREFIX = "framework"


def batch_script(config: SlurmConfig, context: LauncherContext, work: Work, numbers: Iterable[int]) -> str:
    """The script of an array that has a task for each of these numbers. The token's file is named in it, no more.

    Raises `RunError` where the user's template cannot be read or used, and for a folder that sbatch cannot be told.
    """
    from jinja2 import Environment, FileSystemLoader, PrefixLoader, StrictUndefined, TemplateError

    folder = str(context.directory)
    if re.search(r"[\"'\\#\n\r]", folder):
        raise RunError(f"{folder}: sbatch takes no quotes, backslashes and # in a path: rename the folder")
    environment = Environment(
        loader=PrefixLoader({_PREFIX: FileSystemLoader(Path(__file__).parent)}),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    words = work.command(_NAME, join=str(work.token))
    values = {
        "job_name": re.sub(r"[^A-Za-z0-9_.-]+", "-", f"framework-{context.run}"),
        "array": ranges(numbers),
        "workers": work.workers,
        "output": folder.replace("%", "%%") + "/slurm-%a.log",
        "options": config.sbatch_options(),
        "folder": shlex.quote(folder),
        "token": shlex.quote(str(work.token)),
        "setup": config.setup,
        "command": " ".join(f'"{word}"' if word == _NAME else shlex.quote(word) for word in words),
    }
    source = Path(__file__).with_name("batch.sh") if config.template is None else context.source / config.template
    try:
        text = environment.from_string(source.read_text(encoding="utf-8")).render(values)
    except TemplateError as error:  # one of which is an OSError too
        line = getattr(error, "lineno", None)
        raise RunError(f"{source}{f':{line}' if line else ''}: the template cannot be used: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise RunError(f"{source}: the template cannot be read: {reason}") from None
    if not text.startswith("#!") or f"#SBATCH --array={values['array']}\n" not in text:
        raise RunError(f"{source}: the template must give a script that begins with #! and has #SBATCH --array")
    return text


def ranges(numbers: Iterable[int]) -> str:
    """Numbers as SLURM writes them: ``0-3,7``."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][-1] + 1:
            spans[-1] = [spans[-1][0], number]
        else:
            spans.append([number])
    return ",".join("-".join(map(str, span)) for span in spans)
