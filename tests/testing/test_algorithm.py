"""Checks of algorithms, on one that is right but for what a test changes."""

from __future__ import annotations

import pytest

from framework.testing.conformance import Result, cases, run_case
from framework.testing.subject import subject
from framework_ppo.policy import ActorCritic


def results(algorithm: str) -> dict[str, Result]:
    """What comes of the check of distributions, by the kind of action."""
    every = cases(subject("algorithm", algorithm))
    return {case.name: run_case(case) for case in every if case.name.startswith("action_distribution")}


def test_a_distribution_that_is_not_that_of_the_actions_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """For every kind of action."""
    assert {result.status for result in results("ppo").values()} == {"passed"}
    tell = ActorCritic.action_distribution
    monkeypatch.setattr(
        ActorCritic, "action_distribution", lambda self, extras: {n: -x for n, x in tell(self, extras).items()}
    )
    wrong = results("ppo")
    assert {result.status for result in wrong.values()} == {"failed"}
    assert "are not the most probable ones" in wrong["action_distribution[masked]"].reason


def test_policies_need_not_tell_their_distribution() -> None:
    """The check is skipped, and says why."""
    result = results("dqn")["action_distribution[masked]"]
    assert (result.status, result.reason) == (
        "skipped",
        "its policy does not tell what its actions are drawn from (action_distribution)",
    )
