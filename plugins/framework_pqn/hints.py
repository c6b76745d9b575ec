"""What CleanRL and purejaxql call the options of PQN."""

from __future__ import annotations

_ROLLOUT = "it is sampling.rollout_length"
_ENVIRONMENTS = "it is sampling.environments"
_STEPS = "it is run.total_steps"
_SCHEDULE = "give learning_rate_schedule"
_MINIBATCHES = "give minibatch_size: environments times rollout_length, divided by their number"
_LEARNING_RATE = "it is named learning_rate here"
_NORM = "it is named max_gradient_norm here"
_EPOCHS = "it is named epochs here"
_START = "it is named epsilon_start here"
_END = "it is named epsilon_end here"
_FRACTION = "it is named epsilon_fraction here"
_LAMBDA = "it is named q_lambda here"

HINTS = {
    # CleanRL
    "num_envs": _ENVIRONMENTS,
    "num_steps": _ROLLOUT,
    "num_minibatches": _MINIBATCHES,
    "update_epochs": _EPOCHS,
    "anneal_lr": _SCHEDULE,
    "max_grad_norm": _NORM,
    "start_e": _START,
    "end_e": _END,
    "exploration_fraction": _FRACTION,
    "total_timesteps": _STEPS,
    # purejaxql
    "NUM_ENVS": _ENVIRONMENTS,
    "NUM_STEPS": _ROLLOUT,
    "NUM_MINIBATCHES": _MINIBATCHES,
    "NUM_EPOCHS": _EPOCHS,
    "TOTAL_TIMESTEPS": _STEPS,
    "LR": _LEARNING_RATE,
    "LR_LINEAR_DECAY": _SCHEDULE,
    "MAX_GRAD_NORM": _NORM,
    "GAMMA": "it is named gamma here",
    "LAMBDA": _LAMBDA,
    "EPS_START": _START,
    "EPS_FINISH": _END,
    "EPS_DECAY": _FRACTION,
    "NORM_INPUT": "give normalize_observations, which keeps running moments and no batch normalization",
    "NORM_TYPE": "give layer_norm, and layer_norm in [encoder]",
    "HIDDEN_SIZE": "it is encoder.hidden, a width for each layer",
    "NUM_LAYERS": "it is encoder.hidden, a width for each layer",
    # both, in other words
    "lr": _LEARNING_RATE,
    "lam": _LAMBDA,
    "lambda": _LAMBDA,
    "batch_size": "it is named minibatch_size here",
    "net_arch": "it is encoder.hidden",
    "buffer_size": "there is no replay buffer here: leave it out",
    "target_network_frequency": "there is no target network here: leave it out",
}
