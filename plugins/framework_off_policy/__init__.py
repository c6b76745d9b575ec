"""Off-policy actor-critics: SAC, TD3 and TQC."""

from framework import hookimpl
from framework.hookspecs import Register

_SUMMARIES = {
    "SAC": "Soft actor-critic, for continuous and discrete actions (Haarnoja et al., 2018; Christodoulou, 2019).",
    "TD3": "Twin delayed deep deterministic policy gradients (Fujimoto et al., 2018).",
    "TQC": "Truncated quantile critics: soft actor-critic with distributional critics (Kuznetsov et al., 2020).",
}


@hookimpl
def register_algorithms(register: Register) -> None:
    """Offer SAC, TD3 and TQC."""
    for name, summary in _SUMMARIES.items():
        register(
            name.lower(),
            f"framework_off_policy.{name.lower()}:{name}",
            config=f"framework_off_policy.config:{name}Config",
            summary=summary,
            supports=("off_policy", "replay", "streams", *(["action_mask"] if name == "SAC" else [])),
            needs=("replay",),
        )
