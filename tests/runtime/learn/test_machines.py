import trajectories

from framework.runtime.data.shard import first_state
from framework.runtime.learn.machines import Machines
from framework.runtime.link.source import Accepted, Event


def accepted(host: str, version: int) -> Accepted:
    """A trajectory of 8 steps that a machine has collected."""
    trajectory = trajectories.make(version=version, steps=4, environments=2)
    return Accepted(trajectory, first_state(trajectory), host)


def hear(machines: Machines, name: str, **fields: object) -> None:
    machines.hear(Event(name, fields))


def joined() -> Machines:
    """A sampler here, and a machine with two."""
    machines = Machines()
    hear(machines, "sampler_joined", sampler="sampler-0")
    hear(machines, "host_joined", host="box")
    for number in range(2):
        hear(machines, "sampler_joined", sampler=f"box/sampler-{number}")
    return machines


def test_one_machine_is_not_told_of() -> None:
    """Its columns would say what others do."""
    machines = Machines()
    hear(machines, "sampler_joined", sampler="sampler-0")
    assert machines.columns([accepted("", 0)], 1, 1.0) == {}


def test_each_machine_has_columns() -> None:
    """Its samplers and reconnects, the steps that it brought in the time, and how old their policy was."""
    machines = joined()
    hear(machines, "host_reconnected", host="box")
    news = [accepted("", 4), accepted("box", 3), accepted("box", 2)]
    assert machines.columns(news, update=4, seconds=2.0) == {
        "time/machine/learner/samplers": 1,
        "time/machine/learner/reconnects": 0,
        "time/machine/learner/steps_per_second": 4.0,
        "time/machine/learner/lag": 0.0,
        "time/machine/box/samplers": 2,
        "time/machine/box/reconnects": 1,
        "time/machine/box/steps_per_second": 8.0,
        "time/machine/box/lag": 1.5,
    }


def test_who_brought_nothing_has_no_lag() -> None:
    """Its speed is zero."""
    columns = joined().columns([accepted("", 4)], 4, 1.0)
    assert columns["time/machine/box/steps_per_second"] == 0
    assert "time/machine/box/lag" not in columns


def test_samplers_that_end_are_not_counted() -> None:
    """Whether they died or did not come back; and those of a host that has gone have no columns."""
    for name in ("sampler_lost", "sampler_gone"):
        machines = joined()
        hear(machines, name, sampler="box/sampler-0")
        assert machines.columns([], 0, 1.0)["time/machine/box/samplers"] == 1
    for name in ("host_left", "host_gone", "host_refused"):
        machines = joined()
        hear(machines, name, host="box")
        hear(machines, "sampler_gone", sampler="box/sampler-0")
        assert not any("box" in column for column in machines.columns([], 0, 1.0))
        assert machines.columns([], 0, 1.0)["time/machine/learner/samplers"] == 1


def test_who_ends_twice_or_before_it_was_at_work_counts_once() -> None:
    """A sampler may be given up, and its process end later; another may end before it was ready."""
    machines = joined()
    hear(machines, "sampler_gone", sampler="box/sampler-0")
    hear(machines, "sampler_lost", sampler="box/sampler-0")
    hear(machines, "sampler_lost", sampler="box/sampler-7")
    assert machines.columns([], 0, 1.0)["time/machine/box/samplers"] == 1
