"""The flat optimizers against torch's."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import pytest
import torch
from torch import nn

from framework.toolkit import update_rules
from framework.toolkit.optimizer import FlatOptimizer, LossScale
from framework.toolkit.update_rules import RULES, plain_adam

#: Torch's optimizer for each rule, and its options where they are not the usual ones.
TORCHS = {
    "adamw": (torch.optim.AdamW, {}),
    "adam": (torch.optim.Adam, {}),
    "radam": (torch.optim.RAdam, {}),
    "rmsprop": (torch.optim.RMSprop, {"alpha": 0.99}),
}
#: Learning rates for the loss below; rectified Adam's first steps are as large as the gradient.
RATES = dict.fromkeys(TORCHS, 1e-2) | {"radam": 1e-6}


@pytest.fixture(params=[*RULES, "adamw, plain", "adam, plain"])
def rule(request, monkeypatch):
    """The name of each rule; Adam's step is taken by torch's kernels, and by the plain formula."""
    name, _, plain = request.param.partition(", ")
    if plain:
        monkeypatch.setattr(update_rules, "adamw_kernel", partial(plain_adam, decoupled=True))
        monkeypatch.setattr(update_rules, "adam_kernel", partial(plain_adam, decoupled=False))
    return name


def test_torchs_kernels_are_in_use():
    """They are private, so they may go away; then the plain formula takes their place, several times slower."""
    assert update_rules.adamw_kernel is torch._fused_adamw_
    assert update_rules.adam_kernel is torch._fused_adam_


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Embedding(7, 12),
        nn.Unflatten(1, (3, 2, 2)),
        nn.Conv2d(3, 4, 2).to(memory_format=torch.channels_last),
        nn.Flatten(),
        nn.LayerNorm((4,)),
        nn.Linear(4, 2),
    )


def loss(module, step):
    generator = torch.Generator().manual_seed(step)
    return (module(torch.randint(7, (16,), generator=generator)) * 20).square().sum()


def reference(module, rule, weight_decay, **options):
    spared = {module[0].weight, module[4].weight, *(p for p in module.parameters() if p.ndim == 1)}
    groups = [
        {"params": [p for p in module.parameters() if p not in spared], "weight_decay": weight_decay},
        {"params": list(spared), "weight_decay": 0.0},
    ]
    optimizer, usual = TORCHS[rule]
    return optimizer(groups, lr=RATES[rule], **usual, **options)


@pytest.mark.parametrize(("weight_decay", "max_norm"), [(0.0, None), (0.3, None), (0.0, 0.5), (0.3, 1e9)])
@torch.random.fork_rng()
def test_steps_are_those_of_torch(weight_decay, max_norm, rule):
    """Ten steps end where torch's optimizer ends, with clipping, and decay that spares biases, norms and embeddings."""
    model, reference_model = network(), network()
    flat = FlatOptimizer(model, rule, epsilon=1e-5, weight_decay=weight_decay, max_norm=max_norm)
    torchs = reference(reference_model, rule, weight_decay, eps=1e-5)
    for step in range(10):
        flat.zero_grad()
        loss(model, step).backward()
        flat.check()
        norm = flat.step(RATES[rule])
        torchs.zero_grad()
        loss(reference_model, step).backward()
        expected = nn.utils.clip_grad_norm_(reference_model.parameters(), max_norm or 1e30)
        torchs.step()
        torch.testing.assert_close(norm, expected, rtol=1e-4, atol=0)
    for parameter, expected in zip(model.parameters(), reference_model.parameters(), strict=True):
        torch.testing.assert_close(parameter, expected, rtol=1e-4, atol=1e-5)


def test_decay_rates_are_at_choice(rule):
    """Other betas than the usual ones are torch's too; a hundred steps of rectified Adam pass all of its phases."""
    betas = (0.8, 0.9)
    flat_model, model = (nn.Linear(3, 2) for _ in range(2))
    model.load_state_dict(flat_model.state_dict())
    flat = FlatOptimizer(flat_model, rule, betas=betas)
    options = {"alpha": betas[1]} if rule == "rmsprop" else {"betas": betas, "weight_decay": 0.0}
    torchs = TORCHS[rule][0](model.parameters(), lr=1e-2, **options)
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        for parameter, expected in zip(flat_model.parameters(), model.parameters(), strict=True):
            gradient = torch.randn(parameter.shape, generator=generator)
            parameter.grad.copy_(gradient)
            expected.grad = gradient
        flat.step(1e-2)
        torchs.step()
        for parameter, expected in zip(flat_model.parameters(), model.parameters(), strict=True):
            torch.testing.assert_close(parameter, expected, rtol=1e-4, atol=1e-5)


def test_adam_decays_by_a_penalty_and_adamw_apart_from_it():
    """Without a gradient AdamW shrinks weights by a share; Adam's step is as long whatever the penalty's size."""
    for rule, expected in (("adamw", 1.0 - 0.1 * 0.3), ("adam", 0.9)):
        model = nn.Linear(1, 1)
        nn.init.ones_(model.weight)
        FlatOptimizer(model, rule, weight_decay=0.3).step(0.1)
        assert model.weight.item() == pytest.approx(expected)


@torch.random.fork_rng()
def test_laying_out_changes_nothing():
    """Weights keep their values and their memory layout; frozen ones are left alone."""
    flattened, untouched = network(), network()
    flattened[5].bias.requires_grad_(False)
    place = flattened[5].bias.data_ptr()
    FlatOptimizer(flattened)
    for parameter, expected in zip(flattened.parameters(), untouched.parameters(), strict=True):
        assert torch.equal(parameter, expected)
        assert parameter.stride() == expected.stride()
    assert (flattened[5].bias.data_ptr(), flattened[5].bias.grad) == (place, None)


@torch.random.fork_rng()
def test_state_goes_on_bit_for_bit(rule):
    """A second optimizer with the first one's state and weights takes the same steps."""
    original, resumed = network(), network()
    first = FlatOptimizer(original, rule, weight_decay=0.1)
    for step in range(3):
        first.zero_grad()
        loss(original, step).backward()
        first.step(RATES[rule])
    state = first.state_dict()
    assert state.keys() == {"steps", *RULES[rule].moments}
    second = FlatOptimizer(resumed, rule, weight_decay=0.1)
    resumed.load_state_dict(original.state_dict())
    second.load_state_dict(state)
    for module, flat in ((original, first), (resumed, second)):
        flat.zero_grad()
        loss(module, 9).backward()
        flat.step(RATES[rule])
    assert torch.equal(first.parameters, second.parameters)
    assert state["steps"] == 3


@torch.random.fork_rng()
def test_a_moved_module_is_noticed():
    """A parameter that is no longer a view, or has lost its gradient, is an error and not a step in vain."""
    for spoil in (lambda m: m.to(torch.float64).to(torch.float32), lambda m: m.zero_grad(set_to_none=True)):
        module = network()
        flat = FlatOptimizer(module)
        flat.check()
        spoil(module)
        with pytest.raises(RuntimeError, match="moved or replaced"):
            flat.check()


@torch.random.fork_rng()
def test_one_dtype_only():
    """Parameters of two dtypes cannot be one tensor, and no parameters at all make no optimizer."""
    for module in (nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).double()), nn.Identity()):
        with pytest.raises(ValueError, match="one dtype"):
            FlatOptimizer(module)


@torch.random.fork_rng()
def test_scaled_gradients_make_the_same_step(rule):
    """A loss that was scaled by a power of two, and its gradients scaled back, moves the weights as the loss itself."""
    model, scaled_model = network(), network()
    plain, scaled = (FlatOptimizer(part, rule, max_norm=0.5) for part in (model, scaled_model))
    scale = LossScale("cpu", initial=256.0)
    loss(model, 0).backward()
    (loss(scaled_model, 0) * scale.value).backward()
    torch.testing.assert_close(plain.step(1e-2), scaled.step(1e-2, scale))
    torch.testing.assert_close(plain.parameters, scaled.parameters)


@torch.random.fork_rng()
def test_overflow_skips_the_step_and_halves_the_scale(rule):
    """An infinite gradient changes neither weights nor moments nor the step count; good steps double the scale."""
    module = network()
    flat, scale = FlatOptimizer(module, rule, max_norm=0.5), LossScale("cpu", initial=8.0, growth_interval=2)
    before = flat.parameters.clone()
    flat.gradients[3] = torch.inf
    flat.step(1e-2, scale)
    assert torch.equal(flat.parameters, before)
    assert (scale.value, flat.state_dict()["steps"]) == (4.0, 0.0)
    scales = []
    for _ in range(4):
        flat.gradients.fill_(0.1)
        flat.step(1e-2, scale)
        scales.append(scale.value.item())
    assert scales == [4.0, 8.0, 8.0, 16.0]
    assert not torch.equal(flat.parameters, before)


def test_training_imports_no_compiler():
    """Making the optimizer and stepping leave torch's compiler and its algebra system unimported."""
    code = (
        "import sys, torch; from framework.toolkit.optimizer import FlatOptimizer;"
        "from framework.toolkit.networks import MLP;"
        "m = MLP(2, (3,)); o = FlatOptimizer(m); m(torch.zeros(1, 2)).sum().backward(); o.step(.1);"
        "print([n for n in ('sympy', 'torch._dynamo', 'torch._inductor') if n in sys.modules])"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    assert process.stdout.strip() == "[]"
