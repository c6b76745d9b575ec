"""Curricula: which task comes next."""

from framework import hookimpl
from framework.hookspecs import Register

SUMMARIES = {
    "fixed": ("Fixed", "A list of tasks, drawn with fixed probabilities."),
    "threshold": ("Threshold", "One level of difficulty, which follows the rate of success."),
    "learnability": ("Learnability", "Tasks that sometimes succeed and sometimes do not (Rutherford et al., 2024)."),
    "prioritized_level_replay": ("PrioritizedLevelReplay", "Tasks with large advantages again (Jiang et al., 2021)."),
    "learning_progress": ("LearningProgress", "Tasks whose success changes (Kanitscheider et al., 2021)."),
}


@hookimpl
def register_curricula(register: Register) -> None:
    """Offer one curriculum for each module of this package."""
    for name, (cls, summary) in SUMMARIES.items():
        config = f"framework_curricula.config:{cls}Config"
        register(name, f"framework_curricula.{name}:{cls}", config=config, summary=summary)
