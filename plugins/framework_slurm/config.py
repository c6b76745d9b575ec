"""Options of the launcher."""

from __future__ import annotations

import re

from attrs import frozen

from framework.schema import OptionError, option

#: What may stand in a line of ``#SBATCH`` as it is.
_WORD = r"[^\s'\"\\#]+"
#: Options of sbatch that the launcher gives itself, and what to do instead of giving them.
_OURS = {
    "array": "say how many with samplers and workers",
    "clusters": "name the cluster in the environment variable SLURM_CLUSTERS",
    "cpus-per-task": "say how many with workers",
    "error": "what a host prints is in the launch folder",
    "job-name": "a template may change it",
    "nodes": "a host has one node",
    "no-requeue": "hosts are queued again where they end",
    "ntasks": "a host is one task",
    "open-mode": "a template may change it",
    "output": "what a host prints is in the launch folder",
    "parsable": "it is given already",
    "requeue": "it is given already",
    "signal": "a template may change it",
    "test-only": "see framework launch --dry-run",
    "wait": "the launcher returns when the tasks are queued",
    "wrap": "say it with setup, or in a template",
}


@frozen
class SlurmConfig:
    """Options of `slurm`."""

    partition: str | None = option(None, help="Partition, or several with commas between them.", pattern=_WORD)
    account: str | None = option(None, help="Account that the time is charged to.", pattern=_WORD)
    qos: str | None = option(None, help="Quality of service.", pattern=_WORD)
    time: str | int | None = option(
        None,
        help='Time limit of a host, after which it is queued again: minutes, or such as "4:00:00" and "1-12".',
        pattern=r"(\d+-)?\d+(:\d+){0,2}",
        ge=1,
    )
    memory: str | int | None = option(
        None, help='Memory of a host: megabytes, or such as "4G".', pattern=r"\d+[KMGT]?", ge=0
    )
    constraint: str | None = option(None, help='Features that nodes must have, such as "icelake".', pattern=_WORD)
    gres: str | None = option(None, help='Generic resources of a host, such as "gpu:1".', pattern=_WORD)
    extra: tuple[str, ...] = option(
        (), help='Further options of sbatch, such as "--exclude=node7".', pattern=rf"--[a-z][a-z-]*(={_WORD})?"
    )
    setup: tuple[str, ...] = option(
        (), help='Lines of bash before the command, such as "module load python".', pattern=r"[^\r\n]*"
    )
    template: str | None = option(
        None,
        help="A Jinja template of your own for the batch script, relative to the pipeline file, or with framework"
        " launch to the working directory.",
        pattern=r"[^\r\n]+",
    )

    def __attrs_post_init__(self) -> None:
        for extra in self.extra:
            name = re.split("=", extra.removeprefix("--"))[0]
            if name in _OURS:
                raise OptionError(f"cannot have --{name}: {_OURS[name]}", "extra")

    def sbatch_options(self) -> list[str]:
        """The options as sbatch takes them."""
        values = {
            "partition": self.partition,
            "account": self.account,
            "qos": self.qos,
            "time": self.time,
            "mem": self.memory,
            "constraint": self.constraint,
            "gres": self.gres,
        }
        return [f"--{name}={value}" for name, value in values.items() if value is not None] + list(self.extra)
