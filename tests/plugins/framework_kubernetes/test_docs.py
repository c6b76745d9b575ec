import os
import re
import subprocess
import time
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "run-on-kubernetes.md").read_text()
OBJECTS = [
    manifest
    for block in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for manifest in yaml.safe_load_all(block)
]
[LEARNER] = [manifest for manifest in OBJECTS if manifest["kind"] == "StatefulSet"]
#: In place of the framework and of what the image has: they say how they were called.
STUB = '#!/bin/sh\necho "$(basename "$0") $*"\n'


@pytest.mark.parametrize("manifest", OBJECTS, ids=lambda manifest: manifest["kind"])
def test_what_the_page_shows_is_valid(manifest):
    """Every object of the page is one that Kubernetes takes."""
    kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_the_learner_is_reached_under_its_name():
    """The headless Service of the StatefulSet selects its pod, and has the port that the learner listens at."""
    [service] = [manifest for manifest in OBJECTS if manifest["kind"] == "Service"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["metadata"]["name"] == LEARNER["spec"]["serviceName"]
    assert service["spec"]["selector"] == LEARNER["spec"]["template"]["metadata"]["labels"]
    [container] = LEARNER["spec"]["template"]["spec"]["containers"]
    [port] = service["spec"]["ports"]
    assert [port["port"]] == [inside["containerPort"] for inside in container["ports"]]
    assert f"--listen 0.0.0.0:{port['port']}" in container["command"][2]
    assert f"--at {LEARNER['metadata']['name']}-0.{service['metadata']['name']}:{port['port']}" in PAGE


@pytest.fixture
def start(tmp_path):
    """Start what the learner's container starts, with its volume in ``tmp_path``."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "framework").write_text(STUB)
    (programs / "framework").chmod(0o755)
    [container] = LEARNER["spec"]["template"]["spec"]["containers"]
    [mount] = container["volumeMounts"]
    shell, option, script = container["command"]
    command = [shell, option, script.replace(mount["mountPath"], str(tmp_path))]
    environment = {"PATH": f"{programs}:{os.environ['PATH']}"}

    def popen():
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)

    return popen


def test_the_learner_starts_a_run(start, tmp_path):
    """On an empty volume, also where its file system has a folder of its own."""
    (tmp_path / "lost+found").mkdir()
    with start() as process:
        expected = f"framework run /pong/pong.toml --runs {tmp_path} --listen 0.0.0.0:5555 runtime.samplers=0\n"
        assert process.communicate(timeout=20)[0] == expected


def test_a_learner_that_is_started_again_resumes(start, tmp_path):
    """The run that is on the volume, however it has ended."""
    run = tmp_path / "pong-20260101-120000"
    run.mkdir()
    for line in ("", '{"time": "", "event": "finished", "status": "interrupted"}\n'):
        (run / "events.jsonl").write_text(line)
        with start() as process:
            assert process.communicate(timeout=20)[0] == f"framework run --resume {run}\n"


def test_a_complete_run_waits_to_be_fetched(start, tmp_path):
    """The pod neither ends nor does anything, until it is told to end."""
    run = tmp_path / "pong-20260101-120000"
    run.mkdir()
    (run / "events.jsonl").write_text('{"time": "", "event": "finished", "status": "done"}\n')
    with start() as process:
        time.sleep(0.3)
        assert process.poll() is None
        process.terminate()
        assert process.wait(20) == 0
        os.killpg(process.pid, 9)  # what sleeps, as with the container
        assert process.stdout.read() == ""
