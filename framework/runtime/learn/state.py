"""The state of a run: all that a checkpoint holds, saved and restored."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any

from attrs import define, field

from framework.errors import PluginError
from framework.interfaces import Algorithm
from framework.lifecycle import Lifecycle
from framework.pipeline.build import build_algorithm, build_curriculum, stream_names
from framework.pipeline.components import Chosen
from framework.pipeline.pretrained import Tell
from framework.pipeline.sections import Checkpoint, Pipeline
from framework.plugins import describe, traceback_of
from framework.runtime.data.policy_snapshot import PolicySnapshot, kept_versions, pack
from framework.runtime.data.shard import ShardState
from framework.runtime.disk import checkpoint
from framework.runtime.disk.run_directory import Record
from framework.runtime.learn.curriculum import TaskSource
from framework.runtime.learn.environment_errors import EnvironmentErrors
from framework.runtime.learn.episodes import Episodes

if TYPE_CHECKING:
    import gymnasium


@define
class RunState:
    """A run between two updates."""

    algorithm: Algorithm
    tasks: TaskSource
    kept_versions: int  #: how many versions back a sampler may still collect with
    steps_per_update: int  #: environment steps
    update: int = 0  #: how many updates there have been
    offline_updates: int = 0  #: how many of them, the first ones, learned without anything being collected
    episodes: Episodes = field(factory=Episodes)
    environment_errors: EnvironmentErrors = field(factory=EnvironmentErrors)
    evaluated: int = 0  #: the update that the last evaluation followed
    best: float = -math.inf  #: the highest mean return of an evaluation
    snapshots: dict[int, PolicySnapshot] = field(factory=dict)  #: by version
    shards: dict[int, ShardState] = field(factory=dict)  #: after the last trajectory learned from
    started: float = field(factory=monotonic)  #: as if the run had never been interrupted

    @property
    def steps(self) -> int:
        """Environment steps that have been learned from; an update offline counts for as many as any other."""
        return self.update * self.steps_per_update

    def is_offline(self, offline_steps: int) -> bool:
        """Whether the next update learns without anything being collected; never again once something was."""
        return self.update == self.offline_updates and self.steps < offline_steps

    @property
    def parameters(self) -> int:
        """How many the policy has."""
        policy: Any = self.algorithm.policy
        return sum(parameter.numel() for parameter in policy.parameters())

    @property
    def unrecorded(self) -> list[int]:
        """Environments whose episodes in progress have become too long to be recorded."""
        return [
            shard * len(state.actions) + n
            for shard, state in sorted(self.shards.items())
            for n, actions in enumerate(state.actions)
            if actions is None
        ]

    def take_snapshot(self) -> PolicySnapshot:
        """Draw the tasks of the current version, and keep it; versions that nobody may collect with are let go."""
        snapshot = {"weights": pack(self.algorithm.policy), **self.tasks.draw(self.update)}
        self.snapshots[self.update] = snapshot
        for old in [version for version in self.snapshots if version < self.update - self.kept_versions]:
            del self.snapshots[old]
        return snapshot

    def state_dict(self) -> dict[str, Any]:
        """All of it, as `framework.runtime.disk.checkpoint.save` takes it."""
        return {
            "update": self.update,
            "offline_updates": self.offline_updates,
            "elapsed": monotonic() - self.started,
            "episodes": self.episodes.state_dict(),
            "environment_errors": self.environment_errors.state_dict(),
            "evaluated": self.evaluated,
            "best": self.best,
            "algorithm": self.algorithm.state_dict(),
            "curriculum": self.tasks.state_dict(),
            "versions": {str(version): snapshot for version, snapshot in self.snapshots.items()},
            "shards": {str(shard): state.to_arrays() for shard, state in self.shards.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self.update = state["update"]
        self.offline_updates = state.get("offline_updates", 0)  # older checkpoints have none
        self.started = monotonic() - state["elapsed"]
        self.episodes.load_state_dict(state["episodes"])
        if "environment_errors" in state:  # older checkpoints have none
            self.environment_errors.load_state_dict(state["environment_errors"])
        self.evaluated = state.get("evaluated", self.update)  # older checkpoints do not tell
        self.best = state["best"]
        self.algorithm.load_state_dict(state["algorithm"])
        self.tasks.load_state_dict(state["curriculum"])
        self.snapshots = {int(version): snapshot for version, snapshot in state["versions"].items()}
        self.shards = {int(shard): ShardState.from_arrays(arrays) for shard, arrays in state["shards"].items()}


def initial_state(
    pipeline: Pipeline,
    observation_space: Mapping[str, gymnasium.Space[Any]],
    action_space: gymnasium.Space[Any],
    device: str,
    *,
    tell: Tell | None,
) -> RunState:
    """A run before its first update; ``tell`` hears which weights of another run were loaded, without it none are."""
    algorithm = build_algorithm(pipeline, observation_space, action_space, device=device, tell=tell)
    curriculum = build_curriculum(pipeline, observation_space, action_space)
    sampling = pipeline.sampling
    # One for every eighth step: where episodes are shorter, tasks are played more than once.
    count = sampling.environments * math.ceil(sampling.rollout_length / 8)
    tasks = TaskSource(curriculum, pipeline.run.seed, count)
    state = RunState(algorithm, tasks, kept_versions(sampling), sampling.environments * sampling.rollout_length)
    state.take_snapshot()
    return state


def through_checkpoint(state: RunState, pipeline: Pipeline) -> None:
    """Save the state in memory and restore it, which changes nothing of it.

    Raises `PluginError` where a component's state cannot be saved, or does not fit the component that gave it.
    """
    with _blaming_components(pipeline):
        saved = checkpoint.encode(state.state_dict())
    try:
        state.load_state_dict(checkpoint.decode(saved))
    except Exception as error:
        reason = f"a state that was just saved cannot be restored: {describe(error)}"
        raise PluginError(f"{reason}\n{traceback_of(error)}") from error


@contextmanager
def _blaming_components(pipeline: Pipeline) -> Iterator[None]:
    """A state that cannot be saved is the fault of the component that gave it: `PluginError`, which names it."""
    try:
        yield
    except checkpoint.StateError as error:
        culprit = _component_at(error.path, pipeline)
        name = f"{culprit.kind} {culprit.use!r} ({culprit.component.origin})"
        advice = "state_dict must give nested dicts of plain values and tensors, with strings or numbers as keys"
        raise PluginError(f"the state of {name} cannot be saved: {error}; {advice}") from error


def _component_at(path: str, pipeline: Pipeline) -> Chosen:
    """Whose state lies at a path of the run's state, such as ``/algorithm/streams/rnd/predictor``."""
    keys = path.split("/")
    for name, bonus in zip(stream_names(pipeline), pipeline.bonuses, strict=True):
        if name in keys:
            return bonus
    if pipeline.replay is not None and "replay" in keys:
        return pipeline.replay
    if pipeline.curriculum is not None and keys[1] == "curriculum":
        return pipeline.curriculum
    return pipeline.algorithm


class Checkpoints:
    """The checkpoints of a run that is going on."""

    def __init__(self, record: Record, lifecycle: Lifecycle, pipeline: Pipeline, state: RunState):
        self._record = record
        self._lifecycle = lifecycle
        self._pipeline = pipeline
        self._settings: Checkpoint = pipeline.checkpoint
        self._state = state
        self._saved_at = monotonic()
        self._saved: tuple[int, int] | None = None  # updates and evaluations that the last whole one has

    @property
    def due(self) -> bool:
        """Whether the last one is old enough for another."""
        return monotonic() - self._saved_at >= self._settings.every_seconds

    def save(self) -> bool:
        """Save a checkpoint of what is reached, where there is no whole one yet; whether there is one now."""
        name = f"update-{self._state.update:08d}"
        if self._saved == self._reached and (self._record.checkpoints / name).is_dir():
            return True
        try:
            saved = self._save(name, "update-", self._settings.keep)
        finally:
            self._saved_at = monotonic()
        if saved:
            self._saved = self._reached
        return saved

    def save_if_best(self, score: float) -> None:
        """Save the only checkpoint that counts as the best, where none before had such a ``score``."""
        if score > self._state.best:
            self._state.best = score
            self._save(f"best-{self._state.update:08d}", "best-", 1)

    def prove(self) -> None:
        """Raise `PluginError` where what is reached could not be saved, while little is lost by it."""
        with _blaming_components(self._pipeline):
            checkpoint.encode(self._state.state_dict())

    def resume(self) -> None:
        """Go to the newest whole checkpoint, and have the record end there; to the very beginning without any."""
        if not checkpoint.checkpoints(self._record.checkpoints):  # ended before the first: all of it happens again
            self._record.rewind(0)
            self._record.event("resumed", checkpoint=None, update=0)
            return
        path, problems = checkpoint.load_newest(self._record.checkpoints, self._state.load_state_dict)
        for problem in problems:
            self._record.event("checkpoint_skipped", reason=problem)
        self._saved = self._reached
        self._record.rewind(self._state.update)
        self._record.event("resumed", checkpoint=path.name, update=self._state.update)

    @property
    def _reached(self) -> tuple[int, int]:
        return self._state.update, self._state.evaluated

    def _save(self, name: str, prefix: str, keep: int) -> bool:
        folder = self._record.checkpoints
        try:
            with _blaming_components(self._pipeline):
                path = checkpoint.save(folder, name, self._state.state_dict())
        except OSError as error:  # a full disk must not end the run: the checkpoint before this one is still whole
            self._record.event("checkpoint_failed", checkpoint=name, reason=str(error))
            return False
        checkpoint.prune(folder, keep, prefix)
        self._lifecycle.call("checkpoint_saved", directory=self._record.directory, checkpoint=path)
        return True
