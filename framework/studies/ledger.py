"""The trials of a sweep, in a file of SQLite: an Optuna study that one process writes.

Every change is one transaction, so that whoever reads the file after the process was killed finds a whole study, and
what is written depends only on the trials that are asked about, not on when others end. Imports Optuna where a ledger
is opened.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from attrs import frozen

from framework.errors import FrameworkError, PluginError
from framework.pipeline.toml import literal
from framework.studies.space import Dimension, Space

if TYPE_CHECKING:
    import optuna

_STUDY = "sweep"
_FAILURE = "failure"  # the attribute of a trial that has what went wrong

#: How a trial stands.
State = Literal["running", "complete", "pruned", "failed"]
_STATES: dict[str, State] = {"RUNNING": "running", "COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}


@frozen
class Trial:
    """One line of the ledger."""

    number: int  #: from 0, without gaps
    state: State
    values: dict[str, Any]  #: what was drawn, by key
    score: float | None  #: of a complete trial; of a pruned one the last that it was measured at
    milestones: dict[int, float]  #: intermediate scores
    failure: str  #: why it failed


class Ledger:
    """The trials in ``file``, which is made where it is missing. Close it at the end.

    Args:
        seed: what is drawn follows from it, the number of a trial, and the trials that it is drawn from.
        startup: trials that are drawn at random, and complete trials before any is pruned.

    Raises `PluginError` without Optuna, and `FrameworkError` where the file is not a study that it can read, and later
    where it cannot be written.
    """

    def __init__(self, file: Path, space: Space, *, seed: int = 0, startup: int = 10):
        self._optuna = import_optuna()
        self._file, self._space, self._seed, self._startup = file, space, seed, startup
        from sqlalchemy.exc import SQLAlchemyError

        with _quiet():
            try:
                self._storage = _sqlite(file)
                self._study = self._optuna.create_study(
                    storage=self._storage, study_name=_STUDY, direction="maximize", load_if_exists=True
                )
            except (SQLAlchemyError, RuntimeError) as error:
                reason = str(error).partition("\n")[0]
                raise FrameworkError(f"{file} is not a study that this version of Optuna reads: {reason}") from error

    def close(self) -> None:
        """Close the file."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    def trials(self) -> list[Trial]:
        """All trials, by number."""
        return [self._trial(frozen_trial) for frozen_trial in self._frozen()]

    def begin(self, history: int) -> Trial:
        """A new trial, drawn from the results of the first ``history``, all of which have ended."""
        number = len(self._frozen())
        with self._changing():
            drawing = self._study_of(history, number).ask()
            values: dict[str, Any] = {}
            for dimension in self._space.dimensions:
                if dimension.applies(values):
                    values[dimension.key] = _value(dimension, _draw(dimension, drawing))
            begun = self._optuna.trial.create_trial(
                state=self._optuna.trial.TrialState.RUNNING,
                params=drawing.params,
                distributions=drawing.distributions,
            )
            self._study.add_trial(begun)
        return self.trials()[number]

    def report(self, number: int, milestone: int, score: float) -> None:
        """Note an intermediate score of a running trial."""
        with self._changing():
            self._optuna.trial.Trial(self._study, self._frozen()[number]._trial_id).report(score, milestone)

    def falls_short(self, number: int, history: int) -> bool:
        """Whether a trial is to be pruned: its best so far is below the median of the complete ones at its milestone.

        Of the others only the first ``history`` count.
        """
        with _quiet():
            study = self._study_of(history, number)
            return bool(study.pruner.prune(study, self._frozen()[number]))

    def complete(self, number: int, score: float) -> None:
        """End a trial with its score."""
        with self._changing():
            self._study.tell(number, score)

    def prune(self, number: int) -> None:
        """End a trial early, with what it has reached."""
        with self._changing():
            self._study.tell(number, state=self._optuna.trial.TrialState.PRUNED)

    def fail(self, number: int, failure: str) -> None:
        """End a trial that has no score, and say why."""
        with self._changing():
            self._optuna.trial.Trial(self._study, self._frozen()[number]._trial_id).set_user_attr(_FAILURE, failure)
            self._study.tell(number, state=self._optuna.trial.TrialState.FAIL)

    def importance(self) -> dict[str, float]:
        """The share of each key in what makes trials good (PED-ANOVA, arXiv:2304.10255), the largest first.

        Empty below `startup` complete trials.
        """
        states = (self._optuna.trial.TrialState.COMPLETE,)
        if len(self._study.get_trials(deepcopy=False, states=states)) < max(2, self._startup):
            return {}
        with _quiet():
            evaluator = self._optuna.importance.PedAnovaImportanceEvaluator()
            return dict(self._optuna.importance.get_param_importances(self._study, evaluator=evaluator))

    @contextmanager
    def _changing(self) -> Iterator[None]:
        try:
            with _quiet():
                yield
        except self._optuna.exceptions.StorageInternalError as error:
            reason = str(error.__cause__ or error).partition("\n")[0]
            raise FrameworkError(f"{self._file}: cannot be written: {reason}") from error

    def _frozen(self) -> list[optuna.trial.FrozenTrial]:
        frozen_trials: list[optuna.trial.FrozenTrial] = self._study.get_trials(deepcopy=False)
        return frozen_trials

    def _study_of(self, history: int, number: int) -> optuna.Study:
        """A study in memory that has the first trials only, as the trial ``number`` is to see them."""
        import numpy as np

        seed = int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0])
        study: optuna.Study = self._optuna.create_study(
            direction="maximize",
            sampler=self._optuna.samplers.TPESampler(seed=seed, n_startup_trials=self._startup),
            pruner=self._optuna.pruners.MedianPruner(n_startup_trials=self._startup),
        )
        study.add_trials(self._frozen()[:history])
        return study

    def _trial(self, frozen_trial: optuna.trial.FrozenTrial) -> Trial:
        dimensions = {dimension.key: dimension for dimension in self._space.dimensions}
        return Trial(
            frozen_trial.number,
            _STATES[frozen_trial.state.name],
            {key: _value(dimensions[key], drawn) for key, drawn in frozen_trial.params.items()},
            frozen_trial.value,
            dict(frozen_trial.intermediate_values),
            frozen_trial.user_attrs.get(_FAILURE, ""),
        )


def _draw(dimension: Dimension, drawing: optuna.Trial) -> Any:
    """Draw a number, or a choice as TOML: Optuna's choices are neither arrays nor tables."""
    key, bounds = dimension.key, dimension.range
    if bounds.choices is not None:
        return drawing.suggest_categorical(key, tuple(map(literal, bounds.choices)))
    assert bounds.low is not None
    assert bounds.high is not None
    if dimension.integer:
        step = int(bounds.step or 1)
        return drawing.suggest_int(key, int(bounds.low), int(bounds.high), step=step, log=bounds.log)
    return drawing.suggest_float(key, bounds.low, bounds.high, step=bounds.step, log=bounds.log)


def _value(dimension: Dimension, drawn: Any) -> Any:
    """The value that ``drawn`` stands for in the ledger."""
    if dimension.range.choices is None:
        return drawn
    return next(choice for choice in dimension.range.choices if literal(choice) == drawn)


def _sqlite(file: Path) -> optuna.storages.RDBStorage:
    from optuna.storages import RDBStorage
    from sqlalchemy import URL

    return RDBStorage(URL.create("sqlite", database=str(file)).render_as_string())


def import_optuna() -> Any:
    """Optuna, quiet. Raises `PluginError` where it is not installed."""
    try:
        with _quiet():
            import optuna
    except ImportError as error:
        raise PluginError(f'framework sweep needs Optuna: pip install "framework-rl[tune]" ({error})') from None
    optuna.logging.disable_default_handler()
    return optuna


@contextmanager
def _quiet() -> Iterator[None]:
    """What Optuna and its storage warn of is nothing that who runs a sweep can mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
