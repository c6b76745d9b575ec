"""Checks of bonuses."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve

from framework.interfaces import Stream
from framework.pipeline.build import build, make_policy
from framework.testing.common import Trial
from framework.testing.compare import assert_finite, difference
from framework.testing.experience import Experience, Ring, contents, with_reset_step
from framework.testing.subject import ACTIONS, Skip, Subject, installed, is_masked, over, usable

if TYPE_CHECKING:
    import torch

    from framework.interfaces import Batch, Context

#: Updates within which a bonus must fall on repeated observations, and how much larger it must be on novel ones.
_PATIENCE, _FACTOR = 300, 1.5


def _actions(subject: Subject) -> Iterable[str]:
    return (action for action in ACTIONS if not is_masked(action))


def _observations(subject: Subject) -> Iterable[str]:
    return subject.observations


def trial(subject: Subject) -> Trial:
    """See `framework.testing.common`; over the first observation that it takes."""
    name = usable(subject.observations, lambda name: subject.build(subject.context(name)))[0]

    def use(bonus: Any, batch: Batch) -> Any:
        return bonus.reward(batch), bonus.update(batch)

    return Trial(lambda: subject.build(subject.context(name)), lambda _: Experience(subject.context(name)), use)


def check_takes_some_observation(subject: Subject) -> None:
    """It can be built for some kind of observation."""
    try:
        usable(subject.observations, lambda name: subject.build(subject.context(name)))
    except Skip as refusal:
        raise AssertionError(f"it refuses every kind of observation; the last with: {refusal}") from None


def check_says_whether_episodic(subject: Subject) -> None:
    """`episodic` is true or false."""
    bonus = subject.build(subject.context())
    assert isinstance(getattr(bonus, "episodic", None), bool), (
        "it has no `episodic`: true where its return stops at ends"
    )


@over(_observations)
def check_reward_over_observations(subject: Subject, name: str) -> None:
    """Rewards are finite float32 [T, N], and not all the same, for every kind of observation."""
    _rewards(subject, subject.context(name))


@over(_actions)
def check_reward_over_actions(subject: Subject, action: str) -> None:
    """Likewise for every kind of action."""
    _rewards(subject, subject.context(action=action))


@over(lambda _: ("all_terminated", "all_truncated", "no_end"))
def check_reward_over_ends(subject: Subject, ends: str) -> None:
    """Likewise where every step terminates or truncates an episode, and where none ends."""
    chances = {
        "all_terminated": {"ends": 1.0, "truncates": 0.0},
        "all_truncated": {"ends": 1.0, "truncates": 1.0},
        "no_end": {"ends": 0.0},
    }
    _rewards(subject, subject.context(), **chances[ends])


def check_no_reward_for_invalid_steps(subject: Subject) -> None:
    """A step in which no action was taken is not rewarded."""
    bonus = subject.build(subject.context())
    batch = with_reset_step(next(Experience(subject.context(), ends=0.3)))
    reward = bonus.reward(batch)
    bonus.update(batch)
    invalid = reward[~batch.valid]
    assert (invalid == 0).all(), f"steps that are not valid are rewarded: {invalid.tolist()}"


def check_batch_is_left_alone(subject: Subject) -> None:
    """The batch stays as it is."""
    bonus = subject.build(subject.context())
    batch = next(Experience(subject.context()))
    copied = deepcopy(batch)
    bonus.reward(batch)
    bonus.update(batch)
    assert not (changed := difference(contents(batch), contents(copied))), f"it changed the batch: {changed}"


def check_no_gradient(subject: Subject) -> None:
    """Rewards carry no gradient, so that no policy can be trained through them."""
    import torch

    context = subject.context()
    bonus = subject.build(context)
    batch = next(Experience(context))
    with torch.enable_grad():
        reward = bonus.reward(batch)
        bonus.update(batch)
    assert not reward.requires_grad, "rewards carry a gradient: compute them under torch.no_grad()"


def check_policy_is_left_alone(subject: Subject) -> None:
    """Neither rewarding nor learning changes the policy, or leaves a gradient in it."""
    context = subject.context()
    policy: Any = make_policy(installed("algorithm", "streams"), context)
    weights = deepcopy(policy.state_dict())
    bonus = subject.build(context)
    batch = next(Experience(context, policy))
    bonus.reward(batch)
    bonus.update(batch)
    assert not (changed := difference(weights, policy.state_dict())), f"it changed the policy: {changed}"
    touched = [name for name, p in policy.named_parameters() if p.grad is not None]
    assert not touched, f"it left a gradient in the policy: {', '.join(touched)}"


def check_falls_on_repetition(subject: Subject) -> None:
    """It falls on repeated observations: it is smaller there than on novel ones."""
    import torch

    repeated, novel = [], []
    context = subject.context(Ring(0).observation_space, Ring(0).action_space, num_envs=4, rollout_length=32)
    bonus = subject.build(context)
    familiar = Experience(context, make=lambda _: Ring(0))
    mixed = Experience(context, make=lambda n: Ring(n % 2), seed=1)
    for number in range(1, _PATIENCE + 1):
        batch = next(familiar)
        bonus.reward(batch)
        bonus.update(batch)
        if number & (number - 1) == 0 or number == _PATIENCE:
            with torch.random.fork_rng(devices=[]):
                reward = deepcopy(bonus).reward(next(mixed))
            repeated.append(float(reward[:, 0::2].mean()))
            novel.append(float(reward[:, 1::2].mean()))
            if novel[-1] > _FACTOR * repeated[-1]:
                return
    raise AssertionError(
        f"after {_PATIENCE} updates on the same places they are rewarded with {repeated[-1]:.3g}, and places never"
        f" seen with {novel[-1]:.3g}: the bonus does not tell them apart"
    )


def check_changes_advantages(subject: Subject) -> None:
    """An algorithm that supports "streams" learns something else with it than with a bonus of 0."""
    learner = installed("algorithm", "streams")
    context = subject.context()
    checked = subject.build(context)
    weights = []
    for bonus in (checked, Flat(episodic=checked.episodic)):
        algorithm = build(learner, with_stream(context, bonus))
        experience = Experience(context, algorithm.policy)
        for _ in range(3):
            algorithm.update(next(experience))
        weights.append(algorithm.policy.state_dict())
    assert difference(weights[0], weights[1]), (
        f"{learner.use} learns the same with this bonus as with one that is 0 everywhere"
    )


# --- helpers -----------------------------------------------------------------------------------------------------


class Flat:
    """A bonus of 0 everywhere, as a baseline."""

    def __init__(self, *, episodic: bool = True) -> None:
        self.episodic = episodic

    def reward(self, batch: Batch) -> torch.Tensor:
        """[T, N], all 0."""
        import torch

        return torch.zeros_like(batch.rewards)

    def update(self, batch: Batch) -> dict[str, float]:
        """Nothing to learn."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """None."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """None."""


class Alternating(Flat):
    """A bonus of 1 in every other step."""

    def reward(self, batch: Batch) -> torch.Tensor:
        """[T, N] of 1 and 0."""
        reward = super().reward(batch)
        reward[::2] = 1.0
        return reward


def with_stream(context: Context, bonus: Any) -> Context:
    """The context of a pipeline with this bonus."""
    streams = [Stream("bonus", bonus, weight=1.0, discount=0.99)]
    return evolve(context, bonuses=("bonus",), make_streams=lambda: streams)


def _rewards(subject: Subject, context: Any, **chances: Any) -> None:
    import torch

    bonus = subject.build(context)
    batches = list(islice(Experience(context, **chances), 2))
    rewards = []
    for batch in (*batches, *batches):
        reward = bonus.reward(batch)
        assert reward.shape == batch.rewards.shape, f"rewards are {list(reward.shape)}, not [T, N]"
        assert reward.dtype is torch.float32, f"rewards are {reward.dtype}, not float32"
        assert_finite(reward, "the reward")
        assert_finite(bonus.update(batch), "metric ")
        rewards.append(reward.numpy())
    values = np.stack(rewards)
    assert values.min() < values.max(), f"the reward is {values.min():.3g} at every step, even of what comes again"


CHECKS = (
    check_takes_some_observation,
    check_says_whether_episodic,
    check_reward_over_observations,
    check_reward_over_actions,
    check_reward_over_ends,
    check_no_reward_for_invalid_steps,
    check_batch_is_left_alone,
    check_no_gradient,
    check_policy_is_left_alone,
    check_falls_on_repetition,
    check_changes_advantages,
)
