"""What the policy and the value see of an observation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve

from framework.errors import FrameworkError
from framework.interfaces import Context, Encoder, Tensors
from framework.schema import suggest
from framework_ppo.config import PPOConfig


class View:
    """Some leaves of an observation: those that ``names`` are, or start with ``NAME/``; all where it is None.

    Raises `FrameworkError` about the ``option`` where a name fits no leaf.
    """

    def __init__(self, option: str, names: Sequence[str] | None, context: Context):
        leaves = sorted(context.observation_space)
        for name in names or ():
            if not any(_fits(leaf, name) for leaf in leaves):
                guess = suggest(name, leaves)
                advice = f'did you mean "{guess}"? ' if guess else ""
                raise FrameworkError(
                    f'{option} names "{name}", and no observation is called so: {advice}there are {", ".join(leaves)}'
                )
        self.leaves = None if names is None else [x for x in leaves if any(_fits(x, name) for name in names)]
        space = {leaf: context.observation_space[leaf] for leaf in self.leaves or leaves}
        self.context = context if self.leaves is None else evolve(context, observation_space=space)

    def __call__(self, observations: Tensors) -> Tensors:
        """These leaves alone."""
        return observations if self.leaves is None else {name: observations[name] for name in self.leaves}


def _fits(leaf: str, name: str) -> bool:
    return leaf == name or leaf.startswith(f"{name}/")


def make_encoders(config: PPOConfig, context: Context) -> tuple[dict[str, Encoder], dict[str, View]]:
    """The encoders and their views, for ``policy``, and for ``value`` where that has its own."""
    views = {"policy": View("policy_observations", config.policy_observations, context)}
    encoders = {"policy": _encoder(None, views["policy"].context)}
    if not config.share_encoder:
        views["value"] = View("value_observations", config.value_observations, context)
        encoders["value"] = _encoder(config.value_encoder, views["value"].context)
    return encoders, views


def _encoder(part: str | Mapping[str, Any] | None, context: Context) -> Encoder:
    """The pipeline's encoder, or the one that an option names."""
    if part is not None and context.make_part is not None:
        return context.make_part(part, context)
    if part is None and context.make_encoder is not None:
        return context.make_encoder(context)
    raise FrameworkError("ppo needs an encoder")
