"""Options of the bonuses."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from framework.schema import option


@frozen
class CuriosityConfig:
    """Options that all bonuses have."""

    encoder: str | dict[str, Any] | None = option(
        None,
        part="encoder",
        help="Encoder of the bonus's own networks; by default new ones of the kind that the policy has. "
        "It must have no memory.",
    )
    episodic: bool = option(False, help="Whether the bonus's return stops where an episode ends.")
    learning_rate: float = option(1e-3, help="Step size of Adam.", gt=0)
    epochs: int = option(1, help="Times that each update goes through its rows.", ge=1)
    minibatch_size: int = option(256, help="Rows for each step of the optimizer.", ge=1)
    update_proportion: float = option(
        1.0,
        help="Share of a batch's steps that each epoch trains on: less keeps things new for longer.",
        gt=0,
        le=1,
        formerly="fraction",
    )
    normalize_rewards: bool = option(
        False, help="Divide rewards by the standard deviation of their running discounted sum."
    )
    gamma: float = option(0.99, help="Discount of that running sum.", ge=0, lt=1)


@frozen
class RNDConfig(CuriosityConfig):
    """Options of `rnd`."""

    learning_rate: float = option(1e-4, help="Step size of Adam.", gt=0)
    normalize_rewards: bool = option(
        True, help="Divide rewards by the standard deviation of their running discounted sum."
    )
    features: int = option(128, help="Numbers that the fixed network gives, and the trained one predicts.", ge=1)
    hidden: tuple[int, ...] = option(
        (128,), help="Width of each layer that the predicting network has more than the fixed one.", ge=1
    )


@frozen
class ICMConfig(CuriosityConfig):
    """Options of `icm`."""

    eta: float = option(0.01, help="Factor of the forward model's error that is the reward.", gt=0)
    beta: float = option(0.2, help="Weight of the forward model's loss; the inverse model's is 1 - beta.", ge=0, le=1)
    hidden: tuple[int, ...] = option((256,), help="Width of each layer of the forward and inverse models.", ge=1)


@frozen
class RandomFeaturesConfig(CuriosityConfig):
    """Options of `random_features`."""

    eta: float = option(0.01, help="Factor of the squared distance that is the reward.", gt=0)
    features: int = option(128, help="Number of random features.", ge=1)
    hidden: tuple[int, ...] = option(
        (16,), help="Width of each layer between a state and its reproduction; wide ones learn to copy any state.", ge=1
    )
