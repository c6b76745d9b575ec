"""Who collects a run's trajectories: sampler processes, or the learner itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from attrs import evolve

from framework.interfaces import Launcher
from framework.pipeline.sections import Pipeline
from framework.runtime.data.fingerprint import fingerprints, versions
from framework.runtime.data.policy_snapshot import kept_versions
from framework.runtime.data.shard import ShardState
from framework.runtime.launch.supervisor import Supervisor
from framework.runtime.link.admission import Admission
from framework.runtime.link.inprocess import InProcess
from framework.runtime.link.leases import Leases
from framework.runtime.link.server import Server
from framework.runtime.link.source import Source
from framework.runtime.rollout.worker import Worker

if TYPE_CHECKING:
    from framework.runtime.link.listener import Listener


@contextmanager
def open_source(
    pipeline: Pipeline,
    run: str,
    shards: dict[int, ShardState],
    worker: Worker,
    launcher: Launcher | None,
    endpoint: str,
    listener: Listener | None = None,
) -> Iterator[Source]:
    """The source of a run whose shards go on from ``shards``, open as long as the context lasts.

    With a launcher its samplers collect, over ``endpoint``, and with a listener those of other machines; without
    either ``worker`` does, in this process.
    """
    sampling, samplers = pipeline.sampling, 0 if launcher is None else pipeline.runtime.samplers
    count = sampling.environments // sampling.shard
    lag = sampling.policy_lag if isinstance(sampling.policy_lag, int) else None
    leases = Leases(count, lag, shards, credit=2 * count, expected=samplers, max_replay_steps=worker.max_replay_steps)
    if launcher is None and listener is None:
        yield InProcess(leases, worker)
        return
    admission = Admission(
        run=run,
        # Samplers need not have the plugin that starts them.
        pipeline=evolve(pipeline, runtime=evolve(pipeline.runtime, launcher=None)).to_plain(),
        directory=str(pipeline.directory.resolve()),
        versions=versions(),
        components=fingerprints(pipeline),
        specification=worker.specification,
        exact=lag is not None,
    )
    with ExitStack() as opened:
        grace = pipeline.runtime.reconnect_grace
        server = Server(endpoint, leases, admission, kept_versions(sampling), grace, listener)
        opened.callback(server.close)
        if launcher is not None:
            opened.callback(Supervisor(launcher, samplers, run, server).close)
        yield server
