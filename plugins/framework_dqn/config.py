"""Options of DQN."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from framework.schema import OptionError, option
from framework.toolkit.choices import INITIALIZATIONS, OPTIMIZER_HELP, OPTIMIZERS, WEIGHT_DECAY_HELP
from framework.toolkit.schedules import SCHEDULES, Schedule, check_schedule
from framework_dqn.hints import HINTS


@frozen
class DQNConfig:
    """Options of `dqn`. N-step returns and the sampling of transitions are options of the replay buffer."""

    hints: ClassVar[dict[str, str]] = HINTS

    objective: str | None = option(
        None,
        function=True,
        help='Loss function, "module:function", with the arguments of those in framework_dqn.objective, of which the '
        "distribution's is the default.",
    )
    learning_rate: float = option(5e-4, help="Learning rate of the optimizer.", gt=0)
    learning_rate_schedule: Schedule = option("constant", help=f"Schedule of the learning rate: {SCHEDULES}.")
    gamma: float = option(0.99, help="Discount factor.", ge=0, le=1)
    minibatch_size: int = option(
        64, help="Transitions per gradient step; with memory, of whole sequences, at least one.", ge=1
    )
    slices: int = option(
        1,
        help="Parts of each minibatch whose gradients are computed apart and added up in order; as many processes as "
        "divide this may share the work, with equal results.",
        ge=1,
    )
    updates_per_step: float = option(
        0.25,
        help="Gradient steps for each environment step that is collected; may be less than one.",
        gt=0,
        formerly="gradient_steps_per_step",
    )
    learning_starts: int = option(1000, help="Environment steps collected before learning starts.", ge=0)
    double: bool = option(
        True, help="Double Q-learning: the network selects the next action, the target network evaluates it."
    )
    dueling: bool = option(
        False, help="Dueling network: one head for the state's value and one for the actions' advantages."
    )
    distribution: str = option(
        "none",
        help='What is predicted of each action\'s return: "none", its mean; "categorical", probabilities of atoms '
        '(C51); "quantile", quantiles (QR-DQN). The greedy action has the greatest mean.',
        choices=("none", "categorical", "quantile"),
    )
    atoms: int = option(51, help="Atoms of categorical distributions, or the number of quantiles.", ge=2)
    v_min: float = option(-10.0, help="Return of the lowest atom of categorical distributions; lower ones count as it.")
    v_max: float = option(
        10.0, help="Return of the highest atom of categorical distributions; higher ones count as it."
    )
    noisy: bool = option(
        False, help="Noisy networks: the heads' layers have noise that is learned, which explores in place of epsilon."
    )
    noisy_std: float = option(
        0.5, help="Initial standard deviation of the noise, times the square root of a layer's inputs.", gt=0
    )
    munchausen: bool = option(
        False,
        help="Munchausen DQN: targets of the target network's softmax policy, whose log-probability of the action is "
        "added to the reward. No action is selected in the targets, so double has no effect.",
    )
    munchausen_alpha: float = option(0.9, help="Factor of the log-policy that is added to the reward.", ge=0, le=1)
    munchausen_temperature: float = option(
        0.03, help="Temperature of the softmax policy, and factor of its entropy in the targets.", gt=0
    )
    munchausen_clip: float = option(
        -1.0, help="Lower bound of temperature times log-policy, before it is added to the reward.", le=0
    )
    head_hidden: tuple[int, ...] = option(
        (), help="Width of each hidden layer between the encoder's features and the values, in each head.", ge=1
    )
    initialization: str = option(
        "uniform",
        help='Initial weights of encoder and heads: "uniform", torch\'s default, or "orthogonal", with which DQN learns'
        " more slowly.",
        choices=INITIALIZATIONS,
    )
    target_update_interval: int = option(
        250, help="Gradient steps between two updates of the target network.", ge=1, formerly="target_interval"
    )
    target_tau: float = option(
        1.0, help="Soft update coefficient of the target network (Polyak averaging): 1 is a copy.", gt=0, le=1
    )
    huber_delta: float = option(
        1.0,
        help="Delta of the Huber loss: smaller errors count squared, larger ones linearly.",
        gt=0,
        formerly="huber_threshold",
    )
    value_rescaling: bool = option(
        False,
        help="Rescaled values: they stand for returns by h(x) = sign(x) (sqrt(|x| + 1) - 1) + x / 1000, so that large"
        " ones need no clipping of rewards.",
    )
    sequence_length: int | None = option(
        None,
        help="Steps of each sequence that an encoder with memory learns from. A sequence begins with each trajectory: "
        "longer ones than sampling.rollout_length, the default, overlap.",
        ge=1,
    )
    burn_in: int = option(
        0,
        help="Steps before those of each sequence, which only bring its stored memory up to date.",
        ge=0,
    )
    priority_eta: float = option(
        0.9, help="Weight of the largest absolute error of a sequence in its priority, beside their mean.", ge=0, le=1
    )
    reward_clip: float | None = option(
        None, help="Clips the environment's rewards to [-reward_clip, reward_clip].", gt=0
    )
    epsilon_start: float | None = option(
        None,
        help="Initial probability of a random action; by default 1, or with noisy networks epsilon_end.",
        ge=0,
        le=1,
    )
    epsilon_end: float | None = option(
        None, help="Final probability of a random action; by default 0.05, or 0 with noisy networks.", ge=0, le=1
    )
    epsilon_fraction: float = option(
        0.1, help="Fraction of the run over which epsilon is annealed, linearly.", ge=0, le=1
    )
    epsilon_ladder: float = option(
        0.0,
        help="Spread of epsilon over the N environments of a shard, as in Ape-X: environment i has "
        "epsilon ** (1 + epsilon_ladder * i / (N - 1)).",
        ge=0,
    )
    max_gradient_norm: float = option(10.0, help="Maximum gradient norm; 0 disables clipping.", ge=0)
    weight_decay: float = option(0.0, help=WEIGHT_DECAY_HELP, ge=0)
    optimizer: str = option("adamw", help=OPTIMIZER_HELP, choices=OPTIMIZERS)
    adam_epsilon: float = option(1e-8, help="Epsilon of the optimizer, for numerical stability.", gt=0)

    def __attrs_post_init__(self) -> None:
        check_schedule(self.learning_rate_schedule, "learning_rate_schedule")
        start, end = self.epsilons
        if end > start:
            raise OptionError(f"must not exceed epsilon_start, which is {start}", "epsilon_end")
        if self.munchausen and self.value_rescaling:
            raise OptionError(
                "must be false with munchausen, whose temperature is in units of rewards", "value_rescaling"
            )
        if self.v_min >= self.v_max:
            raise OptionError(f"must be above v_min, which is {self.v_min}", "v_max")

    @property
    def epsilons(self) -> tuple[float, float]:
        """Initial and final probability of a random action: where the options leave them open, noise explores alone."""
        end = self.epsilon_end
        if end is None:
            end = 0.0 if self.noisy else 0.05
        if self.epsilon_start is not None:
            return self.epsilon_start, end
        return (end if self.noisy else 1.0), end
