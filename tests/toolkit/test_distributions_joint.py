"""The distribution of actions of several parts: against torch's own, and against every action there is."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import distributions

from framework.toolkit.distributions import Joint, distribution_for, mask_logits
from framework.toolkit.spaces import ParameterizedActions, flat_action, mask_groups
from framework.toolkit.vjp import vjp

BOX = spaces.Box(-1, 1, (1, 2), np.float32)
SPACE = spaces.Dict(
    {
        "arm": spaces.Tuple((spaces.Discrete(3, start=7), BOX)),
        "bits": spaces.MultiBinary(2),
        "leg": spaces.Box(-1, 1, (1,)),
        "picks": spaces.MultiDiscrete([2, 3]),
    }
)
FINITE = ParameterizedActions(
    {"a": spaces.MultiDiscrete([2, 3]), "b": None, "c": ParameterizedActions({"d": spaces.MultiBinary(2), "e": None})}
)
#: Parameters of parameters, and numbers among them.
DEEP = spaces.Tuple(
    (
        ParameterizedActions({"go": ParameterizedActions({"left": BOX, "right": BOX, "stop": None}), "wait": None}),
        spaces.Discrete(3),
    )
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_it_is_the_product_of_its_parts():
    """Log-probabilities and entropies are the sums of those of torch's own distributions."""
    joint = distribution_for(SPACE)
    assert isinstance(joint, Joint)
    assert (joint.size, joint.dimensions) == (3 + 2 + 2 + 1 + 5 + 3, 3)
    parameters = torch.randn(20, joint.size, generator=generator(), dtype=torch.float64)
    actions = joint.sample(parameters, generator(1))
    assert (actions.dtype, actions.shape) == (torch.float32, (20, 1 + 2 + 2 + 1 + 2))
    kind, mean, bits, leg, pick, other, log_std, leg_log_std = parameters.split([3, 2, 2, 1, 2, 3, 2, 1], -1)
    parts = [
        (distributions.Categorical(logits=kind), actions[:, 0]),
        (distributions.Independent(distributions.Normal(mean, log_std.exp()), 1), actions[:, 1:3]),
        (distributions.Independent(distributions.Bernoulli(logits=bits), 1), actions[:, 3:5]),
        (distributions.Independent(distributions.Normal(leg, leg_log_std.exp()), 1), actions[:, 5:6]),
        (distributions.Categorical(logits=pick), actions[:, 6]),
        (distributions.Categorical(logits=other), actions[:, 7]),
    ]
    expected = torch.stack([part.log_prob(taken.double()) for part, taken in parts]).sum(0)
    torch.testing.assert_close(joint.log_prob(parameters, actions), expected)
    torch.testing.assert_close(joint.entropy(parameters), torch.stack([part.entropy() for part, _ in parts]).sum(0))


def test_the_mode_is_that_of_each_part():
    """The most probable choices and bits, and the means."""
    joint = distribution_for(SPACE)
    parameters = torch.tensor([[0, 2, 1, 0.5, -0.25, -1, 1, 0.75, 3, 2, 0, 0, 9, 0, 0, 0.0]])
    assert joint.mode(parameters).tolist() == [[1, 0.5, -0.25, 0, 1, 0.75, 0, 2]]


def test_parameters_have_the_names_and_shapes_of_the_parts():
    """What a network gives comes first, then the log standard deviations."""
    joint = distribution_for(SPACE)
    named = joint.named(torch.arange(float(joint.size)).expand(4, -1))
    shapes = {name: tuple(values.shape[1:]) for name, values in named.items()}
    assert shapes == {
        "arm/0/logits": (3,),
        "arm/1/mean": (1, 2),
        "arm/1/std": (1, 2),
        "bits/logits": (2,),
        "leg/mean": (1,),
        "leg/std": (1,),
        "picks/logits": (5,),
    }
    assert named["arm/1/mean"][0].tolist() == [[3, 4]]
    torch.testing.assert_close(named["leg/std"][0], torch.tensor([15.0]).exp())


def finite_actions():
    """What matters of each action of `FINITE`, with arbitrary values of the rest."""
    nothing = {"choice": 1, "d": np.zeros(2, np.int8)}
    for first, second in itertools.product(range(2), range(3)):
        yield {"choice": 0, "a": np.array([first, second]), "c": nothing}
    yield {"choice": 1, "a": np.array([1, 2]), "c": nothing}
    for bits in itertools.product((0, 1), repeat=2):
        yield {"choice": 2, "a": np.array([1, 2]), "c": {"choice": 0, "d": np.array(bits, np.int8)}}
    yield {"choice": 2, "a": np.array([1, 2]), "c": nothing}


def test_parameters_of_actions_that_were_not_chosen_count_for_nothing():
    """Over all that matters probabilities sum to 1, and the entropy is theirs; what does not matter changes nothing."""
    joint = distribution_for(FINITE)
    parameters = torch.randn(joint.size, generator=generator(), dtype=torch.float64)
    actions = torch.from_numpy(np.stack([flat_action(FINITE, action) for action in finite_actions()]))
    log_probs = joint.log_prob(parameters.expand(len(actions), -1), actions)
    assert log_probs.exp().sum().item() == pytest.approx(1)
    assert joint.entropy(parameters).item() == pytest.approx(-(log_probs.exp() * log_probs).sum().item())
    altered = actions.clone()
    altered[6:, 1:3] = torch.tensor([0.0, 1.0])
    altered[:7, 4:6] = 1
    torch.testing.assert_close(joint.log_prob(parameters.expand(len(actions), -1), altered), log_probs)


def test_no_gradient_reaches_what_was_not_chosen():
    """But through the entropy, as far as it might have been."""
    joint = distribution_for(ParameterizedActions({"kick": spaces.Box(-1, 1, (1,)), "wait": None}))
    parameters = torch.tensor([[0.3, -0.2, 0.4, -1.0]], requires_grad=True)
    joint.log_prob(parameters, torch.tensor([[1.0, 5.0]])).sum().backward()
    assert parameters.grad[0, 2:].tolist() == [0, 0]
    parameters.grad = None
    joint.entropy(parameters).sum().backward()
    assert parameters.grad[0, 3].item() == pytest.approx(1 / (1 + math.exp(-0.5)))


@pytest.mark.parametrize("space", [SPACE, FINITE, DEEP], ids=["nested", "parameterized", "deep"])
@pytest.mark.parametrize("masked", [False, True])
def test_vjp_gives_the_same_values_and_gradient_as_autograd(space, masked):
    """Log-probability, entropy, and any weighting of their gradients, also where choices are masked."""
    joint = distribution_for(space)
    parameters = torch.randn(40, joint.size, generator=generator(), dtype=torch.float64)
    if masked:
        groups = [torch.arange(size) != size - 1 for size in mask_groups(space)]
        outputs, deviations = parameters.split([joint.size - joint.dimensions, joint.dimensions], -1)
        legal = joint.legal(torch.cat(groups).expand(40, -1))
        parameters = torch.cat((mask_logits(outputs, legal), deviations), -1)
    actions = joint.sample(parameters, generator(1))
    weights = torch.randn(40, generator=generator(7), dtype=torch.float64)
    leaf = parameters.clone().requires_grad_()
    log_prob, entropy = joint.log_prob(leaf, actions), joint.entropy(leaf)
    ((weights * log_prob).sum() + 0.3 * entropy.sum()).backward()
    with torch.no_grad():
        closed_log_prob, closed_entropy, pullback = vjp(joint, parameters, actions)
        gradient = pullback(weights, 0.3)
    torch.testing.assert_close(closed_log_prob, log_prob.detach())
    torch.testing.assert_close(closed_entropy, entropy.detach())
    torch.testing.assert_close(gradient, leaf.grad)


def test_masks_are_about_choices_alone():
    """Illegal choices have no probability and add nothing to the entropy; other parts stay as they are."""
    joint = distribution_for(SPACE)
    mask = torch.tensor([[True, False, True, True, False, False, True, False]])
    legal = joint.legal(mask)
    assert legal.tolist() == [[True, False, True, *[True] * 5, True, False, False, True, False]]
    outputs = torch.randn(1, joint.size - joint.dimensions, generator=generator()).expand(500, -1)
    parameters = torch.cat((mask_logits(outputs, legal), torch.zeros(500, joint.dimensions)), -1)
    actions = joint.sample(parameters, generator(1))
    assert set(actions[:, 0].tolist()) == {0, 2}
    assert actions[:, 6:].unique(dim=0).tolist() == [[0, 1]]
    assert torch.isfinite(joint.log_prob(parameters, actions)).all()
    left = distributions.Categorical(logits=outputs[0, [0, 2]]).entropy()
    left = (
        left + distributions.Bernoulli(logits=outputs[0, 5:7]).entropy().sum() + 3 * (0.5 + 0.5 * math.log(2 * math.pi))
    )
    torch.testing.assert_close(joint.entropy(parameters)[0], left)


def test_an_action_whose_choice_is_illegal_adds_no_entropy():
    """However wide its parameters are spread."""
    joint = distribution_for(ParameterizedActions({"kick": spaces.Box(-1, 1, (1,)), "wait": None}))
    legal = joint.legal(torch.tensor([[False, True]]))
    parameters = torch.cat((mask_logits(torch.zeros(1, 3), legal), torch.full((1, 1), 3.0)), -1)
    assert joint.entropy(parameters).tolist() == [0]
