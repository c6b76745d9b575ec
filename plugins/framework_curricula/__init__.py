"""Curricula: sampling of tasks."""

from framework import hookimpl
from framework.hookspecs import Register

SUMMARIES = {
    "fixed": ("Fixed", "Tasks drawn with fixed probabilities."),
    "threshold": ("Threshold", "A difficulty level that rises and falls with the success rate."),
    "learnability": ("Learnability", "Tasks by the variance of their success (Rutherford et al., 2024)."),
    "prioritized_level_replay": ("PrioritizedLevelReplay", "Tasks by their mean advantage (Jiang et al., 2021)."),
    "learning_progress": ("LearningProgress", "Tasks by the change of success (Kanitscheider et al., 2021)."),
}


@hookimpl
def register_curricula(register: Register) -> None:
    """Offer one curriculum for each module of this package."""
    for name, (cls, summary) in SUMMARIES.items():
        config = f"framework_curricula.config:{cls}Config"
        register(name, f"framework_curricula.{name}:{cls}", config=config, summary=summary)
