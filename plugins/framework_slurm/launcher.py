"""Hosts as the tasks of job arrays. Each ends, and is queued again, by what its own batch script decides."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterable

from framework.errors import RunError
from framework.exit_codes import is_final
from framework.interfaces import HostState, HostStatus, LauncherContext, Work
from framework_slurm import programs
from framework_slurm.config import SlurmConfig
from framework_slurm.programs import Task
from framework_slurm.records import History, Jobs, history_file, host_name
from framework_slurm.script import batch_script, ranges

#: Seconds that tasks have to be gone after they were cancelled: SLURM itself kills what is left after KillWait (30).
GONE = 120.0
_LOOK, _LOOK_LATER = 0.1, 2.0  # seconds


class Slurm:
    """Has SLURM keep hosts at work, in one job array, and in another for those that are added."""

    def __init__(self, config: SlurmConfig, context: LauncherContext):
        self._config = config
        self._context = context
        self._folder = context.directory
        self._jobs = Jobs(self._folder)

    def plan(self, work: Work) -> str:
        """See `framework.interfaces.Launcher`."""
        return batch_script(self._config, self._context, work, range(work.hosts))

    def start(self, work: Work) -> None:
        """See `framework.interfaces.Launcher`."""
        self._submit(work, range(work.hosts))

    def scale(self, work: Work) -> None:
        """See `framework.interfaces.Launcher`. Those that wait go first, the highest numbers before others."""
        jobs = self._jobs.read()
        if len(jobs) < work.hosts:
            free = [number for number in range(work.hosts) if number not in jobs]
            self._submit(work, free[: work.hosts - len(jobs)])
            return
        order = {"ended": 0, "waiting": 1, "running": 2}
        states = {number: status.state for number, status in self._statuses().items()}
        superfluous = sorted(jobs, key=lambda number: (order[states[number]], -number))[: len(jobs) - work.hosts]
        self._cancel(superfluous)
        self._jobs.write({number: job for number, job in jobs.items() if number not in superfluous})

    def status(self) -> list[HostStatus]:
        """See `framework.interfaces.Launcher`. The place of a host that waits is why it does."""
        return list(self._statuses().values())

    def stop(self) -> None:
        """See `framework.interfaces.Launcher`."""
        self._cancel(self._jobs.read())
        self._jobs.write({})

    def _submit(self, work: Work, numbers: Collection[int]) -> None:
        for number in numbers:
            history_file(self._folder, number).unlink(missing_ok=True)
        job = programs.submit(batch_script(self._config, self._context, work, numbers))
        try:
            self._jobs.write(self._jobs.read() | dict.fromkeys(numbers, job))
        except BaseException:  # else nobody would know of the job
            programs.cancel({job: ranges(numbers)})
            raise

    def _queued(self) -> dict[int, Task]:
        """The tasks of hosts that SLURM has in its queue."""
        jobs = self._jobs.read()
        return {task.number: task for task in programs.queued() if jobs.get(task.number) == task.job} if jobs else {}

    def _statuses(self) -> dict[int, HostStatus]:
        queued = self._queued()
        statuses = {}
        for number in self._jobs.read():
            task, history = queued.get(number), History.read(history_file(self._folder, number))
            state: HostState
            if task is None or (task.state == "COMPLETING" and history.status is not None and is_final(history.status)):
                state, place = "ended", history.place
            else:
                state, place = "running" if task.state == "RUNNING" else "waiting", task.place
            statuses[number] = HostStatus(host_name(number), state, place, history.status, history.starts)
        return statuses

    def _cancel(self, numbers: Iterable[int]) -> None:
        """End the tasks of hosts, and wait until they are gone.

        They are cancelled until then: a task that is just being queued again would otherwise come back.
        """
        numbers = set(numbers)
        deadline, pause, refused = time.monotonic() + GONE, _LOOK, False
        while left := [task for number, task in self._queued().items() if number in numbers]:
            cancelled = defaultdict(list)
            for task in left:
                if task.state != "COMPLETING":
                    cancelled[task.job].append(task.number)
            expressions = {job: ranges(tasks) for job, tasks in cancelled.items()}
            try:
                if expressions:
                    programs.cancel(expressions)
                refused = False
            except RunError:
                if refused:  # twice in a row: not just because they have ended meanwhile
                    raise
                refused = True
            if time.monotonic() > deadline:
                tasks = " ".join(f"{task.job}_{task.number}" for task in left)
                raise RunError(
                    f"SLURM has not ended {tasks} within {GONE:.0f} s: look with squeue, and end the launch again when"
                    " the nodes answer"
                )
            time.sleep(pause)
            pause = min(2 * pause, _LOOK_LATER)
