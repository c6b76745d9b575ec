import copy
import json
from collections.abc import Callable
from operator import itemgetter
from typing import Any

import pytest

from framework.runtime.rollout.noticed_options import NoticedOptions


def options(**more: Any) -> NoticedOptions:
    """The options of a reset with a task."""
    return NoticedOptions("task", {"task": {"level": 3}, **more})


READS: dict[str, Callable[[NoticedOptions], Any]] = {
    "index": lambda noticed: noticed["task"],
    "get": lambda noticed: noticed.get("task"),
    "pop": lambda noticed: noticed.pop("task"),
    "pop with a default": lambda noticed: noticed.pop("task", None),
    "setdefault": lambda noticed: noticed.setdefault("task", 7),
    "popitem": lambda noticed: noticed.popitem()[1],
    "itemgetter": itemgetter("task"),
    "values": lambda noticed: next(iter(noticed.values())),
    "items": lambda noticed: dict(noticed.items())["task"],
    "keys": lambda noticed: [noticed[key] for key in noticed.keys()][0],  # noqa: RUF015, SIM118
    "iteration": lambda noticed: [noticed[key] for key in noticed][0],  # noqa: RUF015
}
COPIES: dict[str, Callable[[NoticedOptions], Any]] = {
    "dict": dict,
    "unpacking": lambda noticed: {**noticed},
    "union": lambda noticed: {"level": 1} | noticed,
    "union of the options": lambda noticed: noticed | {"level": 1},
    "update": lambda noticed: updated({}, noticed),
    "copy": lambda noticed: noticed.copy(),
    "copy of the module": copy.copy,
    "deepcopy": copy.deepcopy,
    "keywords": lambda noticed: dict(**noticed),
    "json": lambda noticed: json.loads(json.dumps(noticed)),
}


def updated(target: dict[str, Any], source: NoticedOptions) -> dict[str, Any]:
    target.update(source)
    return target


@pytest.mark.parametrize("way", READS)
def test_every_way_to_read_is_noticed(way: str) -> None:
    """Whatever gives the task to an environment counts as looking at it, and gives the task."""
    noticed = options()
    assert not noticed.read
    assert READS[way](noticed) == {"level": 3}
    assert noticed.read


@pytest.mark.parametrize("way", COPIES)
def test_handing_the_options_on_counts_as_reading(way: str) -> None:
    """A wrapper may copy them for the environment inside of it, which nobody sees reading; the copy has the task."""
    noticed = options()
    assert COPIES[way](noticed)["task"] == {"level": 3}
    assert noticed.read


def test_a_match_is_noticed() -> None:
    """Patterns read by another door."""
    noticed = options()
    match noticed:
        case {"task": {"level": level}}:
            assert level == 3
    assert noticed.read


@pytest.mark.parametrize(
    "look",
    [
        len,
        bool,
        repr,
        lambda noticed: "task" in noticed,
        lambda noticed: noticed.get("level"),
        lambda noticed: noticed["size"],
    ],
    ids=["len", "bool", "repr", "in", "get another", "index another"],
)
def test_what_does_not_give_the_task_is_not_noticed(look: Callable[[NoticedOptions], Any]) -> None:
    """Asking whether there are options, or for another of them, is not looking at the task."""
    noticed = options(size=2)
    look(noticed)
    assert not noticed.read


def test_options_are_a_dictionary_like_any_other() -> None:
    """What is missing is a KeyError, has a default where one is given, and what is put in is there."""
    noticed = options()
    assert isinstance(noticed, dict)
    assert noticed == {"task": {"level": 3}}
    with pytest.raises(KeyError):
        noticed["level"]
    with pytest.raises(KeyError):
        noticed.pop("level")
    assert (noticed.get("level", 1), noticed.pop("level", 2), noticed.setdefault("level", 4)) == (1, 2, 4)
    assert list(noticed) == ["task", "level"]


def test_the_options_of_the_caller_stay_as_they_are() -> None:
    """An environment that takes its task out of the options takes it out of its own."""
    caller_options = {"task": 1}
    NoticedOptions("task", caller_options).pop("task")
    assert caller_options == {"task": 1}
