import json
import runpy
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from raw_learner import RawLearner

from framework.errors import RunError
from framework.exit_codes import DONE, ENVIRONMENT_FAILED, NOT_LET_IN, TRY_AGAIN
from framework.runtime.launch.sampler_process import run_sampler
from framework.runtime.link import client, wire
from framework.runtime.link.sampler import Sampler

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Those of this process, again after each test: a sampler sets its own."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., int]:
    """The exit code of a sampler in this thread, whose learner does in another what the test says."""
    endpoint = f"ipc://{tmp_path}/link"

    def start(behaviour: Callable[[RawLearner], None], sampler: Callable[[], int] | None = None) -> int:
        learner = RawLearner(endpoint)
        failures: list[BaseException] = []

        def behave() -> None:
            try:
                behaviour(learner)
            except BaseException as error:
                failures.append(error)
                learner.send("stop")

        thread = threading.Thread(target=behave)
        thread.start()
        try:
            return sampler() if sampler else run_sampler(endpoint, "run-7", "sampler-3", 4)
        finally:
            thread.join()
            learner.close()
            assert failures == []

    return start


def welcome(learner: RawLearner, folder: Path) -> None:
    """Let the next sampler in, and have it build the tiny pipeline."""
    assert learner.receive().type == "hello"
    pipeline = tiny.load(folder)
    values = np.frombuffer(json.dumps(pipeline.to_plain()).encode(), np.uint8)
    learner.send("welcome", {"pipeline": values}, directory=str(folder), ready=False)


def grant(learner: RawLearner) -> None:
    """The first trajectory of the first shard."""
    learner.send("weights", {"weights": tiny.weights(0.0)}, version=0)
    learner.send("directive", shard=0, number=0, version=0, restore=True)


def test_a_sampler_that_built_another_pipeline_ends(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With 75: another one can be started in its place."""

    def behave(learner: RawLearner) -> None:
        welcome(learner, tmp_path)
        assert learner.receive().type == "ready"
        learner.send("who")
        assert learner.receive().type == "hello"
        learner.send("welcome", {"pipeline": np.zeros(2, np.uint8)}, directory=str(tmp_path), ready=False)

    assert run(behave) == TRY_AGAIN
    assert "the run was resumed with another pipeline" in capsys.readouterr().err


def test_a_sampler_works_until_the_learner_says_stop(
    run: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is whom its arguments say, sends what it is granted, closes its environments, and ends with 0."""
    environments: list[tiny.Hashed] = []
    messages: list[wire.Message] = []
    monkeypatch.setattr(tiny.Environment, "make", lambda self: environments.append(tiny.Hashed()) or environments[-1])

    def behave(learner: RawLearner) -> None:
        messages.append(learner.receive())
        values = np.frombuffer(json.dumps(tiny.load(tmp_path).to_plain()).encode(), np.uint8)
        learner.send("welcome", {"pipeline": values}, directory=str(tmp_path), ready=False)
        messages.append(learner.receive())
        grant(learner)
        messages.append(learner.receive())
        learner.send("stop")

    assert run(behave) == DONE
    assert [message.type for message in messages] == ["hello", "ready", "trajectory"]
    assert {name: messages[0][name] for name in ("run", "sampler", "incarnation")} == {
        "run": "run-7",
        "sampler": "sampler-3",
        "incarnation": 4,
    }
    assert environments
    assert all(environment.closed for environment in environments)


def test_who_is_not_let_in_says_why(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code tells that starting it again would not help."""

    def behave(learner: RawLearner) -> None:
        learner.receive()
        learner.send("reject", reason="this run has protocol 4", status=NOT_LET_IN)

    assert run(behave) == NOT_LET_IN == 77
    assert capsys.readouterr().err == "the learner does not let this sampler in: this run has protocol 4\n"


def test_without_a_learner_another_may_have_more_luck(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody answers, and the exit code says that it may be tried again."""
    monkeypatch.setattr(client, "SILENCE", 0.02)
    monkeypatch.setattr(client, "IDLE", 0.01)
    assert run_sampler(f"ipc://{tmp_path}/nobody", "run-7", "sampler-3") == TRY_AGAIN == 75
    assert capsys.readouterr().err == "nothing heard from the learner for 30 s\n"


@pytest.mark.parametrize("method", ["make", "reset", "step"])
def test_an_environment_that_fails_is_told_to_the_learner(
    run: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """With its error and its traceback, before the process ends; what was made is closed."""
    environments: list[tiny.Hashed] = []
    failed: list[wire.Message] = []

    def fail(*args: Any, **kwargs: Any) -> None:
        raise ZeroDivisionError("by design")

    class Failing(tiny.Hashed):
        def __init__(self, longest: int = 6):
            super().__init__(longest)
            environments.append(self)

    lingers: list[float] = []
    close = client.Client.close

    def closing(self: client.Client, linger: float = 0.0) -> None:
        lingers.append(linger)
        close(self, linger)

    monkeypatch.setattr(client.Client, "close", closing)
    monkeypatch.setattr(tiny, "Hashed", Failing)
    monkeypatch.setattr(tiny.Environment if method == "make" else Failing, method, fail)

    def behave(learner: RawLearner) -> None:
        welcome(learner, tmp_path)
        failed.append(learner.receive())

    assert run(behave) == ENVIRONMENT_FAILED == 70
    assert failed[0].type == "failed"
    assert "ZeroDivisionError: by design" in failed[0]["message"]
    assert len(failed[0]["message"]) <= 5_000
    assert "test_sampler_process.py" in failed[0]["traceback"]
    assert lingers[0] > 0  # else the process might end before the message has left
    assert all(environment.closed for environment in environments)


def test_long_errors_are_cut(run: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit a message would never arrive."""
    failed: list[wire.Message] = []

    def fail(self: Any) -> None:
        raise RunError("ä" * 100_000)

    monkeypatch.setattr(tiny.Environment, "make", fail)

    def behave(learner: RawLearner) -> None:
        welcome(learner, tmp_path)
        failed.append(learner.receive())

    assert run(behave) == ENVIRONMENT_FAILED
    assert len(failed[0]["message"]) == 5_000
    assert len(failed[0]["traceback"]) <= 10_000


def terminate() -> None:
    """SIGTERM to this process, in its main thread."""
    ident = threading.main_thread().ident
    assert ident is not None
    signal.pthread_kill(ident, signal.SIGTERM)


def test_terminated_while_it_waits_it_ends_in_good_order(run: Callable[..., int]) -> None:
    """In the midst of waiting for the learner."""

    def behave(learner: RawLearner) -> None:
        assert learner.receive().type == "hello"
        terminate()

    assert run(behave) == DONE
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN


@pytest.mark.parametrize("phase", ["joining", "collecting"])
def test_terminated_in_an_environment_it_closes_it(
    run: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    """One that catches every exception does not catch this; nor does a second signal disturb the closing at the end."""
    closed: list[tiny.Hashed] = []
    step, joined = tiny.Hashed.step, threading.Event()

    def catching(self: tiny.Hashed, action: Any) -> Any:
        try:
            if joined.is_set():
                terminate()
        except Exception:
            pytest.fail("caught")
        return step(self, action)

    def close(self: tiny.Hashed) -> None:
        if phase == "collecting":
            terminate()
        closed.append(self)

    def behave(learner: RawLearner) -> None:
        if phase == "joining":
            joined.set()
        welcome(learner, tmp_path)
        if phase == "collecting":
            assert learner.receive().type == "ready"
            joined.set()
            grant(learner)

    monkeypatch.setattr(tiny.Hashed, "step", catching)
    monkeypatch.setattr(tiny.Hashed, "close", close)
    assert run(behave) == DONE
    assert len(closed) == 2


def test_interrupts_are_the_learners_business(run: Callable[..., int]) -> None:
    """Ctrl-C reaches every process of the terminal, and a sampler waits for what its learner says."""

    def behave(learner: RawLearner) -> None:
        assert learner.receive().type == "hello"
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        learner.send("stop")

    assert run(behave) == DONE


def test_a_sampler_has_one_thread(run: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of threads changes how sums are rounded."""
    counts: list[int] = []
    join = Sampler.join

    def counting(self: Sampler, *args: Any) -> None:
        counts.append(torch.get_num_threads())
        join(self, *args)

    monkeypatch.setattr(Sampler, "join", counting)
    torch.set_num_threads(2)

    def behave(learner: RawLearner) -> None:
        learner.receive()
        learner.send("stop")

    assert run(behave) == DONE
    assert counts == [1]
    torch.set_num_threads(1)


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
def test_as_a_program_it_takes_four_arguments(
    run: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a launcher gives them: endpoint, run, sampler, incarnation. It ends with the sampler's exit code."""
    hello: list[wire.Message] = []

    def behave(learner: RawLearner) -> None:
        hello.append(learner.receive())
        learner.send("reject", reason="by design", status=NOT_LET_IN)

    def program() -> int:
        with pytest.raises(SystemExit) as caught:
            runpy.run_module("framework.runtime.launch.sampler_process", run_name="__main__")
        code: int = caught.value.code  # type: ignore[assignment]
        return code

    monkeypatch.setattr(sys, "argv", ["sampler_process", f"ipc://{tmp_path}/link", "run-9", "sampler-1", "5"])
    assert run(behave, program) == NOT_LET_IN
    assert [hello[0][name] for name in ("run", "sampler", "incarnation")] == ["run-9", "sampler-1", 5]
