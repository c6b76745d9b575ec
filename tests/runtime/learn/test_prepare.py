from pathlib import Path
from typing import Any

import pytest
import tiny

from framework.errors import PipelineError, PluginError
from framework.runtime.learn.interrupt import Interrupt
from framework.runtime.learn.prepare import prepare


def test_makes_what_a_run_begins_with(tmp_path: Path) -> None:
    """A state before its first update, with the policy of version 0; environments that are set back to their start."""
    prepared = prepare(tiny.load(tmp_path), Interrupt())
    assert (prepared.device, prepared.state.update, list(prepared.state.snapshots)) == ("cpu", 0, [0])
    assert prepared.worker.observation_space.keys() == {"observation"}
    prepared.worker.close()


def test_what_cannot_be_used_is_found_before_environments_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device comes first."""
    monkeypatch.setattr(tiny.Environment, "make", lambda self: pytest.fail("made"))
    with pytest.raises(PipelineError, match=r"runtime\.device: 'cuda:99' cannot be used here"):
        prepare(tiny.load(tmp_path, runtime__device="cuda:99"), Interrupt())


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (
            {"counts": {(1, 2): 3}},
            r"'tiny:Algorithm' .* key of a state .*; in /algorithm/counts one is of type tuple",
        ),
        ({"updates": 0}, r"a state that was just saved cannot be restored: KeyError: 'policy'"),
    ],
)
def test_states_go_through_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: Any, message: str
) -> None:
    """What could not be saved or restored later is found now; environments are closed."""
    closed: list[bool] = []
    monkeypatch.setattr(tiny.Algorithm, "state_dict", lambda self: state)
    monkeypatch.setattr(tiny.Hashed, "close", lambda self: closed.append(True))
    with pytest.raises(PluginError, match=message):
        prepare(tiny.load(tmp_path), Interrupt())
    assert closed
