import tomllib

import pytest
import runs
from hypothesis import given
from hypothesis import strategies as st

import framework
from framework.errors import PipelineError
from framework.schema import structure
from framework.studies.space import Range, read_space

FINITE = st.floats(-1e6, 1e6, allow_nan=False).map(lambda number: round(number, 3))


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    return runs.write(tmp_path_factory.mktemp("pipeline"))


@pytest.fixture
def read(pipeline, tmp_path):
    """Reads a space from text."""

    def read_text(text):
        path = tmp_path / "space.toml"
        path.write_text(text)
        return read_space(path, pipeline)

    return read_text


def refusals(read, text):
    """What is said of a space, without the folder that it lies in."""
    with pytest.raises(PipelineError) as error:
        read(text)
    assert error.value.exit_code == 2
    return [line.partition("/space.toml")[2] for line in str(error.value).splitlines()]


# --- reading -----------------------------------------------------------------------------------------------------


def test_dotted_keys_and_tables_mean_the_same(read):
    """A key in quotes, a key without, and a key in a table."""
    spaces = [
        read(text)
        for text in (
            '"algorithm.epochs" = { low = 1, high = 4 }',
            "algorithm.epochs = { low = 1, high = 4 }",
            "[algorithm]\nepochs = { low = 1, high = 4 }",
            "[algorithm.epochs]\nlow = 1\nhigh = 4",
        )
    ]
    assert all(space.to_plain() == spaces[0].to_plain() for space in spaces)
    assert [dimension.key for dimension in spaces[0].dimensions] == ["algorithm.epochs"]


@pytest.mark.parametrize(
    ("text", "integer"),
    [
        ("algorithm.epochs = { low = 1, high = 4 }", True),
        ("algorithm.minibatch_size = { low = 32, high = 128, step = 32 }", True),
        ("algorithm.gae_lambda = { low = 0, high = 1 }", False),
        ("algorithm.learning_rate = { low = 1e-5, high = 1 }", False),
        ("algorithm.epochs = { choices = [1, 2] }", False),
    ],
)
def test_whole_numbers_are_drawn_where_the_pipeline_takes_no_others(read, text, integer):
    """Whole bounds of an option that takes fractions are bounds of fractions."""
    assert [dimension.integer for dimension in read(text).dimensions] == [integer]


def test_overrides_are_as_typed(read, pipeline):
    """Every kind of value is read back as it was drawn."""
    space = read(
        'encoder.use = { choices = ["mlp", "gru"] }\n'
        'encoder.hidden = { choices = [[64], [32, 32]], when = { "encoder.use" = "mlp" } }\n'
        "algorithm.learning_rate = { low = 1e-7, high = 1e-2, log = true }\n"
    )
    values = {"encoder.use": "mlp", "encoder.hidden": [32, 32], "algorithm.learning_rate": 1e-7}
    loaded = framework.load(pipeline, space.overrides(values)).to_plain()
    assert loaded["encoder"]["hidden"] == [32, 32]
    assert loaded["algorithm"]["learning_rate"] == 1e-7


def test_conditional_keys_apply_to_their_choices_only(read):
    """One value or several; a key whose own condition does not hold decides nothing."""
    space = read(
        'encoder.use = { choices = ["mlp", "gru", "lstm"] }\n'
        'encoder.hidden = { choices = [[64], [32, 32]], when = { "encoder.use" = "mlp" } }\n'
        'encoder.features = { choices = [16, 32], when = { "encoder.use" = ["gru", "lstm"] } }\n'
        'algorithm.epochs = { low = 1, high = 4, when = { "encoder.features" = 16 } }\n'
    )
    _, hidden, features, epochs = space.dimensions
    assert (hidden.applies({"encoder.use": "mlp"}), hidden.applies({"encoder.use": "gru"})) == (True, False)
    assert features.applies({"encoder.use": "lstm"})
    assert epochs.applies({"encoder.use": "gru", "encoder.features": 16})
    assert not epochs.applies({"encoder.use": "mlp", "encoder.hidden": [64]})


# --- bounds and choices ------------------------------------------------------------------------------------------


@given(low=FINITE, high=FINITE, log=st.booleans())
def test_bounds_are_in_order_and_logarithms_of_positive_numbers(low, high, log):
    """A range is accepted exactly where it has more than one value, and each a logarithm if it is to have one."""
    _, problems = structure(Range, {"low": low, "high": high, "log": log})
    assert (not problems) == (low < high and (low > 0 or not log))


@given(low=st.integers(-1000, 1000), count=st.integers(1, 50), step=st.integers(1, 50), beyond=st.integers(0, 49))
def test_the_highest_value_can_be_reached_by_steps(low, count, step, beyond):
    """Else it is refused, and the message names one that can be."""
    high = low + count * step + beyond % step
    _, problems = structure(Range, {"low": low, "high": high, "step": step})
    assert bool(problems) == bool(beyond % step)
    if problems:
        assert f"such as {low + count * step};" in problems[0].message


def test_steps_of_fractions_are_those_that_are_written():
    """Three steps of 0.1 are 0.3, though not as floats are added."""
    assert not structure(Range, {"low": 0.0, "high": 0.3, "step": 0.1})[1]


@given(st.lists(st.sampled_from([True, False, 0, 1, 1.0, "", "1", "true", [], [1], [True]]), max_size=4))
def test_choices_are_two_or_more_and_different(choices):
    """Numbers, words and arrays are told apart as TOML tells them apart: 1 is not true."""
    _, problems = structure(Range, {"choices": choices})
    different = {repr(choice) for choice in choices}
    assert (not problems) == (len(different) == len(choices) >= 2)


VALUES = st.sampled_from([0, -1, 3, 0.5, float("nan"), float("inf"), 2**70, True, "", [], [1, 2], {}, {"a": 1}])


@given(st.dictionaries(st.sampled_from(["low", "high", "step", "log", "choices", "when", "lo"]), VALUES))
def test_any_table_is_read_or_refused(table):
    """Nothing raises, whatever stands at a key."""
    parsed, problems = structure(Range, table)
    assert (parsed is None) == bool(problems)


# --- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("algorithm.learning_rat = { low = 1e-5, high = 1e-2 }", [":1: algorithm.learning_rat: unknown key; did you"]),
        ("\nalgorithmm.epochs = { low = 1, high = 2 }", [":2: algorithmm: unknown key; did you mean algorithm?"]),
        ("algorithm.epochs = { lo = 1, high = 2 }", ["lo: unknown key; did you mean low?", "expected low and high"]),
        ("algorithm.epochs = { low = 0, high = 3 }", [":1: algorithm.epochs: must be at least 1, is 0"]),
        ("algorithm.gae_lambda = { low = 0.5, high = 1.5 }", [":1: algorithm.gae_lambda: must be at most 1, is 1.5"]),
        ("algorithm.epochs = { low = 1.0, high = 3.5 }", ["expected an integer, not 1.0", "an integer, not 3.5"]),
        ("algorithm.epochs = { choices = [1, true] }", [":1: algorithm.epochs: expected an integer, not true"]),
        ('encoder.use = { choices = ["mlp", "gro"] }', ["there is no encoder named 'gro'; did you mean gru?"]),
        ("run.seed = { low = 1, high = 2 }", [":1: run.seed: [run] cannot be tuned: it says what a trial is"]),
        ("algorithm.epochs = { lo = 1 }", [":1: algorithm.epochs.lo: expected { low = 1e-5"]),
        ("algorithm.epochs = 3", [":1: algorithm.epochs: expected { low = 1e-5"]),
        ('"algorithm epochs" = { low = 1, high = 2 }', [":1: "]),
        ("", [": has no keys, such as"]),
        ("algorithm.epochs = {", [":1: not TOML"]),
        ("algorithm.epochs = { low = 1 }", [":1: algorithm.epochs: expected low and high, or choices"]),
        ("[algorithm.epochs]\nlow = 3\nhigh = 2", [":3: algorithm.epochs.high: must be greater than low, which is 3"]),
        (
            '"algorithm.epochs" = { low = 1, high = 2 }\nalgorithm.epochs = { low = 1, high = 3 }',
            [":2: algorithm.epochs: stands in the file twice"],
        ),
        (
            'encoder.use = { choices = ["mlp", "gru"] }\nencoder.hidden = { choices = [[64], [32]] }',
            [":2: encoder.hidden: unknown key; known: core, features (at encoder.use = \"gru\")"],
        ),
        (
            'algorithm.epochs = { low = 1, high = 2, when = { "encoder.use" = "gru" } }',
            [':1: algorithm.epochs.when."encoder.use": must be a key with choices that stands above'],
        ),
        (
            'encoder.use = { choices = ["mlp", "gru"] }\n'
            'encoder.features = { choices = [8, 16], when = { "encoder.use" = "gro" } }',
            [':2: encoder.features.when."encoder.use": "gro" is none of its choices: "mlp", "gru"'],
        ),
    ],
)  # fmt: skip
def test_problems_have_file_line_and_a_way_out(read, text, problems):
    """Before anything is trained: what the file says, what the pipeline knows, and what it takes."""
    lines = refusals(read, text)
    assert len(lines) == len(problems)
    for line, problem in zip(lines, problems, strict=True):
        assert problem in line


def test_all_problems_are_told_at_once(read):
    """Of every key, each with its line."""
    lines = refusals(read, "[algorithm]\nepochs = { low = 0, high = 1 }\ngamma = { low = -1.0, high = 0.5 }")
    assert [line.split(":")[1] for line in lines] == ["2", "3"]


def test_a_file_that_cannot_be_read_is_named(pipeline, tmp_path):
    """Missing, or no text; problems of the pipeline are its own."""
    with pytest.raises(PipelineError, match=r"nowhere\.toml: cannot be read: No such file"):
        read_space(tmp_path / "nowhere.toml", pipeline)
    (tmp_path / "space.toml").write_bytes(b"\xff")
    with pytest.raises(PipelineError, match=r"space\.toml: cannot be read: it is not encoded in UTF-8"):
        read_space(tmp_path / "space.toml", pipeline)
    broken = runs.write(tmp_path / "broken", f"{runs.CARTPOLE}\n[algorithmm]\n")
    with pytest.raises(PipelineError, match=r"pipeline\.toml:\d+: algorithmm: unknown key"):
        read_space(tmp_path / "space.toml", broken)


def test_plain_form_is_the_file_again(read):
    """What is recorded of a sweep says the same as its space."""
    text = "algorithm.epochs = { low = 1, high = 4 }\nencoder.hidden = { choices = [[64], [32, 32]] }"
    plain = read(text).to_plain()
    assert plain["algorithm.epochs"] == {"low": 1, "high": 4, "log": False, "when": {}}
    assert plain["encoder.hidden"]["choices"] == tomllib.loads(text)["encoder"]["hidden"]["choices"]
