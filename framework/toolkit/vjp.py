"""Vector-Jacobian products in closed form: a table of rules by type of module.

A rule evaluates a module without autograd, and returns the result and its pullback, which maps the gradient of the
result to that of the input and the parameters. Autograd's overhead costs as much as the arithmetic of small networks;
where every part of a network has a rule, training skips it. Rules are tested against the plain `forward` with autograd;
a module without a rule, or a subclass of one with a rule, is differentiated by autograd.

A plugin adds a rule for a module of its own beside it::

    @rule(MyEncoder)
    def _(encoder, observation):
        hidden, pullback = vjp(encoder.layers, observation["observation"][0])
        return hidden, pullback
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from framework.toolkit.distributions import (
    LOG_2PI,
    Bernoulli,
    Categorical,
    DiagonalGaussian,
    Joint,
    MultiCategorical,
    SquashedGaussian,
)
from framework.toolkit.networks import ACTIVATIONS, MLP, LayerNormMLP

#: Gradient of a result [B, ...] -> gradient of the input, or None where it is not needed.
Pullback = Callable[[Tensor], Tensor | None]
#: Gradients of the log-probabilities [B] and of all entropies (one number) -> gradient of the parameters [B, size].
DistributionPullback = Callable[[Tensor, float], Tensor]

Rule = Callable[..., tuple[Any, ...]]

_RULES: dict[type, Rule] = {}
_aten = torch.ops.aten


def rule(kind: type) -> Callable[[Rule], Rule]:
    """Register a rule for objects of exactly this class; subclasses may compute something else.

    - Encoders without memory: ``rule(encoder, {name: [1, B, ...]})`` -> features [B, F], pullback.
    - Layers and heads: ``rule(module, x [B, inputs], input_gradient=...)`` -> result [B, outputs], pullback.
    - Distributions: ``rule(distribution, parameters [B, size], actions [B, ...])`` -> log-probabilities [B],
      entropies [B], pullback (`DistributionPullback`).

    Rules and their pullbacks run without gradient recording, and a pullback before any parameter changes. The pullback
    **overwrites** the ``grad`` of each parameter that has one (see `framework.toolkit.optimizer.FlatOptimizer`), and
    skips the others.
    """

    def add(function: Rule) -> Rule:
        _RULES[kind] = function
        return function

    return add


def covers(*parts: object) -> bool:
    """Whether each of these has a rule."""
    return all(type(part) in _RULES for part in parts)


def vjp(part: object, *inputs: Any, **options: Any) -> tuple[Any, ...]:
    """Result and pullback, by the rule for ``part``; KeyError where there is none."""
    return _RULES[type(part)](part, *inputs, **options)


# Fully connected layers.


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.addmm(bias, x, weight.t())


_MINUS_ONE = torch.tensor(-1.0)


def _tanh_layer(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    # tanh(z) = 2 * sigmoid(2 * z) - 1: on CPUs torch's sigmoid takes a third of the time of its tanh.
    y = torch.addmm(bias, x, weight.t(), alpha=2.0, beta=2.0).sigmoid_()
    return torch.add(_MINUS_ONE, y, alpha=2.0, out=y)


class _Activation(NamedTuple):
    """How a layer with this activation is evaluated, and the activation's gradient."""

    layer: Callable[[Tensor, Tensor, Tensor], Tensor]  #: (x, weight, bias) -> what `backward` takes
    backward: Callable[[Tensor, Tensor], Tensor]  #: gradient of the output -> gradient of what was activated
    by_input: bool = False  #: whether `backward` takes what was activated, and not the output


_ACTIVATIONS: dict[str, _Activation] = {
    "tanh": _Activation(_tanh_layer, _aten.tanh_backward),
    "relu": _Activation(
        lambda x, weight, bias: _linear(x, weight, bias).relu_(),
        lambda gradient, y: _aten.threshold_backward(gradient, y, 0),
    ),
    "elu": _Activation(
        lambda x, weight, bias: functional.elu_(_linear(x, weight, bias)),
        lambda gradient, y: _aten.elu_backward(gradient, 1.0, 1.0, 1.0, True, y),
    ),
    "leaky_relu": _Activation(
        lambda x, weight, bias: functional.leaky_relu_(_linear(x, weight, bias)),
        lambda gradient, y: _aten.leaky_relu_backward(gradient, y, 0.01, True),
    ),
    "gelu": _Activation(_linear, _aten.gelu_backward, by_input=True),
    "silu": _Activation(_linear, _aten.silu_backward, by_input=True),
    "identity": _Activation(_linear, lambda gradient, y: gradient),
}


@rule(MLP)
def _mlp(mlp: MLP, x: Tensor, *, input_gradient: bool = False) -> tuple[Tensor, Pullback]:
    layer, backward, by_input = _ACTIVATIONS[mlp.activation]
    activate = ACTIVATIONS[mlp.activation]
    inputs, kept = [x], []
    for weight, bias in mlp.weights:
        kept.append(layer(inputs[-1], weight, bias))
        inputs.append(activate(kept[-1]) if by_input else kept[-1])

    def pullback(gradient: Tensor) -> Tensor | None:
        for index in range(len(mlp.weights) - 1, -1, -1):
            gradient = backward(gradient, kept[index])
            wanted = index > 0 or input_gradient
            gradient = _linear_pullback(gradient, inputs[index], *mlp.weights[index], input_gradient=wanted)
        return gradient if input_gradient else None

    return inputs[-1], pullback


def _linear_pullback(gradient: Tensor, x: Tensor, weight: Tensor, bias: Tensor, *, input_gradient: bool) -> Tensor:
    """The gradient of a linear layer's input ``x``; where that is not wanted, the layer's own gradient as it was."""
    if bias.grad is not None:
        torch.sum(gradient, 0, out=bias.grad)
    if weight.grad is not None:
        # Both orders give the same product; on CPUs a narrow matrix on the right costs four times as much.
        if x.shape[1] < gradient.shape[1]:
            torch.mm(x.t(), gradient, out=weight.grad.t())
        else:
            torch.mm(gradient.t(), x, out=weight.grad)
    return gradient @ weight if input_gradient else gradient


@rule(LayerNormMLP)
def _layer_norm_mlp(mlp: LayerNormMLP, x: Tensor, *, input_gradient: bool = False) -> tuple[Tensor, Pullback]:
    _, backward, by_input = _ACTIVATIONS[mlp.activation]
    activate = ACTIVATIONS[mlp.activation]
    inputs, kept, norm_pullbacks = [x], [], []
    for (weight, bias), norm in zip(mlp.weights, mlp.norms, strict=True):
        normalized, norm_pullback = vjp(norm, _linear(inputs[-1], weight, bias))
        inputs.append(activate(normalized))
        kept.append(normalized if by_input else inputs[-1])
        norm_pullbacks.append(norm_pullback)

    def pullback(gradient: Tensor) -> Tensor | None:
        for index in range(len(mlp.weights) - 1, -1, -1):
            gradient = norm_pullbacks[index](backward(gradient, kept[index]))
            wanted = index > 0 or input_gradient
            gradient = _linear_pullback(gradient, inputs[index], *mlp.weights[index], input_gradient=wanted)
        return gradient if input_gradient else None

    return inputs[-1], pullback


@rule(nn.LayerNorm)
def _layer_norm(norm: nn.LayerNorm, x: Tensor, *, input_gradient: bool = True) -> tuple[Tensor, Pullback]:
    """Of ``x`` [..., F], with weight and bias; its gradient is always given."""
    weight, bias, shape = norm.weight, norm.bias, list(norm.normalized_shape)
    result, mean, inverse_std = torch.native_layer_norm(x, shape, weight, bias, norm.eps)

    def pullback(gradient: Tensor) -> Tensor:
        wanted = [True, weight.grad is not None, bias.grad is not None]
        d_x: Tensor
        d_x, d_weight, d_bias = _aten.native_layer_norm_backward(
            gradient, x, shape, mean, inverse_std, weight, bias, wanted
        )
        for parameter, d_parameter in ((weight, d_weight), (bias, d_bias)):
            if parameter.grad is not None:
                parameter.grad.copy_(d_parameter)
        return d_x

    return result, pullback


# Action distributions.


@rule(Categorical)
def _categorical(
    distribution: Categorical, parameters: Tensor, actions: Tensor
) -> tuple[Tensor, Tensor, DistributionPullback]:
    """With p = softmax(z): d log p[a] / dz = onehot(a) - p, and dH / dz = -p * (log p + H)."""
    log_probs = torch.log_softmax(parameters, -1)
    probs = log_probs.exp()
    index = actions.unsqueeze(-1)
    log_prob = log_probs.gather(-1, index).squeeze(-1)
    entropy = torch.linalg.vecdot(probs, log_probs).neg_()

    def pullback(d_log_prob: Tensor, d_entropy: float) -> Tensor:
        column = d_log_prob.unsqueeze(-1)
        # The minimum that masks illegal actions is large enough to overflow when multiplied by a coefficient.
        inner = torch.add(log_probs, entropy.unsqueeze(-1)).mul_(probs).mul_(-d_entropy)
        return inner.addcmul_(probs, column, value=-1.0).scatter_add_(-1, index, column)

    return log_prob, entropy, pullback


@rule(MultiCategorical)
def _multi_categorical(
    distribution: MultiCategorical, parameters: Tensor, actions: Tensor
) -> tuple[Tensor, Tensor, DistributionPullback]:
    """Part by part."""
    rows = zip(distribution.parts, torch.split(parameters, distribution.sizes, -1), actions.unbind(-1), strict=True)
    log_probs, entropies, pullbacks = zip(*(_categorical(part, z, a) for part, z, a in rows), strict=True)

    def pullback(d_log_prob: Tensor, d_entropy: float) -> Tensor:
        return torch.cat([pull(d_log_prob, d_entropy) for pull in pullbacks], -1)

    return torch.stack(log_probs).sum(0), torch.stack(entropies).sum(0), pullback


@rule(Bernoulli)
def _bernoulli(
    distribution: Bernoulli, parameters: Tensor, actions: Tensor
) -> tuple[Tensor, Tensor, DistributionPullback]:
    """With p = sigmoid(z): d log p(a) / dz = a - p, and dH / dz = -z * p * (1 - p)."""
    probs = torch.sigmoid(parameters)
    softplus = functional.softplus(parameters)
    log_prob = (actions * parameters).sub_(softplus).sum(-1)
    entropy = softplus.addcmul_(probs, parameters, value=-1.0).sum(-1)

    def pullback(d_log_prob: Tensor, d_entropy: float) -> Tensor:
        slope = probs * (1 - probs)
        return torch.mul(actions - probs, d_log_prob.unsqueeze(-1)).addcmul_(slope, parameters, value=-d_entropy)

    return log_prob, entropy, pullback


@rule(DiagonalGaussian)
def _diagonal_gaussian(
    distribution: DiagonalGaussian, parameters: Tensor, actions: Tensor
) -> tuple[Tensor, Tensor, DistributionPullback]:
    """With e = (a - mean) / std: d log p / d mean = e / std, d log p / d log_std = e^2 - 1, dH / d log_std = 1."""
    mean, log_std = torch.split(parameters, distribution.dimensions, -1)
    inverse_std = torch.exp(-log_std)
    error = (actions - mean) * inverse_std
    square = error.square()
    log_std_sum = log_std.sum(-1)
    log_prob = torch.add(square.sum(-1).mul_(-0.5), log_std_sum, alpha=-1.0)
    log_prob.sub_(0.5 * LOG_2PI * distribution.dimensions)
    entropy = log_std_sum + (0.5 + 0.5 * LOG_2PI) * distribution.dimensions

    def pullback(d_log_prob: Tensor, d_entropy: float) -> Tensor:
        column = d_log_prob.unsqueeze(-1)
        return torch.cat((error * inverse_std * column, (square - 1.0).mul_(column).add_(d_entropy)), -1)

    return log_prob, entropy, pullback


@rule(SquashedGaussian)
def _squashed_gaussian(
    distribution: SquashedGaussian, parameters: Tensor, actions: Tensor
) -> tuple[Tensor, Tensor, DistributionPullback]:
    """As the Gaussian's, but for the entropy, where d log(1 - tanh(u)^2) / du = -2 * tanh(u)."""
    _, _, gaussian_pullback = _diagonal_gaussian(distribution, parameters, actions)

    def pullback(d_log_prob: Tensor, d_entropy: float) -> Tensor:
        gradient: Tensor = gaussian_pullback(d_log_prob, d_entropy)
        if d_entropy:
            mean, log_std = (x.unsqueeze(-1) for x in torch.split(parameters, distribution.dimensions, -1))
            noise = log_std.exp() * distribution.nodes.to(parameters)
            slopes = torch.tanh(mean + noise).mul_(distribution.weights.to(parameters)).mul_(-2.0 * d_entropy)
            gradient += torch.cat((slopes.sum(-1), noise.mul_(slopes).sum(-1)), -1)
        return gradient

    return distribution.log_prob(parameters, actions), distribution.entropy(parameters), pullback


@rule(Joint)
def _joint(joint: Joint, parameters: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, DistributionPullback]:
    """Part by part. One with conditions counts where they hold, and its entropy H as far as they are probable.

    With p_c(k) of each condition, choice c being k: d (H * prod p) / d p_c(k) = H * prod of the others, and through the
    softmax to logits z: dz = p * (dp - sum(p * dp)).
    """
    rows, taken = joint.split(parameters), joint.split_actions(actions)
    parts = {name: vjp(part, rows[name], taken[name]) for name, part in joint.distributions.items()}
    conditions = {name: part.conditions for name, part in joint.parts.items() if part.conditions}
    probs = {choice: torch.softmax(rows[choice], -1) for pairs in conditions.values() for choice, _ in pairs}
    holds = {name: _all([taken[choice] == number for choice, number in pairs]) for name, pairs in conditions.items()}
    chance = {name: _all([probs[choice][:, number] for choice, number in pairs]) for name, pairs in conditions.items()}
    log_prob, entropy = parameters.new_zeros(len(parameters)), parameters.new_zeros(len(parameters))
    for name, (part_log_prob, part_entropy, _) in parts.items():
        log_prob += part_log_prob * holds.get(name, 1)
        entropy += part_entropy * chance.get(name, 1)

    def pullback(d_log_prob: Tensor, d_entropy: float) -> Tensor:
        gradients, nothing = {}, torch.zeros_like(d_log_prob)
        d_probs = {choice: torch.zeros_like(x) for choice, x in probs.items()}
        for name, (_, part_entropy, part_pullback) in parts.items():
            if name not in conditions:
                gradients[name] = part_pullback(d_log_prob, d_entropy)
                continue
            spread = part_pullback(nothing, d_entropy) * chance[name].unsqueeze(-1)
            gradients[name] = spread.add_(part_pullback(d_log_prob * holds[name], 0.0))
            for condition in conditions[name]:
                other_probs = [
                    probs[choice][:, number] for choice, number in conditions[name] if (choice, number) != condition
                ]
                d_probs[condition[0]][:, condition[1]] += d_entropy * _all([part_entropy, *other_probs])
        for choice, d_p in d_probs.items():
            p = probs[choice]
            gradients[choice] += p * (d_p - (p * d_p).sum(-1, keepdim=True))
        return joint.join(gradients)

    return log_prob, entropy, pullback


def _all(factors: Sequence[Tensor]) -> Tensor:
    return math.prod(factors[1:], start=factors[0])
