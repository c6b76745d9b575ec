"""Options of SAC, TD3 and TQC."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from framework.schema import OptionError, option
from framework.toolkit.schedules import SCHEDULES, Schedule, check_schedule
from framework_off_policy.hints import HINTS

ACTIVATIONS = ("relu", "tanh", "elu", "leaky_relu", "gelu", "silu")
_OBJECTIVE = (
    'Loss function of the {}, "module:function", with the arguments of its default in framework_off_policy.objective.'
)


@frozen
class ActorCriticConfig:
    """Options of all. N-step returns and the sampling of transitions are options of the replay buffer."""

    hints: ClassVar[dict[str, str]] = HINTS

    critic_objective: str | None = option(None, function=True, help=_OBJECTIVE.format("critics"))
    actor_objective: str | None = option(None, function=True, help=_OBJECTIVE.format("actor"))
    learning_rate: float = option(3e-4, help="Learning rate of AdamW.", gt=0)
    critic_learning_rate: float | None = option(
        None, help="Learning rate of the critics; by default learning_rate.", gt=0
    )
    learning_rate_schedule: Schedule = option("constant", help=f"Schedule of all learning rates: {SCHEDULES}.")
    gamma: float = option(0.99, help="Discount factor.", ge=0, le=1)
    minibatch_size: int = option(256, help="Transitions per gradient step.", ge=1)
    updates_per_step: float = option(
        1.0, help="Gradient steps for each environment step that is collected; may be less than one.", gt=0
    )
    learning_starts: int = option(
        1000, help="Environment steps collected before learning starts, with uniformly random actions.", ge=0
    )
    policy_delay: int = option(1, help="Gradient steps of the critics for each of the actor.", ge=1)
    critics: int = option(2, help="Number of critics.", ge=1)
    actor_hidden: tuple[int, ...] = option(
        (256, 256), help="Width of each hidden layer between the encoder's features and the actor's output.", ge=1
    )
    critic_hidden: tuple[int, ...] = option(
        (256, 256),
        help="Width of each hidden layer between features, joined by the action, and a value.",
        ge=1,
    )
    activation: str = option("relu", help="Activation function of these layers.", choices=ACTIVATIONS)
    layer_norm: bool = option(False, help="Layer normalization in the critics, before each activation.")
    dropout: float = option(0.0, help="Probability of dropping a unit in each hidden layer of the critics.", ge=0, lt=1)
    initialization: str = option(
        "uniform",
        help='Initial weights of encoders, actor and critics: "uniform", torch\'s default, or "orthogonal".',
        choices=("uniform", "orthogonal"),
    )
    target_tau: float = option(
        0.005, help="Soft update coefficient of the target networks (Polyak averaging): 1 is a copy.", gt=0, le=1
    )
    normalize_observations: bool = option(
        False, help="Normalize observations, but for images, to running mean 0 and standard deviation 1."
    )
    observation_clip: float = option(
        10.0, help="Clips normalized observations to [-observation_clip, observation_clip].", gt=0
    )
    reward_scale: float = option(1.0, help="Factor of the environment's rewards, before bonuses are added.", gt=0)
    max_gradient_norm: float = option(
        0.0, help="Maximum gradient norm, of the actor's and of the critics' each; 0 disables clipping.", ge=0
    )
    weight_decay: float = option(
        0.0, help="Decoupled weight decay of AdamW; biases, norms and embeddings are excluded.", ge=0
    )
    adam_epsilon: float = option(1e-8, help="Epsilon of Adam, for numerical stability.", gt=0)

    def __attrs_post_init__(self) -> None:
        check_schedule(self.learning_rate_schedule, "learning_rate_schedule")


@frozen
class SACConfig(ActorCriticConfig):
    """Options of `sac`; the defaults are those of Haarnoja et al. (2018), "Algorithms and applications"."""

    temperature: float = option(1.0, help="Initial temperature, the coefficient of the entropy.", gt=0)
    learn_temperature: bool = option(True, help="Whether the temperature is learned, to hold the target entropy.")
    temperature_learning_rate: float | None = option(
        None, help="Learning rate of the temperature; by default learning_rate.", gt=0
    )
    target_entropy: float | None = option(
        None,
        help="Entropy that the temperature is to hold, in nats, of actions scaled to [-1, 1]; by default minus their "
        "number, or target_entropy_fraction of what Discrete actions have at most.",
    )
    target_entropy_fraction: float = option(
        0.98,
        help="With Discrete actions, the target entropy as a fraction of the logarithm of the number of legal actions.",
        ge=0,
        le=1,
    )
    log_std_min: float = option(-20.0, help="Lower bound of the log standard deviation before squashing.")
    log_std_max: float = option(2.0, help="Upper bound of the log standard deviation before squashing.")

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.log_std_min >= self.log_std_max:
            raise OptionError(f"must be less than log_std_max, which is {self.log_std_max}", "log_std_min")


@frozen
class TD3Config(ActorCriticConfig):
    """Options of `td3`; the defaults are those of Fujimoto et al. (2018) but for the learning rate."""

    policy_delay: int = option(2, help="Gradient steps of the critics for each of the actor and the targets.", ge=1)
    exploration_noise: float = option(
        0.1, help="Standard deviation of the noise on actions, which are scaled to [-1, 1].", ge=0
    )
    target_noise: float = option(
        0.2, help="Standard deviation of the noise on the target's actions (target policy smoothing).", ge=0
    )
    target_noise_clip: float = option(0.5, help="Clips that noise to [-target_noise_clip, target_noise_clip].", ge=0)


@frozen
class TQCConfig(SACConfig):
    """Options of `tqc`; the defaults are those of Kuznetsov et al. (2020), with fewer critics and units."""

    quantiles: int = option(25, help="Quantiles of each critic.", ge=1)
    dropped_quantiles: int = option(
        2, help="The targets leave out so many of the largest quantiles for each critic.", ge=0
    )
    huber_delta: float = option(
        1.0, help="Delta of the quantile Huber loss: smaller errors count squared, larger ones linearly.", gt=0
    )

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.dropped_quantiles >= self.quantiles:
            raise OptionError(f"must be less than quantiles, which is {self.quantiles}", "dropped_quantiles")
