"""What nobody may get without research: from the question alone, from texts alone, from pictures alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from researching import sample_worlds

from framework_research.browser import actions
from framework_research.observe import view
from framework_research.policies import experts
from framework_research.vector import ResearchVectorEnv
from framework_research.worlds.synthetic import Synthetic
from framework_research.worlds.world import BARS, STATED


def assert_uniform(counts: np.ndarray, critical: float) -> None:
    """Chi-square, at the 0.1 % level."""
    expected = counts.sum() / counts.size
    assert ((counts - expected) ** 2 / expected).sum() < critical


def accuracy(features: Any, answers: Any, hidden: int = 0) -> tuple[float, float]:
    """How often a probe that was trained on two thirds is right on the others, and what chance may add to its share.

    That are three standard deviations, which it exceeds once in 700 times. The probe is logistic, of the features or of
    so many random hidden units.
    """
    inputs, targets = np.array(features, np.float64).reshape(len(features), -1), np.array(answers)
    if hidden:
        inputs = np.maximum(0.0, inputs @ np.random.default_rng(0).normal(size=(inputs.shape[1], hidden)))
    inputs = inputs[:, inputs.std(0) > 0]
    inputs = np.column_stack([(inputs - inputs.mean(0)) / inputs.std(0), np.ones(len(inputs))])
    classes, learned = np.eye(targets.max() + 1)[targets], 2 * len(targets) // 3
    training = inputs[:learned]
    weights = velocity = np.zeros((inputs.shape[1], classes.shape[1]))
    rate = 2 / np.linalg.norm(training, 2) ** 2
    for _ in range(300):
        scores = np.exp(training @ (weights + 0.9 * velocity))
        velocity = 0.9 * velocity - rate * training.T @ (scores / scores.sum(1, keepdims=True) - classes[:learned])
        weights = weights + velocity
    share = ((inputs @ weights).argmax(1) == targets)[learned:].mean()
    chance = 1 / classes.shape[1]
    return float(share), 3 * (chance * (1 - chance) / (len(targets) - learned)) ** 0.5


def test_the_question_does_not_give_the_answer_away() -> None:
    """Neither the line with the evidence nor the place of the right result can be told from it better than by chance.

    The same probe tells what a question does say: what it asks for.
    """
    vector = ResearchVectorEnv(3000, task_complexity=0.0, observation_mode="state")
    questions = vector.reset(seed=0)[0][:, : view.RESULT]
    vector.step(np.full(3000, actions.SEARCH_QUESTION))
    worlds, number = vector.episodes.worlds, np.arange(3000)
    start, relations = worlds["chain"][:, 0, 0], worlds["asked"][:, 0, 0]
    evidence = (worlds["subject"][number, start, 0] == start[:, None]) & (
        worlds["relation"][number, start, 0] == relations[:, None]
    )
    results = vector.episodes.browsers["results"] == start[:, None]
    for answers in (evidence, results):
        assert (answers.sum(1) == 1).all()
        share, margin = accuracy(questions, answers.argmax(1))
        assert share < 1 / answers.shape[1] + margin
    assert accuracy(questions, relations)[0] > 0.95


def test_the_right_result_may_be_anywhere() -> None:
    """Its place is uniform, that of a twin too."""
    vector = ResearchVectorEnv(3000, task_complexity=0.7, observation_mode="state")
    vector.reset(seed=0)
    vector.step(np.full(3000, actions.SEARCH_QUESTION))
    results, start = vector.episodes.browsers["results"], vector.episodes.worlds["chain"][:, 0, 0]
    twin = vector.episodes.worlds["twin"][np.arange(3000), start]
    assert (twin >= 0).sum() > 1000
    for entity in (start, twin):
        assert_uniform((results == np.where(entity < 0, -2, entity)[:, None]).sum(0), 18.5)  # 4 degrees of freedom


def test_figures_tell_nothing_before_they_are_looked_at() -> None:
    """Place, colour and line of the legend are independent of the height.

    A figure's four counts are a permutation, which makes the sum 4 / 3 times as large as that of independent ones.
    """
    counts = {name: np.zeros((BARS, BARS)) for name in ("legend", "bar_colour", "bar_place")}
    for world in sample_worlds(Synthetic("train"), 1.0, 300):
        for entity in np.flatnonzero(world["figure_page"] >= 0):
            ranks = np.argsort(np.argsort(-world["bar_height"][entity]))
            for line, rank in enumerate(ranks):
                counts["legend"][rank, line] += 1
                for name in ("bar_colour", "bar_place"):
                    counts[name][rank, world[name][entity, line]] += 1
    for table in counts.values():
        assert_uniform(table, 4 / 3 * 27.9)  # 9 degrees of freedom


def test_a_picture_alone_does_not_tell_whom_it_shows() -> None:
    """Who sees bars and colours, but no legend, does not know the line of the tallest; who has the legend does."""
    pictures, joined, answers = [], [], []
    for world in sample_worlds(Synthetic("train"), 0.5, 500):
        for entity in np.flatnonzero(world["figure_page"] >= 0):
            height, colour, place = (world[f"bar_{part}"][entity, :3] for part in ("height", "colour", "place"))
            left_to_right = np.argsort(place)
            pictures.append(np.column_stack([height, np.eye(3)[colour]])[left_to_right])
            joined.append(height)
            answers.append(int(height.argmax()))
    for hidden in (0, 32):
        share, margin = accuracy(pictures, answers, hidden)
        assert share < 1 / 3 + margin
    assert accuracy(joined, answers)[0] > 0.95


def described(world: np.void, browser: np.void, bar: int) -> list[float]:
    """All that texts say of a bar of the open page's figure: legend, page, question, results, notes.

    And what they would say who looked it up: whether it has a twin, and how often its document is about itself.
    """
    document, page = browser["document"], browser["page"]
    entity = world["bar_entity"][document, bar]
    return [
        *np.eye(3)[world["bar_colour"][document, bar]],
        (world["subject"][document, page] == entity).sum(),
        (world["object"][document, page] == entity).sum(),
        world["chain"][0, 0] == entity,
        (browser["notes"][:, :1] == entity).any(),
        (browser["notes"][:, 2] == entity).any(),
        (browser["results"] == entity).any(),
        world["twin"][entity] >= 0,
        (world["subject"][entity] == entity).sum(),
    ]


def test_texts_alone_do_not_tell_the_tallest_bar() -> None:
    """Before the expert opens a figure, a probe on all texts guesses its bar; with the heights it knows."""
    count = 2400
    vector, rng = ResearchVectorEnv(count, task_complexity=0.5, observation_mode="state"), np.random.default_rng(0)
    rows, infos = vector.reset(seed=0)
    texts, heights, answers = [], [], []
    reading, moves = np.ones(count, bool), np.zeros(count, np.int64)
    while reading.any():
        for at in np.flatnonzero(reading):
            moves[at] = experts.expert(rows[at], infos["action_mask"][at], rng)
            if moves[at] == actions.VIEW_FIGURE:
                world, browser = vector.episodes.worlds[at], vector.episodes.browsers[at]
                texts.append([described(world, browser, bar) for bar in range(3)])
                heights.append(world["bar_height"][browser["document"], :3])
                answers.append(int(heights[-1].argmax()))
        rows, _, terminated, _, infos = vector.step(moves)
        reading &= ~terminated & (moves != actions.VIEW_FIGURE)
    for hidden in (0, 32):
        share, margin = accuracy(texts, answers, hidden)
        assert share < 1 / 3 + margin
    assert accuracy(heights, answers)[0] > 0.95


class Doubter:
    """The expert that does not look, but takes a bar back from where nothing goes on, and tries another."""

    def __init__(self) -> None:
        self._tried: dict[bytes, set[int]] = {}
        self._dropping = False

    def __call__(self, rows: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> int:
        noted = rows[view.NOTE : view.MISC][rows[view.NOTE : view.MISC, view.PRESENT] > 0]
        action = experts.blind_expert(rows, mask, rng)
        if actions.NOTE_BAR <= action < actions.ANSWER:
            tried = self._tried.setdefault(noted.tobytes(), set())
            if untried := sorted(set(np.flatnonzero(mask[actions.NOTE_BAR : actions.ANSWER]).tolist()) - tried):
                tried.add(bar := int(rng.choice(untried)))
                return actions.NOTE_BAR + bar
        stuck = (
            actions.ANSWER <= action < actions.DROP and len(noted) < rows[view.HOP : view.RESULT, view.PRESENT].sum()
        )
        if len(noted) and (stuck or self._dropping):
            # Until the bar is dropped that led here.
            self._dropping = not noted[-1, view.RELATION + STATED : view.SUBJECT].any()
            return actions.DROP + len(noted) - 1
        return action


@pytest.mark.parametrize(
    ("corpus", "level"), [("synthetic", 0.3), ("synthetic", 0.6), pytest.param("factbook", 0.3, marks=pytest.mark.slow)]
)
def test_trying_one_bar_after_the_other_is_worth_nothing(corpus: str, level: float) -> None:
    """Wrong bars lead on like the right one: who tries them all succeeds as often as who guesses (3 deviations)."""
    count, rng = 1000, np.random.default_rng(0)
    vector = ResearchVectorEnv(
        count, corpus=corpus, task_complexity=level, observation_mode="state", max_steps=400, split="train"
    )
    rows, infos = vector.reset(seed=0)
    relations, bars = vector.episodes.worlds["asked"], vector.episodes.worlds["bars"]
    figures = (relations >= STATED).sum((1, 2))
    with_figures = figures > 0
    readers, moves = [Doubter() for _ in range(count)], np.zeros(count, np.int64)
    success, playing = np.zeros(count, bool), with_figures.copy()
    while playing.any():
        for at in np.flatnonzero(playing):
            moves[at] = readers[at](rows[at], infos["action_mask"][at], rng)
        rows, _, terminated, truncated, infos = vector.step(moves)
        ended = playing & (terminated | truncated)
        if ended.any():
            success[ended] = infos["success"][ended]
        playing &= ~ended
    chance = (1.0 / bars[with_figures]) ** figures[with_figures]
    margin = 3 * (chance * (1 - chance)).sum() ** 0.5 / with_figures.sum()
    assert success[with_figures].mean() < chance.mean() + margin
