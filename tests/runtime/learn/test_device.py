import os

import pytest
import torch

from framework.errors import PipelineError
from framework.runtime.learn.device import SMALL_POLICY, learner_threads, usable_device


@pytest.mark.parametrize(("available", "device"), [(True, "cuda"), (False, "cpu")])
def test_the_fastest_device_is_taken(monkeypatch: pytest.MonkeyPatch, available: bool, device: str) -> None:
    """A GPU where there is one."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert usable_device("auto") == device


@pytest.mark.parametrize("name", ["cpu", "cpu:0"])
def test_a_device_that_is_there_is_taken_as_it_is_named(name: str) -> None:
    """Also where a faster one would be there."""
    assert usable_device(name) == name


@pytest.mark.parametrize("error", [RuntimeError("no driver"), AssertionError("not compiled with CUDA")])
def test_a_device_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """With what torch says, instead of learning somewhere else."""

    def empty(*shape: int, device: str) -> None:
        raise error

    monkeypatch.setattr(torch, "empty", empty)
    with pytest.raises(PipelineError, match=f"runtime.device: 'cuda:7' cannot be used here: {error}"):
        usable_device("cuda:7")


def test_no_machine_has_every_device() -> None:
    """torch itself is asked."""
    with pytest.raises(PipelineError, match=r"runtime.device: 'cuda:99' cannot be used here"):
        usable_device("cuda:99")


@pytest.mark.parametrize("parameters", [0, SMALL_POLICY, 10 * SMALL_POLICY])
def test_threads_are_as_many_as_asked_for(parameters: int) -> None:
    """Whatever the size of the policy."""
    assert [learner_threads(count, parameters) for count in (1, 7)] == [1, 7]


def test_small_policies_have_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large ones as many as the process may use, which may be fewer than the machine has."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 6})
    assert learner_threads("auto", SMALL_POLICY - 1) == 1
    assert learner_threads("auto", SMALL_POLICY) == 3
