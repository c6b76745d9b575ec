"""Rainbow's options compose: every combination learns, is restored bit for bit, and learns in slices."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path
from typing import Any

import attrs
import pytest
import runs
import torch
from gymnasium.spaces import Discrete
from remembering import Remembering
from small_dqn import ListReplay, dqn, dqn_context
from small_ppo import collect, same

from framework.interfaces import Batch
from framework.runtime.session import Session
from framework.schema import OptionError
from framework_dqn.autograd import Autograd
from framework_dqn.config import DQNConfig
from framework_dqn.objective import Loss
from framework_replay.config import PrioritizedConfig
from framework_replay.prioritized import Prioritized

CELLS = list(product(("none", "categorical", "quantile"), (False, True), (False, True), (False, True)))
NAMES = ("distribution", "noisy", "munchausen", "dueling")
IDS = [
    "-".join([distribution, *(name for name, on in zip(NAMES[1:], flags, strict=True) if on)])
    for distribution, *flags in CELLS
]


def made(seed: int = 0, **options: Any) -> tuple[Any, Any]:
    """An algorithm with prioritized replay of 3 steps, and its context."""
    context = dqn_context(
        action=Discrete(3, start=1), seed=seed, replay=lambda: ListReplay(3, prioritized=True), steps=8
    )
    settings = {"atoms": 5, "v_min": -4.0, "v_max": 4.0, "updates_per_step": 3.3 / 32, **options}
    return dqn(context, target_update_interval=2, **settings), context


def batch(algorithm: Any, context: Any, seed: int) -> Batch:
    """Random steps, some actions of which are illegal."""
    mask = torch.rand(9, 4, 3, generator=torch.Generator().manual_seed(seed)) < 0.7
    mask[..., 1] = True
    collected: Batch = collect(algorithm, context, seed=seed, action_mask=mask)
    taken = (collected.actions - 1).unsqueeze(-1)
    assert mask[:-1].gather(-1, taken).all()
    return collected


@pytest.mark.parametrize("cell", CELLS, ids=IDS)
def test_every_combination_goes_on_bit_for_bit(cell: tuple[Any, ...]) -> None:
    """Updates have finite metrics; a state taken in between makes another algorithm's next update equal."""
    options = dict(zip(NAMES, cell, strict=True))
    first, context = made(1, **options)
    second, _ = made(2, **options)
    metrics = first.update(batch(first, context, 0))
    assert metrics["gradient_steps"] == 3
    assert all(math.isfinite(value) for value in metrics.values())
    assert ("kl" in metrics) == (options["distribution"] == "categorical")
    second.load_state_dict(first.state_dict())
    following = batch(first, context, 1)
    assert torch.equal(batch(second, context, 1).actions, following.actions)
    assert first.update(following) == second.update(following)
    assert same(first.state_dict()["policy"], second.state_dict()["policy"])
    assert same(first.state_dict()["target"], second.state_dict()["target"])


@pytest.mark.parametrize("cell", CELLS, ids=IDS)
def test_slices_change_nothing_but_rounding(cell: tuple[Any, ...]) -> None:
    """Weights, metrics and priorities of four slices are those of one; all have the same noise."""
    options = dict(zip(NAMES, cell, strict=True))
    ends = []
    for slices in (1, 4):
        algorithm, context = made(slices=slices, **options)
        metrics = algorithm.update(batch(algorithm, context, 0))
        weights = torch.cat([x.detach().flatten() for x in algorithm.policy.parameters()])
        ends.append((metrics, weights, algorithm._replay.priorities))
    (expected_metrics, expected, expected_priorities), (metrics, weights, priorities) = ends
    torch.testing.assert_close(weights, expected, rtol=1e-3, atol=1e-4)
    assert metrics == pytest.approx(expected_metrics, rel=1e-3, abs=1e-4)
    assert priorities == pytest.approx(expected_priorities, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell[-1]], ids=[name for name in IDS if "dueling" in name])
def test_all_of_them_remember(cell: tuple[Any, ...]) -> None:
    """With an encoder that has a memory they learn from sequences, and go on from a state, bit for bit."""

    def replay() -> Any:
        return Prioritized(PrioritizedConfig(capacity=200, n_step=3), context)

    context = dqn_context(encoder=lambda context: Remembering(None, context), replay=replay, steps=8)
    options = dict(zip(NAMES, cell, strict=True))
    first, second = (dqn(context, atoms=5, burn_in=2, sequence_length=8, **options) for _ in range(2))
    for seed in range(2):
        metrics = first.update(collect(first, context, seed=seed))
    assert metrics["gradient_steps"] > 0
    assert all(math.isfinite(value) for value in metrics.values())
    second.load_state_dict(first.state_dict())
    following = collect(first, context, seed=2)
    assert torch.equal(collect(second, context, seed=2).actions, following.actions)
    assert first.update(following) == second.update(following)
    assert same(first.state_dict()["policy"], second.state_dict()["policy"])


@pytest.mark.parametrize("distribution", ["categorical", "quantile"])
@pytest.mark.parametrize("backward", ["networks by autograd", "autograd"])
def test_closed_forms_learn_what_autograd_does(distribution: str, backward: str) -> None:
    """Weights and metrics are the same up to rounding."""
    ends = []
    for way in ("closed form", backward):
        algorithm, context = made(distribution=distribution, dueling=True)
        assert algorithm.policy.network.closed_form
        algorithm.policy.network.closed_form = way == "closed form"
        if way == "autograd":
            arguments = algorithm.policy.network, algorithm._optimizer, None, algorithm._returns
            algorithm._backward = Autograd(*arguments)
        metrics = algorithm.update(batch(algorithm, context, 0))
        ends.append((metrics, torch.cat([x.detach().flatten() for x in algorithm.policy.parameters()])))
    (expected_metrics, expected), (metrics, weights) = ends
    torch.testing.assert_close(weights, expected, rtol=1e-3, atol=1e-4)
    assert metrics == pytest.approx(expected_metrics, rel=1e-3, abs=1e-4)


def test_an_objective_of_your_own_has_the_distributions() -> None:
    """It is given predictions and targets of the distribution, and its gradient is autograd's."""
    shapes = []

    def objective(new: Any, old: Any, options: DQNConfig) -> Loss:
        shapes.append((new.outputs.shape, old.returns.shape))
        error = (new.outputs - old.returns).square().mean(-1)
        return Loss(error.mean(), {"square": error})

    context = attrs.evolve(dqn_context(), find_function=lambda _: objective)
    algorithm = dqn(context, distribution="quantile", atoms=5, objective="mine:objective")
    assert "square" in algorithm.update(collect(algorithm, context))
    assert shapes[0] == ((16, 5), (16, 5))


def test_atoms_must_span_something() -> None:
    """The highest one is above the lowest."""
    with pytest.raises(OptionError, match=r"must be above v_min, which is 10\.0"):
        DQNConfig(v_min=10.0, v_max=10.0)


def test_soft_targets_are_not_rescaled() -> None:
    """Temperature and values would have different units."""
    with pytest.raises(OptionError, match="must be false with munchausen"):
        DQNConfig(munchausen=True, value_rescaling=True)


CARTPOLE = runs.CARTPOLE.replace(
    'use = "ppo"\nminibatch_size = 64\nepochs = 2',
    """use = "dqn"
distribution = "categorical"
atoms = 11
v_min = 0.0
v_max = 100.0
noisy = true
munchausen = true
dueling = true
minibatch_size = 16
learning_starts = 100
updates_per_step = 0.05
target_update_interval = 5

[replay]
use = "prioritized"
capacity = 500
n_step = 3
""",
)


def test_any_number_of_samplers_and_a_resumed_run_are_equal(tmp_path: Path) -> None:
    """Noise is drawn from what each trajectory is given: two processes, none, and a resumed run agree bit for bit."""
    path = runs.write(tmp_path, CARTPOLE)
    changes = {"run__total_steps": 768}
    straight = runs.run(path, tmp_path / "straight", runtime__samplers=0, **changes)
    runs.assert_equal_runs(straight, runs.run(path, tmp_path / "two", runtime__samplers=2, **changes))
    session = runs.session(path, tmp_path / "resumed", runtime__samplers=0, **changes)
    for update in session.updates():
        if update.number == 3:
            break
    for _ in Session(session.pipeline, resume=session.directory).updates():
        pass
    runs.assert_equal_runs(straight, session.directory)
    last = runs.metrics(straight)[-2]
    assert last["epsilon"] == 0.0
    assert {"kl", "loss", "td_error"} <= last.keys()
