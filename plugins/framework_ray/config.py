"""Options of the launcher ``ray``."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from attrs import frozen

from framework.schema import OptionError, option

#: What Ray itself counts, and by what it is asked for here.
_COUNTED = {"CPU": "num_cpus", "GPU": "num_gpus"}


@frozen
class RayConfig:
    """Options of `framework_ray.launcher.RayLauncher`: the cluster, and what Ray reserves for each host."""

    address: str = option(
        "auto",
        help='The cluster: HOST:PORT of its head; "auto" is the one that $RAY_ADDRESS names, or that this machine is'
        ' part of; "local" starts one on this machine, which ends with the samplers.',
        pattern=r"auto|local|.+:\d+",
    )
    num_cpus: float | None = option(
        None, help="Processors that Ray reserves for a host; by default one for each of its workers.", ge=0
    )
    num_gpus: float = option(0.0, help="GPUs that Ray reserves for a host, for environments that use them.", ge=0)
    resources: dict[str, float] = option(
        factory=dict, help="Custom resources that Ray reserves for a host, by name: it runs only where they are."
    )
    runtime_env: dict[str, Any] = option(
        factory=dict, help="Ray's runtime environment of the hosts, such as `{ image_uri = ... }`."
    )

    def __attrs_post_init__(self) -> None:
        if find_spec("ray") is None:
            raise OptionError("the launcher ray needs the package ray: pip install 'framework-rl[ray]'", "address")
        if reason := unfit(self.address):
            raise OptionError(reason, "address")
        for name, amount in self.resources.items():
            if name in _COUNTED:
                raise OptionError(f"{name} is asked for by {_COUNTED[name]}", "resources")
            if amount <= 0:
                raise OptionError(f"{name} must be greater than 0", "resources")

    def reserved(self, workers: int) -> dict[str, Any]:
        """What Ray reserves for a host of so many workers, as arguments of ``ray.remote``; what is zero is left out."""
        num_cpus = float(workers) if self.num_cpus is None else self.num_cpus
        amounts = {"num_gpus": self.num_gpus, "resources": self.resources}
        return {"num_cpus": num_cpus} | {name: amount for name, amount in amounts.items() if amount}


def unfit(address: str) -> str | None:
    """Why hosts cannot be started through this address; None where they can."""
    if "://" not in address:
        return None
    return (
        f"{address} is for Ray's clients: give HOST:PORT of the head, on a machine of the cluster (one that only joins:"
        " ray start --address=HOST:PORT --num-cpus=0), or use ray job submit"
    )
