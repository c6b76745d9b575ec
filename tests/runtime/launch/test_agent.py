import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
import tiny
from processes import alive, wait_for

from framework.exit_codes import DONE, ENVIRONMENT_FAILED, NOT_LET_IN, TRY_AGAIN, WRONG_VERSION
from framework.runtime.data.policy_snapshot import pack
from framework.runtime.launch import agent as module
from framework.runtime.launch.agent import run_host
from framework.runtime.learn.sampling import open_source
from framework.runtime.link.endpoint import SocketFolder
from framework.runtime.link.keys import Keys
from framework.runtime.link.listener import Listener
from framework.runtime.link.server import Server
from framework.runtime.link.source import Accepted, Event
from framework.runtime.link.token import JoinToken
from framework.runtime.rollout.worker import Worker

WORLD = """
import gymnasium
class Environment:
    def __init__(self, config, context):
        pass
    def make(self):
        return gymnasium.make("CartPole-v1")
"""


class Learner:
    """A run that listens at a free port of this machine, and whoever joins it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.events: list[Event] = []
        self.trajectories: list[Accepted] = []
        (folder / "world.py").write_text(WORLD)
        pipeline = tiny.load(
            folder, environment__use="world:Environment", algorithm__use="ppo", runtime__listen="127.0.0.1:0"
        )
        listener = Listener("127.0.0.1:0", folder, lambda file, endpoint: None)
        self._worker = Worker(pipeline)
        self._source = open_source(pipeline, folder, {}, self._worker, None, f"ipc://{folder}/link", listener)
        source = self._source.__enter__()
        assert isinstance(source, Server)
        self.server = source
        self.snapshot = {"weights": pack(self._worker._policy)}
        self.server.publish(0, self.snapshot)

    @property
    def token(self) -> JoinToken:
        return JoinToken.read(str(self.folder / "join"))

    def accepted(self) -> Accepted:
        """The next trajectory."""
        return wait_for(lambda: self.hear() or (self.trajectories and self.trajectories.pop(0)))

    def joined(self) -> list[dict[str, Any]]:
        """Who has joined so far."""
        self.hear()
        return [event.fields for event in self.events if event.name == "sampler_joined"]

    def hear(self) -> None:
        """Take in what there is."""
        while (news := self.server.receive(0.01)) is not None:
            if isinstance(news, Accepted):
                self.trajectories.append(news)
            else:
                self.events.append(news)

    def close(self) -> None:
        if self._source is not None:
            self._source.__exit__(None, None, None)
            self._worker.close()
        self._source = None  # type: ignore[assignment]


class Host:
    """A host in a thread: `run_host`, what it tells, and how it ends."""

    def __init__(self, token: JoinToken, directory: Path | None = None, patience: float = 20.0, samplers: int = 1):
        self.told: list[Event] = []
        self._result: tuple[int, str] | None = None

        def work() -> None:
            self._result = run_host(
                token,
                samplers,
                "a host",
                patience=patience,
                directory=directory,
                tell=self._tell,
            )

        self._thread = threading.Thread(target=work)
        self._thread.start()

    def _tell(self, name: str, fields: Mapping[str, Any]) -> None:
        self.told.append(Event(name, dict(fields)))

    def end(self) -> tuple[int, str]:
        """Exit code and reason."""
        self._thread.join(timeout=30)
        assert self._result is not None, "it goes on"
        return self._result


@pytest.fixture
def learner(tmp_path: Path) -> Iterator[Learner]:
    (tmp_path / "run").mkdir()
    learner = Learner(tmp_path / "run")
    yield learner
    learner.close()


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No process of a host, and no folder of its socket."""
    folder = tempfile.mkdtemp(prefix="h")
    monkeypatch.setattr(tempfile, "tempdir", folder)
    before = set(psutil.Process().children(recursive=True))
    yield
    assert not [process for process in set(psutil.Process().children(recursive=True)) - before if alive(process)]
    Path(folder).rmdir()


class NoStarter:
    """Starts nothing: for hosts that do not come so far."""

    def __init__(self, folder: SocketFolder, directory: str | None):
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def no_starter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LocalStarter", NoStarter)


def test_a_host_collects_until_the_run_is_done(learner: Learner) -> None:
    """Its samplers are named after it, and those that die are replaced."""
    host = Host(learner.token, samplers=2)
    first = learner.accepted()
    assert first.host == "a-host"
    second = learner.accepted()
    assert {first.trajectory.shard, second.trajectory.shard} == {0, 1}
    wait_for(lambda: len(learner.joined()) == 2)
    joined = learner.joined()
    psutil.Process(joined[0]["process"]).kill()
    wait_for(lambda: len([event for event in host.told if event.name == "sampler_replaced"]) == 1)
    learner.server.publish(1, learner.snapshot)
    learner.server.release(2)
    assert {learner.accepted().trajectory.number for _ in range(2)} == {1}
    learner.server.complete()
    learner.close()
    assert host.end() == (DONE, "the learner needs no more")
    entered = host.told[0]
    assert (entered.name, entered.fields["host"], entered.fields["run"]) == ("entered", "a-host", "run")
    assert {fields["sampler"] for fields in joined} == {"a-host/0", "a-host/1"}


def other_folder(tmp_path: Path, world: str | None) -> Path:
    """Where a host looks for the files of the pipeline."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    if world is not None:
        (folder / "world.py").write_text(world)
    return folder


FAILING = WORLD.replace("return", "raise OSError('no display')\n        return")


@pytest.mark.parametrize(
    ("world", "status", "reason"),
    [
        pytest.param(None, WRONG_VERSION, "world.py", id="missing"),
        pytest.param(
            *(WORLD + "\n", WRONG_VERSION, "environment/world:Environment: the learner has world"),
            marks=pytest.mark.slow,
            id="another",
        ),
        pytest.param(
            *(FAILING, ENVIRONMENT_FAILED, "without delivering anything"),
            marks=pytest.mark.slow,
            id="failing",
        ),
    ],
)
def test_environments_that_are_not_the_learners(
    learner: Learner, tmp_path: Path, world: str | None, status: int, reason: str
) -> None:
    """A component that differs or is missing, and one that fails on this machine: the reason says what it is."""
    ended, said = Host(learner.token, other_folder(tmp_path, world)).end()
    assert reason in said
    assert ended == status
    assert ("no display" in said) == (world == FAILING)


@pytest.mark.usefixtures("no_starter")
def test_a_learner_that_is_not_there(learner: Learner) -> None:
    """Is waited for as long as the patience, and may be there later."""
    token = learner.token
    learner.close()
    assert Host(token, patience=0.5).end() == (TRY_AGAIN, "the learner could not be reached for 0 s")


@pytest.mark.usefixtures("no_starter")
def test_a_key_that_was_revoked(learner: Learner) -> None:
    """Does not let in."""
    token = learner.token
    Keys(learner.folder).revoke("join")
    status, reason = Host(token).end()
    assert (status, reason) == (
        NOT_LET_IN,
        "the run run does not let the join key join in: it was revoked, or has expired",
    )


@pytest.mark.slow
def test_a_key_that_is_revoked_meanwhile(learner: Learner) -> None:
    """Ends a host that has entered with it."""
    host = Host(learner.token)
    learner.accepted()
    Keys(learner.folder).revoke("join")
    assert host.end() == (NOT_LET_IN, "the join key join was revoked")


def test_an_agent_does_without_torch() -> None:
    """The helper has it."""
    script = "import sys, framework.runtime.launch.agent; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
