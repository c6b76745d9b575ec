"""Options of DQN."""

from __future__ import annotations

from attrs import frozen

from framework.schema import OptionError, option

SCHEDULES = ("linear", "constant")


@frozen
class DQNConfig:
    """Options of `dqn`; how many steps a transition has, and which are sampled, is the replay buffer's to say."""

    objective: str | None = option(
        None,
        function=True,
        help='What is minimised, "module:function", of the arguments of framework_dqn.objective:dqn_loss; by default'
        " that.",
    )
    learning_rate: float = option(5e-4, help="Step size of AdamW.", gt=0)
    learning_rate_schedule: str = option(
        "constant", help='"linear": falls to 0 at the end of the run; "constant".', choices=SCHEDULES
    )
    gamma: float = option(0.99, help="Discount of future rewards.", ge=0, le=1)
    minibatch_size: int = option(64, help="Transitions for each step of the optimizer.", ge=1)
    updates_per_step: float = option(
        0.25,
        help="Gradient steps for each environment step that is collected; may be less than one.",
        gt=0,
        formerly="gradient_steps_per_step",
    )
    learning_starts: int = option(1000, help="Environment steps that are collected before the first is learned.", ge=0)
    double: bool = option(
        True, help="Choose the next action by the network and value it by the target, instead of both by the target."
    )
    dueling: bool = option(
        False, help="A head for the value of the state and one for the advantages of the actions, added up."
    )
    head_hidden: tuple[int, ...] = option(
        (), help="Width of each layer between the encoder's features and the values, in each head.", ge=1
    )
    initialization: str = option(
        "uniform",
        help='How the weights of encoder and heads are drawn at first: "uniform", torch\'s own, or'
        ' "orthogonal", with which DQN learns more slowly.',
        choices=("uniform", "orthogonal"),
    )
    target_update_interval: int = option(
        250, help="Gradient steps between two updates of the target network.", ge=1, formerly="target_interval"
    )
    target_tau: float = option(
        1.0, help="How far the target network then moves to the network: 1 makes it the same.", gt=0, le=1
    )
    huber_delta: float = option(
        1.0,
        help="Delta of the Huber loss: smaller errors count squared, larger ones linearly.",
        gt=0,
        formerly="huber_threshold",
    )
    reward_clip: float | None = option(None, help="Bound of the environment's rewards.", gt=0)
    epsilon_start: float = option(1.0, help="Probability of a random action at the start of the run.", ge=0, le=1)
    epsilon_end: float = option(0.05, help="Probability of a random action from `epsilon_fraction` on.", ge=0, le=1)
    epsilon_fraction: float = option(
        0.1, help="Share of the run in which the probability of a random action changes from first to last.", ge=0, le=1
    )
    epsilon_ladder: float = option(
        0.0,
        help="How much less the last environment of a shard explores than the first, as an exponent: environment i "
        "of N takes a random action with probability epsilon ** (1 + epsilon_ladder * i / (N - 1)).",
        ge=0,
    )
    max_gradient_norm: float = option(10.0, help="Longer gradients are cut to this norm; 0 cuts none.", ge=0)
    weight_decay: float = option(
        0.0, help="Decoupled weight decay of AdamW; biases, norms and embeddings are spared.", ge=0
    )
    adam_epsilon: float = option(1e-8, help="Added to the denominator of Adam's step.", gt=0)

    def __attrs_post_init__(self) -> None:
        if self.epsilon_end > self.epsilon_start:
            raise OptionError(f"must not exceed epsilon_start, which is {self.epsilon_start}", "epsilon_end")
