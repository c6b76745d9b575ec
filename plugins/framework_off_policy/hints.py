"""What Stable-Baselines3 and CleanRL call the options of SAC, TD3 and TQC."""

from __future__ import annotations

_PER_STEP = "give updates_per_step, gradient steps for each environment step"

HINTS = {
    "buffer_size": "it is replay.capacity",
    "batch_size": "it is named minibatch_size here",
    "train_freq": _PER_STEP,
    "gradient_steps": _PER_STEP,
    "tau": "it is named target_tau here",
    "n_critics": "it is named critics here",
    "n_quantiles": "it is named quantiles here",
    "top_quantiles_to_drop_per_net": "it is named dropped_quantiles here",
    "net_arch": "give actor_hidden and critic_hidden, and an encoder without layers",
    "policy_lr": "it is named learning_rate here",
    "q_lr": "it is named critic_learning_rate here",
    "lr": "it is named learning_rate here",
    "actor_lr": "it is named learning_rate here",
    "critic_lr": "it is named critic_learning_rate here",
    "qf_learning_rate": "it is named critic_learning_rate here",
    "ent_coef": "give temperature, and learn_temperature = false where it is to stay what it is",
    "alpha": "give temperature, and learn_temperature = false where it is to stay what it is",
    "autotune": "it is named learn_temperature here",
    "dropout_rate": "it is named dropout here",
    "policy_frequency": "it is named policy_delay here",
    "policy_noise": "it is named target_noise here",
    "target_policy_noise": "it is named target_noise here",
    "noise_clip": "it is named target_noise_clip here",
    "action_noise": "give exploration_noise, the standard deviation of normal noise",
    "target_network_frequency": "the targets move after every gradient step, by target_tau",
    "target_update_interval": "the targets move after every gradient step, by target_tau",
    "max_grad_norm": "it is named max_gradient_norm here",
    "total_timesteps": "it is run.total_steps",
}
