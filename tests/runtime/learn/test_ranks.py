"""The processes that share a learner: who they are, what they are refused for, and how they talk."""

from __future__ import annotations

from pathlib import Path

import pytest
import ranked
import runs

import framework
from framework.errors import PipelineError
from framework.runtime.learn import ranks
from framework.runtime.learn.ranks import Rank

PROGRAM = """
import numpy as np
from framework.runtime.learn.ranks import Group, Rank

rank = Rank.of_environment()
group = Group(rank)
frames = [b"header", np.arange(6, dtype=np.int32).reshape(2, 3), b""]
if rank.number == 0:
    group.send(frames)
else:
    received = group.receive()
    assert [bytes(frame) for frame in received] == [b"header", frames[1].tobytes(), b""], received
print(group.compare(f"process {rank.number}"))
group.close()
"""


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that nobody has told anything."""
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_RUN_ID", "ACCELERATE_MIXED_PRECISION"):
        monkeypatch.delenv(name, raising=False)


def tell(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_a_rank_is_what_torchrun_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that it has not started has none."""
    assert Rank.of_environment() is None
    tell(monkeypatch, **ranked.environment_of(1, 2, TORCHELASTIC_RESTART_COUNT="3"))
    assert Rank.of_environment() == Rank(number=1, count=2, local=1, restarts=3)


@pytest.mark.parametrize(
    ("slices", "count", "precision", "message"),
    [
        (1, 1, "no", None),
        (4, 2, "no", None),
        (4, 4, "no", None),
        (4, 3, "no", "algorithm.slices: 4 slices cannot be shared evenly by 3 processes"),
        (1, 2, "no", "algorithm.slices: 1 slices cannot be shared evenly by 2 processes"),
        (1, 1, "bf16", 'runtime.precision: accelerate was told bf16, and the pipeline says "float32"'),
    ],
)
def test_what_cannot_be_shared_is_refused(
    slices: int, count: int, precision: str, message: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is started."""
    tell(monkeypatch, ACCELERATE_MIXED_PRECISION=precision)
    pipeline = framework.load(runs.write(tmp_path), {"algorithm.slices": slices})
    rank = Rank(0, count, 0, 0)
    if message is None:
        ranks.check(rank, pipeline)
    else:
        with pytest.raises(PipelineError) as caught:
            ranks.check(rank, pipeline)
        assert message in str(caught.value)


def test_an_algorithm_without_slices_is_trained_by_one_process(tmp_path: Path) -> None:
    """Whoever wrote it."""
    (tmp_path / "mine.py").write_text("from framework_ppo.ppo import PPO\nclass Mine(PPO):\n    pass\n")
    pipeline = framework.load(runs.write(tmp_path), {"algorithm": {"use": "mine:Mine"}})
    with pytest.raises(PipelineError, match="algorithm: mine:Mine has no option slices"):
        ranks.check(Rank(0, 2, 0, 0), pipeline)


def test_messages_of_the_first_reach_all_others(tmp_path: Path) -> None:
    """As bytes; and each hears what all others have to say."""
    assert ranked.run(tmp_path, PROGRAM, 3) == ["['process 0', 'process 1', 'process 2']\n"] * 3


@pytest.mark.parametrize(
    ("name", "count", "device"),
    [("cpu", 2, "cpu"), ("cuda", 2, "cuda:1"), ("cuda:3", 2, "cuda:3"), ("cuda", 1, "cuda")],
)
def test_processes_of_one_machine_have_gpus_of_their_own(name: str, count: int, device: str) -> None:
    """Unless the pipeline says which."""
    assert ranks.local_device(name, Rank(1, count, 1, 0)) == device
    assert ranks.local_device(name, None) == name


def test_processes_that_are_started_again_find_their_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the run of torchrun; where it has no name, by the process of torchrun itself."""
    assert ranks.marked(tmp_path) is None
    for run, identity in (("first", "job-1"), ("second", "job-1"), ("other", "none")):
        (tmp_path / run).mkdir()
        tell(monkeypatch, TORCHELASTIC_RUN_ID=identity)
        ranks.mark(tmp_path / run)
    assert ranks.marked(tmp_path) == tmp_path / "other"
    tell(monkeypatch, TORCHELASTIC_RUN_ID="job-1")
    assert ranks.marked(tmp_path) == tmp_path / "second"
    tell(monkeypatch, TORCHELASTIC_RUN_ID="job-2")
    assert ranks.marked(tmp_path) is None
