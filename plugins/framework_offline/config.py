"""Options of the algorithms that learn from a dataset."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from framework.schema import option
from framework.toolkit.schedules import SCHEDULES, Schedule, check_schedule
from framework_offline.hints import HINTS


@frozen
class BCConfig:
    """Options of `bc`."""

    hints: ClassVar[dict[str, str]] = HINTS

    objective: str | None = option(
        None,
        function=True,
        help='Loss function, "module:function", with the arguments of the default, which is a function of '
        "framework_offline.objective.",
    )
    learning_rate: float = option(3e-4, help="Learning rate of AdamW.", gt=0)
    learning_rate_schedule: Schedule = option("constant", help=f"Schedule of the learning rate: {SCHEDULES}.")
    minibatch_size: int = option(256, help="Transitions per gradient step.", ge=1)
    updates_per_step: float = option(
        1.0, help="Gradient steps for each step, of run.offline_steps too; may be less than one.", gt=0
    )
    head_hidden: tuple[int, ...] = option(
        (), help="Width of each hidden layer between the encoder's features and the policy's outputs.", ge=1
    )
    log_std_min: float = option(-5.0, help="Smallest log standard deviation of real-valued actions.", le=0)
    initialization: str = option(
        "orthogonal",
        help='Initial weights of encoders and heads: "orthogonal", or "uniform", torch\'s default.',
        choices=("orthogonal", "uniform"),
    )
    max_gradient_norm: float = option(0.0, help="Maximum gradient norm; 0 disables clipping.", ge=0)
    weight_decay: float = option(
        0.0, help="Decoupled weight decay of AdamW; biases, norms and embeddings are excluded.", ge=0
    )
    adam_epsilon: float = option(1e-8, help="Epsilon of Adam, for numerical stability.", gt=0)

    def __attrs_post_init__(self) -> None:
        check_schedule(self.learning_rate_schedule, "learning_rate_schedule")


@frozen
class IQLConfig(BCConfig):
    """Options of `iql`; the defaults are those of Kostrikov et al. (2022) for locomotion."""

    gamma: float = option(0.99, help="Discount factor.", ge=0, le=1)
    expectile: float = option(
        0.7,
        help="Expectile of the value among the actions of the dataset: 0.5 is their mean, near 1 the best of them.",
        gt=0,
        lt=1,
    )
    temperature: float = option(
        3.0,
        help="Inverse temperature of the policy: 0 clones the dataset, more takes actions of high advantage.",
        ge=0,
    )
    weight_clip: float = option(100.0, help="Maximum of the weight exp(temperature * advantage).", gt=0)
    reward_scale: float = option(
        1.0, help="Factor of all rewards; advantages should be about 1, as their exponential is taken.", gt=0
    )
    critic_hidden: tuple[int, ...] = option(
        (256,), help="Width of each hidden layer of the critics, after the features and the action.", ge=1
    )
    target_tau: float = option(
        0.005, help="Soft update coefficient of the target critics (Polyak averaging): 1 is a copy.", gt=0, le=1
    )
