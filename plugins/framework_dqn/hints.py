"""What Stable-Baselines3, CleanRL and Tianshou call the options of DQN."""

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
    "n_atoms": "it is named atoms here",
    "num_atoms": "it is named atoms here",
    "n_quantiles": 'give distribution = "quantile", and their number as atoms',
    "num_quantiles": 'give distribution = "quantile", and their number as atoms',
    "is_double": "it is named double here",
    "is_dueling": "it is named dueling here",
    "is_noisy": "it is named noisy here",
    "std_init": "it is named noisy_std here",
    "sigma_init": "it is named noisy_std here",
    "entropy_tau": "it is named munchausen_temperature here",
    "n_steps": "it is replay.n_step",
    "target_estimation_step": "it is replay.n_step",
    "lr": "it is named learning_rate here",
    "net_arch": "it is encoder.hidden",
    "total_timesteps": "it is run.total_steps",
}
