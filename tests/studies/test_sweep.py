import json
import random
from contextlib import ExitStack, closing, suppress

import attrs
import pytest
import runs
from fake_trainer import FakeTrainer, trial_number
from sqlalchemy import event

import framework
from framework.errors import FrameworkError, RunError
from framework.studies import sweep
from framework.studies.ledger import Ledger
from framework.studies.space import read_space
from framework.studies.sweep import Plan, Sweep, claimed, settle

SPACE = """
"algorithm.epochs" = { low = 1, high = 9 }
"algorithm.minibatch_size" = { choices = [32, 64, 128] }
"""


class Killed(BaseException):
    """Nobody handles it, as nobody handles SIGKILL."""


@pytest.fixture
def plan(tmp_path):
    """Four trials of 1,000 steps, evaluated every 200, the first of them drawn at random."""
    pipeline = runs.write(tmp_path, runs.CARTPOLE.replace("2048", "1000"))
    (tmp_path / "space.toml").write_text(SPACE)
    space = read_space(tmp_path / "space.toml", pipeline)
    return Plan(pipeline, framework.load(pipeline), space, trials=4, startup=1)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Nothing is waited for that is not there at once."""
    monkeypatch.setattr(sweep, "_LOOK", 0.0)


def go(plan, folder, trainer, *, watch=None):
    """Start a sweep and go on to its end; returns its ledger and what it has told."""
    told = []
    with claimed(folder):
        lag = settle(folder, plan)
        with closing(Ledger(folder / "study.sqlite", plan.space, startup=plan.startup)) as ledger:
            if watch is not None:
                watch(ledger)
            Sweep(plan, folder, lag, ledger, trainer, told.append).run()
            return ledger.trials(), told


def curve(final, *, half=None):
    """Evaluations of a run of 1,000 steps, which come a little after they are due."""
    return {604: final if half is None else half, 1000: final}


def mixed(job):
    """Trials 0 and 1 are complete, 2 fails, 3 is pruned."""
    return {0: curve(5.0), 1: curve(7.0), 2: None, 3: curve(99.0, half=1.0)}[trial_number(job)]


# --- how trials end ----------------------------------------------------------------------------------------------


def test_trials_are_complete_fail_or_are_pruned(plan, tmp_path, in_memory):
    """A failed one names its log and ends nothing; one that is behind is pruned, though it would have come first."""
    trials, told = go(plan, tmp_path / "sweep", FakeTrainer(mixed))
    assert [(trial.state, trial.score) for trial in trials] == [
        ("complete", 5.0),
        ("complete", 7.0),
        ("failed", None),
        ("pruned", 1.0),
    ]
    assert str(tmp_path / "sweep/trials/2/seed-3/log.txt") in trials[2].failure
    assert told[1] == "trial 0: evaluation/return 5"
    assert told[-1] == "trial 3: pruned"


def test_runs_of_a_pruned_trial_are_ended(plan, tmp_path, in_memory, monkeypatch):
    """At the first milestone after a third of the steps; a seed that still waits never begins."""
    plan = attrs.evolve(plan, seeds=2, jobs=2, trials=2)
    trainer = FakeTrainer(lambda job: {400: 3.0 if trial_number(job) == 0 else 2.0, 1000: 9.0}, waits=True)
    settle_with_lag(tmp_path / "sweep", plan, 0)
    falls_short = Sweep._falls_short

    def begin_and_look(self, trial):
        if trial.number == 1:
            trial.futures[0].set_running_or_notify_cancel()
        return falls_short(self, trial)

    monkeypatch.setattr(Sweep, "_falls_short", begin_and_look)
    trials, _ = go(plan, tmp_path / "sweep", finishing(trainer, lambda job: trial_number(job) == 0))
    assert [trial.state for trial in trials] == ["complete", "pruned"]
    assert trainer.ended == [tmp_path / "sweep/trials/1/seed-3"]
    assert [future.cancelled() for _, future in trainer.pending] == [False, True]


def settle_with_lag(folder, plan, lag):
    folder.mkdir()
    (folder / "sweep.json").write_text(json.dumps(plan.to_plain() | {"lag": lag}))


def finishing(trainer, matches):
    """The trainer, with runs that match ended at once; the others go on."""
    start = trainer.start

    def start_and_finish(job):
        future = start(job)
        if matches(job):
            trainer.finish(len(trainer.pending) - 1)
        return future

    trainer.start = start_and_finish
    return trainer


def test_run_that_ends_while_it_is_looked_at_is_judged_as_any(plan, tmp_path, in_memory, monkeypatch):
    """Its last milestones are looked at before it is complete: what is pruned does not depend on timing."""
    plan, whole = attrs.evolve(plan, trials=2), []

    def scores(job):
        return {400: 1.0, 800: 9.0, 1000: 9.0} if not trial_number(job) else {400: 2.0, **dict.fromkeys(whole, 2.0)}

    trainer = finishing(FakeTrainer(scores, waits=True), lambda job: not trial_number(job))
    milestones = Sweep._milestones

    def look(self, job):
        scores_so_far = milestones(self, job)
        if trial_number(job) == 1 and not whole:
            whole.extend((800, 1000))
            trainer.finish(0)
        return scores_so_far

    monkeypatch.setattr(Sweep, "_milestones", look)
    trials, _ = go(plan, tmp_path / "sweep", trainer)
    assert [trial.state for trial in trials] == ["complete", "pruned"]


def test_score_is_the_mean_over_seeds(plan, tmp_path, in_memory):
    """Seeds count from the pipeline's own; every run is told what its trial has drawn."""
    plan = attrs.evolve(plan, seeds=3, trials=1)
    seeds = {"seed-3": 1.0, "seed-4": 2.0, "seed-5": 6.0}
    trainer = FakeTrainer(lambda job: curve(seeds[job.folder.name]))
    (trial,), _ = go(plan, tmp_path / "sweep", trainer)
    assert trial.score == 3.0
    (job, *_), epochs = sweep.trial_jobs(plan, tmp_path / "sweep", trial), trial.values["algorithm.epochs"]
    assert job.folder == tmp_path / "sweep/trials/0/seed-3"
    assert {f"algorithm.epochs={epochs}", "run.seed=3", "evaluation.every_steps=200"} < set(job.overrides)


def test_without_pruning_runs_are_those_of_the_pipeline(plan, tmp_path, in_memory):
    """No evaluation is added, and nothing is ended."""
    plan = attrs.evolve(plan, prune=False)
    assert not plan.adds_evaluations
    trials, _ = go(plan, tmp_path / "sweep", FakeTrainer(mixed))
    assert [trial.state for trial in trials] == ["complete", "complete", "failed", "complete"]
    assert not any("every_steps" in override for override in sweep.trial_jobs(plan, tmp_path, trials[0])[0].overrides)


def test_score_that_is_no_number_fails_the_trial(plan, tmp_path, in_memory):
    """A sweep cannot rank it."""
    trials, _ = go(plan, tmp_path / "sweep", FakeTrainer(lambda job: curve([1.0, float("nan")][trial_number(job) % 2])))
    assert [trial.state for trial in trials] == ["complete", "failed"] * 2
    assert "evaluation/return is nan" in trials[1].failure


def test_first_trials_that_all_fail_end_the_sweep(plan, tmp_path, in_memory):
    """With the reason of the first, and what to do; the next start says so at once."""
    for _ in range(2):
        trainer = FakeTrainer(lambda job: None)
        with pytest.raises(RunError, match=r"all of the first 3 trials failed: .*trials/0/seed-3/log\.txt says why"):
            go(plan, tmp_path / "sweep", trainer)
    assert trainer.started == []


def test_unknown_metric_is_told_with_a_suggestion(plan, tmp_path, in_memory):
    """By the first run that is whole, as columns are known no earlier."""
    plan = attrs.evolve(plan, metric="evaluation/retrun")
    with pytest.raises(RunError, match=r"no 'evaluation/retrun' .* did you mean evaluation/return\?"):
        go(plan, tmp_path / "sweep", FakeTrainer(mixed))


# --- killed and started again ------------------------------------------------------------------------------------


@pytest.mark.parametrize("writes", [2, 3])
def test_killed_at_every_write_it_loses_nothing(plan, tmp_path, writes):
    """Killed at each change of the ledger, before it is on disk: in the end the ledger is that of one who never was."""
    whole, _ = go(plan, tmp_path / "whole", FakeTrainer(mixed))
    trials, lives = [], 0
    while not trials and lives < 40:
        lives += 1
        with suppress(Killed):
            trials, _ = go(plan, tmp_path / "killed", FakeTrainer(mixed), watch=killer(writes))
    assert lives >= 12 // writes
    assert without_folder(trials) == without_folder(whole)
    assert [trial.number for trial in trials] == [0, 1, 2, 3]


def killer(writes):
    """Kills who has written to the ledger so many times, when the next write would be committed."""

    def watch(ledger):
        left, writing = writes, False

        def execute(connection, cursor, statement, *_):
            nonlocal writing
            writing = writing or statement.startswith(("INSERT", "UPDATE"))

        def commit(connection):
            nonlocal left, writing
            if writing and not left:
                raise Killed
            left, writing = left - writing, False

        event.listen(ledger._storage.engine, "before_cursor_execute", execute)
        event.listen(ledger._storage.engine, "commit", commit)

    return watch


def without_folder(trials):
    return [attrs.evolve(trial, failure=bool(trial.failure)) for trial in trials]


def test_running_trials_go_on_as_the_same_trials(plan, tmp_path, in_memory):
    """With their parameters; none is drawn again, and runs that are whole count once."""
    plan, trainer = attrs.evolve(plan, trials=3, jobs=3), FakeTrainer(lambda job: curve(1.0), waits=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "wait", _kill)
        with pytest.raises(Killed):
            go(plan, tmp_path / "sweep", trainer)
    begun = list(trainer.started)
    again = FakeTrainer(lambda job: curve(1.0))
    trials, told = go(plan, tmp_path / "sweep", again)
    assert (again.started, len(trials)) == (begun, 3)
    assert told[0].startswith("trial 0 goes on: algorithm.epochs = ")


def _kill(*_):
    raise Killed


def test_run_that_somebody_else_interrupts_ends_the_sweep(plan, tmp_path, in_memory):
    """It is no failure of its trial, which goes on with the next start."""
    trainer = FakeTrainer(lambda job: curve(1.0), waits=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "wait", lambda *_: trainer.finish(0, "interrupted"))
        with pytest.raises(RunError, match=r"trials/0/seed-3/run was interrupted: start the sweep again"):
            go(plan, tmp_path / "sweep", trainer)
    trials, _ = go(plan, tmp_path / "sweep", FakeTrainer(lambda job: curve(1.0)))
    assert [trial.state for trial in trials] == ["complete"] * 4


@pytest.mark.parametrize("order", range(3))
def test_ledger_does_not_depend_on_when_runs_end(plan, tmp_path, in_memory, monkeypatch, order):
    """Two runs at a time, ended in any order: the same is drawn, and the same pruned."""
    plan = attrs.evolve(plan, trials=10, jobs=2)

    def scores(job):
        number = trial_number(job)
        return {400: float(number * 7 % 5), 1000: float(number)}

    settle_with_lag(tmp_path / "one", plan, 2)
    one, _ = go(attrs.evolve(plan, jobs=1), tmp_path / "one", FakeTrainer(scores))
    trainer, chance = FakeTrainer(scores, waits=True), random.Random(order)
    monkeypatch.setattr(sweep, "wait", lambda *_: trainer.finish(chance.randrange(len(trainer.pending))))
    several, _ = go(plan, tmp_path / "several", trainer)
    assert several == one
    assert {trial.state for trial in one} == {"complete", "pruned"}


# --- the folder --------------------------------------------------------------------------------------------------


def test_other_settings_are_refused(plan, tmp_path):
    """What would make results of one ledger incomparable; more trials and other jobs are welcome."""
    folder = tmp_path / "sweep"
    folder.mkdir()
    assert settle(folder, attrs.evolve(plan, jobs=3)) == 4
    assert settle(folder, attrs.evolve(plan, jobs=1, trials=90)) == 4
    other = attrs.evolve(plan, seeds=2, loaded=framework.load(plan.pipeline, {"algorithm.gamma": 0.5}))
    with pytest.raises(FrameworkError, match=r"other settings: pipeline\.algorithm\.gamma, seeds differ; choose anoth"):
        settle(folder, other)
    (folder / "sweep.json").write_text("[]")
    with pytest.raises(FrameworkError, match=r"sweep\.json is not the record of a sweep"):
        settle(folder, plan)


def test_folder_has_one_sweep_at_a_time(tmp_path):
    """A second process is told so."""
    with ExitStack() as opened:
        opened.enter_context(claimed(tmp_path / "sweep"))
        with pytest.raises(RunError, match="another process is at this sweep"):
            opened.enter_context(claimed(tmp_path / "sweep"))
    with claimed(tmp_path / "sweep"):
        pass
