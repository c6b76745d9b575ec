"""How far a run is and how it does: the numbers of its view, and its result in the end."""

from __future__ import annotations

from collections import deque
from statistics import fmean
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

from framework.report.numbers import duration
from framework.report.text_chart import Style, sparkline

if TYPE_CHECKING:
    from framework.runtime.learn.update import Update
    from framework.studies.recorded_run import RecordedRun

#: How a run has ended.
End = Literal["done", "stopped", "interrupted", "failed"]

_WINDOW = 10.0  #: seconds that the speed is the mean of
_BAR, _SPARKLINE, _BRIEF = 60, 40, 20  #: letters of the bar and of the sparklines, at most
#: Returns that are kept for the sparkline; then each two become their mean.
_KEPT = 2048
#: What columns about a machine begin with, and how many machines are shown.
_MACHINE = "time/machine/"
_MACHINES = 8
#: Share of the time that the learner waits for data above which sampling is called the bottleneck.
_WAITING_SHARE = 0.3


class Progress:
    """The numbers of the view: speeds are those of the last seconds.

    Args:
        total_steps: environment steps of the whole run.
        apart: whether its samplers are processes of their own.
        recorded: a run that is resumed, as it was recorded until then.
    """

    def __init__(self, total_steps: int, apart: bool = True, recorded: RecordedRun | None = None):
        self.last: Update | None = None
        self._apart = apart
        self._total = total_steps
        self._recorded = recorded
        self._returns = Course()
        self._evaluation: dict[str, Any] | None = None
        #: Of each update of the last seconds: when it was done, its steps, seconds that it waited for and learned.
        self._recent: deque[tuple[float, int, float, float]] = deque()

    def add(self, update: Update) -> None:
        """Count an update in."""
        if self.last is None and self._recorded is not None:
            for line in self._recorded.metrics:
                if line.get("update", update.number) < update.number:  # what is later happens again
                    self._count(line)
        self.last = update
        metrics, now = update.metrics, monotonic()
        self._recent.append((now, update.steps, metrics["time/waiting"], metrics["time/updating"]))
        while len(self._recent) > 2 and now - self._recent[0][0] > _WINDOW:
            self._recent.popleft()
        self._count(metrics)
        if update.evaluation is not None:
            self._count(update.evaluation)

    def row(self) -> dict[str, str]:
        """Name and value of everything that is shown, once there is an update."""
        assert self.last is not None
        metrics, steps, rate = self.last.metrics, self.last.steps, self._rate()
        row = {
            "steps": f"{steps:,} of {self._total:,}",
            "steps/s": f"{rate:,.0f}" if rate else "-",
            "return": _number(metrics.get("return")),
        }
        if "success" in metrics:
            row["success"] = f"{metrics['success']:.0%}"
        if "curriculum/level" in metrics:
            row["level"] = f"{metrics['curriculum/level']:.2f}"
        for name, value in metrics.items():
            if name.startswith("bonus/") and name.endswith("/reward"):
                row[name.split("/")[1]] = f"{value:.3g}"
        row["lag"] = str(metrics["lag"])
        waiting = self._waiting_share()
        if not self._apart:
            row["time"] = f"{waiting:.0%} sampling, {1 - waiting:.0%} learning"
        else:
            row["bottleneck"] = f"sampling ({waiting:.0%} waiting)" if waiting > _WAITING_SHARE else "learning"
        row |= {name: value for name, value in _machines(metrics).items() if name not in row}
        row["left"] = duration(max(0, self._total - steps) / rate) if rate else "-"
        return row

    def lines(self, width: int, style: Style) -> list[str]:
        """The state of the run now: a bar, below it a line for each value; some are longer than ``width``."""
        if self.last is None:
            return [_bar(0.0, "starting", width, style)]
        row = self.row()
        left = row.pop("left")
        head = _bar(min(1.0, self.last.steps / self._total), f"{left} left" if left != "-" else "", width, style)
        if self._evaluation is not None:
            values = list(row.items())
            row = dict([*values[:3], ("evaluation", _evaluated(self._evaluation)), *values[3:]])
        return [head, *self._table(row, width, style)]

    def result(self, end: End, width: int, style: Style, *, brief: bool) -> list[str]:
        """How the run has ended, once there is an update: in one line where it is to be ``brief``."""
        assert self.last is not None
        steps = f"{self.last.steps:,}"
        if end == "done" and self.last.steps < self._total:
            end = "stopped"
        head = f"done: {steps} steps" if end == "done" else f"{end} at {steps} of {self._total:,} steps"
        if (seconds := self.last.metrics.get("time/seconds")) is not None:
            head += f" {'in' if end == 'done' else 'after'} {duration(seconds)}"
        row = {"return": _number(self.last.metrics.get("return"))}
        if self._evaluation is not None:
            row["evaluation"] = (
                _number(self._evaluation["evaluation/return"]) if brief else _evaluated(self._evaluation)
            )
        if not brief:
            return [head, *self._table(row, width, style)]
        row["return"] += f" {sparkline(self._returns.values, _BRIEF, style)}"
        return ["  ".join([head, *(f"{name} {value}" for name, value in row.items())]).rstrip()]

    def _table(self, row: dict[str, str], width: int, style: Style) -> list[str]:
        """A line for each value, that of the return with its course."""
        names = max(map(len, row))
        space = min(_SPARKLINE, width - names - len(row["return"]) - 4)
        row["return"] += f"  {sparkline(self._returns.values, space, style)}".rstrip()
        return [f"{_dim(name.ljust(names), style)}  {value}" for name, value in row.items()]

    def _count(self, line: dict[str, Any]) -> None:
        """Count in a line of ``metrics.jsonl``."""
        if "return" in line:
            self._returns.add(line["return"])
        if "evaluation/return" in line:
            self._evaluation = line

    def _rate(self) -> float:
        """Environment steps in a second."""
        (since, before, *_), (now, steps, *_) = self._recent[0], self._recent[-1]
        return (steps - before) / (now - since) if now > since else 0.0

    def _waiting_share(self) -> float:
        """Of the learner's time. The first update waited for the samplers to start: it counts while it is alone."""
        recent = list(self._recent)[1:] or list(self._recent)
        waiting, updating = (sum(update[column] for update in recent) for column in (2, 3))
        return waiting / max(waiting + updating, 1e-9)


class Course:
    """Values in their order: of very many the means of neighbours."""

    def __init__(self) -> None:
        self._means: list[float] = []
        self._latest: list[float] = []
        self._share = 1

    def add(self, value: float) -> None:
        """Add the next value."""
        self._latest.append(value)
        if len(self._latest) == self._share:
            self._means.append(fmean(self._latest))
            self._latest.clear()
        if len(self._means) == _KEPT:
            self._means = [(one + two) / 2 for one, two in zip(self._means[::2], self._means[1::2], strict=True)]
            self._share *= 2

    @property
    def values(self) -> list[float]:
        """The course so far."""
        return [*self._means, *([fmean(self._latest)] if self._latest else [])]


def describe_evaluation(line: dict[str, Any]) -> str:
    """A line of an evaluation in ``metrics.jsonl``, as text."""
    summary = {name.removeprefix("evaluation/"): value for name, value in line.items()}
    return f"evaluation at {line['steps']:,} steps: {describe_result(summary)}"


def describe_result(summary: dict[str, Any]) -> str:
    """The summary of an evaluation, as text."""
    text = f"return {summary['return']:.2f} {_extremes(summary)}, length {summary['length']:.1f}"
    if "success" in summary:
        text += f", success {summary['success']:.0%}"
    for name, value in summary.items():
        if name.startswith("metrics/"):
            text += f", {name.removeprefix('metrics/')} {value:.3g}"
    return f"{text}, {summary['episodes']} episodes"


def _evaluated(line: dict[str, Any]) -> str:
    """The same in few words."""
    summary = {name.removeprefix("evaluation/"): value for name, value in line.items()}
    success = f", success {summary['success']:.0%}" if "success" in summary else ""
    return f"{summary['return']:.2f}{success} at {line['steps']:,} steps {_extremes(summary)}"


def _extremes(summary: dict[str, Any]) -> str:
    return f"(min {summary['return_min']:.2f}, max {summary['return_max']:.2f})"


def _bar(share: float, text: str, width: int, style: Style) -> str:
    """``━━━━────  40%  0:12 left``."""
    text = f"{share:4.0%}  {text}".rstrip()
    length = max(4, min(_BAR, width - len(text) - 1))
    done = round(share * length)
    full, empty = "━─" if style.unicode else "#-"
    bar = f"\x1b[36m{full * done}\x1b[0m" if style.colour and done else full * done
    return f"{bar}{_dim(empty * (length - done), style)} {text}"


def _dim(text: str, style: Style) -> str:
    return f"\x1b[2m{text}\x1b[0m" if style.colour and text else text


def _machines(metrics: dict[str, Any]) -> dict[str, str]:
    """A line for each machine of an update's metrics, for the first few of them."""
    columns = [name.removeprefix(_MACHINE).rpartition("/") for name in metrics if name.startswith(_MACHINE)]
    names = list(dict.fromkeys(name for name, _, _ in columns))
    rows = {}
    for name in names[:_MACHINES]:
        values = {column: metrics[f"{_MACHINE}{machine}/{column}"] for machine, _, column in columns if machine == name}
        samplers = f"{values['samplers']} sampler{'' if values['samplers'] == 1 else 's'}"
        rows[name] = f"{samplers}, {values['steps_per_second']:,.0f} steps/s"
        if "lag" in values:
            rows[name] += f", lag {values['lag']:.3g}"
        if values["reconnects"]:
            rows[name] += f", {values['reconnects']} reconnects"
    if len(names) > _MACHINES:
        rows["machines"] = f"{len(names) - _MACHINES} more"
    return rows


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
