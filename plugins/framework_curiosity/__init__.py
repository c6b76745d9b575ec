"""Intrinsic rewards: curiosity about what is new, or hard to predict."""

from framework import hookimpl
from framework.hookspecs import Register

SUMMARIES = {
    "rnd": ("RND", "Random network distillation (Burda et al., 2018): what a trained network cannot yet predict."),
    "icm": ("ICM", "Intrinsic curiosity module (Pathak et al., 2017): transitions that are hard to predict."),
    "random_features": (
        "RandomFeatures",
        "How far a reproduction of the state is from it, as fixed random features see both.",
    ),
}


@hookimpl
def register_bonuses(register: Register) -> None:
    """Offer one bonus for each module that is named here."""
    for name, (cls, summary) in SUMMARIES.items():
        config = f"framework_curiosity.config:{cls}Config"
        register(name, f"framework_curiosity.{name}:{cls}", config=config, summary=summary)
