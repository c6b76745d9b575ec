import gc
import sqlite3
import sys
import warnings

import pytest
import runs
from sqlalchemy import event

from framework.errors import FrameworkError, PluginError
from framework.studies.ledger import Ledger
from framework.studies.space import read_space

SPACE = """
"encoder.use" = { choices = ["mlp", "gru"] }
"encoder.hidden" = { choices = [[64], [32, 32]], when = { "encoder.use" = "mlp" } }
"algorithm.learning_rate" = { low = 1e-5, high = 1e-2, log = true }
"algorithm.epochs" = { low = 1, high = 9, step = 2 }
"""


@pytest.fixture
def space(tmp_path):
    pipeline = runs.write(tmp_path / "pipeline")
    (tmp_path / "space.toml").write_text(SPACE)
    return read_space(tmp_path / "space.toml", pipeline)


@pytest.fixture
def open_ledger(space, tmp_path):
    """Opens the ledger of this name, and closes it at the end."""
    opened = []

    def open_file(name="study", **options):
        opened.append(Ledger(tmp_path / f"{name}.sqlite", space, **options))
        return opened[-1]

    yield open_file
    for ledger in opened:
        ledger.close()


def test_values_are_within_the_space_and_random_before_they_are_learned_from(in_memory, open_ledger):
    """Bounds, steps, choices, and keys that only belong to one choice."""
    ledger = open_ledger(startup=12)
    drawn = [ledger.begin(0).values for _ in range(12)]
    assert {values["encoder.use"] for values in drawn} == {"mlp", "gru"}
    for values in drawn:
        assert 1e-5 <= values["algorithm.learning_rate"] <= 1e-2
        assert values["algorithm.epochs"] in (1, 3, 5, 7, 9)
        assert values.get("encoder.hidden") in ([[64], [32, 32]] if values["encoder.use"] == "mlp" else [None])
    assert len({values["algorithm.learning_rate"] for values in drawn}) == 12


def test_ends_are_kept_and_read_back(open_ledger, tmp_path):
    """By who opens the file again: values, scores, milestones, and why a trial failed."""
    ledger = open_ledger()
    for _ in range(4):
        ledger.begin(0)
    ledger.complete(0, 3.5)
    ledger.report(1, 2, 1.25)
    ledger.prune(1)
    ledger.fail(2, "the log says why")
    before = ledger.trials()
    assert [(trial.number, trial.state, trial.score) for trial in before] == [
        (0, "complete", 3.5),
        (1, "pruned", 1.25),
        (2, "failed", None),
        (3, "running", None),
    ]
    assert (before[1].milestones, before[2].failure) == ({2: 1.25}, "the log says why")
    assert open_ledger().trials() == before
    with sqlite3.connect(tmp_path / "study.sqlite") as file:
        assert file.execute("pragma integrity_check").fetchall() == [("ok",)]
    file.close()


def test_a_trial_is_drawn_from_the_trials_that_it_knows_of(in_memory, open_ledger):
    """Neither later results change it, nor the process that draws it, nor how often trials were drawn before."""
    full, short = open_ledger("full", startup=2), open_ledger("short", startup=2)
    for ledger in (full, short):
        for number in range(4):
            ledger.begin(0)
            ledger.complete(number, float(number))
    full.begin(0)
    full.complete(4, 100.0)
    short.begin(0)
    short.fail(4, "elsewhere")
    assert full.begin(4).values == open_ledger("short", startup=2).begin(4).values
    assert full.begin(5).values != short.begin(5).values


def test_trials_below_the_median_of_complete_ones_fall_short(in_memory, open_ledger):
    """At the same milestone, among the trials that are known, and not before enough of them are complete."""
    ledger = open_ledger(startup=3)
    for number, score in enumerate((1.0, 2.0, 3.0)):
        ledger.begin(0)
        ledger.report(number, 1, score)
        ledger.complete(number, score)
    for number, score in ((3, 1.9), (4, 2.1)):
        ledger.begin(3)
        ledger.report(number, 1, score)
    assert [ledger.falls_short(number, 3) for number in (3, 4)] == [True, False]
    assert [ledger.falls_short(number, 2) for number in (3, 4)] == [False, False]
    ledger.report(3, 2, 0.0)  # where the others were not measured
    assert not ledger.falls_short(3, 3)


def test_importance_finds_the_key_that_matters(in_memory, open_ledger):
    """Once enough trials are complete."""
    ledger = open_ledger(startup=12)
    for number in range(12):
        ledger.complete(number, -abs(ledger.begin(0).values["algorithm.epochs"] - 5))
        if number == 3:
            assert ledger.importance() == {}
    assert next(iter(ledger.importance())) == "algorithm.epochs"


def test_a_file_that_cannot_be_written_is_told(open_ledger):
    """With its name, and as what SQLite says; what was written before is there."""
    ledger = open_ledger()
    ledger.begin(0)
    event.listen(ledger._storage.engine, "connect", lambda connection, _: connection.execute("pragma query_only = on"))
    ledger._storage.engine.dispose()  # from here on connections are new ones
    with pytest.raises(FrameworkError, match=r"study\.sqlite: cannot be written: .*readonly database"):
        ledger.complete(0, 1.0)
    assert [trial.state for trial in ledger.trials()] == ["running"]


def test_other_files_are_refused(open_ledger, tmp_path):
    """With their name; an older study is not overwritten."""
    (tmp_path / "study.sqlite").write_bytes(b"something else entirely, of several bytes" * 30)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of the connection that SQLAlchemy leaves open then
        with pytest.raises(FrameworkError, match=r"study\.sqlite is not a study that this version of Optuna reads: "):
            open_ledger()
        gc.collect()


def test_without_optuna_the_extra_is_named(open_ledger, monkeypatch):
    """Exit code 4, as for any plugin that is missing."""
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(PluginError, match=r'pip install "framework-rl\[tune\]"') as error:
        open_ledger()
    assert error.value.exit_code == 4
