import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from processes import alive, ended, folder_of, helper_of, start, wait_for

from framework.exit_codes import DONE
from framework.runtime.launch.local import LocalStarter
from framework.runtime.launch.starter import SamplerExit
from framework.runtime.link.endpoint import SocketFolder


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStarter]:
    """It is started where a folder ``framework`` and a file ``json.py`` lie."""
    working_directory = tmp_path_factory.mktemp("working_directory")
    (working_directory / "framework").mkdir()
    for name in ("framework/__init__.py", "json.py"):
        (working_directory / name).write_text("raise RuntimeError('wrong one')")
    folder = SocketFolder()
    with contextlib.chdir(working_directory):
        starter = LocalStarter(folder)
    yield starter
    starter.close()
    folder.close()


@pytest.fixture(scope="module")
def helper(starter: LocalStarter) -> psutil.Process:
    return helper_of()


def test_ends_of_samplers_are_reported(starter: LocalStarter, helper: psutil.Process) -> None:
    """Each once, with name, incarnation, process and status: killed, asked to end, or failed by itself."""
    assert starter.exits(0.0) == []
    killed, terminated = start(starter, helper, "s0"), start(starter, helper, "s1", incarnation=4)
    killed.kill()
    (first,) = ended(starter)
    assert first == SamplerExit("s0", 0, killed.pid, -signal.SIGKILL)
    terminated.terminate()
    assert ended(starter) == [SamplerExit("s1", 4, terminated.pid, DONE)]
    starter.start("no endpoint", "run", "s2", 0)
    (failed,) = ended(starter)
    assert (failed.sampler, failed.status) == ("s2", 1)
    assert starter.exits(0.0) == []


def test_working_directory_is_no_door(starter: LocalStarter, helper: psutil.Process) -> None:
    """A folder ``framework`` where the run is started does not stand for this package in the helper."""
    assert (Path(helper.cwd()) / "framework" / "__init__.py").exists()
    start(starter, helper, "anywhere").kill()
    ended(starter)


def test_many_at_once(starter: LocalStarter, helper: psutil.Process) -> None:
    """Orders and ends that come in one go are told apart."""
    names = [f"many-{number}" for number in range(6)]
    for name in names:
        starter.start("no endpoint", "run", name, 0)
    exits = ended(starter, len(names))
    assert sorted(sampler_exit.sampler for sampler_exit in exits) == names
    assert len({sampler_exit.process for sampler_exit in exits}) == len(names)


def test_interrupts_are_the_learners_business(starter: LocalStarter, helper: psutil.Process) -> None:
    """Ctrl-C does not reach the helper and its samplers, and would not end them."""
    sampler = start(starter, helper, "interrupted")
    assert os.getsid(helper.pid) == os.getsid(sampler.pid) != os.getsid(0)
    for process in (helper, sampler):
        process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert alive(helper)
    assert alive(sampler)
    sampler.kill()
    ended(starter)


@pytest.fixture
def folder() -> Iterator[SocketFolder]:
    folder = SocketFolder()
    yield folder
    folder.close()


def test_close_ends_everything(folder: SocketFolder) -> None:
    """Within seconds, a sampler that does not listen too. Closing twice does no harm."""
    starter = LocalStarter(folder)
    helper = helper_of()
    samplers = [start(starter, helper, "listens"), start(starter, helper, "hangs")]
    samplers[1].suspend()
    started = time.monotonic()
    starter.close()
    assert time.monotonic() - started < 5
    assert not any(alive(process) for process in (helper, *samplers))
    starter.close()


def test_a_helper_that_dies_is_replaced(folder: SocketFolder) -> None:
    """Its samplers are ended and reported, those too that it never started; others start from the new one."""
    starter = LocalStarter(folder)
    helper = helper_of()
    sampler = start(starter, helper, "orphan", incarnation=2)
    assert starter.exits(0.0) == []
    helper.kill()
    wait_for(lambda: not alive(helper))
    starter.start(folder.endpoint, "run", "late", 0)
    assert ended(starter, 2) == [
        SamplerExit("orphan", 2, sampler.pid, -signal.SIGKILL),
        SamplerExit("late", 0, 0, -signal.SIGKILL),
    ]
    wait_for(lambda: not alive(sampler), seconds=5)
    assert alive(start(starter, helper_of(), "heir"))
    starter.close()
    with pytest.raises(ChildProcessError, match="the starter is closed"):
        starter._replace_helper()


def test_many_connections_do_no_harm(folder: SocketFolder) -> None:
    """Where strangers have all descriptors that `select` can wait for, samplers are started all the same."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limits[1], 2048), limits[1]))
    with contextlib.ExitStack() as taken:
        taken.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        while taken.enter_context(open(os.devnull)).fileno() < 1030:
            pass
        with contextlib.closing(LocalStarter(folder)) as starter:
            assert starter._reports.fileno() > 1024
            start(starter, helper_of(), "late").kill()
            assert ended(starter)[0].sampler == "late"


def test_helper_ends_with_its_parent() -> None:
    """Also when the parent is killed before the helper has finished its imports: no process and no folder is left."""
    script = "import time\nfrom framework.runtime.launch.local import LocalStarter\n"
    script += "from framework.runtime.link.endpoint import SocketFolder\n"
    script += "starter = LocalStarter(SocketFolder())\nprint(flush=True)\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        helper = helper_of(parent.pid)
        folder = folder_of(helper)
        parent.kill()
    assert folder.exists()
    wait_for(lambda: not alive(helper))
    assert not folder.exists()
