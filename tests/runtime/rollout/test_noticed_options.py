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
    "index": lambda given: given["task"],
    "get": lambda given: given.get("task"),
    "pop": lambda given: given.pop("task"),
    "pop with a default": lambda given: given.pop("task", None),
    "setdefault": lambda given: given.setdefault("task", 7),
    "popitem": lambda given: given.popitem()[1],
    "itemgetter": itemgetter("task"),
    "values": lambda given: next(iter(given.values())),
    "items": lambda given: dict(given.items())["task"],
    "keys": lambda given: [given[key] for key in given.keys()][0],  # noqa: RUF015, SIM118
    "iteration": lambda given: [given[key] for key in given][0],  # noqa: RUF015
}
COPIES: dict[str, Callable[[NoticedOptions], Any]] = {
    "dict": dict,
    "unpacking": lambda given: {**given},
    "union": lambda given: {"level": 1} | given,
    "union of the options": lambda given: given | {"level": 1},
    "update": lambda given: updated({}, given),
    "copy": lambda given: given.copy(),
    "copy of the module": copy.copy,
    "deepcopy": copy.deepcopy,
    "keywords": lambda given: dict(**given),
    "json": lambda given: json.loads(json.dumps(given)),
}


def updated(target: dict[str, Any], source: NoticedOptions) -> dict[str, Any]:
    target.update(source)
    return target


@pytest.mark.parametrize("how", READS)
def test_every_way_to_read_is_noticed(how: str) -> None:
    """Whatever gives the task to an environment counts as looking at it, and gives the task."""
    given = options()
    assert not given.read
    assert READS[how](given) == {"level": 3}
    assert given.read


@pytest.mark.parametrize("how", COPIES)
def test_handing_the_options_on_counts_as_reading(how: str) -> None:
    """A wrapper may copy them for the environment inside of it, which nobody sees reading; the copy has the task."""
    given = options()
    assert COPIES[how](given)["task"] == {"level": 3}
    assert given.read


def test_a_match_is_noticed() -> None:
    """Patterns read by another door."""
    given = options()
    match given:
        case {"task": {"level": level}}:
            assert level == 3
    assert given.read


@pytest.mark.parametrize(
    "look",
    [len, bool, repr, lambda given: "task" in given, lambda given: given.get("level"), lambda given: given["size"]],
    ids=["len", "bool", "repr", "in", "get another", "index another"],
)
def test_what_does_not_give_the_task_is_not_noticed(look: Callable[[NoticedOptions], Any]) -> None:
    """Asking whether there are options, or for another of them, is not looking at the task."""
    given = options(size=2)
    look(given)
    assert not given.read


def test_options_are_a_dictionary_like_any_other() -> None:
    """What is missing is a KeyError, has a default where one is given, and what is put in is there."""
    given = options()
    assert isinstance(given, dict)
    assert given == {"task": {"level": 3}}
    with pytest.raises(KeyError):
        given["level"]
    with pytest.raises(KeyError):
        given.pop("level")
    assert (given.get("level", 1), given.pop("level", 2), given.setdefault("level", 4)) == (1, 2, 4)
    assert list(given) == ["task", "level"]


def test_the_options_of_the_caller_stay_as_they_are() -> None:
    """An environment that takes its task out of the options takes it out of its own."""
    mine = {"task": 1}
    NoticedOptions("task", mine).pop("task")
    assert mine == {"task": 1}
