"""Checks of algorithms."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import evolve

from framework.interfaces import DistributionPolicy
from framework.pipeline.build import make_policy
from framework.testing.bonus import Alternating, Flat, with_stream
from framework.testing.common import Trial
from framework.testing.compare import assert_finite, difference
from framework.testing.experience import Experience, contents, with_reset_step
from framework.testing.probes import Probe, expected
from framework.testing.subject import ACTIONS, Skip, Subject, find, installed, is_masked, over, usable

if TYPE_CHECKING:
    from framework.interfaces import Batch, Context

#: Environment steps within which a probe must be solved.
BUDGET = 100_000
_DONE = 0.95
_ROUNDING = 1e-5
#: Updates within which a weight must change.
_PATIENCE = 400


def _actions(_: Subject) -> Iterable[str]:
    return ACTIONS


def _observations(subject: Subject) -> Iterable[str]:
    return subject.observations


def trial(subject: Subject) -> Trial:
    """See `framework.testing.common`; over the first action space that it takes."""
    action = usable(ACTIONS, lambda action: make(subject, action))[0]

    def use(algorithm: Any, batch: Batch) -> Any:
        return algorithm.update(batch), algorithm.policy.state_dict()

    # Long batches: some algorithms only learn when they have seen a thousand steps.
    algorithm_context = context(subject, action, num_envs=8, rollout_length=64)
    return Trial(
        lambda: subject.build(algorithm_context),
        lambda algorithm: Experience(algorithm_context, algorithm.policy, masked=is_masked(action)),
        use,
    )


def check_takes_some_action_space(subject: Subject) -> None:
    """It can be built for some kind of action."""
    try:
        usable(ACTIONS, lambda action: make(subject, action))
    except Skip as refusal:
        raise AssertionError(f"it refuses every kind of action; the last with: {refusal}") from None


@over(_actions)
def check_acts(subject: Subject, action: str) -> None:
    """Actions are legal and in the space; all randomness comes from the generator; greedy actions have none."""
    policy = make(subject, action).policy
    repeated = difference(_act(subject, action, policy, 1), _act(subject, action, policy, 1))
    assert not repeated, f"two draws with equal generators differ: {repeated}"
    greedy = difference(*(_act(subject, action, policy, seed, deterministic=True)[0] for seed in (1, 2)))
    assert not greedy, f"deterministic actions depend on the generator: {greedy}"
    actions, extras, _ = _act(subject, action, policy, 1)
    sizes = {name: len(x) for name, x in {"actions": actions, **extras}.items()}
    assert set(sizes.values()) == {context(subject, action).num_envs}, f"not one row for each environment: {sizes}"


@over(_actions)
def check_action_distribution(subject: Subject, action: str) -> None:
    """Greedy actions are the most probable ones of the distribution that the policy tells."""
    from framework.export.act_module import action_spaces
    from framework.export.verify import action_outputs, distribution_of, shortfall

    policy = make(subject, action).policy
    if not isinstance(policy, DistributionPolicy):
        raise Skip("its policy does not tell what its actions are drawn from (action_distribution)")
    actions, extras, _ = _act(subject, action, policy, 1, deterministic=True)
    named = {name: tensor.numpy() for name, tensor in policy.action_distribution(extras).items()}
    assert_finite(named, "the distribution's ")
    space = context(subject, action).action_space
    for name, taken in action_outputs(space, actions.numpy()).items():
        below = shortfall(action_spaces(space)[name], taken, distribution_of(name, named))
        assert (below < _ROUNDING).all(), f"the greedy actions {actions} are not the most probable ones of {named}"


@over(_actions)
def check_results_stay(subject: Subject, action: str) -> None:
    """Later steps do not change the results of `act`: a trajectory is stacked only at its end."""
    import torch

    algorithm_context = context(subject, action)
    policy = make(subject, action).policy
    batch = next(Experience(algorithm_context, policy, masked=is_masked(action)))
    memory, results = policy.initial_memory(algorithm_context.num_envs), []
    generator = torch.Generator().manual_seed(0)
    for step in range(2):
        row = {name: x[step] for name, x in batch.observations.items()}
        mask = None if batch.action_mask is None else batch.action_mask[step]
        with torch.inference_mode():
            actions, extras, memory = policy.act(row, memory, batch.first[step], generator, action_mask=mask)
        results.append(({"actions": actions, **extras}, {"actions": actions.clone(), **deepcopy(extras)}))
    for result, copied in results:
        assert not (changed := difference(result, copied)), f"a later step changed what act() had given: {changed}"


@over(_actions)
def check_policy_alone(subject: Subject, action: str) -> None:
    """`make_policy` gives a policy with the algorithm's initial weights, without what only learning needs."""
    algorithm_context = context(subject, action)
    algorithm = make(subject, action)
    policy: Any = make_policy(subject.chosen, algorithm_context)
    differing = difference(dict(policy.state_dict()), dict(algorithm.policy.state_dict()))
    assert not differing, f"make_policy gives other weights than the algorithm starts with: {differing}"


@over(_observations)
def check_takes_observations(subject: Subject, name: str) -> None:
    """It learns from every kind of observation that its encoder takes."""
    action = usable(ACTIONS, lambda action: make(subject, action))[0]
    algorithm_context = context(subject, action, observation=name)
    algorithm = subject.build(algorithm_context)
    _learn(algorithm, Experience(algorithm_context, algorithm.policy, masked=is_masked(action)), 1)


@over(_actions)
def check_update(subject: Subject, action: str) -> None:
    """Updates change the policy's weights, and give finite numbers as metrics."""
    algorithm = make(subject, action)
    _learn(algorithm, Experience(context(subject, action), algorithm.policy, masked=is_masked(action)), 4)


def check_all_terminated(subject: Subject) -> None:
    """It learns where every step terminates an episode."""
    _learn(*_with(subject, ends=1.0, truncates=0.0), updates=2)


def check_all_truncated(subject: Subject) -> None:
    """It learns where every step truncates an episode."""
    _learn(*_with(subject, ends=1.0, truncates=1.0), updates=2)


def check_no_end(subject: Subject) -> None:
    """It learns where no episode ends."""
    _learn(*_with(subject, ends=0.0), updates=2)


def check_batch_is_left_alone(subject: Subject) -> None:
    """The batch stays as it is."""
    algorithm, experience = _with(subject)
    for _ in range(2):
        batch = next(experience)
        copied = deepcopy(batch)
        algorithm.update(batch)
        changed = difference(contents(batch), contents(copied))
        assert not changed, f"the update changed the batch: {changed}"


def check_truncation_is_not_termination(subject: Subject) -> None:
    """Whether an episode's end is a termination or a truncation makes a difference."""
    results = []
    for truncates in (0.0, 1.0):
        algorithm, experience = _with(subject, ends=0.3, truncates=truncates)
        _learn(algorithm, experience, 4)
        results.append(algorithm.policy.state_dict())
    assert difference(results[0], results[1]), (
        "a truncated episode is learned from like a terminated one: bootstrap from its end"
    )


def check_true_last_observation(subject: Subject) -> None:
    """The final observation of a truncated episode makes a difference."""
    results = []
    for last in (1.0, -1.0):
        algorithm, experience = _with(subject, ends=0.3, truncates=1.0, last=last)
        _learn(algorithm, experience, 4)
        results.append(algorithm.policy.state_dict())
    assert difference(results[0], results[1]), (
        "the last observation of a truncated episode has no effect: see final_observations"
    )


def check_invalid_steps_have_no_effect(subject: Subject) -> None:
    """Whatever was recorded of a step in which no action was taken changes nothing."""
    results = []
    for garbage in (0.0, 3.0):
        algorithm, experience = _with(subject, ends=0.3)
        metrics = algorithm.update(with_reset_step(next(experience), garbage))
        _learn(algorithm, experience, 2)
        results.append((metrics, algorithm.policy.state_dict()))
    assert not (differing := difference(results[0], results[1])), (
        f"a step that is not valid was learned from: {differing}"
    )


def check_stale_data(subject: Subject) -> None:
    """Where it supports "off_policy", it learns from the data of an older policy, under policy_lag = "free" too."""
    if "off_policy" not in subject.component.supports:
        raise Skip('it does not support "off_policy"')
    algorithm, experience = _with(subject, policy_lag="free", lag=2)
    _learn(algorithm, experience, 2)


def check_episode_scores(subject: Subject) -> None:
    """Where it scores episodes, each that ended in the last batch has a finite score."""
    algorithm, experience = _with(subject, ends=0.3)
    if not hasattr(algorithm, "episode_scores"):
        raise Skip("it does not score episodes")
    for _ in range(3):
        batch = next(experience)
        algorithm.update(batch)
        scores = algorithm.episode_scores()
        assert scores.shape == (len(batch.final_index),), f"{scores.shape} scores of {len(batch.final_index)} episodes"
        assert_finite(scores, "the scores")


def check_bonus_reaches_the_policy(subject: Subject) -> None:
    """Where it supports "streams", a bonus changes what is learned."""
    if "streams" not in subject.component.supports:
        raise Skip('it does not support "streams"')
    results = []
    for bonus in (Flat(), Alternating()):
        algorithm, experience = _with(subject, bonus)
        _learn(algorithm, experience, 4)
        results.append(algorithm.policy.state_dict())
    assert difference(results[0], results[1]), "a bonus has no effect: add its advantages to those of the reward"


@over(lambda _: ("discrete", "box", "masked", "nested"))
def check_solves_probe_of_actions(subject: Subject, action: str) -> None:
    """It learns which action is rewarded, with the options given (probe 4)."""
    _solve(subject, 4, action)


@over(lambda _: ("discrete", "box", "masked"))
def check_solves_probe_of_observations(subject: Subject, action: str) -> None:
    """It learns which action is rewarded under which observation, with the options given (probe 5)."""
    _solve(subject, 5, action)


def check_solves_probe_of_memory(subject: Subject) -> None:
    """With an encoder that has memory it learns what depends on an earlier observation (probe 7)."""
    if "memory" not in subject.component.supports:
        raise Skip('it does not support "memory"')
    encoder = installed("encoder", "memory").use
    _solve(subject, 7, "discrete", encoder)


# --- helpers -----------------------------------------------------------------------------------------------------


def context(subject: Subject, action: str, observation: Any = None, **fields: Any) -> Context:
    """The algorithm's context, with a replay buffer where it needs one."""
    if is_masked(action) and "action_mask" not in subject.component.supports:
        raise Skip('it does not support "action_mask"')
    plain = subject.context(observation, action, **fields)
    if "replay" not in subject.component.needs:
        return plain
    from framework.pipeline.build import build

    return evolve(plain, make_replay=lambda: build(find("replay", {"use": "uniform"}), plain))


def make(subject: Subject, action: str) -> Any:
    """The algorithm for a kind of action."""
    return subject.build(context(subject, action))


def _act(subject: Subject, action: str, policy: Any, seed: int, deterministic: bool = False) -> Any:
    """A first step of the policy in random environments: what its `act` gives."""
    import torch

    algorithm_context = context(subject, action)
    batch = next(Experience(algorithm_context, policy, masked=is_masked(action)))
    with torch.inference_mode():
        return policy.act(
            {name: x[0] for name, x in batch.observations.items()},
            policy.initial_memory(algorithm_context.num_envs),
            torch.ones(algorithm_context.num_envs, dtype=torch.bool),
            torch.Generator().manual_seed(seed),
            action_mask=None if batch.action_mask is None else batch.action_mask[0],
            deterministic=deterministic,
        )


def _with(
    subject: Subject, bonus: Any = None, *, policy_lag: int | str = 0, lag: int = 0, **chances: Any
) -> tuple[Any, Experience]:
    """An algorithm, and the experience of its policy in environments of these ``chances``."""
    action = usable((name for name in ACTIONS if not is_masked(name)), lambda name: make(subject, name))[0]
    algorithm_context = context(subject, action, policy_lag=policy_lag)
    algorithm = subject.build(algorithm_context if bonus is None else with_stream(algorithm_context, bonus))
    return algorithm, Experience(algorithm_context, algorithm.policy, lag=lag, **chances)


def _learn(algorithm: Any, experience: Experience, updates: int) -> None:
    """So many updates, and then as many more as it takes until a weight of the policy has changed."""
    weights = [parameter.detach().clone() for parameter in algorithm.policy.parameters()]
    for number in range(_PATIENCE):
        metrics = algorithm.update(next(experience))
        no_numbers = [f"{name} is {value!r}" for name, value in metrics.items() if not isinstance(value, (int, float))]
        assert not no_numbers, f"metrics must be numbers: {', '.join(no_numbers)}"
        assert_finite(metrics, "metric ")
        if number + 1 >= updates and difference(weights, list(algorithm.policy.parameters())):
            assert_finite(algorithm.policy.state_dict(), "the policy's ")
            return
    raise AssertionError(
        f"{_PATIENCE} updates of 32 steps each left every weight of the policy as it was; if it waits for more, give "
        "options with which it starts earlier"
    )


def _solve(subject: Subject, number: int, action: str, encoder: str = "") -> None:
    """Train until the greedy policy is optimal in the probe, or the budget is spent."""
    probe = Probe(number, action=action)
    probe_context = context(
        subject,
        action,
        observation=probe.observation_space,
        num_envs=8,
        rollout_length=32,
        total_steps=BUDGET,
    )
    probe_context = evolve(probe_context, action_space=probe.action_space)
    if encoder:
        inner = probe_context
        probe_context = evolve(inner, make_encoder=lambda: inner.make_part(encoder, inner))  # type: ignore[misc]
    algorithm = subject.build(probe_context)
    experience = Experience(probe_context, algorithm.policy, make=lambda _: Probe(number, action=action))
    optimal = expected(number).episode_return
    highest, latest = -np.inf, 0.0
    for update in range(BUDGET // (8 * 32)):
        algorithm.update(next(experience))
        if update % 8 == 7:
            latest = _greedy_return(algorithm.policy, number, action)
            highest = max(highest, latest)
            if latest >= _DONE * optimal:
                return
    raise AssertionError(
        f"after {BUDGET:,} steps its greedy return is {latest:.3g} (once {highest:.3g}) of {optimal}; "
        "where its defaults are for long runs, give options for short ones, such as a larger learning rate"
    )


def _greedy_return(policy: Any, number: int, action: str) -> float:
    from framework.runtime.evaluate.agent import Acting
    from framework.runtime.evaluate.evaluate import evaluate

    return float(evaluate(Acting(policy, 0, deterministic=True), _Made(number, action), 16, 0).returns.mean())


class _Made:
    """An environment component for a probe."""

    def __init__(self, number: int, action: str):
        self._arguments = (number, "vector", action)

    def make(self) -> Any:
        """One probe."""
        return Probe(*self._arguments)


CHECKS = (
    check_takes_some_action_space,
    check_acts,
    check_results_stay,
    check_action_distribution,
    check_policy_alone,
    check_takes_observations,
    check_update,
    check_all_terminated,
    check_all_truncated,
    check_no_end,
    check_batch_is_left_alone,
    check_truncation_is_not_termination,
    check_true_last_observation,
    check_invalid_steps_have_no_effect,
    check_stale_data,
    check_episode_scores,
    check_bonus_reaches_the_policy,
    check_solves_probe_of_actions,
    check_solves_probe_of_observations,
    check_solves_probe_of_memory,
)
