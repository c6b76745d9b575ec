"""The subject of a check: a component with its options, and contexts to build it with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from attrs import evolve, frozen
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Tuple

from framework.callbacks import CallbackContext
from framework.catalog import Catalog, Component, default_catalog
from framework.errors import PipelineError
from framework.interfaces import Context, EnvironmentContext, LauncherContext
from framework.pipeline.build import build
from framework.pipeline.components import Chosen, as_table, choose
from framework.pipeline.sections import DEFAULT_ENCODER
from framework.toolkit.spaces import ParameterizedActions

if TYPE_CHECKING:
    from framework.interfaces import Encoder

Check = TypeVar("Check", bound=Callable[..., None])

#: Observation spaces that components are checked over. Those that a component refuses are skipped, and said to be.
OBSERVATIONS: dict[str, Space[Any]] = {
    "vector": Box(-1, 1, (6,), np.float32),
    "image": Box(0, 255, (36, 36, 1), np.uint8),
    "tokens": Box(-1, 1, (4, 5), np.float32),
    "ids": MultiDiscrete([9] * 5),
    "dict": Dict(
        {
            "position": Box(-1, 1, (3,), np.float32),
            "kind": Discrete(4, start=-1),
            "bits": MultiBinary(3),
            "choices": MultiDiscrete([2, 3]),
        }
    ),
    "mixed": Dict({"camera": Box(0, 255, (36, 36, 3), np.uint8), "position": Box(-1, 1, (3,), np.float32)}),
}

#: Action spaces, likewise; see `is_masked`.
ACTIONS: dict[str, Space[Any]] = {
    "discrete": Discrete(3),
    "discrete_start": Discrete(3, start=2),
    "multi_discrete": MultiDiscrete([2, 3]),
    "multi_binary": MultiBinary(3),
    "box": Box(-1, 1, (2,), np.float32),
    "nested": Dict(
        {
            "arm": Tuple((Discrete(3, start=2), Box(-1, 1, (2,), np.float32))),
            "bits": MultiBinary(2),
            "picks": MultiDiscrete([2, 3]),
        }
    ),
    "masked": Discrete(4),
    "masked_parameterized": ParameterizedActions(
        {"kick": Box(-1, 1, (2,), np.float32), "wait": None, "throw": Tuple((MultiDiscrete([2, 3]), Box(0, 1, (1,))))}
    ),
}


def is_masked(action: str) -> bool:
    """Whether environments with this kind of action also tell the legal ones."""
    return action.startswith("masked")


#: Seconds that what happens outside of this process may take.
PATIENCE = 60.0


class Skip(Exception):
    """Why a check does not apply."""


@frozen
class Subject:
    """A component, its options, and the observation spaces that it is checked over."""

    chosen: Chosen
    observations: Mapping[str, Space[Any]]
    #: Whether the component has to take each of these spaces, because whoever asked named them.
    required: bool
    directory: Path | None = None
    patience: float = PATIENCE  #: seconds that what happens outside of this process may take, such as on an engine

    @property
    def kind(self) -> str:
        """The component's kind."""
        return self.chosen.kind

    @property
    def component(self) -> Component:
        """What is checked."""
        return self.chosen.component

    @property
    def observation(self) -> str:
        """The first observation space, for checks that need one only."""
        return next(iter(self.observations))

    def with_options(self, **options: Any) -> Subject:
        """The same component with these options set, as far as it has them."""
        config = self.chosen.config
        values = {name: value for name, value in options.items() if hasattr(config, name)}
        return evolve(self, chosen=evolve(self.chosen, config=evolve(config, **values))) if values else self

    def context(
        self, observation: str | Space[Any] | None = None, action: str | Space[Any] = "discrete", **fields: Any
    ) -> Context:
        """What a component may know; ``fields`` are those of `Context`."""
        from framework.toolkit.spaces import flat_space

        space = observation if isinstance(observation, Space) else self.observations[observation or self.observation]
        values = {"seed": 0, "num_envs": 4, "rollout_length": 8, "total_steps": 100_000} | fields
        context = Context(
            observation_space=flat_space(space),
            action_space=ACTIONS[action] if isinstance(action, str) else action,
            device="cpu",
            **values,
        )

        def make_part(part: Any, part_context: Context) -> Encoder:
            encoder: Encoder = build(find("encoder", as_table(part), self.directory), part_context)
            return encoder

        def make_encoder(encoder_context: Context | None = None) -> Encoder:
            return make_part(DEFAULT_ENCODER, encoder_context or context)

        return evolve(context, make_part=make_part, make_encoder=make_encoder)

    def build(self, context: Context | EnvironmentContext | LauncherContext | CallbackContext) -> Any:
        """The component; `Skip` where it refuses the spaces and need not take them."""
        try:
            return build(self.chosen, context)
        except PipelineError as error:
            if self.required:
                raise AssertionError(f"refused: {error}") from error
            raise Skip(f"it refuses this: {error}") from error


def find(kind: str, table: Mapping[str, Any], directory: Path | None = None, catalog: Catalog | None = None) -> Chosen:
    """The component that a table such as ``{"use": "acme/fancy", "width": 8}`` means.

    Raises `PipelineError` with everything that is wrong.
    """
    chosen, problems = choose(
        kind, dict(table), kind, directory=directory or Path.cwd(), catalog=catalog or default_catalog()
    )
    if chosen is None:
        raise PipelineError(problems)
    return chosen


def subject(
    kind: str,
    use: str,
    options: Mapping[str, Any] | None = None,
    *,
    observations: Mapping[str, Space[Any]] | None = None,
    directory: Path | None = None,
    catalog: Catalog | None = None,
    patience: float = PATIENCE,
) -> Subject:
    """The component ``use`` with these options, to be checked over ``observations`` (by default `OBSERVATIONS`)."""
    chosen = find(kind, {"use": use, **(options or {})}, directory, catalog)
    return Subject(chosen, observations or OBSERVATIONS, observations is not None, directory, patience)


def installed(kind: str, capability: str, catalog: Catalog | None = None) -> Chosen:
    """The first installed component that supports something and needs nothing else; `Skip` where there is none."""
    for component in (catalog or default_catalog()).components(kind):
        if capability in component.supports and not component.needs:
            return find(kind, {"use": component.name}, catalog=catalog)
    raise Skip(f"no {kind} that supports {capability!r} is installed")


def usable(names: Iterable[str], attempt: Callable[[str], Any]) -> list[str]:
    """The names for which ``attempt(name)`` does not raise `Skip`; `Skip` with the last reason where there are none."""
    accepted, reason = [], Skip("there is nothing to check it over")
    for name in names:
        try:
            attempt(name)
            accepted.append(name)
        except Skip as refusal:
            reason = refusal
    if not accepted:
        raise reason
    return accepted


def over(names: Callable[[Subject], Iterable[str]]) -> Callable[[Check], Check]:
    """A check of its own for each name: it is called with the subject and the name."""

    def mark(check: Check) -> Check:
        check.names = names  # type: ignore[attr-defined]
        return check

    return mark
