"""A host agent: samplers of this machine for a learner on another, over one connection.

This module does not import torch: the helper that samplers are forked from does, while the agent connects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from framework.exit_codes import DONE, ENVIRONMENT_FAILED, NOT_LET_IN, TRY_AGAIN, WRONG_VERSION
from framework.runtime.launch.local import LocalStarter
from framework.runtime.launch.supervisor import Supervisor
from framework.runtime.link.client import LearnerSilent, Rejected, Stopped
from framework.runtime.link.endpoint import SocketFolder
from framework.runtime.link.relay import HostFailed, Relay
from framework.runtime.link.token import JoinToken
from framework.runtime.link.uplink import KeyRefused


def run_host(
    token: JoinToken,
    samplers: int,
    name: str,
    *,
    patience: float,
    directory: Path | None = None,
    tell: Callable[[str, Mapping[str, Any]], None],
) -> tuple[int, str]:
    """Work for the learner of a token until it says stop; returns the process's exit code, and why in words.

    Args:
        samplers: how many processes collect.
        name: of this machine, as the learner is to know it.
        patience: seconds for which a learner that cannot be reached is waited for.
        directory: where Python files that the pipeline names are looked for; by default where the learner says.
        tell: hears of what happens, by a name and with fields.
    """
    with ExitStack() as opened:
        folder = opened.enter_context(closing(SocketFolder()))
        starter = opened.enter_context(closing(LocalStarter(folder, None if directory is None else str(directory))))
        relay = opened.enter_context(closing(Relay(folder.endpoint, token, name, samplers, patience)))
        try:
            host = relay.enter()
            tell("entered", {"host": host, "run": token.run, "endpoint": relay.learner})
            opened.callback(Supervisor(starter, samplers, token.run, relay, f"{host}/").close)
            opened.callback(relay.leave)
            while True:
                event = relay.serve()
                tell(event.name, event.fields)
        except Stopped:
            return DONE, "the learner needs no more"
        except Rejected as rejected:
            return rejected.status, str(rejected)
        except KeyRefused as refused:
            return NOT_LET_IN, str(refused)
        except LearnerSilent:
            return TRY_AGAIN, f"the learner could not be reached for {patience:.0f} s"
        except HostFailed as failed:
            return WRONG_VERSION if failed.status == WRONG_VERSION else ENVIRONMENT_FAILED, str(failed)
