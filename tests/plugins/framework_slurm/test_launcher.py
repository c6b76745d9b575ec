"""The launcher, with programs that stand for SLURM's and a stub that stands for the framework."""

import os
import signal
import subprocess

import psutil
import pytest
from fake_slurm import FakeSlurm
from processes import wait_for

from framework.errors import RunError
from framework.interfaces import HostStatus, LauncherContext, Work
from framework.runtime.launch.launch import Launch
from framework.runtime.link.keys import Keys
from framework.runtime.link.token import JoinToken
from framework_slurm import launcher as module
from framework_slurm.config import SlurmConfig
from framework_slurm.launcher import Slurm

#: Ends with the next of the exit codes that it finds under its name, or waits for SIGTERM where there are no more.
STUB = """#!/bin/bash
cd "$(dirname "$0")"
name=${!#}
echo "$@" >> "$name.calls"
code=$(head -n 1 "$name.codes" 2> /dev/null)
[ -z "$code" ] || { sed -i 1d "$name.codes"; exit "$code"; }
trap 'kill $!; echo told >> "$name.calls"; exit 75' TERM
echo $$ > "$name.process"
sleep 600 &
wait $!
"""


class Site:
    """A cluster, a stub for the framework, and a launcher for hosts of two samplers each."""

    def __init__(self, slurm, folder):
        self.slurm, self.stubs, self.launch = slurm, folder / "stubs", folder / "launch"
        for made in (self.stubs, self.launch):
            made.mkdir()
        (self.stubs / "framework").write_text(STUB)
        (self.stubs / "framework").chmod(0o755)
        (self.launch / "token").write_text("fw1.secret")

    def work(self, hosts):
        return Work(hosts, 2, (str(self.stubs / "framework"),), self.launch / "token")

    def launcher(self, **options):
        """As another process would build it."""
        return Slurm(SlurmConfig(**options), LauncherContext(run="pong", directory=self.launch, source=self.stubs))

    def codes(self, host, *codes):
        (self.stubs / f"slurm-{host}.codes").write_text("".join(f"{code}\n" for code in codes))

    def process(self, host):
        """Of a stub, once it is there."""
        file = self.stubs / f"slurm-{host}.process"
        return int(wait_for(lambda: file.exists() and file.read_text()))

    def calls(self, host):
        return (self.stubs / f"slurm-{host}.calls").read_text().splitlines()

    def states(self):
        return {host.name: host.state for host in self.launcher().status()}

    def scripts(self):
        return [call["text"] for call in self.slurm.calls if call["program"] == "sbatch"]

    def cancelled(self):
        return [call["arguments"] for call in self.slurm.calls if call["program"] == "scancel"]


@pytest.fixture
def site(tmp_path, monkeypatch):
    with FakeSlurm(tmp_path / "slurm") as slurm:
        monkeypatch.setenv("PATH", f"{slurm.programs}:{os.environ['PATH']}")
        yield Site(slurm, tmp_path)


def test_hosts_are_tasks_of_one_array(site):
    """Each has its command; who asks sees them run, and where."""
    site.launcher().start(site.work(3))
    for host in range(3):
        site.process(host)
    assert site.launcher().status() == [HostStatus(f"slurm-{n}", "running", "localhost", None, 1) for n in range(3)]
    (script,) = site.scripts()
    assert script == site.launcher().plan(site.work(3))
    assert site.calls(2) == [f"sampler --join {site.launch}/token --workers 2 --name slurm-2"]


def test_the_exit_code_says_what_becomes_of_a_host(site):
    """0, 77 and 78 are final; what ends otherwise, by a signal or before its time limit too, is started again."""
    for host, code in enumerate((75, 70, 0, 77, 78)):
        site.codes(host, code)
    site.launcher().start(site.work(7))
    os.kill(site.process(5), signal.SIGKILL)
    site.process(6)
    site.slurm.signal("41_6", signal.SIGTERM)
    wait_for(lambda: [host.starts for host in site.launcher().status()] == [2, 2, 1, 1, 1, 2, 2])
    for host in (0, 1):
        site.process(host)
    states = {host.name: (host.state, host.status, host.starts) for host in site.launcher().status()}
    assert states == {
        "slurm-0": ("running", 75, 2),
        "slurm-1": ("running", 70, 2),
        "slurm-2": ("ended", 0, 1),
        "slurm-3": ("ended", 77, 1),
        "slurm-4": ("ended", 78, 1),
        "slurm-5": ("running", -9, 2),
        "slurm-6": ("running", 75, 2),
    }
    assert site.calls(6)[1] == "told"
    assert "slurm-4 has ended with 78, and is not started again" in (site.launch / "slurm-4.log").read_text()


def test_hosts_wait_for_room(site):
    """Those that have none wait, and why stands in their place."""
    site.slurm.room = 1
    site.launcher().start(site.work(2))
    site.process(0)
    assert site.launcher().status() == [
        HostStatus("slurm-0", "running", "localhost", None, 1),
        HostStatus("slurm-1", "waiting", "(Resources)"),
    ]
    site.slurm.signal("41_0", signal.SIGTERM)
    site.process(1)


def test_hosts_are_added_and_taken_away(site):
    """Another array has those that are added, whose numbers go on; who waits goes before who runs."""
    site.slurm.room = 3
    site.launcher().start(site.work(2))
    site.launcher().scale(site.work(5))
    for host in range(3):
        site.process(host)
    assert [line for line in site.scripts()[1].splitlines() if "array" in line] == ["#SBATCH --array=2-4"]
    assert site.states() == dict.fromkeys([f"slurm-{n}" for n in range(3)], "running") | {
        "slurm-3": "waiting",
        "slurm-4": "waiting",
    }
    site.launcher().scale(site.work(2))
    assert site.states() == {"slurm-0": "running", "slurm-1": "running"}
    assert site.cancelled() == [["42_[2-4]"]]
    site.codes(1, 78)
    site.slurm.signal("41_1", signal.SIGTERM)
    wait_for(lambda: site.states()["slurm-1"] == "ended")
    site.launcher().scale(site.work(1))
    assert site.states() == {"slurm-0": "running"}
    site.launcher().scale(site.work(2))
    assert [line for line in site.scripts()[2].splitlines() if "array" in line] == ["#SBATCH --array=1"]


def test_stopping_ends_all_and_waits(site):
    """No task and no process is left; a second time it does nothing."""
    site.slurm.room = 2
    site.launcher().start(site.work(3))
    processes = [psutil.Process(site.process(host)) for host in range(2)]
    site.launcher().stop()
    assert {task.state for task in site.slurm.tasks} == {"ENDED"}
    assert not any(process.is_running() for process in processes)
    assert [site.calls(host)[1] for host in range(2)] == ["told", "told"]
    calls = len(site.slurm.calls)
    site.launcher().stop()
    assert (site.launcher().status(), len(site.slurm.calls)) == ([], calls)


def test_a_task_that_was_cancelled_stays_so(site):
    """Its script is told to end like before a time limit, but sees that SLURM is ending it."""
    site.launcher().start(site.work(1))
    site.process(0)
    subprocess.run([site.slurm.programs / "scancel", "41_[0]"], check=True)
    wait_for(lambda: site.states() == {"slurm-0": "ended"})
    assert site.slurm.starts == ["41_0"]
    assert "slurm-0 has ended with 75, and SLURM is ending its task" in (site.launch / "slurm-0.log").read_text()


def test_stopping_ends_what_comes_back(site):
    """As a task may that was being queued again when it was cancelled."""
    stubborn = "#!/bin/bash\n#SBATCH --array={{ array }}\n#SBATCH --output={{ output }}\ntouch up\n"
    stubborn += "trap 'scontrol requeue ${SLURM_ARRAY_JOB_ID}_0; exit' TERM\nsleep 600 &\nwait\n"
    (site.stubs / "own.sh").write_text(stubborn.replace("touch up", f"touch {site.stubs}/up"))
    site.slurm.hold = 60.0
    site.launcher(template="own.sh").start(site.work(1))
    wait_for((site.stubs / "up").exists)
    site.launcher().stop()
    assert [task.state for task in site.slurm.tasks] == ["ENDED"]
    assert site.cancelled() == [["41_[0]"], ["41_[0]"]]


def test_stopping_gives_up_at_last(site, monkeypatch):
    """And says which tasks are left, so that nobody takes them for ended."""
    monkeypatch.setattr(module, "GONE", 0.3)
    site.slurm.kill_wait = 60.0
    (site.stubs / "framework").write_text(STUB.replace("sleep 600 &", "trap '' TERM; sleep 600 &"))
    site.launcher().start(site.work(1))
    site.process(0)
    with pytest.raises(RunError, match="SLURM has not ended 41_0 within 0 s"):
        site.launcher().stop()
    assert site.states() == {"slurm-0": "waiting"}


def test_a_refusal_to_cancel_is_told(site):
    """Once may be because the tasks have just ended, twice not."""
    site.launcher().start(site.work(1))
    site.slurm.refusals["scancel"] = "Access/permission denied"
    with pytest.raises(RunError, match="Access/permission denied"):
        site.launcher().stop()
    assert len(site.cancelled()) == 2


def test_a_job_that_cannot_be_written_down_is_cancelled(site, monkeypatch):
    """As nobody would find it again."""

    def full(self, jobs):
        raise OSError("the disk is full")

    monkeypatch.setattr("framework_slurm.records.Jobs.write", full)
    with pytest.raises(OSError, match="full"):
        site.launcher().start(site.work(2))
    assert site.cancelled() == [["41_[0-1]"]]


def test_a_script_whose_token_is_gone_starts_nothing(site):
    """As where the launch was ended, or the node does not share the file."""
    (site.launch / "token").unlink()
    site.launcher().start(site.work(1))
    wait_for(lambda: site.states() == {"slurm-0": "ended"})
    assert "token cannot be read: the launch was ended, or this node" in (site.launch / "slurm-0.log").read_text()
    assert not (site.stubs / "slurm-0.calls").exists()


def test_the_token_is_in_its_file_alone(site, tmp_path, monkeypatch):
    """No call, environment, script, log or record has its text, nor its secret; stopping takes the file away."""
    run = tmp_path / "run"
    run.mkdir()
    Keys(run, create=True).listening(["tcp://127.0.0.1:5555"])
    join = JoinToken.read(str(run / "join"))
    monkeypatch.setenv("FRAMEWORK_JOIN", str(join))
    table = {"use": "slurm", "samplers": 2, "program": [str(site.stubs / "framework")]}
    launch = Launch(run, table, "launcher", tmp_path)
    launch.start()
    token = launch.directory / "token"
    assert token.stat().st_mode & 0o777 == 0o600
    texts = [token.read_text().strip(), JoinToken.read(str(token)).secret, str(join), join.secret]
    environments = [psutil.Process(site.process(host)).environ() for host in range(2)]
    assert [host.state for host in Launch.started(run)[0].status()] == ["running", "running"]
    files = [file for folder in (launch.directory, site.slurm.folder, site.stubs) for file in folder.rglob("*")]
    readable = [file.read_text() for file in files if file.is_file() and file != token]
    readable += [launch.plan(), str(environments), str(site.slurm.calls)]
    assert len(readable) > 10
    assert not any(text in where for text in texts for where in readable)
    assert str(token) in readable[-3]
    launch.stop()
    assert not launch.directory.exists()
    assert {task.state for task in site.slurm.tasks} == {"ENDED"}
