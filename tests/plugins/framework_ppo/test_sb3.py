"""An update of Stable-Baselines3's PPO beside ours. Slow; SB3_PYTHON names a Python that has stable-baselines3."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from small_ppo import collect, make_context, ppo

from framework_encoders.config import MLPConfig
from framework_encoders.mlp import MLP

PEER = os.environ.get("SB3_PYTHON") or (importlib.util.find_spec("stable_baselines3") and sys.executable)
#: Theirs -> ours.
WEIGHTS = {
    "mlp_extractor.policy_net.0": "encoder.layers.layers.0",
    "mlp_extractor.policy_net.2": "encoder.layers.layers.1",
    "mlp_extractor.value_net.0": "value_encoder.layers.layers.0",
    "mlp_extractor.value_net.2": "value_encoder.layers.layers.1",
    "action_net": "action_head.layers.0",
    "value_net": "value_head.layers.0",
}
NAMES = {f"{theirs}.{kind}": f"{ours}.{kind}" for theirs, ours in WEIGHTS.items() for kind in ("weight", "bias")}
NAMES["log_std"] = "log_std"
STEPS, COUNT = 16, 4

SCRIPT = """
import gymnasium, numpy as np, torch
from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import DummyVecEnv


class Space(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (3,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)


given = np.load("given.npz")
steps, count = given["rewards"].shape
model = PPO("MlpPolicy", DummyVecEnv([Space] * count), n_steps=steps, batch_size=steps * count, n_epochs=3,
            learning_rate=1e-3, gamma=0.9, gae_lambda=0.8, ent_coef=0.02, vf_coef=0.5, normalize_advantage=False,
            device="cpu")
weights = {name[2:]: torch.from_numpy(given[name]) for name in given if name.startswith("w:")}
state = model.policy.state_dict()
model.policy.load_state_dict({**state, **weights})
buffer = model.rollout_buffer
for t in range(steps):
    buffer.add(given["observations"][t], given["actions"][t], given["rewards"][t], given["starts"][t],
               torch.from_numpy(given["values"][t]), torch.from_numpy(given["log_prob"][t]))
buffer.compute_returns_and_advantage(torch.from_numpy(given["last_values"]), given["starts"][steps])
model.set_logger(Logger(None, []))
model.train()
np.savez("learned.npz", **{name: x.numpy() for name, x in model.policy.state_dict().items() if name in weights})
"""


@pytest.mark.skipif(not PEER, reason="needs stable-baselines3: SB3_PYTHON names a Python that has it")
@pytest.mark.slow
def test_an_update_of_theirs_is_one_of_ours(tmp_path: Path) -> None:
    """From equal weights and experience, with truncated and terminated episodes, three epochs end at equal weights."""
    context = make_context(
        action=Box(-1, 1, (2,), np.float32),
        encoder=lambda context: MLP(MLPConfig(), context),
        steps=STEPS,
        num_envs=COUNT,
    )
    options: dict[str, Any] = {
        "epochs": 3,
        "minibatch_size": STEPS * COUNT,
        "learning_rate": 1e-3,
        "learning_rate_schedule": "constant",
        "gamma": 0.9,
        "gae_lambda": 0.8,
        "entropy_coefficient": 0.02,
        "value_coefficient": 1.0,
        "normalize_advantages": False,
    }
    algorithm = ppo(context, **options)
    batch = collect(algorithm, context)
    weights = {theirs: algorithm.policy.state_dict()[ours].numpy().copy() for theirs, ours in NAMES.items()}
    rewards = batch.rewards.clone()
    cut = batch.truncated.flatten()[batch.final_index]
    rewards.view(-1)[batch.final_index[cut]] += 0.9 * batch.extras["final_value"][cut]  # as they bootstrap
    assert cut.any()
    assert not cut.all()
    given = {
        "observations": batch.observations["observation"],
        "actions": batch.actions,
        "rewards": rewards,
        "starts": batch.first,
        "values": batch.extras["value"][:-1],
        "log_prob": batch.extras["log_probability"],
        "last_values": batch.extras["value"][-1],
    }
    np.savez(
        tmp_path / "given.npz",
        **{name: x.numpy() for name, x in given.items()},
        **{f"w:{name}": x for name, x in weights.items()},
    )
    (tmp_path / "script.py").write_text(SCRIPT)
    subprocess.run([str(PEER), "-W", "ignore", "script.py"], cwd=tmp_path, check=True)
    algorithm.update(batch)
    learned = np.load(tmp_path / "learned.npz")
    for theirs, ours in NAMES.items():
        after = algorithm.policy.state_dict()[ours]
        torch.testing.assert_close(after, torch.from_numpy(learned[theirs]), rtol=1e-4, atol=1e-6)
        assert not np.array_equal(after.numpy(), weights[theirs])
