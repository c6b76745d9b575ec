"""How long an update takes that several processes share: ``python benchmarks/learners.py``.

The Nature CNN with PPO: 1,024 steps of frames of 4 x 84 x 84 bytes, minibatches of 256, 4 epochs. Each process has one
thread, but where a row says otherwise.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import median

from measure.processes import environment
from measure.results import Measurement, interleaved, machine, middle, parser, publish, ratio, table

#: Frames that cost nothing, as what is measured is the update.
ENVIRONMENT = """
import gymnasium
import numpy as np

class Frames(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(0, 255, (84, 84, 4), np.uint8)
    action_space = gymnasium.spaces.Discrete(6)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.frames = self.np_random.integers(0, 256, (16, 84, 84, 4), np.uint8)
        self.steps = 0
        return self.frames[0], {}

    def step(self, action):
        self.steps += 1
        return self.frames[self.steps % 16], float(action == self.steps % 6), self.steps % 100 == 0, False, {}

class Environment:
    def __init__(self, config, context):
        pass
    def make(self):
        return Frames()
"""
PIPELINE = """
[run]
total_steps = {steps}
[environment]
use = "frames:Environment"
[encoder]
use = "cnn"
[algorithm]
use = "ppo"
share_encoder = true
epochs = 4
minibatch_size = 256
slices = {slices}
[sampling]
environments = 8
rollout_length = 128
[evaluation]
episodes = 0
[checkpoint]
every_seconds = 10000.0
[runtime]
samplers = 0
threads = {threads}
"""
STEPS = 8 * 128
#: Processes, slices and threads of each row; the first is what the last is compared with.
ROWS = {
    "1 process, 4 slices": (1, 4, 1),
    "1 process, 1 slice": (1, 1, 1),
    "1 process, 1 slice, 2 threads": (1, 1, 2),
    "2 processes, 4 slices": (2, 4, 1),
}
BASE = "1 process, 4 slices"
PARTS = ("gathering gradients", "sending the batch", "comparing weights")


def update_of(processes: int, slices: int, threads: int, updates: int, repeat: int) -> Measurement:
    """Seconds of an update, the median of all but the first, and of its parts in the first process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "frames.py").write_text(ENVIRONMENT)
        pipeline = folder / "pipeline.toml"
        pipeline.write_text(PIPELINE.format(steps=(updates + 1) * STEPS, slices=slices, threads=threads))
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        command = [sys.executable, *(torchrun if processes > 1 else ())]
        command += ["-m", "measure.timed_learner", "run", str(pipeline), "--runs", str(folder / "runs")]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment())
    lines = [json.loads(line.split("TIMES ")[1]) for line in done.stdout.splitlines() if "TIMES " in line][1:]
    return {name: median(line.get(name, 0.0) for line in lines) for name in ("update", *PARTS)}


def main() -> None:
    """Measure all rows in turns."""
    arguments = parser(__doc__)
    arguments.add_argument("--updates", type=int, default=4, help="updates of each measurement (default 4)")
    options = arguments.parse_args()
    before = machine()
    rows = {name: partial(update_of, *how, options.updates) for name, how in ROWS.items()}
    measurements = interleaved(rows, options.repeats)
    lines = [
        [
            name,
            middle(measurements, name, "update"),
            f"{ratio(measurements, name, BASE, 'update'):.2f}",
            *(f"{middle(measurements, name, part) * 1000:.0f}" for part in PARTS),
        ]
        for name in ROWS
    ]
    header = ["", "s an update", "of one process", *(f"{part}, ms" for part in PARTS)]
    publish(
        "learners",
        table(header, lines)
        + "\n\nMedians; ratios within a repeat. The parts are those of the first process, which waits for the others in"
        " them.",
        output=options.output,
        settings={"updates": options.updates, "repeats": options.repeats},
        measurements=measurements,
        machine=before,
    )


if __name__ == "__main__":
    main()
