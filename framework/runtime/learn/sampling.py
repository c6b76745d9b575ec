"""Who collects a run's trajectories: sampler processes, or the learner itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from framework.pipeline.sections import Pipeline
from framework.runtime.data.fingerprint import fingerprints, versions
from framework.runtime.data.policy_snapshot import kept_versions
from framework.runtime.data.shard import ShardState
from framework.runtime.launch.starter import Starter
from framework.runtime.launch.supervisor import Supervisor
from framework.runtime.link.admission import Admission
from framework.runtime.link.inprocess import InProcess
from framework.runtime.link.leases import Leases
from framework.runtime.link.server import Server
from framework.runtime.link.source import Event, Source
from framework.runtime.rollout.worker import Worker

if TYPE_CHECKING:
    from framework.runtime.launch.launch import Launch
    from framework.runtime.link.listener import Listener


@contextmanager
def open_source(
    pipeline: Pipeline,
    directory: Path,
    shards: dict[int, ShardState],
    worker: Worker,
    starter: Starter | None,
    endpoint: str,
    listener: Listener | None = None,
    first: int = 0,
) -> Iterator[Source]:
    """The source of the run in ``directory`` whose shards go on from ``shards``, open as long as the context lasts.

    With a starter its samplers collect, over ``endpoint``, and with a listener those of other machines, which the
    pipeline may have an engine keep at work; without any ``worker`` does, in this process. ``first`` is the version
    that was there when collecting began.
    """
    sampling, samplers = pipeline.sampling, 0 if starter is None else pipeline.runtime.samplers
    count = sampling.environments // sampling.shard
    launch = _launch(pipeline, directory)
    expected = samplers + (launch.samplers if launch is not None else 0)
    lag = sampling.policy_lag if isinstance(sampling.policy_lag, int) else None
    leases = Leases(
        count,
        lag,
        shards,
        credit=2 * count,
        expected=expected,
        max_replay_steps=worker.max_replay_steps,
        first=first,
    )
    if starter is None and listener is None:
        yield InProcess(leases, worker)
        return
    admission = Admission(
        run=directory.name,
        pipeline=pipeline.for_other_processes().to_plain(),
        directory=str(pipeline.directory.resolve()),
        versions=versions(),
        components=fingerprints(pipeline),
        specification=worker.specification,
        exact=lag is not None,
    )
    with ExitStack() as opened:
        grace = pipeline.runtime.reconnect_grace
        # Left last: where the run is complete the samplers of an engine end by themselves.
        launched = opened.enter_context(ExitStack())
        server = Server(endpoint, leases, admission, kept_versions(sampling), grace, listener)
        opened.callback(server.close)
        if starter is not None:
            opened.callback(Supervisor(starter, samplers, directory.name, server).close)
        if launch is not None:
            launch.start()
            launched.callback(launch.stop)
            server.announce(Event("launched", {"launcher": launch.name, "samplers": launch.samplers}))
        yield server


def _launch(pipeline: Pipeline, directory: Path) -> Launch | None:
    """What has an engine keep samplers at work; None where the pipeline names nothing."""
    if pipeline.runtime.launcher is None:
        return None
    from framework.runtime.launch.launch import Launch

    return Launch(directory, pipeline.runtime.launcher, "runtime.launcher", pipeline.directory)
