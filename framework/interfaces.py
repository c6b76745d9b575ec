"""What each kind of component must do: the contract between the kernel and every plugin.

Shapes: ``T`` environment steps of a trajectory, ``N`` environments side by side.
Observations are always flat dictionaries ``{name: array}``: a plain space is named ``"observation"``, the
leaves of ``Dict`` and ``Tuple`` spaces are named by their path, such as ``"camera/left"`` or ``"0"``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from attrs import field, frozen

from framework.experience import Batch as Batch  # noqa: PLC0414 (an alias exports the name)
from framework.experience import Sequences as Sequences  # noqa: PLC0414
from framework.experience import Tensors as Tensors  # noqa: PLC0414
from framework.experience import Transitions as Transitions  # noqa: PLC0414

if TYPE_CHECKING:
    import gymnasium
    import numpy as np
    import torch


@frozen
class Context:
    """What a component may know while it is built."""

    observation_space: Mapping[str, gymnasium.Space[Any]]  #: flat: name of the leaf -> its space
    action_space: gymnasium.Space[Any]
    seed: int
    device: str  #: such as ``"cpu"`` or ``"cuda:0"``
    num_envs: int  #: how many environments a batch has side by side, N
    rollout_length: int  #: environment steps in a trajectory, T
    total_steps: int
    offline_steps: int = 0  #: how many of the total steps, the first ones, are learned from the replay buffer alone
    directory: Path = Path()  #: of the pipeline file: the folder that files in options are relative to
    policy_lag: int | str = 0
    precision: str = "float32"  #: what networks compute in: ``"float32"``, ``"bfloat16"`` or ``"float16"``
    compile: bool = False  #: whether networks are to be compiled for the learner
    #: Builds the pipeline's encoder, anew at each call; for another context than this where one is given.
    make_encoder: Callable[..., Encoder] | None = None
    #: Builds the encoder that an option made with ``option(part="encoder")`` names, for the context given.
    make_part: Callable[[str | Mapping[str, Any], Context], Encoder] | None = None
    #: The function that an option made with ``option(function=True)`` names.
    find_function: Callable[[str], Callable[..., Any]] | None = None
    bonuses: tuple[str, ...] = ()  #: a name for each reward stream that a bonus adds, such as ``("rnd", "icm")``
    make_streams: Callable[[], list[Stream]] | None = None  #: builds the bonuses, one stream each; for learners only
    make_replay: Callable[[], Replay] | None = None  #: builds the replay buffer; None where the pipeline has none


@frozen
class Encoding:
    """What an encoder makes of observations."""

    features: torch.Tensor  #: [T, N, F]
    tokens: torch.Tensor | None = None  #: [T, N, K, F], where the encoder works on tokens
    #: Auxiliary losses by name: scalars, weighted already, which algorithms add to their own. Only in training mode
    #: and with gradient recording.
    losses: Mapping[str, torch.Tensor] = field(factory=dict)
    token_mask: torch.Tensor | None = None  #: [T, N, K] bool: which tokens are there; None where all are

    # Written out, as torch.compile cannot read the one that attrs would write.
    def __init__(
        self,
        features: torch.Tensor,
        tokens: torch.Tensor | None = None,
        losses: Mapping[str, torch.Tensor] | None = None,
        token_mask: torch.Tensor | None = None,
    ):
        object.__setattr__(self, "features", features)
        object.__setattr__(self, "tokens", tokens)
        object.__setattr__(self, "losses", {} if losses is None else losses)
        object.__setattr__(self, "token_mask", token_mask)


class Encoder(Protocol):
    """Observations to features. An ``nn.Module`` built as ``Encoder(config, context)``."""

    feature_dim: int  #: F, the width of `Encoding.features`

    def initial_memory(self, count: int) -> Tensors:
        """The memory of ``count`` environments at the start of an episode; ``{}`` for a stateless encoder."""

    def __call__(self, observation: Tensors, memory: Tensors, first: torch.Tensor) -> tuple[Encoding, Tensors]:
        """``{name: [T, N, ...]}``, memory ``{name: [N, ...]}``, ``first`` [T, N] -> encoding and memory after T.

        Acting is ``T = 1``. Stateless encoders return the memory they got.
        """


class Policy(Protocol):
    """What samplers act with: an ``nn.Module`` whose ``state_dict`` is all that travels to them."""

    def initial_memory(self, count: int) -> Tensors:
        """Memory of ``count`` environments before their first step: ``{name: [count, ...]}`` or ``{}``."""

    def act(
        self,
        observation: Tensors,
        memory: Tensors,
        first: torch.Tensor,
        generator: torch.Generator,
        *,
        action_mask: torch.Tensor | None = None,
        deterministic: bool = False,
    ) -> tuple[torch.Tensor, Tensors, Tensors]:
        """One step for N environments: ``{name: [N, ...]}`` -> (actions [N, ...], extras {name: [N, ...]}, memory).

        Actions are as the environment takes them, but flat where they have parts: `framework.toolkit.spaces`. All
        randomness comes from ``generator``. Called, like `postprocess_trajectory`, without gradient recording.
        """

    def postprocess_trajectory(self, batch: Batch) -> Tensors:
        """Turn the extras of a whole trajectory into what the learner needs, once per trajectory.

        Called in the sampler, with the weights that acted, so that what needs no step-by-step work (values,
        log-probabilities) is done in one pass. ``batch.extras`` holds what `act` recorded, stacked to
        ``{name: [T, N, ...]}``; the result replaces it. Names starting with ``final_`` have shape ``[K, ...]``,
        all others ``[T, N, ...]`` or ``[T + 1, N, ...]``.
        """


@runtime_checkable
class DistributionPolicy(Policy, Protocol):
    """A policy that tells what its actions are drawn from, so that they can be drawn where it is exported to."""

    def action_distribution(self, extras: Tensors) -> Tensors:
        """Of the extras: ``logits`` [N, choices], or ``mean`` and ``std`` [N, ...]; with parts ``PART/logits`` etc."""


class Algorithm(Protocol):
    """Learns from batches. Built as ``Algorithm(config, context)``, in the learner only."""

    supports: frozenset[str]  #: of ``{"memory", "action_mask", "off_policy", "offline", "streams"}``
    policy: Policy

    @staticmethod
    def make_policy(config: Any, context: Context) -> Policy:
        """The policy alone, with the first weights of ``Algorithm(config, context).policy``.

        Samplers, evaluations and `framework.load_agent` act with it: it needs no optimizer, replay buffer, bonus or
        target, and ``context`` makes none for it.
        """

    def update(self, batch: Batch) -> dict[str, float]:
        """Learn from one batch (which stays as it is); returns metrics. A metric that is NaN stops the run."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next update depends on: nested dicts of plain values and tensors."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, bit for bit."""


@runtime_checkable
class EpisodeScores(Protocol):
    """An algorithm that can say how much there was to learn from an episode; curricula may ask for it."""

    def episode_scores(self) -> np.ndarray:
        """[K] float64: the mean absolute advantage of each episode that ended in the last batch.

        In the order of `Batch.final_index`; over those steps of the episode that were in the batch.
        """


class EnvironmentFactory(Protocol):
    """Makes environments. Built as ``EnvironmentFactory(config, context)``, with an `EnvironmentContext`."""

    def make(self) -> gymnasium.Env:
        """One environment. The kernel seeds it, steps many of them side by side, and resets them."""


@runtime_checkable
class SnapshotEnvironment(Protocol):
    """A `gymnasium.Env` whose episodes can go on from their middle, with no need to play them up to there.

    What `EnvironmentFactory.make` returns must have both methods itself, as a snapshot holds the state of wrappers too.
    It is kept in checkpoints and sent between processes, so it must be plain data, and never a pickle. It is given back
    only where the same account has saved it.
    """

    def save_snapshot(self) -> bytes:
        """All that the rest of the episode follows from, its random generator included, in at most 4 MiB."""

    def load_snapshot(self, snapshot: bytes) -> tuple[Any, dict[str, Any]]:
        """Go to where a snapshot was saved, perhaps by another process; returns observation and info, as `reset` does.

        The environment was reset before, with the seed and the task of the episode. Raises ValueError where it cannot
        read the snapshot, of another version say; then a new episode is started.
        """


@runtime_checkable
class NativeEnvironmentFactory(Protocol):
    """An environment that also has a vector version of its own, used where the pipeline says so."""

    def make_vector(self, count: int) -> gymnasium.vector.VectorEnv:
        """``count`` environments in one. Its ``metadata["autoreset_mode"]`` tells how finished ones are reset."""


@frozen
class EnvironmentContext:
    """What an environment may know while it is made."""

    seed: int
    render_mode: str | None = None


class Bonus(Protocol):
    """An intrinsic reward. Built as ``Bonus(config, context)``."""

    episodic: bool  #: whether its return stops where an episode ends

    def reward(self, batch: Batch) -> torch.Tensor:
        """Intrinsic reward of each step, [T, N], without gradient."""

    def update(self, batch: Batch) -> dict[str, float]:
        """Learn from the batch; returns metrics."""

    def state_dict(self) -> dict[str, Any]:
        """What the next call depends on: nested dicts of plain values and tensors."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, bit for bit."""


@frozen
class Stream:
    """One reward stream beside the environment's: a bonus, and what its return is."""

    name: str
    bonus: Bonus
    weight: float  #: factor of its advantages beside those of the environment's reward
    discount: float


class Curriculum(Protocol):
    """Chooses the tasks that episodes are played on. Built as ``Curriculum(config, context)``."""

    def sample(self, count: int, rng: np.random.Generator) -> list[Any]:
        """``count`` tasks for episodes to come, as plain values (numbers, strings, lists, dicts)."""

    def update(self, episodes: Iterable[Mapping[str, Any]]) -> dict[str, float]:
        """Learn from finished episodes, in any order; returns metrics.

        Each is a dict with ``task``, ``return``, ``length``, ``environment``, ``number`` (of the episode in its
        environment), ``success`` (bool) where the environment tells, and ``score`` where the algorithm does
        (`EpisodeScores`). Episodes that an exception of the environment cut off are left out.
        """

    def state_dict(self) -> dict[str, Any]:
        """What the next call depends on: nested dicts of plain values and tensors."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, bit for bit."""


class Replay(Protocol):
    """A store of past transitions. Built as ``Replay(config, context)``."""

    def __len__(self) -> int:
        """How many transitions can be sampled."""

    def add(self, batch: Batch) -> np.ndarray:
        """Store every valid step of the batch; returns ids [T, N] int64, -1 where ``valid`` is false.

        Extras of leading shape [T, N] are stored beside. Batches follow one another: step 0 of a batch comes after the
        last step of the one before, so that transitions of several steps may cross from one to the next.
        """

    def sample(self, count: int, rng: np.random.Generator) -> tuple[Transitions, np.ndarray, np.ndarray]:
        """``count`` transitions, their ids [B] int64, and their importance weights [B] float32."""

    def update_priorities(self, ids: Sequence[int], priorities: Sequence[float]) -> None:
        """Set priorities; an id that was evicted meanwhile is ignored."""

    def state_dict(self) -> dict[str, Any]:
        """What the next call depends on: nested dicts of plain values and tensors."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, bit for bit."""


@runtime_checkable
class SequenceReplay(Replay, Protocol):
    """A replay buffer that has a form for policies with memory, which learn from sequences."""

    def sequences(self, length: int) -> SequenceBuffer:
        """An empty buffer of the same options and context, for sequences of ``length`` steps.

        Raises `framework.errors.FrameworkError` where its capacity, or a policy lag of ``"free"``, allows none.
        """


class SequenceBuffer(Protocol):
    """A store of past sequences; like a `Replay`, but for what is said here.

    A sequence begins with each trajectory of each environment, as the memory of the policy is known there, and goes on
    into those that follow. So sequences that are longer than trajectories overlap, and all are of one length.
    """

    def __len__(self) -> int:
        """How many sequences can be sampled: those that are stored to their ends."""

    def add(self, batch: Batch) -> None:
        """Store the batch and `Batch.memory`."""

    def sample(self, count: int, rng: np.random.Generator) -> tuple[Sequences, np.ndarray, np.ndarray]:
        """``count`` sequences, their ids [B] int64, and their importance weights [B] float32."""

    def update_priorities(self, ids: Sequence[int], priorities: Sequence[float]) -> None:
        """Set priorities of sequences; an id that was evicted meanwhile is ignored."""

    def state_dict(self) -> dict[str, Any]:
        """What the next call depends on: nested dicts of plain values and tensors."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, bit for bit."""


@frozen
class LauncherContext:
    """What a launcher may know while it is built."""

    run: str  #: name of the run
    directory: Path  #: a folder of this launcher's own in the run directory; it keeps there what it must find again
    source: Path = Path()  #: the folder that files in the launcher's options are relative to


@frozen
class Work:
    """What an engine is to keep at work: so many hosts, each a process of ``framework sampler`` with its samplers.

    Where a host ends, its exit code says whether to start it again: see `framework.exit_codes`.
    """

    hosts: int
    workers: int  #: samplers of each
    program: tuple[str, ...]  #: what ``framework`` is called on the engine's machines
    token: Path  #: a file with the join token, which stands in no argument, log, record or script

    def command(self, name: str, join: str = "-") -> list[str]:
        """The command of a host of this ``name``, which reads the token from a file, or from standard input."""
        return [*self.program, "sampler", "--join", join, "--workers", str(self.workers), "--name", name]


#: What a host is doing.
HostState = Literal["waiting", "running", "ended"]


@frozen
class HostStatus:
    """What an engine knows of one host."""

    name: str
    state: HostState
    place: str = ""  #: the machine, where the engine tells
    status: int | None = None  #: exit code of the last process of this host that has ended
    starts: int = 0  #: processes that were started for it, where the engine tells


class Launcher(Protocol):
    """Has an engine keep hosts at work for a run. Built as ``Launcher(config, context)``, with a `LauncherContext`.

    The engine places, starts again and ends processes, which it knows by their command and their exit code; what they
    collect goes straight to the learner. Each call may come from another process, which has built the launcher anew:
    what it must find again lies in `LauncherContext.directory`. All but `plan` raise `framework.errors.RunError` where
    the engine refuses, or cannot be reached.
    """

    def plan(self, work: Work) -> str:
        """What `start` would give to the engine, to be read, changed and used by hand. Starts nothing."""

    def start(self, work: Work) -> None:
        """Have the engine keep these hosts at work; returns when it has taken them on. Where it raises it has none."""

    def scale(self, work: Work) -> None:
        """Have it keep so many hosts at work, where `start` was called before; the others stay.

        It may be as many as before, where somebody asks again: what the engine has lost meanwhile, as with a machine
        that was restarted, is to be there again.
        """

    def status(self) -> list[HostStatus]:
        """What has become of the hosts."""

    def stop(self) -> None:
        """End all hosts, and forget them. May be called again, and where `start` was interrupted."""
