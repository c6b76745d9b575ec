"""Checks of launchers, with stubs in the place of hosts.

The engine has to run the commands that it is given on this machine, under this account, and may take as long as
`framework.testing.subject.Subject.patience` says.
"""

from __future__ import annotations

from time import monotonic
from typing import Any

from framework.exit_codes import DONE, NOT_LET_IN, TRY_AGAIN, WRONG_VERSION
from framework.interfaces import HostStatus
from framework.testing.stubs import WORKERS, Stubs, stubs
from framework.testing.subject import Subject

_STATES = {"waiting", "running", "ended"}


def check_plan(subject: Subject) -> None:
    """The plan says what the engine would be given; it starts nothing, keeps nothing and has no token."""
    with stubs(subject) as hosts:
        launcher = hosts.launcher()
        text = launcher.plan(hosts.work(2))
        assert isinstance(text, str), f"the plan is a {type(text).__name__}, not a text"
        assert hosts.program in text, f"the plan does not say that {hosts.program} is started:\n{text}"
        assert not hosts.tells_token(text), "the plan has the token"
        assert (files := hosts.files()) == ["token"], f"planning wrote {', '.join(files)}"
        launcher.start(hosts.work(1))
        hosts.settle(1)
        assert len(hosts.starts()) == 1, "planning started hosts"


def check_start(subject: Subject) -> None:
    """It starts as many hosts as are asked for, each with a name of its own, the samplers and the token."""
    with stubs(subject) as hosts:
        began = monotonic()
        hosts.launcher().start(hosts.work(3))
        hosts.settle(3)
        hosts.watch(  # what comes late comes as late as the others did
            monotonic() - began,
            lambda: len(hosts.starts()) == 3,
            lambda: f"3 hosts were asked for, and {len(hosts.starts())} were started",
        )
        starts = hosts.starts()
        names = [start["name"] for start in starts]
        assert len(set(names)) == 3, f"hosts have the same name: {', '.join(names)}"
        workers = {start["workers"] for start in starts}
        assert workers == {str(WORKERS)}, f"hosts have {', '.join(workers)} workers, not {WORKERS}"
        assert all(start["token"] == hosts.digest for start in starts), "hosts were given another token, or none"


def check_status(subject: Subject) -> None:
    """It tells each host by the name that it runs under; so does the launcher in another process."""
    with stubs(subject) as hosts:
        launcher = hosts.launcher()
        launcher.start(hosts.work(2))
        hosts.settle(2)
        _await_running(hosts, launcher, "it")
        _await_running(hosts, hosts.launcher(), "the launcher, built anew on its directory,")


def check_lost_hosts_are_replaced(subject: Subject) -> None:
    """A host that is killed, or ends with 75, is started again; the others stay."""
    with stubs(subject) as hosts:
        hosts.launcher().start(hosts.work(3))
        hosts.settle(3)
        killed, ended, staying = hosts.alive()
        hosts.kill(killed)
        hosts.end(ended, TRY_AGAIN)
        hosts.wait(
            lambda: len(hosts.alive()) == 3,
            lambda: f"of 3 hosts one was killed and one ended with {TRY_AGAIN}; {len(hosts.alive())} are at work",
        )
        assert staying in hosts.alive(), "where a host ends, one that is at work is started again too"
        names = list(hosts.alive().values())
        assert len(set(names)) == 3, f"hosts have the same name: {', '.join(names)}"


def check_final_exits(subject: Subject) -> None:
    """A host that ends with 0, 77 or 78 is not started again; its status is that it ended, with that exit code."""
    finals = (DONE, NOT_LET_IN, WRONG_VERSION)
    with stubs(subject) as hosts:
        launcher = hosts.launcher()
        launcher.start(hosts.work(4))
        hosts.settle(4)
        first, *others = hosts.alive().items()
        began = monotonic()
        hosts.end(first[0], TRY_AGAIN)
        hosts.wait(lambda: len(hosts.starts()) == 5, lambda: f"a host that ended with {TRY_AGAIN} is not started again")
        again = monotonic() - began
        for (process, _), status in zip(others, finals, strict=True):
            hosts.end(process, status)
        ended = {line["process"]: line["status"] for line in hosts.journal() if line["event"] == "ended"}
        # An engine may end all others where one was not let in.
        orders = zip(others, finals, strict=True)
        ends = {name: status for (process, name), status in orders if ended.get(process) == status}
        hosts.watch(
            2 * again + 1,
            lambda: len(hosts.starts()) == 5,
            lambda: f"hosts that ended with {', '.join(map(str, finals))} are started again",
        )
        told: dict[str, Any] = {}

        def is_told() -> bool:
            told.update((host.name, (host.state, host.status)) for host in _statuses(launcher))
            return all(told.get(name) == ("ended", status) for name, status in ends.items())

        hosts.wait(is_told, lambda: f"hosts have ended with {ends}, and it tells {told or 'of no host'}")


def check_scale(subject: Subject) -> None:
    """Another number of hosts can be asked for, by another process too, or the same again; those that stay are left."""
    with stubs(subject) as hosts:
        hosts.launcher().start(hosts.work(2))
        hosts.settle(2)
        before = set(hosts.alive())
        hosts.launcher().scale(hosts.work(4))
        hosts.settle(4)
        assert before <= set(hosts.alive()), "with more hosts, those that were at work are started again"
        names = list(hosts.alive().values())
        assert len(set(names)) == 4, f"hosts have the same name: {', '.join(names)}"
        before = set(hosts.alive())
        hosts.launcher().scale(hosts.work(4))
        hosts.watch(
            0.5,
            lambda: set(hosts.alive()) == before,
            lambda: "asked for as many hosts as there are, it starts them again",
        )
        hosts.launcher().scale(hosts.work(1))
        hosts.settle(1)
        assert set(hosts.alive()) <= before, "with fewer hosts, those that stay are started again"
        assert len(hosts.starts()) == 4, "with fewer hosts, some are started again"


def check_stop(subject: Subject) -> None:
    """All hosts are asked to end, by SIGTERM, and no process is left; it may be stopped again, and started anew."""
    with stubs(subject) as hosts:
        hosts.launcher().stop()
        hosts.launcher().start(hosts.work(3))
        hosts.settle(3)
        processes = set(hosts.alive())
        launcher = hosts.launcher()
        launcher.stop()
        hosts.wait(
            lambda: not hosts.processes(),
            lambda: "it is stopped, and goes on: " + "; ".join(hosts.processes().values()),
        )
        asked = {line["process"] for line in hosts.journal() if line["event"] == "ended"}
        assert processes <= asked, "it ends hosts otherwise than by SIGTERM"
        launcher.stop()
        hosts.launcher().stop()
        hosts.launcher().start(hosts.work(1))
        hosts.settle(1)


def check_token_is_kept_secret(subject: Subject) -> None:
    """The token is in no argument of a process, no environment variable, and no file but its own."""
    with stubs(subject) as hosts:
        with hosts.watched() as seen:
            hosts.launcher().start(hosts.work(2))
            hosts.settle(2)
            hosts.launcher().scale(hosts.work(3))
            hosts.settle(3)
        assert not seen, f"the token is an argument of {'; '.join(sorted(seen))}"
        for process, command in hosts.processes().items():
            assert not hosts.tells_token(hosts.environment(process)), f"the token is in the environment of {command}"
        telling = [name for name in hosts.files() if name != "token" and hosts.tells_token(hosts.file(name))]
        assert not telling, f"the token is in {', '.join(telling)}"


# --- helpers -----------------------------------------------------------------------------------------------------


def _statuses(launcher: Any) -> list[HostStatus]:
    statuses: list[HostStatus] = launcher.status()
    for host in statuses:
        assert isinstance(host, HostStatus), f"status gives a {type(host).__name__}, not a HostStatus"
        assert host.state in _STATES, f"the state of {host.name} is {host.state!r}, and none of {', '.join(_STATES)}"
    return statuses


def _await_running(hosts: Stubs, launcher: Any, who: str) -> None:
    """Wait until the launcher tells that those run which do, and no other."""
    told: dict[str, str] = {}

    def is_told() -> bool:
        told.clear()
        told.update((host.name, host.state) for host in _statuses(launcher))
        return told == dict.fromkeys(hosts.alive().values(), "running")

    hosts.wait(
        is_told,
        lambda: f"{who} tells {told or 'of no host'}, and at work are {', '.join(hosts.alive().values())}",
    )


CHECKS = (
    check_plan,
    check_start,
    check_status,
    check_lost_hosts_are_replaced,
    check_final_exits,
    check_scale,
    check_stop,
    check_token_is_kept_secret,
)
