"""Options of the environments."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from attrs import frozen

from framework.schema import OptionError, option

#: Wrappers of Gymnasium that a run cannot have, and the option of ppo that does the same.
_WITH_STATISTICS = {
    "NormalizeObservation": "normalize_observations",
    "NormalizeReward": "normalize_rewards",
    "gymnasium.wrappers:NormalizeObservation": "normalize_observations",
    "gymnasium.wrappers:NormalizeReward": "normalize_rewards",
}
_WRAPPERS_HELP = (
    'Wrappers, innermost first: names of this plugin\'s or of gymnasium.wrappers, or "module:Class", or tables such as '
    '{ use = "TimeLimit", max_episode_steps = 200 } where they take arguments.'
)


@frozen
class GymnasiumConfig:
    """A registered Gymnasium environment."""

    id: str = option(
        help='Registered id, such as "CartPole-v1", or "module:Id-v0" where importing module registers it.'
    )
    kwargs: dict[str, Any] = option(factory=dict, help="Keyword arguments of the environment.")
    max_episode_steps: int | None = option(None, help="Time limit; by default that of the id.", ge=1)
    wrappers: tuple[str | dict[str, Any], ...] = option((), help=_WRAPPERS_HELP)
    native: bool = option(False, help="Use the environment's own vector environment; most cannot be replayed exactly.")
    task_attribute: str | None = option(
        None,
        help="Attribute of the unwrapped environment that is set to the task before each reset; by default the"
        ' environment itself reads options["task"] in reset.',
        pattern=r"[A-Za-z_]\w*",
    )

    def __attrs_post_init__(self) -> None:
        check_wrappers(self.wrappers)
        if self.native and self.wrappers:
            raise OptionError("wrappers are for single environments: leave them out where native = true", "wrappers")
        if self.native and self.task_attribute:
            raise OptionError("is for single environments: leave it out where native = true", "task_attribute")


@frozen
class AtariConfig:
    """An Atari 2600 game, preprocessed as Mnih et al. (2015) and Machado et al. (2018) describe."""

    hints: ClassVar[dict[str, str]] = {"id": 'give game, in snake case: "pong" for ALE/Pong-v5'}

    game: str = option(help='Name of the game in snake case, such as "pong" or "ms_pacman".')
    frame_skip: int = option(4, help="Frames per action; the last two are max-pooled.", ge=1)
    screen_size: int = option(84, help="Width and height that frames are resized to, in pixels.", ge=8)
    grayscale: bool = option(True, help="Grayscale frames; else RGB in the last axis.")
    stack: int = option(4, help="Frames stacked in an observation, first axis.", ge=1)
    noop_max: int = option(30, help="Maximum number of no-op actions at the start of an episode.", ge=0)
    fire_reset: bool = option(True, help="Take the FIRE action on reset in games that have it.")
    episodic_life: bool = option(False, help="Terminate episodes on loss of a life; the next is a new game.")
    sticky_actions: float = option(
        0.0, help="Probability that a frame repeats the previous action; 0.25 in Machado et al. (2018).", ge=0, le=1
    )
    full_action_space: bool = option(False, help="All 18 actions instead of the game's minimal action set.")
    max_frames: int = option(108_000, help="Frames after which an episode is truncated, half an hour by default.", ge=1)
    native: bool = option(False, help="Use ALE's vector environment; it takes 0.1 s to start a seeded episode.")
    threads: int = option(1, help="Worker threads of the native vector environment.", ge=1)


@frozen
class MiniGridConfig:
    """A MiniGrid or BabyAI environment."""

    id: str = option(help='Registered id, such as "MiniGrid-DoorKey-5x5-v0".')
    observation: Literal["dict", "image", "one_hot", "flat", "rgb"] = option(
        "dict",
        help="dict: the 7x7x3 symbols in view, and the direction; image: the symbols alone; one_hot: the symbols"
        " one-hot, and the direction; flat: the symbols and the mission's letters in one vector; rgb: the view in"
        " pixels, and the direction.",
    )
    kwargs: dict[str, Any] = option(factory=dict, help="Keyword arguments of the environment.")
    max_episode_steps: int | None = option(None, help="Time limit; by default that of the id.", ge=1)
    wrappers: tuple[str | dict[str, Any], ...] = option((), help=_WRAPPERS_HELP)

    def __attrs_post_init__(self) -> None:
        check_wrappers(self.wrappers)


@frozen
class EnvPoolConfig:
    """An environment of EnvPool."""

    id: str = option(help='EnvPool\'s id, such as "Pong-v5" or "Ant-v4".')
    kwargs: dict[str, Any] = option(factory=dict, help="Keyword arguments that EnvPool takes for it.")
    max_episode_steps: int | None = option(None, help="Time limit; by default EnvPool's own.", ge=1)
    native: bool = option(
        True, help="Step all environments in one pool with autoreset; else each in a pool of its own."
    )
    threads: int = option(1, help="Worker threads of each pool.", ge=1)


def check_wrappers(wrappers: tuple[str | dict[str, Any], ...]) -> None:
    """Raise `OptionError` where a wrapper's table does not name it, or where evaluations would not know its state."""
    for wrapper in wrappers:
        name = wrapper.get("use") if isinstance(wrapper, dict) else wrapper
        if name in _WITH_STATISTICS:
            raise OptionError(
                f"{name} keeps running statistics, each environment its own and evaluations others: leave it out, and"
                f" let the algorithm do it ({_WITH_STATISTICS[name]} = true in ppo)",
                "wrappers",
            )
        if isinstance(wrapper, dict) and not isinstance(wrapper.get("use"), str):
            raise OptionError('a wrapper\'s table needs its name: { use = "TimeLimit", ... }', "wrappers")
