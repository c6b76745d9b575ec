"""The objective of PPO, against the equations of the paper row by row."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from framework_ppo.config import PPOConfig
from framework_ppo.objective import Predictions, Targets, approximate_kl, ppo_loss

modest = settings(derandomize=True, deadline=None, max_examples=30)
OPTIONS = {"value_coefficient": 0.7, "entropy_coefficient": 0.3}


def drawn(seed: int, streams: int = 1, rows: int = 20) -> tuple[Predictions, Targets]:
    generator = torch.Generator().manual_seed(seed)

    def numbers(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    per_stream = (rows,) if streams == 1 else (rows, streams)
    new = Predictions(numbers(rows) / 3, numbers(rows), numbers(*per_stream))
    return new, Targets(numbers(rows), numbers(rows) / 3, numbers(rows), numbers(*per_stream), numbers(*per_stream))


@modest
@given(st.integers(0, 2**32 - 1), st.sampled_from([None, 0.3]), st.sampled_from([1, 3]))
def test_it_is_the_sum_of_the_equations(seed: int, value_clip: float | None, streams: int) -> None:
    """Each term is the mean of what its definition gives for one row after the other, with plain numbers."""
    new, old = drawn(seed, streams)
    policy, value, entropy, kl, clipped = [], [], [], [], []
    for row in range(len(new.log_prob)):
        ratio = math.exp(new.log_prob[row] - old.log_prob[row])
        advantage = old.advantages[row].item()
        policy.append(-min(ratio * advantage, min(max(ratio, 0.8), 1.2) * advantage))
        kl.append(ratio - 1 - math.log(ratio))
        clipped.append(abs(ratio - 1) > 0.2)
        entropy.append(new.entropy[row].item())
        errors = []
        columns = (x[row].reshape(-1).tolist() for x in (new.values, old.values, old.returns))
        for v, before, target in zip(*columns, strict=True):
            error = (v - target) ** 2
            if value_clip is not None:
                clipped_value = before + min(max(v - before, -value_clip), value_clip)
                error = max(error, (clipped_value - target) ** 2)
            errors.append(0.5 * error)
        value.append(sum(errors))
    loss = ppo_loss(new, old, 0.2, PPOConfig(value_clip_range=value_clip, **OPTIONS))
    means = {name: term.mean().item() for name, term in loss.terms.items()}
    assert means == {
        "policy_loss": pytest.approx(sum(policy) / 20),
        "value_loss": pytest.approx(sum(value) / 20),
        "entropy": pytest.approx(sum(entropy) / 20),
        "approximate_kl": pytest.approx(sum(kl) / 20),
        "clip_fraction": pytest.approx(sum(clipped) / 20),
    }
    total = means["policy_loss"] + 0.7 * means["value_loss"] - 0.3 * means["entropy"]
    assert loss.total.item() == pytest.approx(total)
    assert approximate_kl(new, old).item() == pytest.approx(means["approximate_kl"])
    assert means["approximate_kl"] >= 0


def test_arguments_are_left_alone() -> None:
    """What an objective is given belongs to others too."""
    new, old = drawn(0)
    before = [x.clone() for x in (*new, *old)]
    ppo_loss(new, old, 0.2, PPOConfig(value_clip_range=0.1))
    assert all(torch.equal(x, y) for x, y in zip((*new, *old), before, strict=True))
