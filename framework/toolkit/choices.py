"""Names that options choose from, for config modules, which import no torch."""

from __future__ import annotations

#: The rules of `framework.toolkit.update_rules`.
OPTIMIZERS = ("adamw", "adam", "radam", "rmsprop")
OPTIMIZER_HELP = (
    'Optimizer: "adamw"; "adam", which differs only where there is weight decay: it is an L2 penalty there; "radam", '
    'rectified Adam; or "rmsprop", with a decay of 0.99.'
)
WEIGHT_DECAY_HELP = "Weight decay: decoupled with adamw, else an L2 penalty; biases, norms and embeddings are excluded."

#: See `framework.toolkit.networks.initialization`.
INITIALIZATIONS = ("orthogonal", "uniform")
