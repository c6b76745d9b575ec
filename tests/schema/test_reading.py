import math
from typing import Any, ClassVar, Literal

import pytest
from attrs import Factory, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import Problem
from framework.schema import OptionError, option, options, plain, structure, unknown_keys


@frozen
class Inner:
    depth: int = option(1, help="How deep.", ge=0)
    name: str = option(help="Its name.")


@frozen
class Config:
    rate: float = option(2.5e-4, help="Step size.", gt=0, lt=1)
    epochs: int = option(4, help="Passes.", ge=1, le=10)
    clip: bool = option(True, help="Whether.")
    schedule: str = option("linear", help="Which.", choices=("linear", "constant"))
    hidden: tuple[int, ...] = option((64, 64), help="Widths.", ge=1)
    betas: tuple[float, float] = option((0.9, 0.999), help="Of Adam.")
    words: list[str] = option(factory=list, help="Any words.", pattern="[a-z]+")
    limit: float | None = option(None, help="Maybe.", gt=0)
    lag: int | Literal["free"] = option(1, help="How old.", ge=0)
    kwargs: dict[str, Any] = option(factory=dict, help="Arguments.")
    factors: dict[str, float] = option(factory=dict, help="By name.")
    inner: Inner = option(factory=lambda: Inner(name="x"), help="Nested.")
    copies: int = option(Factory(lambda self: self.epochs, takes_self=True), help="As many as epochs.")
    id: str = option(help="Which one.")


def problems(**values):
    return structure(Config, {"id": "x"} | values, "at")[1]


def test_options_that_are_left_out_get_their_defaults():
    """Only what is required must be there; a default may depend on other options."""
    config, mistakes = structure(Config, {"id": "x", "epochs": 3})
    assert mistakes == []
    assert config == Config(id="x", epochs=3, copies=3)
    assert (config.rate, config.hidden, config.inner) == (2.5e-4, (64, 64), Inner(name="x"))


def test_values_get_the_declared_types():
    """Integers become floats, arrays tuples and tables config classes, in a file and in Python alike."""
    values = {"id": "x", "rate": 0.5, "factors": {"a": 1}, "hidden": [1, 2], "betas": [0, 1], "inner": {"name": "y"}}
    config, _ = structure(Config, values)
    assert config == Config(**values)
    assert (config.hidden, config.betas, config.inner) == ((1, 2), (0.0, 1.0), Inner(name="y"))
    assert [type(value) for value in (*config.betas, config.factors["a"])] == [float, float, float]


@pytest.mark.parametrize(
    ("key", "value", "path", "message"),
    [
        ("rate", "3e-4", "at.rate", 'expected a number, not "3e-4"; write it without quotes'),
        ("rate", "fast", "at.rate", 'expected a number, not "fast"'),
        ("rate", True, "at.rate", "expected a number, not true"),
        ("rate", math.nan, "at.rate", "must be a finite number, is nan"),
        ("limit", math.inf, "at.limit", "must be a finite number, is inf"),
        ("rate", 10**400, "at.rate", "must fit into 64 bits"),
        ("rate", 0, "at.rate", "must be greater than 0, is 0.0"),
        ("rate", 1, "at.rate", "must be less than 1, is 1.0"),
        ("epochs", 0, "at.epochs", "must be at least 1, is 0"),
        ("epochs", 11, "at.epochs", "must be at most 10, is 11"),
        ("epochs", 1.0, "at.epochs", "expected an integer, not 1.0"),
        ("epochs", False, "at.epochs", "expected an integer, not false"),
        ("epochs", "4", "at.epochs", 'expected an integer, not "4"; write it without quotes'),
        ("epochs", 2**63, "at.epochs", "must fit into 64 bits"),
        ("epochs", None, "at.epochs", "expected an integer, not None"),
        ("clip", 1, "at.clip", "expected a boolean, not 1"),
        ("clip", "true", "at.clip", 'expected a boolean, not "true"; write it without quotes'),
        ("id", 5, "at.id", "expected a string, not 5"),
        (
            "schedule",
            "liner",
            "at.schedule",
            'expected one of "linear", "constant", not "liner"; did you mean "linear"?',
        ),
        ("hidden", 64, "at.hidden", "expected an array, not 64"),
        ("hidden", [64, 0], "at.hidden.1", "must be at least 1, is 0"),
        ("hidden", [64, "x"], "at.hidden.1", 'expected an integer, not "x"'),
        ("betas", [0.9], "at.betas", "expected 2 elements, not 1"),
        ("words", ["a", "B"], "at.words.1", 'must match [a-z]+, not "B"'),
        ("lag", "fre", "at.lag", 'expected an integer or "free", not "fre"; did you mean "free"?'),
        ("lag", -1, "at.lag", "must be at least 0, is -1"),
        ("kwargs", [], "at.kwargs", "expected a table, not an array"),
        ("kwargs", {"a.b": [1, {"c": math.nan}]}, 'at.kwargs."a.b".1.c', "must be a finite number, is nan"),
        ("kwargs", {"a": object}, "at.kwargs.a", f"expected a string, number, boolean, array or table, not {object}"),
        ("kwargs", {1: 2}, "at.kwargs", "keys must be strings, not 1"),
        ("factors", {"a": "b"}, "at.factors.a", 'expected a number, not "b"'),
        ("inner", "x", "at.inner", 'expected a table, not "x"'),
        ("inner", {"depth": 2}, "at.inner.name", "missing: Its name."),
        ("inner", {"name": "x", "dept": 2}, "at.inner.dept", "unknown key; did you mean depth?"),
        ("zzz", 1, "at.zzz", f"unknown key; known: {', '.join(options(Config))}"),
    ],
)
def test_each_mistake_is_one_problem(key, value, path, message):
    """A mistake is named once, with the dotted key that it is at, what was expected and what is there."""
    assert problems(**{key: value}) == [Problem(message, path)]


def test_all_mistakes_are_found_at_once():
    """One reading names every mistake, also several in one array."""
    mistakes = problems(rate="x", epochs=0, hidden=[0, "a", 2, -1], inner={}, zzz=1)
    paths = ["at.zzz", "at.rate", "at.epochs", "at.hidden.1", "at.hidden.0", "at.hidden.3", "at.inner.name"]
    assert [problem.path for problem in mistakes] == paths


def test_a_misspelled_required_key_is_one_mistake():
    """What is missing because its key is misspelled is not reported a second time."""
    assert structure(Config, {"idd": "x"}, "at")[1] == [Problem("unknown key; did you mean id?", "at.idd")]


def test_what_is_no_table_is_one_problem():
    """A value where a table should be is refused, at the root without a key."""
    assert structure(Config, [1]) == (None, [Problem("expected a table, not an array")])


@frozen
class Renamed:
    rate: float = option(0.1, help="Step size.", formerly="speed")
    size: int = option(help="How large.", formerly=("width", "extent"))


@pytest.mark.parametrize("former", ["width", "extent"])
def test_a_former_name_is_refused_with_the_new_one(former):
    """A key that an option had before is one problem, which names the new key, also where the option is required."""
    assert structure(Renamed, {former: 3}, "at") == (
        None,
        [Problem(f"{former} is named size now", f"at.{former}")],
    )
    assert structure(Renamed, {"size": 3, "speed": 0.5}, "at")[1] == [Problem("speed is named rate now", "at.speed")]


def test_a_former_name_that_is_reserved_belongs_to_somebody_else():
    """Where the kernel reads a key by now that an option had before, the key is the kernel's."""
    assert structure(Renamed, {"size": 3, "speed": 0.5}, "at", ("speed",)) == (Renamed(size=3), [])


def test_reserved_keys_belong_to_somebody_else():
    """Reserved keys are passed over, and are suggested for keys that look like them."""
    values = {"name": "n", "use": "x", "wieght": 1}
    assert structure(Inner, values, "b", ("use", "weight"))[1] == [
        Problem("unknown key; did you mean weight?", "b.wieght")
    ]


@frozen
class Pair:
    low: int = option(0, help="Low.")
    high: int = option(1, help="High.")
    name: str = option("x", help="Any.")

    def __attrs_post_init__(self):
        if self.low > self.high:
            raise OptionError("must not be above high", "low", "high")
        if self.name == "bad":
            raise ValueError("no good name")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"low": 2}, [Problem("must not be above high", "p.low")]),
        ({"name": "bad"}, [Problem("no good name", "p")]),
        (
            {"low": 2, "name": 1},
            [Problem("expected a string, not 1", "p.name"), Problem("must not be above high", "p.low")],
        ),
        ({"low": 2, "high": "x"}, [Problem('expected an integer, not "x"', "p.high")]),
        ({"low": "x", "name": "bad"}, [Problem('expected an integer, not "x"', "p.low")]),
    ],
)
def test_rules_across_options(values, expected):
    """A rule is reported at the option it blames, unless what it is about could not be read itself."""
    assert structure(Pair, values, "p")[1] == expected


PLAIN = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from(["free", "a"])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=5,
)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.dictionaries(st.sampled_from([*options(Config), "zzz"]), PLAIN, max_size=5))
def test_any_value_is_read_or_refused(values):
    """Whatever the values, they are an instance whose plain values read back the same, or problems."""
    config, mistakes = structure(Config, {"id": "x"} | values, "at")
    if mistakes:
        assert config is None
        assert all(problem.path.startswith("at.") and problem.message for problem in mistakes)
    else:
        assert structure(Config, plain(config)) == (config, [])


def test_plain_values_have_no_none():
    """TOML has no null: options that are None are left out, everything else is there as lists, dicts and scalars."""
    values = plain(Config(id="x"))
    assert set(options(Config)) - set(values) == {"limit"}
    assert (values["hidden"], values["inner"]) == ([64, 64], {"depth": 1, "name": "x"})


def test_unknown_keys_are_compared_with_all_that_are_known():
    """Those too that are there: an override may have meant one. Where there are no options at all, that is said."""
    assert unknown_keys(["seed", "seet"], ["seed", "steps"], "")[0] == [
        Problem("unknown key; did you mean seed?", "seet")
    ]
    assert unknown_keys(["a"], [], "x")[0] == [Problem("unknown key; there are no options", "x.a")]


def test_keys_of_other_libraries_are_answered():
    """By the class's own hints, in the place of a guess; an option of that name is an option."""

    @frozen
    class Config:
        hints: ClassVar[dict[str, str]] = {"batch_size": "it is named minibatch_size here", "size": "never told"}
        minibatch_size: int = option(1, help="-")
        size: int = option(1, help="-")

    config, problems = structure(Config, {"batch_size": 3, "size": 2}, "algorithm")
    assert config is None
    assert [str(problem) for problem in problems] == [
        "algorithm.batch_size: unknown key; it is named minibatch_size here"
    ]
    assert list(options(Config)) == ["minibatch_size", "size"]
