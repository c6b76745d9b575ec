"""Algorithms that learn from a dataset."""

from framework import hookimpl
from framework.hookspecs import Register

_SUPPORTS = ("action_mask", "offline", "replay")


@hookimpl
def register_algorithms(register: Register) -> None:
    """Offer behaviour cloning and IQL."""
    register(
        "bc",
        "framework_offline.bc:BC",
        config="framework_offline.config:BCConfig",
        summary="Behaviour cloning: the actions of a dataset, by maximum likelihood (Pomerleau, 1991).",
        supports=_SUPPORTS,
        needs=("replay",),
    )
    summary = "Implicit Q-learning, from a dataset and online after it (Kostrikov et al., 2022)."
    names = {"config": "framework_offline.config:IQLConfig", "summary": summary}
    register("iql", "framework_offline.iql:IQL", **names, supports=(*_SUPPORTS, "off_policy"), needs=("replay",))
