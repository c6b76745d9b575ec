"""What a run does when machines, processes and cables fail: ``python benchmarks/faults.py``, best as root."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median

import psutil

from measure.fleet import Fleet, run_alone, small_disk, wait_for, write_pipeline
from measure.network import Network, possible
from measure.proxied import Proxied
from measure.results import Measurement, interleaved, machine, parser, publish, show, table, values

#: Seconds that a step of the environment takes: the run then takes long enough to be disturbed in its midst.
STEP_SECONDS = 0.002
UPDATES = 30
HOST = "host"

Scenario = Callable[[Network | Proxied, Path, int], Measurement]


def undisturbed(network: Network | Proxied, folder: Path, repeat: int) -> Measurement:
    """Nothing happens."""
    with Fleet(network, folder, write_pipeline(folder, UPDATES), step_seconds=STEP_SECONDS) as fleet:
        fleet.host(HOST, 2)
        return {"outcome": fleet.end()}


def sampler_killed(network: Network | Proxied, folder: Path, repeat: int) -> Measurement:
    """SIGKILL to a sampler of a host."""
    with Fleet(network, folder, write_pipeline(folder, UPDATES), step_seconds=STEP_SECONDS) as fleet:
        fleet.host(HOST, 2)
        return _sampler_lost(fleet, signal.SIGKILL)


def local_sampler_killed(network: Network | Proxied, folder: Path, repeat: int) -> Measurement:
    """SIGKILL to a sampler on the learner's machine."""
    pipeline = write_pipeline(folder, UPDATES, samplers=2)
    with Fleet(network, folder, pipeline, step_seconds=STEP_SECONDS) as fleet:
        return _sampler_lost(fleet, signal.SIGKILL)


def sampler_stopped(network: Network | Proxied, folder: Path, repeat: int, timeout: float = 3.0) -> Measurement:
    """SIGSTOP to a sampler, in the midst of a step, where environments have 3 s for one."""
    pipeline = write_pipeline(folder, UPDATES, timeout=timeout)
    with Fleet(network, folder, pipeline, step_seconds=STEP_SECONDS) as fleet:
        fleet.host(HOST, 2)
        return _sampler_lost(fleet, signal.SIGSTOP)


def _sampler_lost(fleet: Fleet, number: int) -> Measurement:
    fleet.reach(10)
    victim = fleet.events("sampler_joined")[0]
    struck = time.time()
    os.kill(victim["process"], number)
    noticed = fleet.event("sampler_lost", struck, sampler=victim["sampler"])["at"]
    replaced = fleet.event("sampler_joined", noticed, sampler=victim["sampler"])["at"]
    return {"noticed": noticed - struck, "replaced": replaced - noticed, "outcome": fleet.end()}


def host_killed(network: Network | Proxied, folder: Path, repeat: int) -> Measurement:
    """SIGKILL to a host's agent; whoever watches it starts another at once."""
    with Fleet(network, folder, write_pipeline(folder, UPDATES), step_seconds=STEP_SECONDS) as fleet:
        agent = fleet.host(HOST, 2)
        fleet.reach(10)
        processes = [agent.main, *agent.main.children(recursive=True)]
        struck = time.time()
        agent.send(signal.SIGKILL)
        with ThreadPoolExecutor() as pool:
            gone = pool.submit(_gone, processes)
            noticed = fleet.event("host_disconnected", struck)["at"]
            started = time.time()
            fleet.host(HOST, 2)
            replaced = fleet.event("sampler_joined", started)["at"]
        return {
            "noticed": noticed - struck,
            "replaced": replaced - started,
            "orphans_gone": gone.result() - struck,
            "outcome": fleet.end(),
        }


def learner_killed(network: Network | Proxied, folder: Path, repeat: int) -> Measurement:
    """SIGKILL to the learner while it saves a checkpoint, as it does after every update; it is resumed at once."""
    pipeline = write_pipeline(folder, UPDATES, checkpoints=0.0)
    with Fleet(network, folder, pipeline, step_seconds=STEP_SECONDS) as fleet:
        fleet.host(HOST, 2)
        fleet.reach(10 + repeat)
        saving = fleet.directory / "checkpoints"
        wait_for(lambda: any(path.name.startswith(".") or "tmp" in path.name for path in saving.iterdir()), 10)
        fleet.learner.send(signal.SIGKILL)
        fleet.learner.wait()
        before = fleet.updates
        fleet.resume()
        listening = fleet.event("listening", time.time())["at"]
        back = fleet.event("sampler_joined", listening)["at"] - listening
        return {"back": back, "updates_before": before, "outcome": fleet.end()}


def partition(network: Network | Proxied, folder: Path, repeat: int, seconds: float) -> Measurement:
    """Every packet of a host is lost for a while."""
    with Fleet(network, folder, write_pipeline(folder, UPDATES), step_seconds=STEP_SECONDS) as fleet:
        fleet.host(HOST, 2)
        fleet.reach(10)
        network.away.add(HOST)
        time.sleep(seconds)
        restored = fleet.events("sampler_joined")
        network.away.clear()
        back = fleet.next_update()
        moved = len(fleet.events("sampler_joined")) - len(restored) + len(fleet.events("host_gone"))
        return {"back": back, "shards_moved": bool(moved), "outcome": fleet.end()}


def lossy(network: Network | Proxied, folder: Path, repeat: int, loss: float = 0.05) -> Measurement:
    """Of all packets, either way, 5 % are lost."""
    with Fleet(network, folder, write_pipeline(folder, UPDATES), step_seconds=STEP_SECONDS) as fleet:
        assert isinstance(network, Network)
        network.loss = loss
        try:
            fleet.host(HOST, 2)
            return {"outcome": fleet.end(), "disconnected": len(fleet.events("host_disconnected"))}
        finally:
            network.loss = 0.0


def disk_full(network: Network | Proxied, folder: Path, repeat: int) -> Measurement:
    """The disk is full while checkpoints are saved, and is not a while later."""
    with small_disk(folder / "disk", 4) as disk:
        pipeline = write_pipeline(disk, UPDATES, checkpoints=0.0)
        with Fleet(network, disk, pipeline, step_seconds=STEP_SECONDS) as fleet:
            fleet.host(HOST, 2)
            fleet.reach(10)
            struck = time.time()
            filler = disk / "filler"
            with filler.open("wb") as file:
                space = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
                file.write(bytes(max(0, space - 64 * 1024)))  # room for lines of the record, and none for a checkpoint
            noticed = fleet.event("checkpoint_failed", struck)["at"]
            filler.unlink()
            return {"noticed": noticed - struck, "outcome": fleet.end()}


def machines(*hosts: str) -> Network | Proxied:
    """A learner's machine and these, as real as they can be here."""
    names = ("learner", *hosts)
    return Network(names) if possible() else Proxied(names)


def _gone(processes: list[psutil.Process]) -> float:
    """The time of day at which none of these is there any more."""
    wait_for(lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes), 60)
    return time.time()


#: What is measured: the name in the table, the scenario, and the bar of each figure in seconds.
SCENARIOS: dict[str, tuple[Scenario, dict[str, float]]] = {
    "undisturbed": (undisturbed, {}),
    "a host's sampler killed": (sampler_killed, {"noticed": 1.0, "replaced": 2.0}),
    "a local sampler killed": (local_sampler_killed, {"noticed": 1.0, "replaced": 2.0}),
    "a host killed": (host_killed, {"noticed": 8.0, "replaced": 4.0}),
    "learner killed in mid-save": (learner_killed, {"back": 3.0}),
    "3 s without network": (partial(partition, seconds=3.0), {"back": 2.0}),
    "10 s without network": (partial(partition, seconds=10.0), {"back": 2.0}),
    "60 s without network": (partial(partition, seconds=60.0), {"back": 2.0}),
    "5 % of packets lost": (lossy, {}),
    "a sampler stopped (limit 3 s)": (sampler_stopped, {"noticed": 8.0, "replaced": 2.0}),
    "disk full": (disk_full, {}),
}


#: What cannot be done with proxies: lose packets, and make a disk.
NEED_ROOT = ("5 % of packets lost", "disk full")


def run(scenario: Scenario, expected: dict[str, str], network: Network | Proxied, repeat: int) -> Measurement:
    """One measurement; whether the run came to what it does undisturbed is ``equal``."""
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        measurement = scenario(network, Path(folder), repeat)
    return measurement | {"equal": measurement.pop("outcome") == expected}


def main() -> None:
    """Measure every fault in turns."""
    arguments = parser(__doc__)
    arguments.add_argument("--only", nargs="*", help="scenarios by parts of their names")
    arguments.set_defaults(repeats=5)
    options = arguments.parse_args()
    before, namespaces = machine(), possible()
    if not namespaces:
        print(f"no namespaces here (as root, with ip and /dev/net/tun): proxies, and not {', '.join(NEED_ROOT)}")
    scenarios = {
        name: scenario
        for name, scenario in SCENARIOS.items()
        if (not options.only or any(part in name for part in options.only)) and (namespaces or name not in NEED_ROOT)
    }
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, machines(HOST) as network:
        expected = run_alone(Path(folder), UPDATES)
        rows = {name: partial(run, scenario, expected, network) for name, (scenario, _) in scenarios.items()}
        measurements = interleaved(rows, options.repeats)
    header = ["", "runs", "bit-equal", "noticed", "replaced", "back"]
    text = table(header, [_line(measurements, name) for name in scenarios])
    publish(
        "faults",
        text + "\n\nSeconds, median and worst; bars in brackets. Bit-equal: weights, metrics and episodes are those of "
        "the undisturbed run in one process, so no trajectory was lost or learned from twice.",
        output=options.output,
        settings={
            "repeats": options.repeats,
            "namespaces": namespaces,
            "updates": UPDATES,
            "step_seconds": STEP_SECONDS,
        },
        measurements=measurements,
        machine=before,
    )


def _line(measurements: list[Measurement], name: str) -> list[str | float]:
    rows = [measurement for measurement in measurements if measurement["row"] == name]
    bars = SCENARIOS[name][1]
    equal = sum(measurement["equal"] for measurement in rows)
    cells: list[str | float] = [name, len(rows), f"{equal} of {len(rows)}"]
    for field in ("noticed", "replaced", "back"):
        seconds = values(rows, name, field) if field in rows[0] else []
        text = f"{show(median(seconds))}, {show(max(seconds))}" if seconds else "-"
        cells.append(text + (f" [{show(bars[field])}]" if field in bars else ""))
    return cells


if __name__ == "__main__":
    main()
