"""Spaces as arrays: observations as flat dictionaries, and actions as policies give them.

An action of several parts, of a Dict or Tuple space, is one flat float32 array [D] wherever policies, trajectories and
replay buffers have it: the numbers of its parts one after the other (`action_parts`), choices numbered from 0, which
float32 holds exactly up to 2**24. Only environments see it nested (`environment_actions`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple

from framework.errors import FrameworkError

Path = tuple[Any, ...]

#: The name of an observation that is not made of parts.
PLAIN = "observation"

#: The part of `ParameterizedActions` that says which action it is.
CHOICE = "choice"

_LEAVES = (Box, Discrete, MultiDiscrete, MultiBinary)
#: Up to which float32 holds every whole number.
_EXACT = 2**24


class TokenDiscrete(Discrete):
    """Discrete actions on tokens of the observation: each applies a verb to one token, such as opening a result.

    Action ``a`` does ``verbs[a]`` (numbered from 0) to token ``tokens[a]``. A policy may so read each action from the
    token that it is about, with the same weights for the same verb; to whoever does not know this class it is Discrete.
    """

    def __init__(self, tokens: Sequence[int], verbs: Sequence[int]):
        """Raises ``ValueError`` where the two differ in length, are empty, or have a negative number."""
        if len(tokens) != len(verbs) or min((*tokens, *verbs), default=-1) < 0:
            raise ValueError(f"each action needs one token and one verb, numbered from 0, not {tokens!r} and {verbs!r}")
        super().__init__(len(tokens))
        self.tokens, self.verbs = tuple(map(int, tokens)), tuple(map(int, verbs))

    def __eq__(self, other: object) -> bool:
        """Whether the actions are the same, and about the same."""
        if not isinstance(other, TokenDiscrete):
            return False
        return (self.n, self.tokens, self.verbs) == (other.n, other.tokens, other.verbs)

    __hash__ = None  # type: ignore[assignment]  # as Discrete has none

    def __repr__(self) -> str:
        """With the sizes that matter."""
        return f"TokenDiscrete({self.n}, tokens={max(self.tokens) + 1}, verbs={max(self.verbs) + 1})"


class ParameterizedActions(Dict):
    """A choice of one action by name, each with parameters of its own, of which those of the chosen one alone matter.

    ``ParameterizedActions({"kick": Box(-1, 1, (2,)), "wait": None})`` is a Dict of ``"choice"``, a Discrete that
    numbers the names in order, and ``"kick"``. A policy may so leave out what does not matter from log-probability and
    entropy; to whoever does not know this class it is a Dict. Parameters may be nested.
    """

    def __init__(self, parameters: Mapping[str, Space[Any] | None]):
        """Raises ``ValueError`` where there is no action, or one is named ``"choice"``."""
        if not parameters or CHOICE in parameters:
            raise ValueError(f"it needs the name of an action or more, and none may be {CHOICE!r}: {list(parameters)}")
        parts = [(name, space) for name, space in parameters.items() if space is not None]
        super().__init__([(CHOICE, Discrete(len(parameters))), *parts])
        self.names = tuple(parameters)

    def __eq__(self, other: object) -> bool:
        """Whether the actions are the same, in the same order."""
        return isinstance(other, ParameterizedActions) and self.names == other.names and super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]  # as Dict has none

    def __repr__(self) -> str:
        """Each action with its parameters."""
        parameters = ", ".join(f"{name!r}: {self.spaces.get(name)}" for name in self.names)
        return f"ParameterizedActions({{{parameters}}})"


class ActionPart(NamedTuple):
    """One part of a nested action, and where it stands in the flat one."""

    path: Path  #: the keys that lead to it in the environment's action
    space: Space[Any]  #: as the environment has it
    columns: slice  #: of the flat action
    mask: slice  #: of the action mask; empty where masks mean nothing
    conditions: tuple[tuple[str, int], ...]  #: it matters where each of these parts is that choice, numbered from 0


def leaf_paths(space: Space[Any]) -> dict[str, Path]:
    """The name of each leaf, and the keys that lead to it in a value of ``space``: ``{"a/0": ("a", 0)}``.

    Raises `FrameworkError` as `flat_space` does.
    """
    return {name: path for name, path, _ in _named_leaves(space)}


def flat_space(space: Space[Any]) -> dict[str, Space[Any]]:
    """The leaves of an observation space by name: ``"observation"`` for a plain space, else ``"camera/left"``, ``"0"``.

    Raises `FrameworkError` naming the leaf where it is not Box, Discrete, MultiDiscrete or MultiBinary, where two
    leaves get the same name, and where there are none.
    """
    return {name: leaf for name, _, leaf in _named_leaves(space)}


def flatten(space: Space[Any], value: Any) -> dict[str, np.ndarray]:
    """An observation as ``{leaf: array}``, dtypes and shapes as `array_spec` says.

    Raises `FrameworkError` naming the leaf where the value lacks it, or where its shape or dtype does not fit.
    """
    return {name: leaf_array(name, leaf, pick(name, path, value)) for name, path, leaf in _named_leaves(space)}


def flatten_batch(space: Space[Any], values: Any) -> dict[str, np.ndarray]:
    """The observations of N environments as ``{leaf: [N, ...]}``.

    ``values`` has the structure of ``space``, with leaves [N, ...]. Raises `FrameworkError` as `flatten` does, and
    where leaves differ in N.
    """
    flat: dict[str, np.ndarray] = {}
    for name, path, leaf in _named_leaves(space):
        dtype, shape = array_spec(leaf)
        batch = np.asarray(pick(name, path, values))
        rows = next(iter(flat.values()), batch).shape[:1]
        flat[name] = _cast(name, batch, dtype, (*(rows or (1,)), *shape))
    return flat


def pick(name: str, path: Path, value: Any, whole: str = "observation") -> Any:
    """The part of a nested value at ``path``."""
    for key in path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError) as error:
            raise FrameworkError(f"the {whole} has no {name!r}, which its space declares") from error
    return value


def leaf_array(name: str, leaf: Space[Any], value: Any) -> np.ndarray:
    """The value of one leaf as an array of the leaf's dtype and shape; never a lossy cast between kinds of numbers."""
    dtype, shape = array_spec(leaf)
    return _cast(name, np.asarray(value), dtype, shape)


def _cast(name: str, array: np.ndarray, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
    if array.shape != shape or not np.can_cast(array.dtype, dtype, "same_kind"):
        raise FrameworkError(
            f"observation {name!r} is {array.dtype}{list(array.shape)}, but its space declares {dtype}{list(shape)}"
        )
    cast = array.astype(dtype)
    if dtype.kind in "iu" and (cast != array).any():
        raise FrameworkError(f"observation {name!r} has values that {dtype} cannot hold: {array}")
    return cast


def choices(leaf: Space[Any]) -> tuple[np.ndarray, np.ndarray] | None:
    """The first choice of a leaf and the number of its choices, both unsigned; None for a Box.

    Unsigned, what lies below the first is far above the last, so that one comparison finds both:
    ``batch - first >= count`` where ``batch`` has the leaf's dtype, less its sign.
    """
    if isinstance(leaf, Box):
        return None
    dtype, shape = array_spec(leaf)
    unsigned = f"u{dtype.itemsize}"
    start: Any = 0
    count: Any = 2  # of MultiBinary
    if isinstance(leaf, Discrete):
        start, count = leaf.start, leaf.n
    elif isinstance(leaf, MultiDiscrete):
        start, count = leaf.start, leaf.nvec
    return np.full(shape, start, dtype).view(unsigned), np.full(shape, count, unsigned)


def truths(name: str, value: Any) -> np.ndarray:
    """``value`` as an array of bool. Raises `FrameworkError` unless it holds bool, or 0 and 1, alone."""
    array = np.asarray(value)
    if array.dtype.kind == "b":
        return array
    if array.dtype.char == "b" and not array.tobytes().strip(b"\0\1"):  # the usual dtype of masks, looked at fast
        return array.view(bool)
    if array.dtype.kind in "iuf" and not np.count_nonzero(array != (truth := array.astype(bool))):
        return truth
    raise FrameworkError(f"{name} is {value!r}: it must hold true or false, or 1 and 0, and nothing else")


def array_spec(leaf: Space[Any]) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Dtype and shape of one leaf's values: the space's own; a Discrete is an int64 scalar (``start`` is kept)."""
    if isinstance(leaf, Discrete):
        return np.dtype(np.int64), ()
    if leaf.dtype is None or leaf.shape is None:
        raise FrameworkError(f"the space {leaf} has no fixed dtype and shape")
    return np.dtype(leaf.dtype), tuple(leaf.shape)


def check_action_space(space: Space[Any]) -> None:
    """Raise `FrameworkError` unless it is Discrete, MultiDiscrete, MultiBinary, or a Box of floats with an axis.

    Or else a Dict or Tuple of these, nested or not.
    """
    parts = {f"part {name!r} of the action space": part.space for name, part in action_parts(space).items()}
    for subject, leaf in (parts or {"the action space": space}).items():
        odd = isinstance(leaf, Box) and (np.dtype(leaf.dtype).kind != "f" or not leaf.shape)
        if odd or not isinstance(leaf, _LEAVES):
            raise FrameworkError(
                f"{subject} is {leaf}, which is not supported: it must be Discrete, MultiDiscrete, MultiBinary, a Box"
                " of floats with at least one axis, or a Dict or Tuple of these"
            )
        if parts and max(mask_groups(leaf), default=0) > _EXACT:
            raise FrameworkError(
                f"{subject} is {leaf}, which has more than 2**24 choices: too many for one of several parts"
            )


def action_parts(space: Space[Any]) -> dict[str, ActionPart]:
    """The parts of a Dict or Tuple action space by name, as observations are named: ``"arm/0"``; else ``{}``.

    Raises `FrameworkError` as `flat_space` does.
    """
    parts: dict[str, ActionPart] = {}
    if not isinstance(space, Dict | Tuple):
        return parts
    column = bit = 0
    for name, path, leaf in _named_leaves(space, "action"):
        width, bits = math.prod(array_spec(leaf)[1]), sum(mask_groups(leaf))
        where = slice(column, column + width), slice(bit, bit + bits)
        parts[name] = ActionPart(path, leaf, *where, tuple(_conditions(space, path)))
        column, bit = column + width, bit + bits
    return parts


def _conditions(space: Any, path: Path) -> Iterator[tuple[str, int]]:
    for depth, key in enumerate(path):
        if isinstance(space, ParameterizedActions) and key != CHOICE:
            yield "/".join(map(str, (*path[:depth], CHOICE))), space.names.index(key)
        space = space[key]


def action_spec(space: Space[Any]) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Dtype and shape of one action as policies give it: int64, int8 for MultiBinary, float32 for Box.

    Of several parts it is float32 [D], their numbers in the order of `action_parts`.
    """
    check_action_space(space)
    if parts := action_parts(space):
        return np.dtype(np.float32), (max(part.columns.stop for part in parts.values()),)
    if isinstance(space, Box):
        return np.dtype(np.float32), tuple(space.shape)
    if isinstance(space, MultiDiscrete):
        return np.dtype(np.int64), tuple(space.nvec.shape)
    return array_spec(space)


def mask_size(space: Space[Any]) -> int | None:
    """Length M of an action mask: n of Discrete, the sum over nvec of MultiDiscrete; None where masks mean nothing.

    Of several parts it is the sum over those for which masks mean something.
    """
    return sum(sizes) if (sizes := mask_groups(space)) else None


def mask_groups(space: Space[Any]) -> tuple[int, ...]:
    """How a mask divides: one legal choice is made from each group. ``()`` where masks mean nothing."""
    if isinstance(space, Discrete):
        return (int(space.n),)
    if isinstance(space, MultiDiscrete):
        return tuple(int(n) for n in space.nvec.reshape(-1))
    if isinstance(space, Dict | Tuple):
        return tuple(size for part in action_parts(space).values() for size in mask_groups(part.space))
    return ()


def flat_mask(space: Space[Any], mask: Any, name: str = "info['action_mask']") -> np.ndarray:
    """An action mask as the environment gives it, as one array [M] bool.

    A MultiDiscrete's may be a tuple with one array each. That of a Dict or Tuple has its structure, with None, or
    nothing in a dictionary, where all is legal; or it is one array of all parts. Raises `FrameworkError` where it does
    not fit.
    """
    if isinstance(space, Dict | Tuple) and not isinstance(mask, np.ndarray):
        return np.concatenate([flat_mask(part, *named) for part, *named in _part_masks(space, mask, name)])
    row = np.concatenate([np.ravel(part) for part in mask]) if isinstance(mask, tuple) else np.asarray(mask)
    if row.shape != (size := mask_size(space) or 0,):
        raise FrameworkError(f"{name} has the shape {row.shape}, not ({size},)")
    return truths(name, row)


def _part_masks(space: Dict | Tuple[Any], mask: Any, name: str) -> Iterator[tuple[Space[Any], Any, str]]:
    """Each part of a space with its mask, all true where nothing is said of it, and the mask's name."""
    parts = dict(space.spaces) if isinstance(space, Dict) else dict(enumerate(space.spaces))
    masks = dict(enumerate(mask)) if isinstance(mask, tuple) else mask
    fits = isinstance(mask, Mapping if isinstance(space, Dict) else tuple)
    if not fits or (masks.keys() - parts.keys()) or (isinstance(mask, tuple) and len(masks) < len(parts)):
        raise FrameworkError(f"{name} is {mask!r}: it must have the parts of {space}, or None for some of them")
    for key, part in parts.items():
        part_mask = masks.get(key)
        yield part, np.ones(mask_size(part) or 0, bool) if part_mask is None else part_mask, f"{name}[{key!r}]"


def environment_actions(space: Space[Any], actions: np.ndarray) -> Any:
    """A batch of actions [N, ...] as environments take them: the space's dtype and shape; Box clipped to its bounds.

    Of several parts it is nested as the space is, with arrays [N, ...] as leaves: what vector environments take. Always
    a copy, which the environment may write into.
    """
    if parts := action_parts(space):
        return _nested(space, iter([_part_actions(part.space, actions[:, part.columns]) for part in parts.values()]))
    if isinstance(space, Discrete):
        return actions.copy()
    batch = actions.reshape((len(actions), *(space.shape or ())))
    if isinstance(space, Box):
        batch = np.clip(batch, space.low, space.high)
    return batch.astype(space.dtype)


def single_actions(space: Space[Any], actions: np.ndarray) -> Sequence[Any]:
    """As `environment_actions`, one for each environment: what `gymnasium.Env.step` takes."""
    batch = environment_actions(space, actions)
    return [_row(batch, index) for index in range(len(actions))] if isinstance(space, Dict | Tuple) else batch


def _row(batch: Any, index: int) -> Any:
    if isinstance(batch, dict):
        return {key: _row(part, index) for key, part in batch.items()}
    return tuple(_row(part, index) for part in batch) if isinstance(batch, tuple) else batch[index]


def flat_action(space: Space[Any], action: Any) -> np.ndarray:
    """One action of an environment as policies give it, see `action_spec`.

    Raises `FrameworkError` where a part is missing or has another shape or kind of numbers.
    """
    dtype, shape = action_spec(space)
    row = np.empty(shape, dtype)
    for name, part in action_parts(space).items():
        value = np.asarray(pick(name, part.path, action, "action"))
        part_dtype, part_shape = action_spec(part.space)
        if value.shape != part_shape or not np.can_cast(value.dtype, part_dtype, "same_kind"):
            raise FrameworkError(f"part {name!r} of the action is {value!r}, which is not in {part.space}")
        row[part.columns] = np.ravel(value - getattr(part.space, "start", 0))
    return row if action_parts(space) else np.asarray(action, dtype)


def _part_actions(leaf: Space[Any], columns: np.ndarray) -> np.ndarray:
    """A part of flat actions, [N, width] -> [N, ...] as environments take it."""
    batch, start = columns.reshape(len(columns), *action_spec(leaf)[1]), getattr(leaf, "start", None)
    actions: np.ndarray = environment_actions(leaf, batch if start is None else batch.astype(np.int64) + start)
    return actions


def _nested(space: Space[Any], leaves: Iterator[Any]) -> Any:
    """Leaves in order, as the parts of a value of ``space``."""
    if isinstance(space, Dict):
        return {key: _nested(part, leaves) for key, part in space.spaces.items()}
    return tuple(_nested(part, leaves) for part in space.spaces) if isinstance(space, Tuple) else next(leaves)


def _named_leaves(space: Space[Any], whole: str = "observation") -> Iterator[tuple[str, Path, Space[Any]]]:
    names = set()
    for path, leaf in _leaves(space, ()):
        name = "/".join(str(key) for key in path) if path else PLAIN
        if name in names:
            raise FrameworkError(f"two parts of the {whole} space are both named {name!r}: rename one's key")
        if not isinstance(leaf, _LEAVES):
            raise FrameworkError(
                f"{whole} {name!r} has the unsupported space {leaf}: it must be Box, Discrete, MultiDiscrete or"
                " MultiBinary, or a Dict or Tuple of them; remove or convert it with a wrapper"
            )
        names.add(name)
        yield name, path, leaf
    if not names:
        raise FrameworkError(f"the {whole} space {space} is empty")


def _leaves(space: Space[Any], path: Path) -> Iterator[tuple[Path, Space[Any]]]:
    if isinstance(space, Dict):
        for key, part in space.spaces.items():
            yield from _leaves(part, (*path, key))
    elif isinstance(space, Tuple):
        for position, part in enumerate(space.spaces):
            yield from _leaves(part, (*path, position))
    else:
        yield path, space
