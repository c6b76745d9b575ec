import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow  # CI runs it

#: Python imports this in every process that it starts with its folder on the path; forks inherit the hook.
SITE = """
import os, sys
def watch(event, arguments):
    if event == "pickle.find_class":
        with open(os.environ["SEEN"], "a") as file:
            file.write(f"unpickled {arguments}\\n")
sys.addaudithook(watch)
with open(os.environ["SEEN"], "a") as file:
    file.write(f"watching {sys.argv}\\n")
"""
PIPELINE = """
[run]
total_steps = 512
[environment]
use = "gymnasium"
id = "CartPole-v1"
[algorithm]
use = "ppo"
[sampling]
environments = 4
shard = 2
rollout_length = 32
[checkpoint]
every_seconds = 0
[evaluation]
episodes = 1
[runtime]
samplers = 2
"""


#: Trains with samplers, goes on, and plays.
SCRIPT = """
import framework, gymnasium, pathlib
*_, first = framework.train(framework.load("p.toml"))
(run,) = pathlib.Path("runs").iterdir()
*_, last = framework.train(framework.load_run(run, {"run.total_steps": 1024}), resume=run)
assert (first.steps, last.steps) == (512, 1024)
framework.load_agent(run).act(gymnasium.make("CartPole-v1").reset(seed=0)[0])
"""


#: Trains with a host, which reaches the learner over TCP.
HOST_SCRIPT = """
import framework, pathlib, subprocess, sys, threading, time
def join():
    while not (files := list(pathlib.Path("runs").glob("*/join"))):
        time.sleep(0.05)
    command = [sys.executable, "-m", "framework", "sampler", "--join", str(files[0]), "--workers", "2"]
    ended.append(subprocess.run(command).returncode)
ended = []
host = threading.Thread(target=join)
host.start()
*_, last = framework.train(framework.load("p.toml", {"runtime.samplers": 0, "runtime.listen": "127.0.0.1:0"}))
host.join()
assert (last.steps, ended) == (512, [0])
"""


@pytest.fixture
def watched(tmp_path):
    """Runs a script with the hook; returns what all of its processes wrote down."""
    (tmp_path / "sitecustomize.py").write_text(SITE)
    (tmp_path / "p.toml").write_text(PIPELINE)
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "SEEN": str(tmp_path / "seen")}

    def run(script):
        subprocess.run([sys.executable, "-c", script], env=environment, cwd=tmp_path, check=True, timeout=100)
        return (tmp_path / "seen").read_text().splitlines()

    return run


def test_the_hook_sees_unpickling(watched):
    """What the next test does not see would have been seen."""
    lines = watched("import pickle, pathlib; pickle.loads(pickle.dumps(pathlib.PurePath()))")
    assert any(line.startswith("unpickled") for line in lines)


def test_nothing_is_unpickled_in_a_whole_run(watched):
    """Training with samplers, resuming and acting look up no class for a pickle, in any of the processes."""
    lines = watched(SCRIPT)
    assert [line for line in lines if line.startswith("unpickled")] == []
    assert len([line for line in lines if line.startswith("watching")]) == 3  # the script, and a helper for each run


def test_nothing_is_unpickled_where_a_host_collects(watched):
    """Neither by the learner, nor by the host, its helper and its samplers."""
    lines = watched(HOST_SCRIPT)
    assert [line for line in lines if line.startswith("unpickled")] == []
    assert len([line for line in lines if line.startswith("watching")]) == 3
