"""Who collects a run's trajectories: sampler processes, or the learner itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from attrs import evolve

from framework.interfaces import Launcher
from framework.pipeline.sections import Pipeline
from framework.runtime.data.fingerprint import components_fingerprint
from framework.runtime.data.policy_snapshot import kept_versions
from framework.runtime.data.shard import ShardState
from framework.runtime.launch.supervisor import Supervisor
from framework.runtime.link.dispatcher import Admission
from framework.runtime.link.inprocess import InProcess
from framework.runtime.link.leases import Leases
from framework.runtime.link.server import Server
from framework.runtime.link.source import Source
from framework.runtime.rollout.worker import Worker


@contextmanager
def open_source(
    pipeline: Pipeline,
    run: str,
    shards: dict[int, ShardState],
    worker: Worker,
    launcher: Launcher | None,
    endpoint: str,
) -> Iterator[Source]:
    """The source of a run whose shards go on from ``shards``, open as long as the context lasts.

    Without a launcher ``worker`` collects, in this process. With one its samplers do, over ``endpoint``.
    """
    sampling, samplers = pipeline.sampling, 0 if launcher is None else pipeline.runtime.samplers
    count = sampling.environments // sampling.shard
    lag = sampling.policy_lag if isinstance(sampling.policy_lag, int) else None
    leases = Leases(count, lag, shards, credit=2 * count, expected=samplers, max_replay_steps=worker.max_replay_steps)
    if launcher is None:
        yield InProcess(leases, worker)
        return
    admission = Admission(
        run=run,
        # Samplers need not have the plugin that starts them.
        pipeline=evolve(pipeline, runtime=evolve(pipeline.runtime, launcher=None)).to_plain(),
        directory=str(pipeline.directory.resolve()),
        components=components_fingerprint(pipeline),
        specification=worker.specification,
    )
    server = Server(endpoint, leases, admission, kept_versions(sampling), pipeline.runtime.reconnect_grace)
    try:
        supervisor = Supervisor(launcher, samplers, run, server)
        try:
            yield server
        finally:
            supervisor.close()
    finally:
        server.close()
