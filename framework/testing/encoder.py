"""Checks of encoders."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from framework.testing.common import Trial, built
from framework.testing.compare import assert_finite, difference
from framework.testing.subject import Skip, Subject, over, usable

if TYPE_CHECKING:
    import torch

    from framework.interfaces import Context, Tensors

#: Steps and environments of the observations that encoders are tried on.
_STEPS, _COUNT = 6, 3
#: Room for rounding where the same is computed in other shapes, from numbers as large as 255.
_RELATIVE, _ABSOLUTE = 1e-3, 5e-4


def _observations(subject: Subject) -> list[str]:
    return list(subject.observations)


def trial(subject: Subject) -> Trial:
    """See `framework.testing.common`; over the first observation that it takes."""
    name = usable(subject.observations, lambda name: encoder(subject, name))[0]
    context = subject.context(name)

    def inputs(_: Any) -> Iterator[tuple[Tensors, torch.Tensor]]:
        return ((observation(context, seed), starts()) for seed in count())

    def use(module: Any, sequence: tuple[Tensors, torch.Tensor]) -> Any:
        import torch

        observations, first = sequence
        module.eval()
        with torch.no_grad():
            encoding, memory = module(observations, module.initial_memory(_COUNT), first)
        return encoding.features, memory

    return Trial(lambda: subject.build(context), inputs, use, builds_with_global_generator=True)


def check_takes_some_observation(subject: Subject) -> None:
    """It can be built for some kind of observation."""
    try:
        usable(subject.observations, lambda name: encoder(subject, name))
    except Skip as refusal:
        raise AssertionError(f"it refuses every kind of observation; the last with: {refusal}") from None


@over(_observations)
def check_shapes(subject: Subject, name: str) -> None:
    """Features are finite float32 [T, N, F], tokens [T, N, K, F]; memory comes back in the shape it started with."""
    import torch

    module = encoder(subject, name).eval()
    for steps in (1, _STEPS):
        memory = module.initial_memory(_COUNT)
        with torch.no_grad():
            encoding, after = module(observation(subject.context(name), 0, steps), memory, starts(steps))
        expected = [steps, _COUNT, module.feature_dim]
        assert list(encoding.features.shape) == expected, (
            f"features are {list(encoding.features.shape)}, not {expected}"
        )
        assert encoding.features.dtype is torch.float32, f"features are {encoding.features.dtype}, not float32"
        assert_finite(encoding.features, "features")
        if encoding.tokens is not None:
            shape = list(encoding.tokens.shape)
            assert (len(shape), shape[:2]) == (4, [steps, _COUNT]), f"tokens are {shape}, not [T, N, K, F]"
        before, later = ({key: (x.shape, x.dtype) for key, x in tensors.items()} for tensors in (memory, after))
        assert before == later, f"memory was {before} and became {later}"


def check_memory_is_declared(subject: Subject) -> None:
    """It has memory where it is registered with supports=("memory",), and nowhere else."""
    module = encoder(subject, usable(subject.observations, lambda name: encoder(subject, name))[0])
    memory, declared = module.initial_memory(2), "memory" in subject.component.supports
    assert bool(memory) == declared, f"initial_memory(2) gives {list(memory)}, and supports says {declared}"
    other_sizes = [key for key, x in memory.items() if len(x) != 2]
    assert not other_sizes, f"initial_memory(2) does not have two rows in {other_sizes}"


@over(_observations)
def check_row_independence(subject: Subject, name: str) -> None:
    """An observation changes the features of its own environment only, in training mode too."""
    import torch

    module = encoder(subject, name)
    context = subject.context(name)
    original, replacement = observation(context, 0), observation(context, 1)
    mixed = {key: torch.cat((replacement[key][:, :1], x[:, 1:]), 1) for key, x in original.items()}
    for training in (True, False):
        before, after = (features(module, x, training=training) for x in (original, mixed))
        moved = (after - before).abs().amax(dim=(0, 2))
        assert moved[0] > 0, "another observation gives the same features"
        assert moved[1:].max() <= 1e-5, (
            f"the observation of environment 0 moved the features of another by {moved[1:].max():.3g}: something "
            "is computed across the batch, such as a norm over it, or attention along the wrong axis"
        )


@over(_observations)
def check_batch_of_one(subject: Subject, name: str) -> None:
    """Features do not depend on the batch size: a batch of one gives the same."""
    module = encoder(subject, name)
    x = observation(subject.context(name), 0)
    alone = {key: value[:, :1] for key, value in x.items()}
    for training in (True, False):
        together = features(module, x, training=training)[:, :1]
        _assert_close(features(module, alone, training=training), together, "alone, an environment's features differ")


@over(_observations)
def check_train_eval_parity(subject: Subject, name: str) -> None:
    """Features are the same in training and evaluation mode: the policy that learns is the one that acted."""
    module = encoder(subject, name)
    x = observation(subject.context(name), 0)
    pair = (features(module, x, training=True), features(module, x, training=False))
    _assert_close(*pair, "train() and eval() differ; dropout and batch norms make them")


@over(_observations)
def check_every_leaf_matters(subject: Subject, name: str) -> None:
    """Each part of an observation, changed alone, changes the features."""
    module = encoder(subject, name)
    context = subject.context(name)
    x = observation(context, 0)
    before = features(module, x)
    for leaf in x:
        moved = [features(module, {**x, leaf: observation(context, seed)[leaf]}) - before for seed in (1, 2, 3)]
        assert any(delta.abs().max() > 0 for delta in moved), f"changing {leaf!r} changes nothing"


@over(_observations)
def check_gradients_everywhere(subject: Subject, name: str) -> None:
    """Every parameter that can be trained gets a gradient that is finite, and not always zero."""
    import torch

    module = encoder(subject, name).train()
    with torch.enable_grad():
        for seed in range(3):
            encoding, _ = module(observation(subject.context(name), seed), module.initial_memory(_COUNT), starts())
            weights = torch.randn(encoding.features.shape, generator=torch.Generator().manual_seed(seed))
            loss = (encoding.features * weights).sum() + sum(encoding.losses.values())
            loss.backward()
    trained = {key: p for key, p in module.named_parameters() if p.requires_grad}
    assert trained, "it has no parameter that can be trained"
    for key, parameter in trained.items():
        assert parameter.grad is not None, f"no gradient reaches {key}"
        assert_finite(parameter.grad, f"the gradient of {key}")
        assert parameter.grad.abs().max() > 0, f"the gradient of {key} is always zero"


@over(_observations)
def check_inputs_are_left_alone(subject: Subject, name: str) -> None:
    """Observations and memory that it gets stay as they are."""
    module = encoder(subject, name).eval()
    x, memory = observation(subject.context(name), 0), module.initial_memory(_COUNT)
    copies = [{key: value.clone() for key, value in tensors.items()} for tensors in (x, memory)]
    module(x, memory, starts())
    assert not (changed := difference([x, memory], copies)), f"it changed what it was given: {changed}"


@over(_observations)
def check_acting_equals_learning(subject: Subject, name: str) -> None:
    """Single steps with the memory passed on give the same features and memory as one pass over all steps."""
    import torch

    module = encoder(subject, name).eval()
    x, first = observation(subject.context(name), 0), starts()
    with torch.no_grad():
        encoding, after = module(x, module.initial_memory(_COUNT), first)
        memory, steps = module.initial_memory(_COUNT), []
        for t in range(_STEPS):
            row, memory = module({key: value[t : t + 1] for key, value in x.items()}, memory, first[t : t + 1])
            steps.append(row.features)
    _assert_close(torch.cat(steps), encoding.features, "features of single steps differ from those of one pass")
    again = module(observation(subject.context(name), 1), memory, starts())[0].features
    _assert_close(
        again,
        module(observation(subject.context(name), 1), after, starts())[0].features,
        "the memory after single steps works differently from that after one pass",
    )


@over(_observations)
def check_first_resets_memory(subject: Subject, name: str) -> None:
    """Memory is reset where an episode starts: nothing before has any effect."""
    import torch

    module = _with_memory(subject, name)
    context = subject.context(name)
    first = torch.zeros(_STEPS, _COUNT, dtype=torch.bool)
    first[3, 1] = True
    results = []
    for seed in (1, 2):
        past, rest = observation(context, seed), observation(context, 0)
        x = {key: torch.cat((past[key][:3], rest[key][3:])) for key in past}
        results.append(features(module, x, first=first)[3:])
    moved = (results[1] - results[0]).abs().amax(dim=(0, 2))
    assert moved[1] <= 1e-6, f"what came before an episode's start moves its features by {moved[1]:.3g}: use `first`"
    assert moved[0] > 0, "what came earlier in an episode has no effect: the memory does nothing"


@over(_observations)
def check_starts_from_initial_memory(subject: Subject, name: str) -> None:
    """A reset in the middle of a trajectory equals a start from `initial_memory`."""
    import torch

    module = _with_memory(subject, name)
    x = observation(subject.context(name), 0)
    first = torch.zeros(_STEPS, _COUNT, dtype=torch.bool)
    first[3] = True
    later = {key: value[3:] for key, value in x.items()}
    pair = (features(module, x, first=first)[3:], features(module, later, first=torch.zeros_like(first[3:])))
    _assert_close(*pair, "a reset is something else than initial_memory()")


@over(_observations)
def check_closed_form(subject: Subject, name: str) -> None:
    """Its rule of `framework.toolkit.vjp` gives the features of a plain call, and the gradient of autograd."""
    import torch

    from framework.toolkit.vjp import covers, vjp

    module = encoder(subject, name).train()
    if not covers(module):
        raise Skip("it has no rule: its gradient is left to autograd")
    x = observation(subject.context(name), 0, steps=1)
    encoding, _ = module(x, {}, starts(1))
    weights = torch.randn(encoding.features.shape[1:], generator=torch.Generator().manual_seed(0))
    (encoding.features[0] * weights).sum().backward()
    expected = {key: p.grad.clone() for key, p in module.named_parameters()}
    for parameter in module.parameters():
        parameter.grad.fill_(7.0)  # what is to be overwritten
    with torch.no_grad():
        result, pullback = vjp(module, x)
        pullback(weights)
    _assert_close(result, encoding.features[0], "the features of its rule differ")
    for key, parameter in module.named_parameters():
        _assert_close(parameter.grad, expected[key], f"the gradient of {key} differs")


# --- helpers -----------------------------------------------------------------------------------------------------


def encoder(subject: Subject, name: str) -> Any:
    """The encoder for one of the subject's observations."""
    return built(Trial(lambda: subject.build(subject.context(name)), iter, iter, builds_with_global_generator=True))


def observation(context: Context, seed: int, steps: int = _STEPS) -> Tensors:
    """Random observations ``{name: [T, N, ...]}``."""
    import torch

    from framework.toolkit.spaces import array_spec

    drawn = {}
    for name, space in context.observation_space.items():
        space.seed(seed)
        dtype, shape = array_spec(space)
        rows = np.stack([np.asarray(space.sample(), dtype) for _ in range(steps * _COUNT)])
        drawn[name] = torch.from_numpy(rows.reshape(steps, _COUNT, *shape))
    return drawn


def starts(steps: int = _STEPS) -> torch.Tensor:
    """``first`` [T, N]: all environments start at step 0, and one of them again, where there is a later step."""
    import torch

    first = torch.zeros(steps, _COUNT, dtype=torch.bool)
    first[0] = True
    first[steps // 2, 1] = True
    return first


def features(module: Any, x: Tensors, *, first: torch.Tensor | None = None, training: bool = False) -> torch.Tensor:
    """Features [T, N, F], starting from the initial memory."""
    import torch

    count = next(iter(x.values())).shape[1]
    module.train(training)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        encoding, _ = module(x, module.initial_memory(count), starts()[:, :count] if first is None else first)
    encoded: torch.Tensor = encoding.features
    return encoded


def _with_memory(subject: Subject, name: str) -> Any:
    if "memory" not in subject.component.supports:
        raise Skip("it has no memory")
    return encoder(subject, name)


def _assert_close(actual: torch.Tensor, expected: torch.Tensor, what: str) -> None:
    import torch

    assert torch.allclose(actual, expected, rtol=_RELATIVE, atol=_ABSOLUTE), (
        f"{what} by {(actual - expected).abs().max():.3g}"
    )


CHECKS = (
    check_takes_some_observation,
    check_memory_is_declared,
    check_shapes,
    check_row_independence,
    check_batch_of_one,
    check_train_eval_parity,
    check_every_leaf_matters,
    check_gradients_everywhere,
    check_inputs_are_left_alone,
    check_acting_equals_learning,
    check_first_resets_memory,
    check_starts_from_initial_memory,
    check_closed_form,
)
