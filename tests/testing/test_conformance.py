"""The kit as third parties use it: with pytest, and without."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete

from framework.errors import PipelineError
from framework.testing import Skip, cases, conformance, run, subject
from framework.testing.compare import difference, through_checkpoint
from framework.testing.conformance import Case, Report, Result, run_case
from framework.testing.experience import Experience, with_reset_step

pytest_plugins = "pytester"

MODULE = """
from attrs import frozen
from framework.schema import option


class Steady:
    '''The same task for ever.'''

    @frozen
    class Config:
        task: int = option(3, help="The task.")

    def __init__(self, config, context):
        self.task = config.task

    def sample(self, count, rng):
        return [self.task] * count

    def update(self, episodes):
        return {}

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


class Hasty(Steady):
    '''One task too many.'''

    def sample(self, count, rng):
        return [self.task] * (count + 1)
"""
TESTS = """
from pathlib import Path
from framework.testing import conformance

HERE = Path(__file__).parent
test_steady = conformance("curriculum", "mine:Steady", {"task": 7}, directory=HERE)
test_hasty = conformance("curriculum", "mine:Hasty", directory=HERE, expected_failures=EXPECTED)
"""


@pytest.fixture
def pytested(pytester: pytest.Pytester):
    """Run pytest on the two curricula, with these expected failures of the second; returns its result."""

    def run(expected):
        pytester.makepyfile(mine=MODULE, test_mine=TESTS.replace("EXPECTED", repr(expected)))
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", "--import-mode=importlib", "-v")

    return run


def test_each_check_is_a_test(pytested):
    """Each check has a test of its name; a failure says what is wrong, and the end says what was skipped and why."""
    result = pytested({})
    counts = result.parseoutcomes()
    assert counts["failed"] == 1
    assert counts["skipped"] == 4
    result.stdout.fnmatch_lines(
        [
            "*::test_steady[[]tasks[]] PASSED*",
            "*::test_hasty[[]tasks[]] FAILED*",
            "asked for 0 tasks it gave 1",
            "skipped: light_import",
            "    it is named directly, as module:Class, and is imported as a whole",
            "skipped: no_task_starves",
            "curriculum mine:Steady: 11 passed, 0 failed, 2 skipped, 13 in all",
            "failed: tasks",
            "curriculum mine:Hasty: 10 passed, 1 failed, 2 skipped, 13 in all",
        ]
    )


def test_expected_failures_are_strict(pytested):
    """One that is expected is skipped with its reason; one that passes is a failure, as the reason is gone."""
    result = pytested({"tasks": "it likes company", "summary": "it has none"})
    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines(["*it is expected to fail (it has none), and did not: take it out of the list*"])
    result.stdout.fnmatch_lines(["skipped: tasks", "    it fails, as expected: it likes company"])


def test_mistakes_in_the_call_are_told(tmp_path):
    """A kind, a component, an option and a check that do not exist are named."""
    (tmp_path / "mine.py").write_text(MODULE)
    with pytest.raises(ValueError, match="'curricula' is no kind of component"):
        conformance("curricula", "mine:Steady")
    with pytest.raises(PipelineError, match="there is no encoder named 'mpl'; did you mean mlp"):
        conformance("encoder", "mpl")
    with pytest.raises(PipelineError, match=r"curriculum.tsk: unknown key; did you mean task\?"):
        conformance("curriculum", "mine:Steady", {"tsk": 1}, directory=tmp_path)
    with pytest.raises(ValueError, match="expected_failures names no check: starves"):
        conformance("curriculum", "mine:Steady", directory=tmp_path, expected_failures={"starves": ""})


def test_spaces_that_are_named_must_be_taken():
    """Refusing an observation of the kit's own is skipped with the reason; one that the caller named is a failure."""
    [case] = [case for case in cases(subject("encoder", "cnn")) if case.name == "shapes[vector]"]
    with pytest.raises(Skip, match="the observation holds no image"):
        case.run()
    caller_subject = subject("encoder", "cnn", observations={"plain": Box(-1, 1, (3,), np.float32)})
    [case] = [case for case in cases(caller_subject) if case.name == "shapes[plain]"]
    assert run_case(case).status == "failed"
    assert "refused" in run_case(case).reason


def test_every_check_says_what_it_holds():
    """Each has a name of its own and a fact as its docstring."""
    for kind, use in (("encoder", "mlp"), ("bonus", "rnd"), ("replay", "uniform"), ("algorithm", "ppo")):
        checks = list(cases(subject(kind, use)))
        assert len({case.name for case in checks}) == len(checks) > 10
        assert all(re.fullmatch(r".{20,}[.]", case.about) for case in checks)


def test_a_report_counts_and_groups():
    """Reasons stand once, with the checks that they are about."""
    results = [Result("a", "passed"), Result("b", "skipped", "why"), Result("c", "skipped", "why")]
    report = Report("encoder x", results)
    assert str(report) == "skipped: b, c\n    why\nencoder x: 1 passed, 0 failed, 2 skipped, 3 in all"
    assert not report.failed
    assert Report("encoder x", [Result("d", "failed", "so")]).failed


def test_an_error_in_a_component_is_a_failure_with_its_traceback():
    """Whatever a check raises is told, and does not stop the others."""
    result = run_case(Case("x", lambda: 1 / 0, "Nothing."))
    assert result.status == "failed"
    assert "ZeroDivisionError" in result.reason
    assert "line" in result.reason


def test_a_run_without_pytest(tmp_path):
    """`run` gives the same results."""
    (tmp_path / "mine.py").write_text(MODULE)
    report = run(subject("curriculum", "mine:Hasty", directory=tmp_path))
    assert [result.name for result in report.results if result.status == "failed"] == ["tasks"]


@pytest.mark.parametrize(
    ("first", "second", "place"),
    [
        ({"a": [1, 2]}, {"a": [1, 3]}, "/a/1"),
        ({"a": 1}, {"b": 1}, "the whole has"),
        ([1], [1, 2], "the whole has 1"),
        (torch.zeros(2), torch.zeros(2, dtype=torch.float64), "float32[2] and float64[2]"),
        (np.zeros(2), np.array([0.0, -0.0]), "differs"),
        (True, 1, "bool"),
        (None, "x", "None and 'x'"),
        (torch.tensor([1.0], dtype=torch.bfloat16), torch.tensor([1.5], dtype=torch.bfloat16), "differs"),
    ],
)
def test_differences_are_found_and_placed(first, second, place):
    """Values, keys, lengths, dtypes and single bits count."""
    assert place in difference(first, second)
    assert difference(first, first) == difference(second, second) == ""


def test_nan_equals_nan():
    """The same bits are the same."""
    assert difference({"x": torch.tensor([float("nan")])}, {"x": torch.tensor([float("nan")])}) == ""


def test_a_state_that_cannot_be_saved_is_told():
    """Its path and type are."""
    with pytest.raises(AssertionError, match="/a is of type set"):
        through_checkpoint({"a": {1}})


def test_experience_goes_on_where_it_ended():
    """Row T of a batch is row 0 of the next; ends are as the chances say; a reset step is marked in the batch."""
    context = subject("encoder", "mlp").context(action=Discrete(3, start=2))
    experience = Experience(context, ends=0.5, truncates=0.0)
    batch, following = next(experience), next(experience)
    assert torch.equal(batch.observations["observation"][-1], following.observations["observation"][0])
    assert torch.equal(batch.first[-1], following.first[0])
    assert batch.terminated.any()
    assert not batch.truncated.any()
    assert batch.actions.min() >= 2
    assert following.progress > batch.progress == 0
    reset = with_reset_step(batch, garbage=5.0)
    [(t, n)] = (~reset.valid).nonzero().tolist()
    assert batch.terminated[t - 1, n]
    assert reset.first[t + 1, n]
    assert not reset.first[t, n]
    assert reset.extras["chance"][t, n] == batch.extras["chance"][t, n] + 5
    assert batch.valid.all()
