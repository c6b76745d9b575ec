"""Intrinsic rewards by prediction errors: curiosity."""

from framework import hookimpl
from framework.hookspecs import Register

SUMMARIES = {
    "rnd": ("RND", "Random network distillation (Burda et al., 2018): prediction error of random features."),
    "icm": ("ICM", "Intrinsic curiosity module (Pathak et al., 2017): error of a forward model."),
    "random_features": ("RandomFeatures", "Reconstruction error of the state, in fixed random features."),
}


@hookimpl
def register_bonuses(register: Register) -> None:
    """Offer one bonus for each module that is named here."""
    for name, (cls, summary) in SUMMARIES.items():
        config = f"framework_curiosity.config:{cls}Config"
        register(name, f"framework_curiosity.{name}:{cls}", config=config, summary=summary)
