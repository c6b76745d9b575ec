"""Options of PPO."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from attrs import evolve, frozen

from framework.schema import OptionError, option
from framework.toolkit.choices import INITIALIZATIONS, OPTIMIZER_HELP, OPTIMIZERS, WEIGHT_DECAY_HELP
from framework.toolkit.schedules import SCHEDULES, Schedule, check_schedule, scheduled
from framework_ppo.hints import HINTS


@frozen
class PPOConfig:
    """Options of `ppo`; the defaults are those of Schulman et al. (2017) for Atari, as far as they say."""

    hints: ClassVar[dict[str, str]] = HINTS

    objective: str | None = option(
        None,
        function=True,
        help='Loss function, "module:function", with the arguments of framework_ppo.objective:ppo_loss, the default.',
    )
    learning_rate: float = option(2.5e-4, help="Learning rate of the optimizer.", gt=0)
    learning_rate_schedule: Schedule = option("linear", help=f"Schedule of the learning rate: {SCHEDULES}.")
    clip_range: float = option(0.2, help="Clip range of the probability ratio between new and old policy.", gt=0)
    clip_range_schedule: Schedule = option("constant", help="Schedule of the clip range, as learning_rate_schedule.")
    epochs: int = option(4, help="Passes over the batch in each update.", ge=1)
    minibatch_size: int = option(
        256,
        help="Environment steps per gradient step, or the whole batch where it has fewer; the last minibatch of an "
        "epoch may have fewer.",
        ge=1,
    )
    slices: int = option(
        1,
        help="Parts of each minibatch whose gradients are computed apart and added up in order; as many processes as "
        "divide this may share the work, with equal results.",
        ge=1,
    )
    gamma: float = option(0.99, help="Discount factor.", ge=0, le=1)
    gae_lambda: float = option(
        0.95, help="Lambda of GAE: 0 is the one-step TD error, 1 the Monte Carlo return.", ge=0, le=1
    )
    normalize_advantages: bool | Literal["minibatch", "batch"] = option(
        True,
        help='Normalize the advantages of each "minibatch", as true does, or of the whole "batch", to mean 0 and'
        " standard deviation 1; false leaves them as they are.",
    )
    value_coefficient: float = option(0.5, help="Coefficient of the value loss, half the mean squared error.", ge=0)
    value_coefficient_schedule: Schedule = option(
        "constant", help="Schedule of the value coefficient, as learning_rate_schedule."
    )
    value_clip_range: float | None = option(
        None,
        help="Clip range of values around the recorded ones in the value loss; no clipping by default.",
        gt=0,
    )
    value_gain: float = option(
        1.0,
        help="Gain of the value head's initial weights. With 1, initial values are of size 1: where rewards are much "
        "smaller, choose a smaller gain, as the first advantages are errors of these values.",
        ge=0,
    )
    entropy_coefficient: float = option(0.01, help="Coefficient of the entropy bonus.", ge=0)
    entropy_coefficient_schedule: Schedule = option(
        "constant", help="Schedule of the entropy coefficient, as learning_rate_schedule."
    )
    max_gradient_norm: float = option(0.5, help="Maximum gradient norm; 0 disables clipping.", ge=0)
    weight_decay: float = option(0.0, help=WEIGHT_DECAY_HELP, ge=0)
    optimizer: str = option("adamw", help=OPTIMIZER_HELP, choices=OPTIMIZERS)
    adam_epsilon: float = option(1e-5, help="Epsilon of the optimizer, for numerical stability.", gt=0)
    target_kl: float | None = option(
        None,
        help="Early stopping: an update ends when the approximate KL divergence from the old policy exceeds this.",
        gt=0,
    )
    initialization: str = option(
        "orthogonal",
        help='Initial weights of encoders and heads: "orthogonal", or "uniform", torch\'s default, which has no gains.',
        choices=INITIALIZATIONS,
    )
    share_encoder: bool = option(False, help="Whether policy and value share one encoder; recommended for images.")
    value_encoder: str | dict[str, Any] | None = option(
        None,
        part="encoder",
        help="Encoder of the value; by default one as the policy has, initialized anew.",
    )
    policy_observations: tuple[str, ...] | None = option(
        None,
        help="Observations that the policy's encoder gets, by name, or NAME for all that start with NAME/; by default"
        " all. What is not among them never reaches the policy.",
    )
    value_observations: tuple[str, ...] | None = option(
        None, help="Observations that the value's encoder gets, likewise; by default all."
    )
    actor_hidden: tuple[int, ...] = option(
        (), help="Width of each hidden layer between the encoder and the outputs of the policy.", ge=1
    )
    critic_hidden: tuple[int, ...] = option(
        (), help="Width of each hidden layer between the encoder and the value.", ge=1
    )
    head_activation: str = option(
        "tanh",
        help="Activation function of these hidden layers.",
        choices=("tanh", "relu", "elu", "leaky_relu", "gelu", "silu"),
    )
    action_head: str = option(
        "flat",
        help='Inputs of the action head: "flat", all features, or "tokens", for each action the token that it is about'
        " (TokenDiscrete actions, and an encoder with tokens).",
        choices=("flat", "tokens"),
    )
    normalize_observations: bool = option(
        False, help="Normalize observations, but for images, to running mean 0 and standard deviation 1."
    )
    observation_clip: float = option(
        10.0, help="Clips normalized observations to [-observation_clip, observation_clip].", gt=0
    )
    normalize_rewards: bool = option(
        False, help="Divide rewards by the running standard deviation of the discounted return."
    )
    reward_clip: float | None = option(
        None,
        help="Clips rewards, after normalization, to [-reward_clip, reward_clip]; by default 10 if normalized.",
        gt=0,
    )
    sil_updates: int = option(
        4, help="Gradient steps of self-imitation learning after each update, if the pipeline has a [replay].", ge=1
    )
    sil_batch_size: int = option(512, help="Past environment steps per gradient step of self-imitation learning.", ge=1)
    sil_coefficient: float = option(0.1, help="Coefficient of the self-imitation loss.", ge=0)
    sil_value_coefficient: float = option(
        0.01, help="Coefficient of the value loss within the self-imitation loss.", ge=0
    )
    action_distribution: str = option(
        "gaussian",
        help='Distribution of continuous actions: "gaussian", clipped where the environment is stepped, or "squashed"'
        " into the bounds of the Box by tanh.",
        choices=("gaussian", "squashed"),
    )
    log_std_init: float = option(0.0, help="Initial log standard deviation of continuous actions.")
    state_dependent_std: bool = option(
        False,
        help="Whether the action head gives the log standard deviations too; by default they are parameters of their"
        " own, the same in every state.",
    )
    gsde: bool = option(
        False,
        help="Generalized state-dependent exploration: the noise of actions is a linear function of the features, the"
        " same for some steps.",
    )
    gsde_interval: int | None = option(
        None, help="Environment steps after which gsde draws another function; by default the rollout length.", ge=1
    )

    def __attrs_post_init__(self) -> None:
        for name in ("learning_rate", "clip_range", "value_coefficient", "entropy_coefficient"):
            check_schedule(getattr(self, f"{name}_schedule"), f"{name}_schedule")
        if self.gsde and self.state_dependent_std:
            raise OptionError("must be false with gsde, which has state-dependent deviations", "state_dependent_std")
        for name in ("policy_observations", "value_observations"):
            if getattr(self, name) == ():
                raise OptionError("must name at least one observation", name)
        if self.share_encoder:
            for name in ("value_encoder", "value_observations"):
                if getattr(self, name) is not None:
                    raise OptionError("is for a value with an encoder of its own: share_encoder must be false", name)
        if self.actor_hidden and self.action_head == "tokens":
            raise OptionError('are layers over all features: action_head must be "flat"', "actor_hidden")

    def at(self, progress: float) -> PPOConfig:
        """The options with the coefficients that their schedules give; the same where all are constant."""
        names = ("value_coefficient", "entropy_coefficient")
        schedules = {name: getattr(self, f"{name}_schedule") for name in names}
        changed = {
            name: scheduled(getattr(self, name), schedule, progress)
            for name, schedule in schedules.items()
            if schedule != "constant"
        }
        return evolve(self, **changed) if changed else self
