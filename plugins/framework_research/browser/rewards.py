"""What actions are worth: answers by their evidence, and the potential that dense rewards are shaped by."""

from __future__ import annotations

from framework_research.browser.state import has_note
from framework_research.compiled import compiled

STEP_COST, ILLEGAL_COST = 0.001, 0.01
SHAPING = 0.5  #: what all evidence together is worth in dense rewards
#: An answer that fails costs so much and earns so much of its recall where it is right; one that succeeds earns 1.
_FAILED, _RIGHT = 0.1, 0.25
#: Of the notes at least so many quarters must be evidence.
_QUARTERS = 3


@compiled
def count_evidence(world, browser):
    """How many of the facts that the question is made of are noted."""
    question, count = browser.question, 0
    for hop in range(world.hops[question]):
        subject, target = world.chain[question, hop], world.chain[question, hop + 1]
        count += has_note(browser, subject, world.asked[question, hop], target)
    return count


@compiled
def potential(world, browser):
    """Share of all required evidence that is noted, or was when its question was answered; 0 after the last answer."""
    if browser.question == world.questions:
        return 0.0
    total = 0
    for question in range(world.questions):
        total += world.hops[question]
    return (browser.kept + count_evidence(world, browser)) / total


@compiled
def answer_question(world, browser, note):
    """Answer with a note's object, and go on to the next question; gives the reward but for the number of questions."""
    question = browser.question
    hops, evidence = world.hops[question], count_evidence(world, browser)
    right = browser.notes[note, 2] == world.chain[question, hops]
    succeeded = right and evidence == hops and 4 * evidence >= _QUARTERS * browser.noted
    browser.succeeded += succeeded
    browser.kept += evidence
    browser.question += 1
    browser.noted = 0
    browser.notes[:] = -1
    if succeeded:
        return 1.0
    return (_RIGHT * evidence / hops if right else 0.0) - _FAILED
