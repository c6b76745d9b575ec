"""ResearchEnv, an open-ended research task."""

from framework import hookimpl
from framework.hookspecs import Register


@hookimpl
def register_environments(register: Register) -> None:
    """Offer the environment."""
    register(
        "research",
        "framework_research.environment:ResearchEnvironment",
        config="framework_research.config:ResearchConfig",
        summary="Questions answered by searching, reading, looking at figures and taking notes (extra: fast).",
        supports=("tasks",),
    )
