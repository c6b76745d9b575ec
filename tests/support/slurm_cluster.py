"""A real SLURM of one node on this machine: munged, slurmctld and slurmd as child processes, with their own files.

Needs root, and Debian's packages slurmctld, slurmd, munge and slurm-client.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")
#: Seconds that a task which was queued again has to wait; SLURM takes no less than 5 here, and adds one.
HOLD = 5

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={controller}
SlurmdPort={node}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire={hold}
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldDebug=debug
SlurmdDebug=debug
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
NodeName={host} NodeAddr=127.0.0.1 CPUs={processors} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Why there can be no cluster here; empty where there can."""
    path = f"{os.environ['PATH']}:/usr/sbin"
    absent = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if absent:
        return f"no {', '.join(absent)}: apt-get install slurmctld slurmd munge slurm-client"
    return "" if os.geteuid() == 0 else "SLURM's daemons need root here"


class SlurmCluster:
    """A context manager; while it is open its ``variables`` make SLURM's programs speak to it. Nothing is left behind.

    Args:
        processors: how many the node is said to have.
    """

    def __init__(self, processors: int = 8):
        self._processors = processors
        self._daemons: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> SlurmCluster:
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.folder.chmod(0o755)  # munge wants its socket to be reached by all
        try:
            self._begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        if len(self._daemons) == 3:
            with suppress(subprocess.SubprocessError):
                self.call("scancel", "--user=root")
                wait_for(lambda: not self.call("squeue", "--noheader"), 30.0)
        for daemon in reversed(self._daemons):
            daemon.terminate()
            with suppress(subprocess.TimeoutExpired):
                daemon.wait(10)
            daemon.kill()
            daemon.wait()
        for process in self.processes():  # of tasks that would not end
            with suppress(psutil.NoSuchProcess):
                process.kill()
        shutil.rmtree(self.folder)

    @property
    def variables(self) -> dict[str, str]:
        """Of the environment."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def call(self, *command: str) -> str:
        """What one of SLURM's programs prints. Raises `subprocess.SubprocessError`."""
        return subprocess.run(
            command, env=os.environ | self.variables, capture_output=True, text=True, check=True, timeout=30
        ).stdout

    def processes(self) -> list[psutil.Process]:
        """Those of its tasks, and of SLURM that look after them: whatever has its environment."""
        daemons = {daemon.pid for daemon in self._daemons}
        theirs = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("SLURM_CONF") == self.variables["SLURM_CONF"] and process.pid not in daemons:
                    theirs.append(process)
        return theirs

    def logs(self) -> str:
        """Everything that the daemons have printed."""
        return "".join(file.read_text(errors="replace") for file in sorted(self.folder.glob("*.log")))

    def _begin(self) -> None:
        for name in ("state", "spool"):
            (self.folder / name).mkdir(mode=0o755)
        key = self.folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(secrets.token_bytes(128))
        controller, node = _free_ports(2)
        text = CONFIGURATION.format(
            host=socket.gethostname().partition(".")[0],
            controller=controller,
            node=node,
            folder=self.folder,
            hold=HOLD,
            processors=self._processors,
        )
        (self.folder / "slurm.conf").write_text(text)
        files = {"key-file": key, "socket": self.folder / "munge.socket", "pid-file": self.folder / "munge.pid"}
        files |= {"log-file": self.folder / "munge.log", "seed-file": self.folder / "munge.seed"}
        self._start("munged", "--foreground", "--force", *(f"--{name}={file}" for name, file in files.items()))
        wait_for((self.folder / "munge.socket").exists, 20.0)
        configuration = ["-f", str(self.folder / "slurm.conf")]
        self._start("slurmctld", "-D", "-c", *configuration)
        self._start("slurmd", "-D", "-c", *configuration)
        wait_for(self._ready, 40.0)

    def _ready(self) -> bool:
        ended = [daemon.args for daemon in self._daemons if daemon.poll() is not None]
        if ended:
            raise RuntimeError(f"{ended} have ended:\n{self.logs()[-5000:]}")
        with suppress(subprocess.SubprocessError):
            return self.call("sinfo", "--noheader", "--format=%T").strip() == "idle"
        return False

    def _start(self, *command: str) -> None:
        program = shutil.which(command[0], path=f"{os.environ['PATH']}:/usr/sbin")
        assert program is not None
        with (self.folder / f"{command[0]}.log").open("ab") as log:
            self._daemons.append(
                subprocess.Popen(
                    [program, *command[1:]],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=os.environ | self.variables,
                    start_new_session=True,  # Ctrl-C is for the test, which then ends them in order
                )
            )


def wait_for(condition: Callable[[], Any], seconds: float) -> Any:
    """What ``condition`` gives once it is true. Raises `TimeoutError`."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited for {seconds} s in vain")
        time.sleep(0.02)
    return result


def _free_ports(count: int) -> Sequence[int]:
    with_ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in with_ports]
    for listener in with_ports:
        listener.close()
    return ports
