"""Spaces as arrays: observations as flat dictionaries, and the action spaces that policies can act in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple

from framework.errors import FrameworkError

Path = tuple[Any, ...]

#: The name of an observation that is not made of parts.
PLAIN = "observation"

_LEAVES = (Box, Discrete, MultiDiscrete, MultiBinary)


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


def pick(name: str, path: Path, value: Any) -> Any:
    """The part of a nested value at ``path``."""
    for key in path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError) as error:
            raise FrameworkError(f"the observation has no {name!r}, which its space declares") from error
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
    """Raise `FrameworkError` unless it is Discrete, MultiDiscrete, MultiBinary, or a Box of floats with an axis."""
    supported = "Discrete, MultiDiscrete, MultiBinary, or a Box of floats with at least one axis"
    if isinstance(space, Box):
        if np.dtype(space.dtype).kind != "f" or not space.shape:
            raise FrameworkError(f"the action space {space} is not supported: it must be {supported}")
    elif not isinstance(space, Discrete | MultiDiscrete | MultiBinary):
        nested = isinstance(space, Dict | Tuple)
        hint = "; actions of several agents, or of several parts, need a wrapper that makes one of these of them"
        raise FrameworkError(f"the action space {space} is not supported: it must be {supported}{hint * nested}")


def action_spec(space: Space[Any]) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Dtype and shape of one action as policies give it: int64, int8 for MultiBinary, float32 for Box."""
    check_action_space(space)
    if isinstance(space, Box):
        return np.dtype(np.float32), tuple(space.shape)
    if isinstance(space, MultiDiscrete):
        return np.dtype(np.int64), tuple(space.nvec.shape)
    return array_spec(space)


def mask_size(space: Space[Any]) -> int | None:
    """Length M of an action mask: n of Discrete, the sum over nvec of MultiDiscrete; None where masks mean nothing."""
    return sum(sizes) if (sizes := mask_groups(space)) else None


def mask_groups(space: Space[Any]) -> tuple[int, ...]:
    """How a mask divides: one legal choice is made from each group. ``()`` where masks mean nothing."""
    if isinstance(space, Discrete):
        return (int(space.n),)
    if isinstance(space, MultiDiscrete):
        return tuple(int(n) for n in space.nvec.reshape(-1))
    return ()


def environment_actions(space: Space[Any], actions: np.ndarray) -> np.ndarray:
    """A batch of actions [N, ...] as environments take them: the space's dtype and shape; Box clipped to its bounds.

    Always a copy, which the environment may write into.
    """
    if isinstance(space, Discrete):
        return actions.copy()
    batch = actions.reshape((len(actions), *(space.shape or ())))
    if isinstance(space, Box):
        batch = np.clip(batch, space.low, space.high)
    return batch.astype(space.dtype)


def _named_leaves(space: Space[Any]) -> Iterator[tuple[str, Path, Space[Any]]]:
    names = set()
    for path, leaf in _leaves(space, ()):
        name = "/".join(str(key) for key in path) if path else PLAIN
        if name in names:
            raise FrameworkError(f"two parts of the observation space are both named {name!r}: rename one's key")
        if not isinstance(leaf, _LEAVES):
            raise FrameworkError(
                f"observation {name!r} has the unsupported space {leaf}: it must be Box, Discrete, MultiDiscrete or"
                " MultiBinary, or a Dict or Tuple of them; remove or convert it with a wrapper"
            )
        names.add(name)
        yield name, path, leaf
    if not names:
        raise FrameworkError(f"the observation space {space} is empty")


def _leaves(space: Space[Any], path: Path) -> Iterator[tuple[Path, Space[Any]]]:
    if isinstance(space, Dict):
        for key, part in space.spaces.items():
            yield from _leaves(part, (*path, key))
    elif isinstance(space, Tuple):
        for position, part in enumerate(space.spaces):
            yield from _leaves(part, (*path, position))
    else:
        yield path, space
