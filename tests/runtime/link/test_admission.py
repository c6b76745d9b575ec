from typing import Any

import pytest
from attrs import evolve
from dispatching import COMPONENTS, SPECIFICATION
from hypothesis import given, settings
from hypothesis import strategies as st

import framework
from framework.runtime.link import wire
from framework.runtime.link.admission import Admission, differences, printable

LEARNER = {
    "framework": "0.1.0 (aaaa)",
    "python": "3.11",
    "torch": "2.4.0",
    "numpy": "2.0.1",
    "gymnasium": "1.1.0",
    "processor": "x86_64 AVX512",
}
ADMISSION = Admission("run", {}, "/folder", LEARNER, COMPONENTS, SPECIFICATION)


@pytest.mark.parametrize(
    ("name", "sampler", "advice"),
    [
        ("framework", "0.2.0 (bbbb)", "on the sampler's machine: pip install framework-rl==0.1.0"),
        (
            "framework",
            "0.1.0 (bbbb)",
            "the same version of framework-rl with other sources: install the learner's on the sampler's machine",
        ),
        ("python", "3.13", "run the sampler with Python 3.11"),
        ("torch", "2.5.1", "on the sampler's machine: pip install torch==2.4.0"),
        ("numpy", "2.1.0", "on the sampler's machine: pip install numpy==2.0.1"),
        ("gymnasium", "1.0.0", "on the sampler's machine: pip install gymnasium==1.1.0"),
        (
            "processor",
            "x86_64 AVX2",
            'start both with ATEN_CPU_CAPABILITY=avx2 in the environment, or set policy_lag = "free"',
        ),
    ],
)
def test_who_computes_otherwise_is_told_how_to_mend_it(name: str, sampler: str, advice: str) -> None:
    """With what both sides have, and the command or the setting that makes them equal."""
    reason = ADMISSION.check_versions({**LEARNER, name: sampler})
    assert reason == f"{name}: the learner has {LEARNER[name]}, the sampler {sampler}; {advice}"


@pytest.mark.parametrize(
    ("learner", "sampler", "level"),
    [
        ("x86_64 AVX2", "x86_64 AVX512", "avx2"),
        ("x86_64 DEFAULT", "x86_64 AVX512", "default"),
        ("x86_64 AVX512", "x86_64 DEFAULT", "default"),
    ],
)
def test_processors_can_agree_on_what_both_have(learner: str, sampler: str, level: str) -> None:
    """The lower of two capabilities, whoever has it."""
    (line,) = differences({"processor": learner}, {"processor": sampler}).values()
    assert f"ATEN_CPU_CAPABILITY={level} " in line


@pytest.mark.parametrize(
    ("learner", "sampler", "advice"),
    [
        ("acme 1.0 (aaaa)", "acme 2.0 (bbbb)", "on the sampler's machine: pip install acme==1.0"),
        ("acme 1.0 (aaaa)", "none", "on the sampler's machine: pip install acme==1.0"),
        ("acme 1.0 (aaaa)", "acme 1.0 (bbbb)", "the same version of acme with other sources: install the learner's"),
        ("mine (aaaa)", "mine (bbbb)", "bring the learner's mine to the sampler's machine"),
    ],
)
def test_other_components_are_told_how_to_mend_it(learner: str, sampler: str, advice: str) -> None:
    """Those of a distribution are installed, those of a file are brought."""
    admission = evolve(ADMISSION, components={"encoder/acme": learner})
    reason = admission.check_components({} if sampler == "none" else {"encoder/acme": sampler})
    assert reason is not None
    assert reason.startswith(f"encoder/acme: the learner has {learner}, the sampler {sampler}; {advice}")


def test_what_the_sampler_has_beside_is_told_too() -> None:
    """A component that the learner has none of."""
    reason = ADMISSION.check_components({**COMPONENTS, "bonus/acme": "acme 1.0 (aaaa)"})
    assert reason is not None
    assert reason.startswith("bonus/acme: the learner has none, the sampler acme 1.0 (aaaa); ")


def test_a_refusal_fits_into_a_message() -> None:
    """However many components a stranger says that it has, and whatever they are called."""
    components = {f"{number}\x1b[2J\n": "x" * 200 for number in range(4000)}
    for reason in (ADMISSION.check_components(components), ADMISSION.check_components(COMPONENTS | components)):
        assert reason is not None
        assert reason.isprintable()
        wire.encode("reject", reason=reason, status=78)


def test_nobody_else_writes_commands() -> None:
    """What a stranger's processor is called is no part of the advice, where it is no name of a capability."""
    (line,) = differences({"processor": "x86_64 AVX2"}, {"processor": "x86_64 $(reboot)"}).values()
    assert "ATEN_CPU_CAPABILITY=avx2 in the environment" in line


def test_all_that_differs_is_told_at_once() -> None:
    """In the learner's names' order, so that one visit mends it."""
    reason = ADMISSION.check_versions({**LEARNER, "torch": "2.5.1", "numpy": "1.26.0"})
    assert reason is not None
    assert [line.partition(":")[0] for line in reason.split(" | ")] == ["numpy", "torch"]


def test_who_is_equal_is_let_in() -> None:
    """Into its run, with its protocol, versions and components."""
    introduction = {"protocol": wire.PROTOCOL, "framework": framework.__version__, "run": "run"}
    assert ADMISSION.check_introduction(introduction) is None
    assert ADMISSION.check_versions(dict(LEARNER)) is None
    assert ADMISSION.check_components(dict(COMPONENTS)) is None


def test_where_results_may_differ_only_the_framework_must_be_equal() -> None:
    """Everything else changes them by rounding alone."""
    free = evolve(ADMISSION, exact=False)
    versions = dict.fromkeys(LEARNER, "1") | {"framework": LEARNER["framework"]}
    assert free.check_versions(versions) is None
    assert ADMISSION.check_versions(versions) is not None
    reason = free.check_versions({**LEARNER, "framework": "0.2.0 (bbbb)", "torch": "1"})
    assert reason is not None
    assert reason.startswith("framework: ")
    assert "torch" not in reason


@pytest.mark.parametrize("introduction", [{}, {"protocol": None}, {"protocol": "\x1b[2J"}, {"protocol": [1]}])
def test_other_introductions_are_told_both_sides(introduction: dict[str, Any]) -> None:
    """Whatever stands there."""
    reason = ADMISSION.check_introduction(introduction)
    assert reason is not None
    assert reason.startswith(f"this run has protocol {wire.PROTOCOL}, the sampler has ")
    assert reason.isprintable()


@settings(derandomize=True, deadline=None, database=None)
@given(st.text(max_size=300))
def test_texts_of_strangers_are_harmless(text: str) -> None:
    """They move no cursor, and are as long as a line."""
    assert printable(text).isprintable()
    assert len(printable(text)) == min(len(text), 100)


@settings(derandomize=True, deadline=None, database=None)
@given(st.dictionaries(st.sampled_from(sorted(LEARNER)), st.text(max_size=200)))
def test_refusals_are_one_line(versions: dict[str, str]) -> None:
    """Whatever the stranger says that it has."""
    reason = ADMISSION.check_versions(versions)
    assert reason is None or reason.isprintable()
    assert (reason is None) == (versions == LEARNER)
