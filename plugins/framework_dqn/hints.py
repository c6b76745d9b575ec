"""What Stable-Baselines3 and CleanRL call the options of DQN."""

from __future__ import annotations

_PER_STEP = "give updates_per_step, gradient steps for each environment step"

HINTS = {
    "buffer_size": "it is replay.capacity",
    "batch_size": "it is named minibatch_size here",
    "train_freq": f"{_PER_STEP}: 0.25 is a train_freq of 4",
    "train_frequency": f"{_PER_STEP}: 0.25 is a train_frequency of 4",
    "gradient_steps": _PER_STEP,
    "tau": "it is named target_tau here",
    "target_network_frequency": "give target_update_interval, in gradient steps instead of environment steps",
    "exploration_fraction": "it is named epsilon_fraction here",
    "exploration_initial_eps": "it is named epsilon_start here",
    "exploration_final_eps": "it is named epsilon_end here",
    "start_e": "it is named epsilon_start here",
    "end_e": "it is named epsilon_end here",
    "max_grad_norm": "it is named max_gradient_norm here",
    "lr": "it is named learning_rate here",
    "net_arch": "it is encoder.hidden",
    "total_timesteps": "it is run.total_steps",
}
