"""PPO solves every probe environment that takes no memory, through the whole kernel, over all kinds of spaces."""

from __future__ import annotations

PIPELINE = """
[run]
total_steps = 8192

[environment]
use = "gymnasium"
id = "framework.testing.probes:Probe1-v0"

[encoder]
use = "mlp"
hidden = [16]

[algorithm]
use = "ppo"
learning_rate = 0.01
epochs = 4
minibatch_size = 64
gae_lambda = 1.0
entropy_coefficient = 0.0

[sampling]
environments = 8
rollout_length = 32

[checkpoint]
every_seconds = 3600.0

[runtime]
samplers = 0
"""
GAMMA = 0.99
ENCODERS = {
    "cnn": {"use": "cnn", "features": 16, "channels": [4, 8, 8]},
    "impala_cnn": {"use": "impala_cnn", "features": 16, "channels": [4, 4]},
}

REWARDS = (1, 2, 3, 6)  # probes whose reward does not depend on the action
CHOICES = (4, 5)
SMALL = [
    *((number, "vector", "discrete", None) for number in (1, 2, 3, 4, 5, 6)),
    (5, "image", "discrete_start", "cnn"),
    (2, "image", "discrete", "impala_cnn"),
    (5, "dict", "multi_discrete", None),
    (5, "nested", "masked", None),
    (4, "vector", "box", None),
    (5, "vector", "multi_binary", None),
    (5, "vector", "masked_multi_discrete", None),
]


def test_it():
    pass
