import json
import sys
from importlib import metadata
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

import pytest

from framework.__main__ import main
from framework.catalog import Catalog
from framework.commands import doctor
from framework.entry_points import EntryPoint
from framework.hookspecs import GROUP
from framework.plugins import load


def findings(capsys, *arguments, code=0):
    assert main(["doctor", "--json", *map(str, arguments)]) == code
    return json.loads(capsys.readouterr().out)


def about(topic, reported):
    return [finding for finding in reported if finding["topic"] == topic]


def test_this_machine_can_run_pipelines(capsys, tmp_path):
    """Where the tests run, everything that a run needs is there, and a real message goes through a socket file."""
    reported = findings(capsys, "--runs", tmp_path / "runs")
    assert {finding["topic"] for finding in reported} == {
        "framework",
        "packages",
        "fast",
        "processors",
        "torch",
        "zeromq",
        "runs",
        "plugins",
    }
    assert [finding for finding in reported if finding["status"] == "error"] == []
    assert not (tmp_path / "runs").exists()


def test_text_has_a_line_for_each_finding(capsys, tmp_path):
    """Status, topic and text; advice stands below the line that it is about."""
    file = tmp_path / "file"
    file.write_text("")
    assert main(["doctor", "--runs", str(file / "runs")]) == 1
    lines = capsys.readouterr().out.splitlines()
    [number] = [index for index, line in enumerate(lines) if line.startswith("error")]
    assert "runs" in lines[number]
    assert lines[number + 1] == "    go to another directory, or name another folder for the runs"


def test_every_plugin_broken(capsys, monkeypatch):
    """All of the report is there, with the reason for each plugin."""
    rows = load([EntryPoint(GROUP, name, f"no_such_{name}", "framework-rl", "1") for name in ("ppo", "encoders")])
    monkeypatch.setattr("framework.catalog.default_catalog", lambda: Catalog(rows))
    reported = findings(capsys, code=1)
    assert len({finding["topic"] for finding in reported}) == 8
    broken = [finding for finding in about("plugins", reported) if finding["status"] == "warning"]
    assert broken[1] == {
        "topic": "plugins",
        "status": "warning",
        "text": "ppo (framework-rl 1) is broken: ModuleNotFoundError: No module named 'no_such_ppo'",
        "advice": "framework plugins ppo",
    }
    assert about("plugins", reported)[-1]["text"] == "no plugin is loaded"


def test_a_slow_plugin_is_named(capsys, monkeypatch, tmp_path):
    """A plugin that delays every command is worth a warning."""
    (tmp_path / "slow_plugin.py").write_text("import time\ntime.sleep(0.06)\n")
    monkeypatch.syspath_prepend(tmp_path)
    rows = load([EntryPoint(GROUP, "slow", "slow_plugin", "framework-slow", "1")])
    monkeypatch.setattr("framework.catalog.default_catalog", lambda: Catalog(rows))
    warning, loaded = about("plugins", findings(capsys))
    assert warning["text"].startswith("slow (framework-slow 1) takes 0.")
    assert (warning["status"], loaded["text"]) == ("warning", "loaded: slow")


def pretend_missing(monkeypatch, package):
    """Have a package not be installed, as far as versions tell."""
    version = metadata.version

    def without(name):
        if name == package:
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(metadata, "version", without)


def test_a_missing_package_is_named(capsys, monkeypatch):
    """A requirement that is not installed is an error, and the other versions are shown all the same."""
    pretend_missing(monkeypatch, "pyzmq")
    missing, installed = about("packages", findings(capsys, code=1))
    assert (missing["text"], missing["advice"]) == ("pyzmq is not installed", "pip install pyzmq")
    assert "numpy" in installed["text"]
    assert "pyzmq" not in installed["text"]


def test_what_is_slower_without_numba_is_told(capsys, monkeypatch):
    """It is an extra, so its absence is a warning, with what to install."""
    assert about("fast", findings(capsys))[0]["status"] == "ok"
    pretend_missing(monkeypatch, "numba")
    [warning] = about("fast", findings(capsys))
    assert warning["text"].startswith("numba is not installed: prioritized replay is slower")
    assert warning["advice"] == 'pip install "framework-rl[fast]"'


def test_a_torch_that_does_not_import_is_a_finding(capsys, monkeypatch):
    """Whatever fails while it is examined ends that examination only."""
    monkeypatch.setitem(sys.modules, "torch", None)
    reported = findings(capsys, code=1)
    [torch] = about("torch", reported)
    assert torch["status"] == "error"
    assert torch["text"].startswith("ModuleNotFoundError: ")
    assert about("zeromq", reported)[0]["status"] == "ok"


def test_a_path_too_long_for_a_socket_is_told(capsys, monkeypatch, tmp_path):
    """Socket files have short paths; the advice says what to set."""
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    [link] = about("zeromq", findings(capsys, code=1))
    assert link["status"] == "error"
    assert "TMPDIR" in link["advice"]


@pytest.mark.parametrize(("quota", "status"), [("150000 100000", "warning"), ("max 100000", "ok"), (None, "ok")])
def test_a_processor_quota_is_noticed(monkeypatch, tmp_path, quota, status):
    """A container that grants less than its processors is worth a warning; no quota is none."""
    if quota is not None:
        (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1, 2}, raising=False)
    [finding] = doctor._processors(tmp_path / "cpu.max")
    assert finding.status == status
    assert finding.text.startswith("3 usable")


def test_little_space_is_noticed(monkeypatch, tmp_path):
    """Less than a gigabyte free is a warning."""
    monkeypatch.setattr("shutil.disk_usage", lambda place: SimpleNamespace(free=5e8))
    [finding] = doctor._runs(tmp_path)
    assert (finding.status, finding.advice) == ("warning", "checkpoints may not fit")
