"""The components that a pipeline uses: found by name, with their options, and checked against each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from framework.catalog import Catalog, Component, UnknownComponent
from framework.errors import EXIT_PLUGIN, PluginError, Problem
from framework.plugins import describe, traceback_of
from framework.schema import join, option, plain, structure, unknown_keys


@frozen
class Chosen:
    """One component that a pipeline uses, with its options."""

    kind: str
    use: str  #: its qualified name: ``mlp``, ``acme/rnd``, ``my_file:MyEncoder``
    config: Any  #: instance of its config class; ``None`` where it has no options
    component: Component
    weight: float = 1.0  #: of a bonus

    def to_plain(self) -> dict[str, Any]:
        """Its table in a pipeline file, with every option."""
        weight = {"weight": self.weight} if self.kind == "bonus" else {}
        return {"use": self.use, **weight, **(plain(self.config) if self.config is not None else {})}


@frozen
class Weight:
    """What the kernel itself reads from a ``[[bonus]]``."""

    weight: float = option(1.0, help="Factor of the bonus beside the reward of the environment.")


def choose(
    kind: str, table: Any, path: str, *, directory: Path, catalog: Catalog
) -> tuple[Chosen | None, list[Problem]]:
    """The component that the ``table`` at ``path`` describes, or ``None`` and everything that is wrong with it."""
    found = _find(kind, table, path, directory, catalog)
    if isinstance(found, Problem):
        return None, [found]
    component, config_class = found
    reserved = ("use", "weight") if kind == "bonus" else ("use",)
    try:
        if config_class is None:
            config, problems = None, unknown_keys(table, (), path, reserved)[0]
        else:
            config, problems = structure(config_class, table, path, reserved)
    except Exception as error:
        reason = f"the options of {kind} {component.name!r} ({component.origin}) are broken: {describe(error)}"
        return None, [Problem(f"{reason}\n{traceback_of(error)}", join(path, "use"), exit_code=EXIT_PLUGIN)]
    own = {"weight": table["weight"]} if kind == "bonus" and "weight" in table else {}
    weight, wrong_weight = structure(Weight, own, path)
    problems += wrong_weight
    if problems:
        return None, problems
    return Chosen(kind, component.name, config, component, weight.weight), []


def _find(
    kind: str, table: Any, path: str, directory: Path, catalog: Catalog
) -> tuple[Component, type | None] | Problem:
    if not isinstance(table, Mapping):
        return Problem("expected a table", path)
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
    if policy_lag == "free" and algorithm and "stale" not in algorithm.component.supports:
        yield Problem(f'"free" needs an algorithm that supports "stale", unlike {algorithm.use}', "sampling.policy_lag")


def _refusal(path: str, part: Chosen, other: Chosen | None, capability: str) -> Iterator[Problem]:
    if other and capability not in other.component.supports:
        yield Problem(f'{part.use} needs an {other.kind} that supports "{capability}", unlike {other.use}', path)


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
            found = version(requirement.name)
        except InvalidRequirement:
            yield Problem(f'expected a distribution, such as "framework-acme>=0.2", not "{text}"', path)
        except PackageNotFoundError:
            yield Problem(f"{text} is not installed", path, exit_code=EXIT_PLUGIN)
        else:
            if not requirement.specifier.contains(found, prereleases=True):
                yield Problem(f"{text} is required, {found} is installed", path, exit_code=EXIT_PLUGIN)
