"""What Stable-Baselines3 and CleanRL call the options of PPO."""

from __future__ import annotations

_ROLLOUT = "it is sampling.rollout_length"
_EPOCHS = "it is named epochs here"
_NORMALIZE = "it is named normalize_advantages here"

HINTS = {
    "n_steps": _ROLLOUT,
    "num_steps": _ROLLOUT,
    "n_envs": "it is sampling.environments",
    "num_envs": "it is sampling.environments",
    "n_epochs": _EPOCHS,
    "update_epochs": _EPOCHS,
    "batch_size": "it is named minibatch_size here",
    "num_minibatches": "give minibatch_size: environments times rollout_length, divided by their number",
    "ent_coef": "it is named entropy_coefficient here",
    "vf_coef": "it is named value_coefficient here, of half the squared error: twice vf_coef of Stable-Baselines3",
    "clip_coef": "it is named clip_range here",
    "clip_range_vf": "it is named value_clip_range here",
    "clip_vloss": "give value_clip_range",
    "max_grad_norm": "it is named max_gradient_norm here",
    "normalize_advantage": _NORMALIZE,
    "norm_adv": _NORMALIZE,
    "ortho_init": 'give initialization: "uniform" is False',
    "anneal_lr": "give learning_rate_schedule",
    "lr": "it is named learning_rate here",
    "use_sde": "it is named gsde here",
    "sde_sample_freq": "it is named gsde_interval here",
    "full_std": "gsde always has a deviation for each feature and action",
    "use_expln": "gsde always takes the exponential",
    "squash_output": 'give action_distribution = "squashed"; it needs no gsde',
    "init_noise_std": "give log_std_init, its logarithm",
    "net_arch": "it is encoder.hidden; for the value give value_encoder",
    "vf": "give value_encoder",
    "total_timesteps": "it is run.total_steps",
}
