import tomllib
from typing import Any, Literal

import jsonschema
import pytest
from attrs import Factory, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.pipeline.describe import Row, json_schema, pipeline_schema, rows
from framework.schema import option, options, structure


@frozen
class Inner:
    depth: int = option(1, help="How deep.", ge=0)
    name: str = option(help="Its name.")


@frozen
class Config:
    rate: float = option(0.5, help="Step size.", gt=0, lt=1)
    schedule: str = option("linear", help="Which.", choices=("linear", "constant"), formerly="decay")
    hidden: tuple[int, ...] = option((64, 64), help="Widths.", ge=1, le=512)
    betas: tuple[float, float] = option((0.9, 0.999), help="Of Adam.")
    words: list[str] = option(factory=list, help="Any words.", pattern="[a-z]+")
    limit: float | None = option(None, help="Maybe.", ge=0)
    lag: int | Literal["free"] = option(1, help="How old.", ge=0)
    kwargs: dict[str, Any] = option(factory=dict, help="Arguments.")
    factors: dict[str, float] = option(factory=dict, help="By name.")
    inner: Inner = option(factory=lambda: Inner(name="x"), help="Nested.")
    copies: int = option(Factory(lambda self: len(self.hidden), takes_self=True), help="As many as layers.")
    id: str = option(help="Which one.")


def test_rows_describe_each_option():
    """A row has the dotted key, the type with its rules, the default as TOML, and the help; no former name has one."""
    described = {row.path: row for row in rows(Config, "a")}
    assert len(described) == len(options(Config))
    assert described["a.rate"] == Row("a.rate", "number > 0 < 1", "0.5", False, "Step size.")
    assert described["a.schedule"] == Row("a.schedule", '"linear" or "constant"', '"linear"', False, "Which.")
    assert described["a.hidden"] == Row("a.hidden", "array of integers ≥ 1 ≤ 512", "[64, 64]", False, "Widths.")
    assert described["a.limit"] == Row("a.limit", "number ≥ 0", "", False, "Maybe.")
    assert described["a.lag"] == Row("a.lag", 'integer or "free" ≥ 0', "1", False, "How old.")
    assert described["a.inner"] == Row("a.inner", "table", '{depth = 1, name = "x"}', False, "Nested.")
    assert described["a.copies"] == Row("a.copies", "integer", "", False, "As many as layers.")
    assert described["a.id"] == Row("a.id", "string", "", True, "Which one.")


NUMBERS = st.one_of(st.integers(-2, 600), st.sampled_from([0.25, 0.5, -1.5, 2.5]))
PLAIN = st.recursive(
    st.one_of(st.booleans(), NUMBERS, st.sampled_from(["free", "linear", "abc", "A"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["depth", "name", "x"]), inner, max_size=3)
    ),
    max_leaves=4,
)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.dictionaries(st.sampled_from([*options(Config), "decay", "zzz"]), PLAIN, max_size=3))
def test_the_schema_takes_what_reading_takes(values):
    """JSON Schema and structure agree on any plain values: on types, rules, unknown, former and missing keys."""
    validator = jsonschema.Draft7Validator(json_schema(Config))
    for candidate in (values, {"id": "x"} | values):
        assert validator.is_valid(candidate) == (structure(Config, candidate)[1] == [])


# --- whole files -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def validator(catalog):
    schema, _ = pipeline_schema(catalog)
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


MINIMAL = """
run.total_steps = 1
environment = {use = "world", id = "x"}
algorithm = {use = "agent"}
"""


@pytest.mark.parametrize(
    "text",
    [
        MINIMAL,
        MINIMAL + "encoder = {hidden = [1]}",
        MINIMAL + "bonus = [{use = 'counter', weight = 2, decay = 1}, {use = 'counter'}]",
        MINIMAL + "sampling = {policy_lag = 'free', shard = 2}\nrequires = ['a>1']",
        MINIMAL + "encoder = {use = 'my_file:Mine', anything = {x = 1}}",
        MINIMAL + "bonus = [{use = 'lost', anything = 1}]",
        "extends = 'base.toml'",
        "extends = 'base.toml'\nalgorithm = {learning_rate = 0.5}\nenvironment = {kwargs = {a = 1}}",
    ],
)
def test_the_schema_accepts(validator, text):
    """Files that are right are valid; one that extends another need not have what is required."""
    assert list(validator.iter_errors(tomllib.loads(text))) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        MINIMAL.replace("total_steps", "totl_steps"),
        MINIMAL.replace(', id = "x"', ""),
        MINIMAL.replace('"agent"', '"agnet"'),
        MINIMAL.replace('use = "agent"', "epochs = 1"),
        MINIMAL + "encoder = {use = 'recurrent', hidden = [1]}",
        MINIMAL + "encoder = {hidden = [0]}",
        MINIMAL + "bonus = {use = 'counter'}",
        MINIMAL + "bonus = [{use = 'counter', wieght = 2}]",
        MINIMAL + "algorithm.weight = 2",
        MINIMAL + "sampling = {policy_lag = 'fre'}",
        MINIMAL + "runtime = {device = 'cud'}",
        MINIMAL + "runtimes = {}",
        "extends = 'base.toml'\nalgorithm = {learning_rte = 1}",
        "extends = 1",
    ],
)
def test_the_schema_refuses(validator, text):
    """Options are held against the component that use names; so are sections, types and what is required."""
    assert not validator.is_valid(tomllib.loads(text.replace('algorithm = {use = "agent"}\nalgorithm.', "algorithm.")))


def test_components_whose_options_cannot_be_told_are_named(catalog):
    """A broken plugin does not stop the schema: its components take any options, and the reason is given."""
    _, unknown = pipeline_schema(catalog)
    assert [reason[: reason.index(" (framework-rl 0)")] for reason in unknown] == ["bonus 'lost'", "bonus 'broken'"]
