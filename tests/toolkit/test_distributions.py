"""Action distributions: closed forms against definitions, samples against probabilities."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete, Text

from framework.errors import FrameworkError
from framework.toolkit.distributions import (
    Bernoulli,
    Categorical,
    DiagonalGaussian,
    MultiCategorical,
    distribution_for,
    mask_logits,
)
from framework.toolkit.vjp import vjp

ALL = {
    "categorical": Categorical(5),
    "multi_categorical": MultiCategorical((2, 4, 3)),
    "bernoulli": Bernoulli(3),
    "gaussian": DiagonalGaussian(2),
}
every = pytest.mark.parametrize("distribution", ALL.values(), ids=ALL)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random_sample(distribution, rows, dtype=torch.float64, seed=0):
    parameters = torch.randn(rows, distribution.size, generator=generator(seed), dtype=dtype)
    return parameters, distribution.sample(parameters, generator(seed + 1))


def actions_of(distribution):
    """Every action of a distribution over finitely many, [actions, ...]."""
    match distribution:
        case Categorical():
            return torch.arange(distribution.size)
        case MultiCategorical():
            return torch.tensor(list(itertools.product(*(range(size) for size in distribution.sizes))))
        case Bernoulli():
            return torch.tensor(list(itertools.product((0, 1), repeat=distribution.size)), dtype=torch.int8)


@every
def test_vjp_gives_the_same_values_and_gradient_as_autograd(distribution):
    """Log-probability, entropy, and any weighting of their gradients agree with the differentiated formulas."""
    parameters, actions = random_sample(distribution, 40)
    weights = torch.randn(40, generator=generator(7), dtype=torch.float64)
    leaf = parameters.clone().requires_grad_()
    log_prob, entropy = distribution.log_prob(leaf, actions), distribution.entropy(leaf)
    ((weights * log_prob).sum() + 0.3 * entropy.sum()).backward()
    with torch.no_grad():
        log_prob_by_rule, entropy_by_rule, pullback = vjp(distribution, parameters, actions)
        gradient = pullback(weights, 0.3)
    for actual, expected in ((log_prob_by_rule, log_prob), (entropy_by_rule, entropy), (gradient, leaf.grad)):
        torch.testing.assert_close(actual, expected.detach(), rtol=1e-12, atol=1e-12)


@every
def test_vjp_leaves_its_arguments_alone(distribution):
    """Parameters, actions and the gradient that comes back are not written to."""
    parameters, actions = random_sample(distribution, 6)
    gradient = torch.randn(6, dtype=torch.float64, generator=generator())
    before = [x.clone() for x in (parameters, actions, gradient)]
    _, _, pullback = vjp(distribution, parameters, actions)
    pullback(gradient, 0.5)
    assert all(torch.equal(x, y) for x, y in zip((parameters, actions, gradient), before, strict=True))


@pytest.mark.parametrize("name", ["categorical", "multi_categorical", "bernoulli"])
def test_probabilities_sum_to_one_and_give_the_entropy(name):
    """Over all actions, probabilities add up to 1 and -p log p to the entropy."""
    distribution = ALL[name]
    actions = actions_of(distribution)
    parameters = torch.randn(1, distribution.size, generator=generator(), dtype=torch.float64)
    log_prob = distribution.log_prob(parameters.expand(len(actions), -1), actions)
    torch.testing.assert_close(log_prob.exp().sum().item(), 1.0)
    torch.testing.assert_close(-(log_prob.exp() * log_prob).sum().item(), distribution.entropy(parameters).item())


@pytest.mark.parametrize("name", ["categorical", "multi_categorical", "bernoulli"])
def test_samples_are_as_frequent_as_probable(name):
    """Chi-square of 40,000 samples against the probabilities stays below its 99.99 % quantile."""
    distribution, count = ALL[name], 40_000
    actions = actions_of(distribution)
    parameters = torch.randn(1, distribution.size, generator=generator(3))
    samples = distribution.sample(parameters.expand(count, -1), generator()).view(count, 1, -1)
    counts = (samples == actions.view(1, len(actions), -1)).all(-1).sum(0)
    expected = count * distribution.log_prob(parameters.expand(len(actions), -1), actions).exp()
    freedom = len(actions) - 1
    quantile = freedom * (1 - 2 / (9 * freedom) + 3.72 * (2 / (9 * freedom)) ** 0.5) ** 3  # Wilson and Hilferty
    assert ((counts - expected) ** 2 / expected).sum() < quantile


def test_gaussian_samples_and_density():
    """Samples have the mean and deviation of the parameters; the density is that of torch's own normal."""
    distribution = DiagonalGaussian(2)
    parameters = torch.tensor([[1.0, -2.0, 0.5, -1.0]]).expand(40_000, -1)
    samples = distribution.sample(parameters, generator())
    torch.testing.assert_close(samples.mean(0), torch.tensor([1.0, -2.0]), atol=0.04, rtol=0)
    torch.testing.assert_close(samples.std(0), torch.tensor([0.5, -1.0]).exp(), atol=0.02, rtol=0.02)
    reference = torch.distributions.Normal(parameters[:, :2], parameters[:, 2:].exp())
    torch.testing.assert_close(distribution.log_prob(parameters, samples), reference.log_prob(samples).sum(-1))
    torch.testing.assert_close(distribution.entropy(parameters), reference.entropy().sum(-1))


@every
def test_all_randomness_is_the_generators(distribution):
    """Equal generators give equal samples, and torch's global generator is not touched."""
    before = torch.get_rng_state()
    first, second = random_sample(distribution, 50), random_sample(distribution, 50)
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[1], distribution.sample(first[0], generator(99)))
    assert torch.equal(torch.get_rng_state(), before)


@every
def test_the_mode_is_the_most_probable(distribution):
    """No sample is more probable than the mode."""
    parameters, _ = random_sample(distribution, 30)
    best = distribution.log_prob(parameters, distribution.mode(parameters))
    for seed in range(20):
        assert (distribution.log_prob(parameters, distribution.sample(parameters, generator(seed))) <= best).all()


def test_illegal_actions_have_no_probability():
    """Masked actions are never drawn, have probability exactly 0, add no entropy and get no gradient."""
    distribution, legal = Categorical(4), torch.tensor([True, False, True, False])
    logits = torch.tensor([0.3, 50.0, -0.2, 1.0])
    masked = mask_logits(logits.expand(5000, -1), legal.expand(5000, -1))
    samples = distribution.sample(masked, generator())
    assert set(samples.tolist()) == {0, 2}
    assert set(distribution.mode(masked).tolist()) == {0}
    probs = distribution.log_prob(masked[:4], torch.arange(4)).exp()
    assert probs[1] == 0
    assert probs[3] == 0
    alone = Categorical(2).entropy(logits[legal])
    torch.testing.assert_close(distribution.entropy(masked[0]), alone)
    log_prob, entropy, pullback = vjp(distribution, masked, samples)
    gradient = pullback(torch.ones(5000), 0.1)
    assert log_prob.isfinite().all()
    torch.testing.assert_close(entropy, alone.expand(5000))
    assert (gradient[:, ~legal] == 0).all()
    assert gradient[:, legal].isfinite().all()


def test_one_legal_action_is_certain():
    """With a single legal action the entropy and the gradient are 0, whatever the logits."""
    distribution, legal = Categorical(3), torch.tensor([[False, True, False]])
    masked = mask_logits(torch.tensor([[1e4, -1e4, 0.0]]), legal)
    log_prob, entropy, pullback = vjp(distribution, masked, torch.tensor([1]))
    assert log_prob.item() == 0
    assert entropy.item() == 0
    assert torch.equal(pullback(torch.ones(1), 1.0), torch.zeros(1, 3))


def test_masks_reach_each_part_of_a_multi_categorical():
    """A mask over all parts' actions keeps each part to its legal ones."""
    legal = torch.tensor([[True, False, False, True, True, False]]).expand(500, -1)
    samples = MultiCategorical((2, 4)).sample(mask_logits(torch.zeros(500, 6), legal), generator())
    assert set(samples[:, 0].tolist()) == {0}
    assert set(samples[:, 1].tolist()) == {1, 2}


@pytest.mark.parametrize(
    ("space", "shape"),
    [
        (Discrete(3, start=2), ()),
        (MultiDiscrete([2, 3]), (2,)),
        (MultiDiscrete([[2, 3], [4, 2]]), (4,)),
        (MultiBinary(3), (3,)),
        (MultiBinary((2, 2)), (4,)),
        (Box(-1, 1, (2, 3), np.float64), (6,)),
    ],
    ids=str,
)
def test_every_action_space_has_a_distribution(space, shape):
    """Samples have one number for each number of the space's actions."""
    distribution = distribution_for(space)
    sample = distribution.sample(torch.zeros(7, distribution.size), generator())
    assert sample.shape == (7, *shape)


def test_other_spaces_are_refused():
    """A space without a distribution is an error that names it."""
    with pytest.raises(FrameworkError, match="Text"):
        distribution_for(Text(3))


@every
def test_named_parameters_are_those_of_the_distribution(distribution):
    """``logits`` as they are, or ``mean`` and ``std``, from which others can sample."""
    parameters, _ = random_sample(distribution, 3)
    named = distribution.named(parameters)
    if isinstance(distribution, DiagonalGaussian):
        again = torch.cat((named.pop("mean"), named.pop("std").log()), -1)
    else:
        again = named.pop("logits")
    assert named == {}
    torch.testing.assert_close(again, parameters)
