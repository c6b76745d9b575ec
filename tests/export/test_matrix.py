"""Every bundled algorithm, encoder, and kind of action and observation is exported, and acts as before.

The default run does one of the cells; ``-m slow`` does all of them, in both formats.
"""

from __future__ import annotations

import pytest
from exporting import ENCODERS, agreement, make

from framework.export.files import FORMATS
from framework.export.verify import COUNTS, STEPS

#: Algorithm, encoder, observation, action, whether actions are masked, options of the algorithm.
CELLS = {
    "mlp": ("ppo", "mlp", "dict", "multi_discrete", True, {"normalize_observations": True}),
    "cnn": ("ppo", "cnn", "image", "discrete", True, {"share_encoder": True}),
    "impala_cnn": ("ppo", "impala_cnn", "dict", "multi_binary", False, {}),
    "transformer": ("ppo", "transformer", "dict", "box", False, {"normalize_observations": True}),
    "multimodal": ("ppo", "multimodal", "dict", "multi_discrete", False, {}),
    "gru": ("ppo", "gru", "vector", "box", False, {"normalize_observations": True}),
    "lstm": ("ppo", "lstm", "dict", "multi_binary", False, {"share_encoder": True}),
    "transformer_memory": ("ppo", "transformer_memory", "vector", "discrete", True, {}),
    "parts": ("ppo", "mlp", "dict", "parts", True, {}),
    "parameterized": ("ppo", "gru", "vector", "parameterized", True, {"share_encoder": True}),
    "dqn-mlp": ("dqn", "mlp", "vector", "discrete", True, {}),
    "dqn-cnn": ("dqn", "cnn", "dict", "discrete", False, {"dueling": True, "head_hidden": [8]}),
    "dqn-impala_cnn": ("dqn", "impala_cnn", "image", "discrete", False, {}),
    "dqn-transformer": ("dqn", "transformer", "dict", "discrete", True, {}),
    "dqn-rainbow": (
        "dqn",
        "mlp",
        "vector",
        "discrete",
        True,
        {"distribution": "categorical", "noisy": True, "dueling": True, "head_hidden": [8]},
    ),
    "dqn-quantile": ("dqn", "mlp", "vector", "discrete", False, {"distribution": "quantile"}),
    "dqn-multimodal": ("dqn", "multimodal", "dict", "discrete", False, {}),
    "dqn-gru": ("dqn", "gru", "vector", "discrete", True, {}),
    "dqn-lstm": ("dqn", "lstm", "dict", "discrete", False, {"dueling": True}),
    "dqn-transformer_memory": ("dqn", "transformer_memory", "vector", "discrete", True, {}),
    "pqn-mlp": ("pqn", "mlp", "vector", "discrete", True, {"normalize_observations": True}),
    "pqn-cnn": ("pqn", "cnn", "dict", "discrete", False, {}),
    "pqn-gru": ("pqn", "gru", "vector", "discrete", True, {"normalize_observations": True}),
    "sac-mlp": ("sac", "mlp", "dict", "bounded_box", False, {"normalize_observations": True}),
    "sac-discrete": ("sac", "mlp", "vector", "discrete", True, {}),
    "td3-cnn": ("td3", "cnn", "image", "bounded_box", False, {}),
    "tqc-multimodal": ("tqc", "multimodal", "dict", "bounded_box", False, {}),
}
QUICK = [("dqn-cnn", "torch"), ("parts", "torch")]
SLOW = [(cell, kind) for cell in CELLS for kind in FORMATS if (cell, kind) not in QUICK]


@pytest.mark.parametrize(("cell", "kind"), [*QUICK, *(pytest.param(*cell, marks=pytest.mark.slow) for cell in SLOW)])
def test_what_is_exported_acts_as_the_policy_does(cell: str, kind: str) -> None:
    """Step by step, in batches of several sizes, with episode starts and legal actions."""
    algorithm, encoder, observation, action, masked, options = CELLS[cell]
    policy, context = make(algorithm, encoder, observation, action, **options)
    result = agreement(policy, context, kind, masked=masked)
    assert result.rows == sum(COUNTS) * STEPS
    assert result.ties == 0


def test_the_matrix_has_every_bundled_encoder() -> None:
    """With ppo, and with dqn."""
    for algorithm in ("ppo", "dqn"):
        assert {encoder for used, encoder, *_ in CELLS.values() if used == algorithm} == set(ENCODERS)
