"""Launchers that are wrong in one way each, made of one that is right, and the check that each fails."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import psutil
from acme_launcher import Processes
from attrs import evolve

from framework.interfaces import HostStatus
from framework.toolkit import keeper

Command = keeper.Command


class PlansByStarting(Processes):
    """It starts what it plans."""

    def plan(self, work: Any) -> str:
        self._background.start(keeper.MODULE, keeper.wanted(self._commands(work), work.token))
        return super().plan(work)


class PlansNothing(Processes):
    """It has no plan."""

    def plan(self, work: Any) -> str:
        return "\n"


class PlansTheToken(Processes):
    """Its plan can be run on any machine."""

    def plan(self, work: Any) -> str:
        return f"TOKEN={work.token.read_text()}{super().plan(work)}"


class NotesThePlan(Processes):
    """It keeps what it plans."""

    def plan(self, work: Any) -> str:
        plan = super().plan(work)
        (Path(work.token).parent / "plan").write_text(plan)
        return plan


class OneTooMany(Processes):
    """It has one in reserve."""

    def _commands(self, work: Any) -> list[Command]:
        return super()._commands(evolve(work, hosts=work.hosts + 1))


class OneWorker(Processes):
    """Each host has one sampler."""

    def _commands(self, work: Any) -> list[Command]:
        return super()._commands(evolve(work, workers=1))


class OneName(Processes):
    """All hosts are called alike."""

    def _commands(self, work: Any) -> list[Command]:
        return [evolve(command, arguments=work.command("acme")) for command in super()._commands(work)]


class NoToken(Processes):
    """Hosts are given something else."""

    def _commands(self, work: Any) -> list[Command]:
        return [
            evolve(command, arguments=["sh", "-c", f"echo token | exec {shlex.join(command.arguments)}"])
            for command in super()._commands(work)
        ]


class Remembers(Processes):
    """What it has started is in its memory alone."""

    told: list[HostStatus] | None = None

    def start(self, work: Any) -> None:
        super().start(work)
        self.told = []

    def status(self) -> list[HostStatus]:
        return super().status() if self.told is not None else []


class OtherNames(Processes):
    """It tells the names of its own."""

    def status(self) -> list[HostStatus]:
        return [evolve(host, name=f"job-{host.name}") for host in super().status()]


class OptimisticStates(Processes):
    """It tells that all goes well."""

    def status(self) -> list[HostStatus]:
        return [evolve(host, state="running") for host in super().status()]


class NoCodes(Processes):
    """It keeps exit codes for itself."""

    def status(self) -> list[HostStatus]:
        return [evolve(host, status=None) for host in super().status()]


class Tables(Processes):
    """It tells statuses as tables."""

    def status(self) -> list[HostStatus]:
        told: list[Any] = [{"name": host.name, "state": host.state} for host in super().status()]
        return told


class InAShell(Processes):
    """A shell is what the engine sees of a host."""

    script = ""

    def _commands(self, work: Any) -> list[Command]:
        return [
            evolve(command, arguments=["sh", "-c", self.script.replace("HOST", shlex.join(command.arguments))])
            for command in super()._commands(work)
        ]


class NeverAgain(InAShell):
    """What has ended is not started again."""

    script = "HOST; exit 0"


class ForEver(InAShell):
    """Whatever the exit code says, it starts a host again; and ends it where the shell is ended."""

    script = (
        "exec 3<&0; read token <&3; trap 'kill $host; wait $host; exit 75' TERM;"
        ' while true; do echo "$token" | HOST & host=$!; wait $host; sleep 0.1; done'
    )


class AllAgain(Processes):
    """Another number is had by starting all of them again."""

    def scale(self, work: Any) -> None:
        self.stop()
        self.start(work)


class FirstOut(Processes):
    """With fewer hosts, others have their names."""

    def scale(self, work: Any) -> None:
        commands = [evolve(command, name=f"{command.name}-{work.hosts}") for command in self._commands(work)]
        self._background.want(keeper.wanted(commands, work.token))


class Deaf(Processes):
    """It never hears of another number."""

    def scale(self, work: Any) -> None:
        pass


class GoesOn(Processes):
    """It forgets its hosts, and does not end them."""

    def stop(self) -> None:
        pass


class Kills(Processes):
    """Hosts are not asked to end."""

    def __init__(self, config: Any, context: Any):
        super().__init__(config, context)
        self._folder = str(context.directory)

    def stop(self) -> None:
        for process in psutil.process_iter(["cmdline"]):
            if process.info["cmdline"] and process.info["cmdline"][-1] == self._folder:
                process.suspend()
                for host in process.children():
                    host.kill()
                process.kill()


class StopsOnce(Processes):
    """It insists that there is something to stop."""

    def stop(self) -> None:
        if not self._background.running:
            raise KeyError("no such job")
        super().stop()


class TokenAsArgument(InAShell):
    """The token is in an argument of the shell, as anybody sees."""

    def _commands(self, work: Any) -> list[Command]:
        self.script = f"HOST; exit $?  # {work.token.read_text().strip()}"
        return super()._commands(work)


class TokenForAMoment(Processes):
    """A program that ends at once has the token as its argument."""

    def start(self, work: Any) -> None:
        subprocess.run(["sh", "-c", "sleep 0.1; exit", work.token.read_text()], check=True)
        super().start(work)


class TokenAsVariable(Processes):
    """The token is in the environment."""

    def start(self, work: Any) -> None:
        os.environ["FRAMEWORK_JOIN"] = work.token.read_text()
        try:
            super().start(work)
        finally:
            del os.environ["FRAMEWORK_JOIN"]


class TokenInAScript(Processes):
    """The token is in a script, which the engine keeps."""

    def start(self, work: Any) -> None:
        (Path(work.token).parent / "job.sh").write_text(f"export JOIN={work.token.read_text()}")
        super().start(work)


#: Each with the check that it fails.
FAULTS = [
    (PlansByStarting, "plan"),
    (PlansNothing, "plan"),
    (PlansTheToken, "plan"),
    (NotesThePlan, "plan"),
    (OneTooMany, "start"),
    (OneWorker, "start"),
    (OneName, "start"),
    (NoToken, "start"),
    (Remembers, "status"),
    (OtherNames, "status"),
    (Tables, "status"),
    (NeverAgain, "lost_hosts_are_replaced"),
    (ForEver, "final_exits"),
    (OptimisticStates, "final_exits"),
    (NoCodes, "final_exits"),
    (AllAgain, "scale"),
    (FirstOut, "scale"),
    (Deaf, "scale"),
    (GoesOn, "stop"),
    (Kills, "stop"),
    (StopsOnce, "stop"),
    (TokenAsArgument, "token_is_kept_secret"),
    (TokenForAMoment, "token_is_kept_secret"),
    (TokenAsVariable, "token_is_kept_secret"),
    (TokenInAScript, "token_is_kept_secret"),
]
