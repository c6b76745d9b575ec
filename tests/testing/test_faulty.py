"""The right components of the templates pass every check; each wrong one fails the check that names its fault."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from faulty import FAULTS
from gymnasium.spaces import Box, Dict

from framework.catalog import Component
from framework.commands._scaffold import names, render, write
from framework.hookspecs import KINDS
from framework.testing import Subject, cases, subject
from framework.testing import algorithm as algorithm_checks
from framework.testing import bonus as bonus_checks
from framework.testing.conformance import run_case
from framework.testing.subject import OBSERVATIONS

# Threads that wait for one another make tests slow where others run beside them.
torch.set_num_threads(1)

TWO = Dict({"a": Box(-1, 1, (3,), np.float32), "b": Box(-1, 1, (2,), np.float32)})


@attrs.frozen
class Given(Component):
    """A component whose class is at hand."""

    cls: Any = None

    def load(self) -> type:
        loaded: type = self.cls
        return loaded


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Subject]:
    """The template's component of a kind."""
    folder: Path = tmp_path_factory.mktemp("right")
    for kind in KINDS:
        write(render(names(kind, f"my_{kind}", here=True)), folder)

    def find(kind: str) -> Subject:
        spaces = {**OBSERVATIONS, "two": TWO}
        template = subject(kind, f"my_{kind}:My{kind.capitalize()}", directory=folder)
        return attrs.evolve(template, observations=spaces)

    return find


def result_of(tested: Subject, name: str) -> Any:
    """What comes of one check."""
    [case] = [case for case in cases(tested) if case.name == name]
    return run_case(case)


@pytest.mark.parametrize("kind", KINDS)
def test_right_components_pass(right: Any, kind: str) -> None:
    """The template of each kind fails no check, and passes most that are about it."""
    results = [run_case(case) for case in cases(right(kind)) if not case.name.startswith("solves_probe")]
    assert [result for result in results if result.status == "failed"] == []
    assert sum(result.status == "passed" for result in results) >= 11


@pytest.mark.slow
def test_the_right_algorithm_learns(right: Any) -> None:
    """With its defaults, the template's algorithm solves the probes that its actions allow."""
    results = [run_case(case) for case in cases(right("algorithm")) if case.name.startswith("solves_probe")]
    assert [result.name for result in results if result.status == "passed"] == [
        f"solves_probe_of_{part}[{action}]" for part in ("actions", "observations") for action in ("discrete", "masked")
    ]


@pytest.mark.parametrize(("kind", "fault", "check"), FAULTS, ids=[f"{fault.__name__}-{c}" for _, fault, c in FAULTS])
def test_wrong_components_are_caught(
    right: Any, monkeypatch: pytest.MonkeyPatch, kind: str, fault: Any, check: str
) -> None:
    """The check that names the fault fails."""
    # What never learns need not be waited for as long as what may be slow.
    monkeypatch.setattr(algorithm_checks, "BUDGET", 6_000)
    monkeypatch.setattr(bonus_checks, "_PATIENCE", 32)
    template = right(kind)
    cls = fault(template.component.load())
    supports = frozenset(getattr(cls, "supports", template.component.supports))
    fields = attrs.asdict(template.component, recurse=False) | {"cls": cls, "supports": supports}
    faulty = attrs.evolve(template, chosen=attrs.evolve(template.chosen, component=Given(**fields)))
    result = result_of(faulty, check)
    assert result.status == "failed", f"{result.status} {result.reason}"
    assert "Traceback" not in result.reason or fault.__name__ == "knows_only_its_own_tasks"
