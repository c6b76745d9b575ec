"""The returns of Q(lambda), against a plain loop over steps."""

from __future__ import annotations

import pytest
import torch
from small_ppo import collect, make_context
from small_pqn import pqn, remembering, slow_returns, slow_values

from framework_pqn import targets
from framework_pqn.targets import greedy_values, q_lambda_returns


@pytest.fixture(params=["stateless", "memory"])
def made(request):
    context = make_context() if request.param == "stateless" else remembering()
    return context, pqn(context)


def middle(algorithm, context, **fields):
    """A batch that starts in the middle of episodes, where there is a memory."""
    generator = torch.Generator().manual_seed(3)
    memory = {name: torch.rand(x.shape, generator=generator) for name, x in algorithm.policy.initial_memory(4).items()}
    return collect(algorithm, context, memory=memory, ends=0.3, **fields)


@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize("lam", [0.0, 0.65, 1.0])
def test_returns_are_those_of_a_plain_loop(made, masked, lam):
    """Terminated episodes end there, truncated ones go on from their last observation; illegal actions do not count."""
    context, algorithm = made
    mask = torch.rand(17, 4, 3, generator=torch.Generator().manual_seed(0)) < 0.6
    mask[..., 1] = True
    batch = middle(algorithm, context, action_mask=mask if masked else None)
    assert batch.terminated.any()
    assert batch.truncated.any()
    network = algorithm.policy.network
    with torch.no_grad():
        returns = q_lambda_returns(network, batch, batch.rewards, gamma=0.9, lam=lam)
        expected = slow_returns(network, batch, batch.rewards, 0.9, lam)
    torch.testing.assert_close(returns, expected, rtol=1e-4, atol=1e-5)


def test_values_in_parts_are_the_values(made, monkeypatch):
    """Whatever number of environments is evaluated at a time, values are the same."""
    context, algorithm = made
    batch = middle(algorithm, context)
    network = algorithm.policy.network
    with torch.no_grad():
        expected = [x.amax(-1) for x in slow_values(network, batch)]
        monkeypatch.setattr(targets, "_PART_BYTES", 0)
        for values, slow in zip(greedy_values(network, batch), expected, strict=True):
            torch.testing.assert_close(values, slow, rtol=1e-4, atol=1e-5)


def test_no_episode_need_end(made):
    """Without a finished episode there is no last observation to evaluate."""
    context, algorithm = made
    batch = collect(algorithm, context, ends=0.0)
    with torch.no_grad():
        values, final_values = greedy_values(algorithm.policy.network, batch)
    assert (values.shape, final_values.shape) == ((17, 4), (0,))
