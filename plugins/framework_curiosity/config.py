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
        help="Encoder of the bonus's own networks, without memory; by default that of the pipeline, initialized anew.",
    )
    episodic: bool = option(False, help="Whether the intrinsic return is cut at the end of an episode.")
    learning_rate: float = option(1e-3, help="Learning rate of Adam.", gt=0)
    epochs: int = option(1, help="Passes over the batch in each update.", ge=1)
    minibatch_size: int = option(256, help="Environment steps per gradient step.", ge=1)
    update_proportion: float = option(
        1.0,
        help="Proportion of the batch that each epoch trains on: with less, novelty wears off more slowly.",
        gt=0,
        le=1,
        formerly="fraction",
    )
    normalize_rewards: bool = option(
        False, help="Divide rewards by the running standard deviation of the intrinsic return."
    )
    gamma: float = option(0.99, help="Discount factor of the return that rewards are normalized by.", ge=0, lt=1)


@frozen
class RNDConfig(CuriosityConfig):
    """Options of `rnd`."""

    learning_rate: float = option(1e-4, help="Learning rate of Adam.", gt=0)
    normalize_rewards: bool = option(
        True, help="Divide rewards by the running standard deviation of the intrinsic return."
    )
    features: int = option(128, help="Outputs of the random target network, which the predictor learns.", ge=1)
    hidden: tuple[int, ...] = option(
        (128,), help="Width of each additional hidden layer of the predictor, beyond those of the target network.", ge=1
    )


@frozen
class ICMConfig(CuriosityConfig):
    """Options of `icm`."""

    eta: float = option(0.01, help="Scale of the intrinsic reward, the forward model's error.", gt=0)
    beta: float = option(0.2, help="Weight of the forward loss; the inverse loss has 1 - beta.", ge=0, le=1)
    hidden: tuple[int, ...] = option((256,), help="Width of each hidden layer of the forward and inverse models.", ge=1)


@frozen
class RandomFeaturesConfig(CuriosityConfig):
    """Options of `random_features`."""

    eta: float = option(0.01, help="Scale of the intrinsic reward, the squared error.", gt=0)
    features: int = option(128, help="Number of random features.", ge=1)
    hidden: tuple[int, ...] = option(
        (16,), help="Width of each hidden layer of the autoencoder; wide ones learn to copy any state.", ge=1
    )
