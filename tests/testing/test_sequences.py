"""The checks of sequences find what is wrong with a replay buffer."""

from __future__ import annotations

from typing import Any

import pytest

from framework.testing import subject
from framework.testing.conformance import run
from framework_replay import sequences
from framework_replay.uniform import Uniform


def outcome() -> dict[str, tuple[str, str]]:
    """Status and reason of both checks, for uniform replay."""
    report = run(subject("replay", "uniform"))
    return {result.name: (result.status, result.reason) for result in report.results if "sequences" in result.name}


def test_uniform_replay_passes() -> None:
    """Both checks do."""
    assert {status for status, _ in outcome().values()} == {"passed"}


def test_a_buffer_without_the_form_is_let_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """It need not have one."""
    names = {name: value for name, value in vars(Uniform).items() if name != "sequences"}
    monkeypatch.setattr("framework_replay.uniform.Uniform", type("WithoutSequences", (), names))
    assert {status for status, _ in outcome().values()} == {"skipped"}


def test_a_wrong_memory_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the trajectory after, say."""
    plain = sequences.SequenceStorage.sequences

    def shifted(self: Any, ids: Any) -> Any:
        result = plain(self, ids)
        result.memory = {name: x + 1 for name, x in result.memory.items()}
        return result

    monkeypatch.setattr(sequences.SequenceStorage, "sequences", shifted)
    status, reason = outcome()["sequences_are_what_was_stored"]
    assert status == "failed"
    assert "memory" in reason


def test_a_state_that_forgets_memories_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The restored buffer samples something else, or nothing."""
    plain = sequences.SequenceStorage.load_state_dict

    def forgetful(self: Any, state: dict[str, Any]) -> None:
        plain(
            self,
            state | {"starts": {**state["starts"], "rows": {k: v * 0 for k, v in state["starts"]["rows"].items()}}},
        )

    monkeypatch.setattr(sequences.SequenceStorage, "load_state_dict", forgetful)
    assert outcome()["sequences_resume"][0] == "failed"
