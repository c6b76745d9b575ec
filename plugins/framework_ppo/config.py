"""Options of PPO."""

from __future__ import annotations

from attrs import frozen

from framework.schema import option

SCHEDULES = ("linear", "constant")


@frozen
class PPOConfig:
    """Options of `ppo`; the defaults are those of Schulman et al. (2017) for Atari, as far as they say."""

    objective: str | None = option(
        None,
        function=True,
        help='What is minimised, "module:function", of the arguments of framework_ppo.objective:ppo_loss; by default'
        " that.",
    )
    learning_rate: float = option(2.5e-4, help="Step size of AdamW.", gt=0)
    learning_rate_schedule: str = option(
        "linear", help='"linear": falls to 0 at the end of the run; "constant".', choices=SCHEDULES
    )
    clip_range: float = option(
        0.2, help="How far the ratio of new to old probability may move from 1 before the gradient stops.", gt=0
    )
    clip_range_schedule: str = option("constant", help="As learning_rate_schedule.", choices=SCHEDULES)
    epochs: int = option(4, help="Times that each update goes through its batch.", ge=1)
    minibatch_size: int = option(
        256, help="Environment steps for each step of the optimizer; the last of an epoch may have fewer.", ge=1
    )
    gamma: float = option(0.99, help="Discount of future rewards.", ge=0, le=1)
    gae_lambda: float = option(
        0.95, help="Weight of longer returns in advantages: 0 is one step, 1 all of them.", ge=0, le=1
    )
    normalize_advantages: bool = option(
        True, help="Bring the advantages of each minibatch to mean 0 and standard deviation 1."
    )
    value_coefficient: float = option(0.5, help="Weight of half the squared error of the values.", ge=0)
    value_clip_range: float | None = option(
        None,
        help="How far a value may move from the recorded one before its gradient stops; unlimited by default.",
        gt=0,
    )
    value_gain: float = option(
        1.0,
        help="Gain of the value head's first weights. With 1, first values are as large as 1: where rewards are much "
        "smaller, choose a small one, as actions are first learned from the values' errors.",
        ge=0,
    )
    entropy_coefficient: float = option(0.01, help="Weight of the policy's entropy.", ge=0)
    max_gradient_norm: float = option(0.5, help="Longer gradients are cut to this norm; 0 cuts none.", ge=0)
    weight_decay: float = option(
        0.0, help="Decoupled weight decay of AdamW; biases, norms and embeddings are spared.", ge=0
    )
    adam_epsilon: float = option(1e-5, help="Added to the denominator of Adam's step.", gt=0)
    target_kl: float | None = option(
        None,
        help="End an update when a minibatch's approximate KL divergence from the acting policy exceeds this.",
        gt=0,
    )
    share_encoder: bool = option(
        False, help="One encoder for policy and value; by default each has its own. Images are better shared."
    )
    action_head: str = option(
        "flat",
        help='What actions are read from: "flat", all features at once, or "tokens", each from the token that it is '
        "about, where the environment says which and the encoder makes tokens.",
        choices=("flat", "tokens"),
    )
    normalize_observations: bool = option(
        False, help="Bring each observation that is no image to mean 0 and standard deviation 1."
    )
    observation_clip: float = option(10.0, help="Bound of normalized observations.", gt=0)
    normalize_rewards: bool = option(
        False, help="Divide rewards by the standard deviation of the running discounted return."
    )
    reward_clip: float | None = option(
        None, help="Bound of the rewards, after they were normalized; by default 10 for normalized ones.", gt=0
    )
    sil_updates: int = option(
        4, help="Steps of self-imitation after each update, where the pipeline has a [replay]; else none.", ge=1
    )
    sil_batch_size: int = option(512, help="Past environment steps for each step of self-imitation.", ge=1)
    sil_coefficient: float = option(0.1, help="Weight of the loss of self-imitation.", ge=0)
    sil_value_coefficient: float = option(
        0.01, help="Weight of half the squared error of the values within the loss of self-imitation.", ge=0
    )
    log_std_init: float = option(0.0, help="Logarithm of the first standard deviation of real-valued actions.")
