"""PPO in slices: the gradient of the whole minibatch, up to the order in which it is added up."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from remembering import Remembering
from small_ppo import BACKWARD, collect, make_context, ppo, use

from framework_ppo.sliced import Sliced

OPTIONS: dict[str, Any] = {
    "minibatch_size": 24,
    "epochs": 2,
    "learning_rate": 3e-3,
    "learning_rate_schedule": "constant",
}


def updated(slices: int, backward: str = "closed form", *, remembers: bool = False, valid: float = 1.0) -> Any:
    """Metrics and weights after an update in so many slices; ``valid`` is the share of steps that are."""
    encoder: Any = {"encoder": lambda context: Remembering(None, context)} if remembers else {}
    context = make_context(**encoder)
    algorithm = ppo(context, slices=slices, **OPTIONS)
    if not remembers and slices == 1:
        use(backward, algorithm)
    elif not remembers and backward != "closed form":
        algorithm.policy.closed_form = False
    mask = torch.rand(16, 4, generator=torch.Generator().manual_seed(1)) < valid
    batch = collect(algorithm, context, valid=mask)
    metrics = algorithm.update(batch)
    return metrics, torch.cat([parameter.detach().flatten() for parameter in algorithm.policy.parameters()])


@pytest.mark.parametrize("slices", [2, 3, 64])
@pytest.mark.parametrize("backward", BACKWARD[:2])
def test_slices_change_nothing_but_rounding(slices: int, backward: str) -> None:
    """Weights and metrics are those of one slice; where there are more slices than rows each row is one."""
    metrics, weights = updated(slices, backward)
    expected_metrics, expected = updated(1, backward)
    torch.testing.assert_close(weights, expected, rtol=1e-3, atol=3e-5)
    assert metrics == pytest.approx(expected_metrics, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("slices", [2, 3])
@pytest.mark.parametrize("valid", [1.0, 0.6])
def test_sequences_are_sliced_by_environments(slices: int, valid: float) -> None:
    """Whose valid steps keep their places; slices have different numbers of them."""
    metrics, weights = updated(slices, remembers=True, valid=valid)
    expected_metrics, expected = updated(1, remembers=True, valid=valid)
    torch.testing.assert_close(weights, expected, rtol=1e-3, atol=3e-5)
    assert metrics == pytest.approx(expected_metrics, rel=1e-3, abs=1e-4)


def test_one_slice_is_the_whole_minibatch() -> None:
    """Which is computed as if there were no slices."""
    assert not isinstance(ppo(make_context())._backward, Sliced)
    assert isinstance(ppo(make_context(), slices=2)._backward, Sliced)
