"""The components that a pipeline uses: found by name, with their options, and checked against each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from framework.catalog import Catalog, Component, UnknownComponent, find_function
from framework.errors import EXIT_PLUGIN, PluginError, Problem
from framework.plugins import describe, traceback_of
from framework.schema import OptionError, join, kind_of, option, options, plain, quote, structure, unknown_keys


@frozen(repr=False)
class Chosen:
    """One component that a pipeline uses, with its options."""

    kind: str
    use: str  #: its qualified name: ``mlp``, ``acme/rnd``, ``my_file:MyEncoder``
    config: Any  #: instance of its config class; ``None`` where it has no options
    component: Component
    kernel: Any = None  #: instance of what `KERNEL_OPTIONS` has for its kind

    def to_plain(self) -> dict[str, Any]:
        """Its table in a pipeline file, with every option."""
        tables = (plain(part) for part in (self.kernel, self.config) if part is not None)
        return {"use": self.use} | {key: value for table in tables for key, value in table.items()}


@frozen(repr=False)
class StreamOptions:
    """What the kernel itself reads from a ``[[bonus]]``: its reward stream."""

    weight: float = option(1.0, help="Factor of the bonus's advantages beside those of the environment's reward.")
    discount: float = option(0.99, help="Discount of future rewards of the bonus.", ge=0, le=1)


@frozen(repr=False)
class Pretrained:
    """What the kernel itself reads from the table of an encoder: weights that it starts from, or keeps."""

    init_from: str | None = option(
        None,
        help="Weights to start from: a run directory, a checkpoint's folder or a .safetensors file, relative to the"
        " pipeline file.",
    )
    init_share: float = option(0.5, help="Share of the encoder's numbers that init_from must have.", ge=0, le=1)
    freeze: bool = option(False, help="Keep the encoder's weights as they are: it is not trained.")


@frozen(repr=False)
class Placement:
    """What the kernel itself reads from the table of a launcher: what the engine is to keep at work."""

    samplers: int = option(1, help="Total number of samplers.", ge=1)
    workers: int = option(
        1, help="Samplers per host; they share its processors, its connection and one copy of the weights.", ge=1
    )
    program: tuple[str, ...] = option(("framework",), help="The command `framework` on the engine's machines.")
    at: str | None = option(
        None,
        help="Where the engine's machines reach the learner, HOST:PORT, if not where it listens; needed where its "
        "address may be another one after it was started again.",
        pattern=r"(\[[0-9A-Fa-f:.%\w]+\]|[A-Za-z0-9_.-]+):\d{1,5}",
    )

    def __attrs_post_init__(self) -> None:
        if not self.program:
            raise OptionError("must have a program and its first arguments, if any", "program")
        if self.samplers % self.workers:
            raise OptionError(
                f"must be a multiple of workers, which is {self.workers}; is {self.samplers}", "samplers", "workers"
            )


#: What the kernel itself reads from the table of a component, beside the component's own options.
KERNEL_OPTIONS: dict[str, type] = {"bonus": StreamOptions, "encoder": Pretrained, "launcher": Placement}


def choose(
    kind: str, table: Any, path: str, *, directory: Path, catalog: Catalog
) -> tuple[Chosen | None, list[Problem]]:
    """The component that the ``table`` at ``path`` describes, or ``None`` and everything that is wrong with it."""
    declared = _find(kind, table, path, directory, catalog)
    if isinstance(declared, Problem):
        return None, [declared]
    component, config_class = declared
    kernel_class = KERNEL_OPTIONS.get(kind)
    kernel_keys = tuple(options(kernel_class)) if kernel_class else ()
    reserved = ("use", *kernel_keys)
    try:
        if config_class is None:
            config, problems = None, unknown_keys(table, (), path, reserved)[0]
        else:
            config, problems = structure(config_class, table, path, reserved)
    except Exception as error:
        reason = f"the options of {kind} {component.name!r} ({component.origin}) are broken: {describe(error)}"
        return None, [Problem(f"{reason}\n{traceback_of(error)}", join(path, "use"), exit_code=EXIT_PLUGIN)]
    kernel = None
    if kernel_class is not None:
        kernel, kernel_problems = structure(
            kernel_class, {key: table[key] for key in kernel_keys if key in table}, path
        )
        problems += kernel_problems
    for where, part_kind, part in parts(config):
        problems += choose(part_kind, as_table(part), f"{path}.{where}", directory=directory, catalog=catalog)[1]
    for where, target in functions(config):
        try:
            find_function(target, directory)
        except UnknownComponent as error:
            problems.append(Problem(str(error), join(path, where), exit_code=error.exit_code))
    if problems:
        return None, problems
    return Chosen(kind, component.name, config, component, kernel), []


def parts(config: Any) -> Iterator[tuple[str, str, Any]]:
    """The components that a component's options name: dotted key, kind, and what stands there (see `as_table`).

    Such an option is made with ``option(part="encoder")``; its value is a component, or a table of them by name.
    """
    for key, (field, hint) in options(type(config)).items() if config is not None else ():
        kind, value = field.metadata.get("part"), getattr(config, field.name)
        if kind is None or value is None:
            continue
        if kind_of(hint) == "table":
            yield from ((join(key, name), kind, part) for name, part in value.items())
        else:
            yield key, kind, value


def functions(config: Any) -> Iterator[tuple[str, str]]:
    """The functions that a component's options name, by key: those made with ``option(function=True)``."""
    for key, (field, _) in options(type(config)).items() if config is not None else ():
        if field.metadata.get("function") and (target := getattr(config, field.name)) is not None:
            yield key, target


def as_table(part: Any) -> Any:
    """A component's table: ``"cnn"`` is short for ``{ use = "cnn" }``."""
    return {"use": part} if isinstance(part, str) else part


def _find(
    kind: str, table: Any, path: str, directory: Path, catalog: Catalog
) -> tuple[Component, type | None] | Problem:
    if not isinstance(table, Mapping):
        word = isinstance(table, str)
        advice = f", such as {{ use = {quote(table)} }}; on a command line {path}.use={table}" if word else ""
        return Problem(f"expected a table{advice}", path)
    use, where = table.get("use"), join(path, "use")
    if not isinstance(use, str):
        reason = "expected a string" if "use" in table else "missing"
        return Problem(f"{reason}: which {kind} to use; known: {', '.join(catalog.names(kind))}", where)
    try:
        component = catalog.find(kind, use, directory)
        return component, component.config_class()
    except UnknownComponent as error:
        return Problem(str(error), where, exit_code=error.exit_code)
    except PluginError as error:
        return Problem(str(error), where, exit_code=EXIT_PLUGIN)


def refusals(chosen: Mapping[str, Chosen], policy_lag: int | str) -> Iterator[Problem]:
    """Why the components, by path, cannot work together, as far as they declare it."""
    algorithm, environment = chosen.get("algorithm"), chosen.get("environment")
    for path, part in chosen.items():
        if part.kind == "bonus":
            yield from _refusal(path, part, algorithm, "streams")
        elif part.kind == "replay":
            yield from _refusal(path, part, algorithm, "replay")
        elif part.kind == "curriculum":
            yield from _refusal(path, part, environment, "tasks")
        elif part.kind == "encoder" and "memory" in part.component.supports:
            yield from _refusal(path, part, algorithm, "memory")
    for part in chosen.values():
        for kind in sorted(part.component.needs):
            if not any(component.kind == kind for component in chosen.values()):
                yield Problem(f"missing: {part.use} needs a {kind}", kind)
    if policy_lag == "free" and algorithm and "off_policy" not in algorithm.component.supports:
        yield Problem(
            f'"free" needs an algorithm that supports "off_policy", unlike {algorithm.use}', "sampling.policy_lag"
        )


def offline_refusals(chosen: Mapping[str, Chosen]) -> Iterator[Problem]:
    """Why the components, by path, cannot learn before anything is collected, as far as they declare it."""
    algorithm, replay = chosen.get("algorithm"), chosen.get("replay")
    if algorithm and "offline" not in algorithm.component.supports:
        yield Problem(f'needs an algorithm that supports "offline", unlike {algorithm.use}', "run.offline_steps")
    if replay and "offline" not in replay.component.supports:
        reason = f'needs a replay that supports "offline", which holds a dataset, unlike {replay.use}'
        yield Problem(reason, "run.offline_steps")


def _refusal(path: str, part: Chosen, host: Chosen | None, capability: str) -> Iterator[Problem]:
    if host and capability not in host.component.supports:
        yield Problem(f'{part.use} needs an {host.kind} that supports "{capability}", unlike {host.use}', path)


def unmet_requirements(requirements: Sequence[str]) -> Iterator[Problem]:
    """What is wrong with the distributions that a pipeline requires, such as ``"framework-acme>=0.2"``."""
    if not requirements:
        return
    from importlib.metadata import PackageNotFoundError, version

    from packaging.requirements import InvalidRequirement, Requirement

    for index, text in enumerate(requirements):
        path = join("requires", index)
        try:
            requirement = Requirement(text)
            installed = version(requirement.name)
        except InvalidRequirement:
            yield Problem(f'expected a distribution, such as "framework-acme>=0.2", not "{text}"', path)
        except PackageNotFoundError:
            yield Problem(f"{text} is not installed", path, exit_code=EXIT_PLUGIN)
        else:
            if not requirement.specifier.contains(installed, prereleases=True):
                yield Problem(f"{text} is required, {installed} is installed", path, exit_code=EXIT_PLUGIN)
