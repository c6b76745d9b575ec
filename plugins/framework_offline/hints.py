"""What other libraries call the options of the algorithms here."""

from __future__ import annotations

HINTS = {
    "batch_size": "it is named minibatch_size here",
    "beta": "it is named temperature here, and is the inverse of a temperature",
    "tau": "the expectile is named expectile here, and the coefficient of the target critics target_tau",
    "iql_tau": "it is named expectile here",
    "discount": "it is named gamma here",
    "lr": "it is named learning_rate here",
    "gradient_steps": "give run.offline_steps and updates_per_step, gradient steps for each of them",
    "n_steps": "give run.offline_steps and updates_per_step, gradient steps for each of them",
    "max_timesteps": "it is run.offline_steps",
    "buffer_size": "it is replay.capacity",
    "normalize_reward": "give reward_scale",
}
