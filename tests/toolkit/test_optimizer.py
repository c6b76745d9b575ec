"""The flat AdamW against torch's."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from framework.toolkit import optimizer
from framework.toolkit.optimizer import FlatAdamW, LossScale, plain_adamw


@pytest.fixture(params=[torch._fused_adamw_, plain_adamw], ids=["fused", "plain"])
def kernel(request, monkeypatch):
    """Both ways to take Adam's step."""
    monkeypatch.setattr(optimizer, "adamw", request.param)


def test_torchs_kernel_is_in_use():
    """It is private, so it may go away; then the plain formula takes its place, several times slower."""
    assert optimizer.adamw is torch._fused_adamw_


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


def reference(module, weight_decay, **options):
    spared = {module[0].weight, module[4].weight, *(p for p in module.parameters() if p.ndim == 1)}
    groups = [
        {"params": [p for p in module.parameters() if p not in spared], "weight_decay": weight_decay},
        {"params": list(spared), "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=1e-2, **options)


@pytest.mark.parametrize(("weight_decay", "max_norm"), [(0.0, None), (0.3, None), (0.0, 0.5), (0.3, 1e9)])
@torch.random.fork_rng()
def test_steps_are_those_of_torch(weight_decay, max_norm, kernel):
    """Ten steps end where torch's AdamW ends, with clipping, and decay that spares biases, norms and embeddings."""
    model, reference_model = network(), network()
    flat = FlatAdamW(model, epsilon=1e-5, weight_decay=weight_decay, max_norm=max_norm)
    torchs = reference(reference_model, weight_decay, eps=1e-5)
    for step in range(10):
        flat.zero_grad()
        loss(model, step).backward()
        flat.check()
        norm = flat.step(1e-2)
        torchs.zero_grad()
        loss(reference_model, step).backward()
        expected = nn.utils.clip_grad_norm_(reference_model.parameters(), max_norm or 1e30)
        torchs.step()
        torch.testing.assert_close(norm, expected, rtol=1e-4, atol=0)
    for parameter, expected in zip(model.parameters(), reference_model.parameters(), strict=True):
        torch.testing.assert_close(parameter, expected, rtol=1e-4, atol=1e-5)


@torch.random.fork_rng()
def test_laying_out_changes_nothing():
    """Weights keep their values and their memory layout; frozen ones are left alone."""
    flattened, untouched = network(), network()
    flattened[5].bias.requires_grad_(False)
    place = flattened[5].bias.data_ptr()
    FlatAdamW(flattened)
    for parameter, expected in zip(flattened.parameters(), untouched.parameters(), strict=True):
        assert torch.equal(parameter, expected)
        assert parameter.stride() == expected.stride()
    assert (flattened[5].bias.data_ptr(), flattened[5].bias.grad) == (place, None)


@torch.random.fork_rng()
def test_state_goes_on_bit_for_bit():
    """A second optimizer with the first one's state and weights takes the same steps."""
    original, resumed = network(), network()
    first = FlatAdamW(original, weight_decay=0.1)
    for step in range(3):
        first.zero_grad()
        loss(original, step).backward()
        first.step(1e-2)
    state = first.state_dict()
    second = FlatAdamW(resumed, weight_decay=0.1)
    resumed.load_state_dict(original.state_dict())
    second.load_state_dict(state)
    for module, flat in ((original, first), (resumed, second)):
        flat.zero_grad()
        loss(module, 9).backward()
        flat.step(1e-2)
    assert torch.equal(first.parameters, second.parameters)
    assert state["steps"] == 3


@torch.random.fork_rng()
def test_a_moved_module_is_noticed():
    """A parameter that is no longer a view, or has lost its gradient, is an error and not a step in vain."""
    for spoil in (lambda m: m.to(torch.float64).to(torch.float32), lambda m: m.zero_grad(set_to_none=True)):
        module = network()
        flat = FlatAdamW(module)
        flat.check()
        spoil(module)
        with pytest.raises(RuntimeError, match="moved or replaced"):
            flat.check()


@torch.random.fork_rng()
def test_one_dtype_only():
    """Parameters of two dtypes cannot be one tensor, and no parameters at all make no optimizer."""
    for module in (nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).double()), nn.Identity()):
        with pytest.raises(ValueError, match="one dtype"):
            FlatAdamW(module)


@torch.random.fork_rng()
def test_scaled_gradients_make_the_same_step(kernel):
    """A loss that was scaled by a power of two, and its gradients scaled back, moves the weights as the loss itself."""
    model, scaled_model = network(), network()
    plain, scaled = FlatAdamW(model, max_norm=0.5), FlatAdamW(scaled_model, max_norm=0.5)
    scale = LossScale("cpu", initial=256.0)
    loss(model, 0).backward()
    (loss(scaled_model, 0) * scale.value).backward()
    torch.testing.assert_close(plain.step(1e-2), scaled.step(1e-2, scale))
    torch.testing.assert_close(plain.parameters, scaled.parameters)


@torch.random.fork_rng()
def test_overflow_skips_the_step_and_halves_the_scale(kernel):
    """An infinite gradient changes neither weights nor moments nor the step count; good steps double the scale."""
    module = network()
    flat, scale = FlatAdamW(module, max_norm=0.5), LossScale("cpu", initial=8.0, growth_interval=2)
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
        "import sys, torch; from framework.toolkit.optimizer import FlatAdamW;"
        "from framework.toolkit.networks import MLP;"
        "m = MLP(2, (3,)); o = FlatAdamW(m); m(torch.zeros(1, 2)).sum().backward(); o.step(.1);"
        "print([n for n in ('sympy', 'torch._dynamo', 'torch._inductor') if n in sys.modules])"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    assert process.stdout.strip() == "[]"
