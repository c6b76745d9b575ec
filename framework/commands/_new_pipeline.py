"""A pipeline file for an environment: what is in it is chosen by a template from the environment's spaces."""

from __future__ import annotations

import math
import re
import tomllib
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import frozen

from framework.bundled import TEMPLATES, bundled_folder
from framework.catalog import Catalog, default_catalog
from framework.errors import EXIT_USAGE, FrameworkError, PipelineError, PluginError, writing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gymnasium import Space

_CLASS = re.compile(r"[\w.]+:[A-Za-z_]\w*(\.\w+)*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
#: Bytes of observations that a replay buffer may keep, and the bounds of its capacity.
_REPLAY_BYTES = 10**9
_REPLAY_STEPS = (10_000, 100_000)


class NewPipelineError(FrameworkError):
    """A pipeline that cannot be written: a name that is taken, or components that do not fit each other."""

    exit_code = EXIT_USAGE


@frozen
class Spaces:
    """What a template chooses by."""

    leaves: int  #: observations, the parts of a nested one counted each
    images: tuple[str, ...]  #: names of the observations that are images
    tokens: tuple[str, ...]  #: of those that are rows of numbers, [rows, features]
    vectors: tuple[str, ...]  #: of all others
    smallest_side: int  #: of all images, in pixels; 0 without images
    observation_bytes: int
    discrete: bool  #: whether an action is one of finitely many
    continuous: bool  #: whether it consists of real numbers
    token_actions: bool  #: whether each action is about one of the ``tokens``
    masked: bool  #: whether the environment says which actions are legal


def write_pipeline(name: str, environment_id: str, algorithm: str | None) -> Path:
    """Write ``NAME.toml`` into the current folder. Raises `FrameworkError`, and then writes nothing."""
    if not _NAME.fullmatch(name) or name.endswith(".toml"):
        raise NewPipelineError(f"{name!r} cannot be the name of a run: it must match {_NAME.pattern}, without .toml")
    path = Path(f"{name}.toml")
    if path.exists():
        raise NewPipelineError(f"{path} already exists: choose another name")
    text = render(name, environment_id, algorithm, default_catalog())
    with writing(path):
        path.write_text(text, encoding="utf-8")
    return path


def render(name: str, environment_id: str, algorithm: str | None, catalog: Catalog) -> str:
    """The text of the pipeline file. Raises `FrameworkError` where no pipeline can be made of these."""
    from framework.pipeline.toml import literal

    folder = bundled_folder(TEMPLATES) / "pipeline"
    choices = tomllib.loads((folder / "choices.toml").read_text(encoding="utf-8"))
    component = catalog.find("algorithm", algorithm or choices["algorithm"], Path())
    table = environment_table(environment_id, choices["environment"], catalog)
    observation_space, action_space, masked = _look_at(table, catalog)
    spaces = describe_spaces(observation_space, action_space, masked=masked)
    if masked and "action_mask" not in component.supports:
        raise NewPipelineError(f"{environment_id} gives info['action_mask'], which {component.name} does not support")
    template = f"algorithms/{component.name}.toml.jinja"
    values = {
        "title": f"{environment_id} with {component.name}",
        "file": f"{name}.toml",
        "name": literal(name),
        "environment": {key: literal(value) for key, value in table.items()},
        "observations": ", ".join(f"{leaf} {_words(space)}" for leaf, space in observation_space.items()),
        "actions": _words(action_space),
        "spaces": spaces,
        "token_name": literal(spaces.tokens[0]) if spaces.tokens else None,
        "hidden": "[128, 128]" if spaces.leaves > 1 else "[64, 64]",
        "replay": _replay(spaces.observation_bytes),
        "algorithm": {
            "use": component.name,
            "supports": component.supports,
            "needs": component.needs,
            "template": template if (folder / template).is_file() else None,
        },
    }
    return _fill(folder, values)


def environment_table(environment_id: str, choices: list[dict[str, Any]], catalog: Catalog) -> dict[str, Any]:
    """The section ``[environment]``: of a component of this name, of a ``module:Class``, or else of a registered id."""
    if environment_id in catalog.names("environment") or _CLASS.fullmatch(environment_id):
        return {"use": environment_id}
    for choice in choices:
        if match := re.fullmatch(choice["pattern"], environment_id):
            value = match[1]
            if choice.get("snake_case"):
                value = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", value).lower()
            return {**choice["table"], choice["option"]: value}
    raise NewPipelineError(f"{environment_id!r} is no id of an environment")


def describe_spaces(
    observation_space: Mapping[str, Space[Any]], action_space: Space[Any], *, masked: bool = False
) -> Spaces:
    """What a template chooses by, from the leaves of an observation space by name, and an action space."""
    from gymnasium.spaces import Box, Discrete

    from framework.toolkit.spaces import TokenDiscrete, array_spec

    kinds = {name: _kind(space) for name, space in observation_space.items()}
    images, tokens, vectors = (
        tuple(name for name, leaf_kind in kinds.items() if leaf_kind == kind) for kind in ("image", "tokens", "vector")
    )
    sides = [min(sorted(observation_space[name].shape or ())[-2:]) for name in images]
    specs = [array_spec(space) for space in observation_space.values()]
    rows = (observation_space[tokens[0]].shape or (0,))[0] if len(tokens) == 1 else 0
    return Spaces(
        leaves=len(observation_space),
        images=images,
        tokens=tokens,
        vectors=vectors,
        smallest_side=min(sides, default=0),
        observation_bytes=sum(dtype.itemsize * math.prod(shape) for dtype, shape in specs),
        discrete=isinstance(action_space, Discrete),
        continuous=any(isinstance(part, Box) for part in _action_leaves(action_space)),
        token_actions=isinstance(action_space, TokenDiscrete) and max(action_space.tokens) < rows,
        masked=masked,
    )


def _action_leaves(space: Space[Any]) -> list[Space[Any]]:
    """The action space, or the spaces of its parts where it has several."""
    from framework.toolkit.spaces import action_parts

    return [part.space for part in action_parts(space).values()] or [space]


def _kind(space: Space[Any]) -> str:
    """An image is a Box of three axes, or of two of bytes; one of two axes of other numbers has rows of features."""
    from gymnasium.spaces import Box

    axes = len(space.shape or ()) if isinstance(space, Box) else 0
    if axes == 3 or (axes == 2 and space.dtype == "uint8"):
        return "image"
    return "tokens" if axes == 2 else "vector"


def _look_at(table: dict[str, Any], catalog: Catalog) -> tuple[dict[str, Space[Any]], Space[Any], bool]:
    """Make one environment and start an episode: its observations by name, its actions, and whether it masks some."""
    import numpy as np

    from framework.interfaces import EnvironmentContext
    from framework.pipeline.build import build
    from framework.pipeline.components import choose
    from framework.runtime.rollout.make_vector import make_vector

    component, problems = choose("environment", table, "environment", directory=Path.cwd(), catalog=catalog)
    if component is None:
        raise PipelineError(problems)
    try:
        vector = make_vector(build(component, EnvironmentContext(seed=1)), 1)
    except (PipelineError, PluginError):
        raise
    except FrameworkError as error:  # spaces that nothing can learn in
        raise NewPipelineError(f"{table['use']}: {error}") from error
    with closing(vector):
        vector.reset(np.zeros(1, np.int64), [1], [None])
        return vector.observation_space, vector.action_space, vector.action_mask is not None


def _words(space: Space[Any]) -> str:
    """A space in a few words; the bounds of a Box, one for each number, would fill the page."""
    from gymnasium.spaces import Box

    from framework.toolkit.spaces import action_parts

    if parts := action_parts(space):
        return ", ".join(f"{name} {_words(part.space)}" for name, part in parts.items())
    return f"Box{list(space.shape)} {space.dtype}" if isinstance(space, Box) else str(space)


def _replay(observation_bytes: int) -> dict[str, str]:
    low, high = _REPLAY_STEPS
    capacity = min(max(_REPLAY_BYTES // observation_bytes // 1000 * 1000, low), high)
    return {"capacity": f"{capacity:_}", "megabytes": f"{max(1, round(capacity * observation_bytes / 1e6)):,}"}


def _fill(folder: Path, values: dict[str, Any]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    def refuse(reason: str) -> NoReturn:
        raise NewPipelineError(reason)

    environment = Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("pipeline.toml.jinja").render(refuse=refuse, **values)
