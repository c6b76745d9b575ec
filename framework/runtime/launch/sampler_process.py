"""The process of one sampler.

Started as ``python -P -m framework.runtime.launch.sampler_process ENDPOINT RUN SAMPLER INCARNATION``.
"""

from __future__ import annotations

import signal
import sys
from ctypes import c_double
from pathlib import Path
from types import FrameType

import torch

from framework.errors import PipelineError
from framework.exit_codes import DONE, ENVIRONMENT_FAILED, TRY_AGAIN, WRONG_VERSION
from framework.plugins import describe, traceback_of
from framework.runtime.link.client import SILENCE, Client, End, LearnerSilent, Rejected, Superseded
from framework.runtime.link.sampler import Sampler


class _Terminated(End):
    """SIGTERM has come."""


def run_sampler(
    endpoint: str,
    run: str,
    name: str,
    incarnation: int = 0,
    directory: str | None = None,
    deadline: c_double | None = None,
) -> int:
    """Work for the learner at ``endpoint`` until it says stop; returns the process's exit code.

    Python files that the pipeline names are looked for in ``directory``, by default where the learner says. The
    process may be ended by others after the ``deadline``.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return _run(endpoint, run, name, incarnation, None if directory is None else Path(directory), deadline)
    except Rejected as rejected:
        print(f"the learner does not let this sampler in: {rejected}", file=sys.stderr)
        return rejected.status
    except Superseded:
        print("the run was resumed with another pipeline", file=sys.stderr)
        return TRY_AGAIN
    except LearnerSilent:
        print(f"nothing heard from the learner for {SILENCE:.0f} s", file=sys.stderr)
        return TRY_AGAIN
    except End:  # also one that came while another was dealt with
        return DONE


def _run(
    endpoint: str, run: str, name: str, incarnation: int, directory: Path | None, deadline: c_double | None
) -> int:
    torch.set_num_threads(1)
    client = Client(endpoint)
    sampler = Sampler(client, directory, deadline)
    try:
        sampler.join(run, name, incarnation)
        sampler.serve()
    except Exception as error:
        client.send("failed", message=describe(error)[:5_000], traceback=traceback_of(error)[-10_000:])
        client.close(linger=2.0)
        return WRONG_VERSION if isinstance(error, PipelineError) else ENVIRONMENT_FAILED
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # we are ending already
        sampler.close()
        client.close()


def _terminate(number: int, frame: FrameType | None) -> None:
    raise _Terminated


if __name__ == "__main__":
    endpoint, run, name, incarnation = sys.argv[1:]
    sys.exit(run_sampler(endpoint, run, name, int(incarnation)))
