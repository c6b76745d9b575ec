"""The sections of a pipeline file, and the pipeline that they make."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from attrs import Factory, evolve, frozen

from framework.catalog import Catalog, default_catalog
from framework.errors import PipelineError, Problem
from framework.pipeline.components import (
    Chosen,
    as_table,
    choose,
    offline_refusals,
    parts,
    refusals,
    unmet_requirements,
)
from framework.pipeline.toml import literal, to_toml
from framework.schema import OptionError, join, option, options, plain, structure, unknown_keys

DEFAULT_ENCODER = "mlp"
#: A port, or a host and a port; of IPv6 in brackets.
LISTEN = r"(?:(\[[0-9A-Fa-f:.%\w]+\]|[A-Za-z0-9_.*-]+):)?(\d{1,5})"


@frozen(repr=False)
class Run:
    """The run as a whole."""

    name: str = option("run", help="Name of the run and of its directory.", pattern=r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
    seed: int = option(0, help="Seed of all random numbers of the run.", ge=0)
    total_steps: int = option(help="Environment steps to collect, over all environments.", ge=1)
    offline_steps: int = option(
        0,
        help="Steps, the first of total_steps, in which nothing is collected: learned from is the dataset that "
        "the replay buffer holds. As many as total_steps make a run without samplers.",
        ge=0,
    )
    report: bool = option(True, help="Whether report.html is written into the run directory at the run's end.")


@frozen(repr=False)
class Sampling:
    """What is collected: part of what is learned."""

    environments: int = option(8, help="Number of environments, stepped side by side.", ge=1)
    shard: int = option(
        Factory(lambda self: self.environments, takes_self=True),
        help="Environments stepped together as one batch; samplers lease whole shards. By default there is one shard.",
        ge=1,
    )
    rollout_length: int = option(128, help="Environment steps of one environment in a trajectory.", ge=1)
    policy_lag: int | Literal["free"] = option(
        1,
        help="Updates by which the sampling policy lags behind: 0 samples and learns in turns, n does both at once and "
        'stays reproducible, "free" never waits.',
        ge=0,
        le=16,
    )
    max_lag: int = option(4, help='Under policy_lag "free": data older than this many versions is dropped.', ge=1)
    max_replay_steps: int = option(
        100_000,
        help="Environment steps of an episode that are recorded, to be replayed when its shard moves to another "
        "sampler or the run is resumed. A longer episode starts anew then; 0 records none.",
        ge=0,
    )

    def __attrs_post_init__(self) -> None:
        if self.environments % self.shard:
            raise OptionError(
                f"must divide environments, which is {self.environments}; is {self.shard}", "shard", "environments"
            )


@frozen(repr=False)
class Evaluation:
    """How the policy is evaluated."""

    episodes: int = option(20, help="Episodes of one evaluation; 0 for no evaluation.", ge=0)
    every_steps: int = option(0, help="Environment steps between evaluations; 0 evaluates at the end only.", ge=0)
    deterministic: bool = option(True, help="Take the most probable actions instead of sampled ones.")
    video: int = option(
        0,
        help="Episodes of each evaluation that are filmed, side by side, into the run's folder `videos`; 0 for none. "
        "Needs the extra `video`.",
        ge=0,
    )
    tasks: tuple[Any, ...] = option(
        (), help="Tasks that the episodes are played on, in turn; without them the environment plays its own."
    )


@frozen(repr=False)
class Checkpoint:
    """When checkpoints are saved."""

    every_seconds: float = option(30.0, help="Seconds between checkpoints; 0 saves one after every update.", ge=0)
    keep: int = option(3, help="Number of newest checkpoints that are kept, beside the best by evaluation.", ge=1)


@frozen(repr=False)
class Runtime:
    """Where the run happens: changes its speed, and what is learned only by ``precision`` and ``compile``, and where an
    environment raises.
    """

    samplers: int = option(
        1,
        help="Sampler processes on this machine; 0 acts inside the learner, for a debugger, or with `listen` leaves "
        "all collecting to other machines.",
        ge=0,
    )
    listen: str | None = option(
        None,
        help="Where samplers on other machines connect, `HOST:PORT` such as 0.0.0.0:5555; a port alone is for this "
        "machine. Whoever connects needs a key of the run.",
        pattern=LISTEN,
    )
    launcher: str | dict[str, Any] | None = option(
        None,
        part="launcher",
        help='What has an engine keep samplers at work on other machines, such as `{ use = "ray", samplers = 64 }`; '
        "they are beside those of this machine.",
    )
    environment_timeout: float = option(
        300.0,
        help="Seconds that a step or a reset may take in a sampler; one that takes longer counts as hanging, and "
        "the sampler is replaced. 0 waits for ever.",
        ge=0,
    )
    on_environment_error: Literal["stop", "restart"] = option(
        "stop",
        help='What an exception in an environment does: "stop" ends the run; "restart" truncates its episode, makes '
        "it anew and begins the next.",
    )
    environment_error_share: float = option(
        0.05,
        help='Share of the last 200 episodes that such exceptions may end under "restart", before they end the run.',
        ge=0.01,
        le=1,
    )
    reconnect_grace: float = option(
        10.0,
        help="Seconds that a sampler whose connection was lost has to come back, before its work is given to others.",
        ge=0,
    )
    device: str = option(
        "auto",
        help='Where the learner computes, such as "cpu", "cuda" or "cuda:1"; "auto" takes the fastest.',
        pattern=r"auto|(cpu|cuda|mps|xpu)(:\d+)?",
    )
    precision: Literal["float32", "bfloat16", "float16"] = option(
        "float32", help="Arithmetic of the networks; changes rounding."
    )
    compile: bool = option(False, help="Whether the learner compiles its networks; changes rounding.")
    threads: int | Literal["auto"] = option("auto", help="Threads of the learner's arithmetic on the CPU.", ge=1)

    def __attrs_post_init__(self) -> None:
        if self.launcher is not None and self.listen is None:
            raise OptionError("needs runtime.listen, where its samplers connect", "launcher", "listen")


@frozen(repr=False)
class Top:
    """What stands above the first section."""

    requires: tuple[str, ...] = option((), help='Distributions that must be there, such as "framework-acme>=0.2".')


#: Sections with options of the kernel itself.
SECTIONS: dict[str, type] = {
    "run": Run,
    "sampling": Sampling,
    "evaluation": Evaluation,
    "checkpoint": Checkpoint,
    "runtime": Runtime,
}
#: Sections that choose a component each, by kind; `ARRAYS`, such as ``[[bonus]]``, choose any number.
COMPONENTS = ("environment", "encoder", "algorithm", "bonus", "curriculum", "replay", "callback")
ARRAYS = ("bonus", "callback")
REQUIRED = ("environment", "encoder", "algorithm")
KEYS = ("requires", "run", *COMPONENTS, "sampling", "evaluation", "checkpoint", "runtime")


@frozen(repr=False)
class Pipeline:
    """A whole pipeline, checked: everything that a run is made from."""

    run: Run
    environment: Chosen
    encoder: Chosen
    algorithm: Chosen
    bonuses: tuple[Chosen, ...]
    curriculum: Chosen | None
    replay: Chosen | None
    sampling: Sampling
    evaluation: Evaluation
    checkpoint: Checkpoint
    runtime: Runtime
    callbacks: tuple[Chosen, ...]
    requires: tuple[str, ...]
    directory: Path  #: of the pipeline file: where ``use = "my_file:MyEncoder"`` looks for ``my_file.py``

    def to_plain(self) -> dict[str, Any]:
        """All of it as plain values, as a pipeline file could say it; `from_plain` makes the same pipeline of it."""
        values: dict[str, Any] = {"requires": list(self.requires)} if self.requires else {}
        for key in KEYS[1:]:
            if key in SECTIONS:
                values[key] = plain(getattr(self, key))
            elif key in ARRAYS:
                tables = [component.to_plain() for component in self._array(key)]
                values |= {key: tables} if tables else {}
            elif (component := getattr(self, key)) is not None:
                values[key] = component.to_plain()
        return values

    def for_other_processes(self) -> Pipeline:
        """What samplers and further learners get: less what the first learner's process alone has to have installed."""
        return evolve(self, callbacks=(), runtime=evolve(self.runtime, launcher=None))

    def __str__(self) -> str:
        """All of it, as a pipeline file could say it."""
        return to_toml(self.to_plain()).rstrip("\n")

    def __repr__(self) -> str:
        single = (self.environment, self.encoder, self.algorithm, self.curriculum, self.replay)
        parts = (*single, *self.bonuses, *self.callbacks)
        return f"<Pipeline {self.run.name}: {', '.join(part.use for part in parts if part is not None)}>"

    def _array(self, key: str) -> tuple[Chosen, ...]:
        return {"bonus": self.bonuses, "callback": self.callbacks}[key]

    @classmethod
    def from_plain(cls, values: Mapping[str, Any], directory: Path, catalog: Catalog | None = None) -> Pipeline:
        """The pipeline that plain values describe. Raises `PipelineError` with everything that is wrong with them."""
        pipeline, problems = resolve(values, directory, catalog or default_catalog())
        if pipeline is None:
            raise PipelineError(problems)
        return pipeline


def _with_place(problem: Problem, sections: Mapping[str, Any], components: Mapping[str, Chosen | None]) -> Problem:
    """An unknown key above all sections, with the section that has such an option."""
    key = problem.path or ""
    if not problem.message.startswith("unknown key; known: ") or "." in key:
        return problem
    configs = {**sections, **{path: component.config for path, component in components.items() if component}}
    places = [join(path, key) for path, config in configs.items() if config and key in options(type(config))]
    return problem._replace(message=f"unknown key; did you mean {' or '.join(places)}?") if places else problem


def _not_an_array(key: str, value: Any) -> Problem:
    """A value that should be an array of tables; of ``bonus=rnd`` and ``bonus.0.use=rnd`` it is clear what is meant."""
    table = value.get("0", value) if isinstance(value, Mapping) else {"use": value}
    use = table.get("use") if isinstance(table, Mapping) else None
    example = f"; on a command line {key}='[{{use = {literal(use)}}}]'" if isinstance(use, str) else ""
    return Problem(f"expected an array of tables, each written [[{key}]]{example}", key)


def resolve(values: Mapping[str, Any], directory: Path, catalog: Catalog) -> tuple[Pipeline | None, list[Problem]]:
    """The pipeline that plain values describe, or ``None`` and everything that is wrong with them."""
    problems, meant = unknown_keys(values, ("extends", *KEYS), "")
    top, mistakes = structure(Top, {key: values[key] for key in ("requires",) if key in values})
    problems += mistakes or unmet_requirements(top.requires)
    sections: dict[str, Any] = {}
    for name in (name for name in SECTIONS if name not in meant):
        sections[name], mistakes = structure(SECTIONS[name], values.get(name, {}), name)
        problems += mistakes

    tables = {kind: values[kind] for kind in COMPONENTS if kind in values}
    tables |= {kind: {} for kind in REQUIRED if kind not in values and kind not in meant}
    if isinstance(tables.get("encoder"), Mapping):
        tables["encoder"] = {"use": DEFAULT_ENCODER} | tables["encoder"]
    for key in ARRAYS:
        array = tables.pop(key, [])
        if not isinstance(array, list):
            problems.append(_not_an_array(key, array))
        else:
            tables |= {join(key, index): table for index, table in enumerate(array)}
    components: dict[str, Any] = {}
    for path, table in tables.items():
        kind = path.partition(".")[0]
        components[path], mistakes = choose(kind, table, path, directory=directory, catalog=catalog)
        problems += mistakes

    for where, kind, part in parts(sections.get("runtime")):
        path = join("runtime", where)
        problems += choose(kind, as_table(part), path, directory=directory, catalog=catalog)[1]

    lag = sections["sampling"].policy_lag if sections.get("sampling") else 0
    problems = [_with_place(problem, sections, components) for problem in problems]
    resolved = {path: component for path, component in components.items() if component is not None}
    problems += refusals(resolved, lag)
    if sections.get("run") and sections["run"].offline_steps:
        problems += offline_refusals(resolved)
    if problems:
        return None, problems
    single = {kind: components.pop(kind, None) for kind in COMPONENTS if kind not in ARRAYS}
    bonuses, callbacks = (tuple(part for part in components.values() if part.kind == kind) for kind in ARRAYS)
    return Pipeline(
        **sections, **single, bonuses=bonuses, callbacks=callbacks, requires=top.requires, directory=directory
    ), []
