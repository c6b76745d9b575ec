"""Options of PQN."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from framework.schema import OptionError, option
from framework.toolkit.choices import INITIALIZATIONS, OPTIMIZER_HELP, OPTIMIZERS, WEIGHT_DECAY_HELP
from framework.toolkit.schedules import SCHEDULES, Schedule, check_schedule
from framework_pqn.hints import HINTS


@frozen
class PQNConfig:
    """Options of `pqn`. Layers of the encoder have a layer normalization of their own: set ``layer_norm`` there too."""

    hints: ClassVar[dict[str, str]] = HINTS

    objective: str | None = option(
        None,
        function=True,
        help='Loss function, "module:function", with the arguments of framework_pqn.objective:pqn_loss, the default.',
    )
    learning_rate: float = option(2.5e-4, help="Learning rate of the optimizer.", gt=0)
    learning_rate_schedule: Schedule = option("linear", help=f"Schedule of the learning rate: {SCHEDULES}.")
    gamma: float = option(0.99, help="Discount factor.", ge=0, le=1)
    q_lambda: float = option(
        0.65,
        help="Lambda of Q(lambda): 0 is one-step Q-learning, 1 the return until the rollout or the episode ends.",
        ge=0,
        le=1,
    )
    epochs: int = option(4, help="Passes over the batch in each update.", ge=1)
    minibatch_size: int = option(
        128,
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
    head_hidden: tuple[int, ...] = option(
        (128,), help="Width of each hidden layer between the encoder's features and the values.", ge=1
    )
    layer_norm: bool = option(
        True,
        help="Layer normalization before each activation of the head; values may diverge without any: there is no "
        "target network.",
    )
    initialization: str = option(
        "orthogonal",
        help='Initial weights of encoder and head: "orthogonal", or "uniform", torch\'s default.',
        choices=INITIALIZATIONS,
    )
    epsilon_start: float = option(1.0, help="Initial probability of a random action.", ge=0, le=1)
    epsilon_end: float = option(0.05, help="Final probability of a random action.", ge=0, le=1)
    epsilon_fraction: float = option(
        0.5, help="Fraction of the run over which epsilon is annealed, linearly.", ge=0, le=1
    )
    normalize_observations: bool = option(
        False, help="Normalize observations, but for images, to running mean 0 and standard deviation 1."
    )
    observation_clip: float = option(
        10.0, help="Clips normalized observations to [-observation_clip, observation_clip].", gt=0
    )
    normalize_rewards: bool = option(
        False, help="Divide the environment's rewards by the running standard deviation of the discounted return."
    )
    reward_clip: float | None = option(
        None,
        help="Clips the environment's rewards, after normalization, to [-reward_clip, reward_clip]; by default 10 if "
        "normalized.",
        gt=0,
    )
    max_gradient_norm: float = option(10.0, help="Maximum gradient norm; 0 disables clipping.", ge=0)
    optimizer: str = option("radam", help=OPTIMIZER_HELP, choices=OPTIMIZERS)
    weight_decay: float = option(0.0, help=WEIGHT_DECAY_HELP, ge=0)
    adam_epsilon: float = option(1e-8, help="Epsilon of the optimizer, for numerical stability.", gt=0)

    def __attrs_post_init__(self) -> None:
        check_schedule(self.learning_rate_schedule, "learning_rate_schedule")
        if self.epsilon_end > self.epsilon_start:
            raise OptionError(f"must not exceed epsilon_start, which is {self.epsilon_start}", "epsilon_end")
