import sys
from typing import Any

import numpy as np
import pytest
from environments import all_of

from framework.errors import PipelineError, PluginError
from framework.interfaces import EnvironmentContext
from framework.runtime.rollout.make_vector import make_vector
from framework.runtime.rollout.vector import Vector
from framework_gymnasium.atari import AtariEnvironment
from framework_gymnasium.config import AtariConfig

pytest.importorskip("ale_py")
pytest.importorskip("cv2")


def build(game: str = "breakout", **options: Any) -> AtariEnvironment:
    return AtariEnvironment(AtariConfig(game=game, **options), EnvironmentContext(seed=0))


def play(vector: Vector, seeds: list[int], actions: np.ndarray) -> list[np.ndarray]:
    """Observations and rewards of episodes from their seeds, without resets."""
    vector.reset(np.arange(len(seeds)), seeds, [None] * len(seeds))
    arrays = [vector.observations["observation"].copy()]
    for row in actions:
        vector.step(row)
        arrays += [vector.observations["observation"].copy(), vector.rewards.copy()]
    return arrays


@pytest.mark.parametrize(
    "game", ["pong", *(pytest.param(game, marks=pytest.mark.slow) for game in ("breakout", "seaquest"))]
)
@pytest.mark.parametrize("grayscale", [True, False])
def test_equals_gymnasiums_wrappers(game: str, grayscale: bool) -> None:
    """Frames, rewards and ends are those of AtariPreprocessing and FrameStackObservation over ALE's environment."""
    from ale_py.env import AtariEnv
    from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation

    environment = build(game, noop_max=0, fire_reset=False, grayscale=grayscale).make()
    single = AtariEnv(game, frameskip=1, repeat_action_probability=0.0)
    wrapped = FrameStackObservation(AtariPreprocessing(single, noop_max=0, grayscale_obs=grayscale), 4)
    assert environment.observation_space == wrapped.observation_space
    assert environment.action_space == wrapped.action_space
    chance = np.random.default_rng(0)
    for _ in range(2):
        np.testing.assert_array_equal(environment.reset(seed=1)[0], wrapped.reset(seed=1)[0])
        for _ in range(40):
            action = int(chance.integers(environment.action_space.n))
            observation, *ends, _ = environment.step(action)
            expected, *reference, _ = wrapped.step(action)
            assert ends == reference
            np.testing.assert_array_equal(observation, expected)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, marks=pytest.mark.slow),
        {"sticky_actions": 0.25, "episodic_life": True},
        pytest.param({"noop_max": 0, "fire_reset": False, "sticky_actions": 0.9}, marks=pytest.mark.slow),
    ],
    ids=["plain", "sticky", "still"],
)
@pytest.mark.parametrize("native", [False, True], ids=["single", "native"])
def test_an_episode_is_a_function_of_its_seed(native: bool, options: dict[str, Any]) -> None:
    """Played again alone, or in another row of a used vector, it shows the same to the last pixel."""
    actions = np.random.default_rng(0).integers(4, size=(15, 3))
    environment = build(native=native, **options)
    vector = make_vector(environment, 3)
    assert vector.replayable
    together = play(vector, [5, 6, 7], actions)
    turned = play(vector, [7, 5, 6], np.roll(actions, 1, axis=1))
    alone = play(make_vector(environment, 1), [6], actions[:, 1:2])
    for together_rows, turned_rows, single in zip(together, turned, alone, strict=True):
        np.testing.assert_array_equal(together_rows, np.roll(turned_rows, -1, axis=0))
        np.testing.assert_array_equal(together_rows[1], single[0])
    assert (together[-2][0] != together[-2][1]).any()


def test_a_native_reset_touches_the_finished_games_alone() -> None:
    """The others go on as if nothing had happened."""
    actions = np.random.default_rng(0).integers(4, size=(20, 2))
    whole = play(make_vector(build(native=True), 2), [1, 2], actions)
    vector = make_vector(build(native=True), 2)
    play(vector, [1, 2], actions[:10])
    vector.reset(np.array([1]), [9], [None])
    for step, row in enumerate(actions[10:]):
        vector.step(row)
        np.testing.assert_array_equal(vector.observations["observation"][0], whole[2 * (10 + step) + 1][0])


@pytest.mark.parametrize("native", [False, True], ids=["single", "native"])
def test_episodes_end_with_a_life_where_that_is_asked_for(native: bool) -> None:
    """The episode terminates at a lost life, and the next is a new game with all of them."""
    vector = make_vector(build(episodic_life=True, native=native, noop_max=0), 1)
    vector.reset(*all_of(1))
    lengths = []
    for seed in range(2):
        length = 0
        while not vector.terminated[0] or not length:
            vector.step(np.array([1]))
            length += 1
        lengths.append(length)
        vector.reset(np.array([0]), [seed], [None])
    assert lengths[0] == lengths[1] < 100


def test_a_lost_life_ends_nothing_by_itself() -> None:
    """Without ``episodic_life`` the game goes on."""
    game = build(noop_max=0).make()
    game.reset(seed=0)
    ended, info = False, {"lives": 5}
    while info["lives"] == 5:
        *_, ended, _, info = game.step(1)
        assert not ended


def test_the_last_observation_is_the_true_last_screen() -> None:
    """Where a frame skip is cut short, the newest frame is what ALE shows, not pooled with an older one."""
    import cv2

    game = build(episodic_life=True, noop_max=0).make()
    game.reset(seed=0)
    ended = False
    while not ended:
        observation, _, ended, *_ = game.step(1)
    screen = game.unwrapped._ale.getScreenGrayscale()
    np.testing.assert_array_equal(observation[-1], cv2.resize(screen, (84, 84), interpolation=cv2.INTER_AREA))


def test_truncation_is_not_termination() -> None:
    """An episode that runs out of frames is truncated."""
    game = build("pong", max_frames=40, noop_max=0).make()
    game.reset(seed=0)
    flags = [game.step(0)[2:4] for _ in range(9)]
    assert flags.index((False, True)) == 8
    assert set(flags[:8]) == {(False, False)}


def test_sticky_actions_repeat_at_the_stated_rate() -> None:
    """A frame repeats the previous frame's action with that probability (Machado et al. 2018)."""
    game = build("pong", sticky_actions=0.25, frame_skip=1, noop_max=0, fire_reset=False).make()
    game.reset(seed=0)
    repeated, previous = [], game.unwrapped._last
    for step in range(1500):
        action = game.unwrapped._actions[step % 6]
        game.step(step % 6)
        if action != previous:
            repeated.append(game.unwrapped._last == previous)
        previous = game.unwrapped._last
    assert abs(np.mean(repeated) - 0.25) < 4 * np.sqrt(0.25 * 0.75 / len(repeated))


def test_noops_vary_the_start() -> None:
    """From 1 to `noop_max` frames, by seed; none where it is 0."""
    game = build("pong", noop_max=30, fire_reset=False).make()
    frames = {game.reset(seed=seed)[1]["frames"] for seed in range(60)}
    assert min(frames) >= 1
    assert max(frames) <= 30
    assert len(frames) > 15
    still = build("pong", noop_max=0, fire_reset=False).make()
    assert still.reset(seed=3)[1]["frames"] == 0


def test_shapes_follow_the_options() -> None:
    """[stack, size, size], and colour on the last axis; ALE's own vector environment has the same."""
    for native in (False, True):
        vector = make_vector(build(native=native, grayscale=False, screen_size=42, stack=2, full_action_space=True), 1)
        assert vector.observations["observation"].shape == (1, 2, 42, 42, 3)
        assert vector.action_space.n == 18
        vector.reset(*all_of(1))
        vector.step(np.array([17]))


def test_mistakes_and_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown game with what was meant; a missing package with its extra."""
    with pytest.raises(PipelineError, match=r"environment.game: ALE knows no game MsPacman; did you mean ms_pacman\?"):
        build("MsPacman")
    monkeypatch.setitem(sys.modules, "ale_py", None)
    with pytest.raises(PluginError, match=r'atari needs the package ale_py: pip install "framework-rl\[atari\]"'):
        build()


@pytest.mark.parametrize(
    "options",
    [
        {"sticky_actions": 0.25, "grayscale": False},
        {"full_action_space": True, "episodic_life": True, "noop_max": 0, "fire_reset": False},
        pytest.param({"frame_skip": 1, "screen_size": 42, "stack": 1}, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    "game", ["seaquest", *(pytest.param(game, marks=pytest.mark.slow) for game in ("breakout", "pong", "ms_pacman"))]
)
def test_a_game_goes_on_from_its_snapshot(game: str, options: dict[str, Any]) -> None:
    """Another instance, whatever it has played, shows the same to the last pixel; sticky actions and lives too."""
    saving, loading = (build(game, **options).make() for _ in range(2))
    chance = np.random.default_rng(0)
    saving.reset(seed=1)
    loading.reset(seed=2)
    for _ in range(25):
        observation, *_, info = saving.step(int(chance.integers(saving.action_space.n)))
        loading.step(0)
    restored, restored_info = loading.load_snapshot(saving.save_snapshot())
    np.testing.assert_array_equal(restored, observation)
    assert restored_info == info
    ended = False
    for _ in range(100):
        if ended:
            break
        action = int(chance.integers(saving.action_space.n))
        observation, *results = saving.step(action)
        restored, *restored_results = loading.step(action)
        np.testing.assert_array_equal(restored, observation)
        assert restored_results == results
        ended = results[1] or results[2]


def test_snapshots_that_are_none_are_refused() -> None:
    """Cut short, of another game, or of other options."""
    game = build("pong").make()
    game.reset(seed=0)
    snapshot = game.save_snapshot()
    other = build("pong", stack=2).make()
    other.reset(seed=0)
    half = snapshot[: len(snapshot) // 2]
    for data in (b"", snapshot[:-1], half, b"[]\n", b"[1, 2, 3, {}]\nabc", other.save_snapshot()):
        with pytest.raises(ValueError, match="not a snapshot of this game"):
            game.load_snapshot(data)
    breakout = build("breakout").make()
    breakout.reset(seed=0)
    with pytest.raises(ValueError, match="not a snapshot of this game"):
        game.load_snapshot(breakout.save_snapshot())
