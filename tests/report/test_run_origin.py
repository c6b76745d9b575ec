import pytest
from markup import HOSTILE, Page, check_page
from written_runs import write

from framework.report.html import page
from framework.report.run_origin import origin_of
from framework.studies.recorded_run import RecordedRun


def test_the_manifest_is_told(tmp_path):
    """Versions, machine, command as a shell takes it, and each component with its source's hash."""
    read = Page(f"<div>{origin_of(RecordedRun(write(tmp_path / 'run')))}</div>")
    names, values = ([text for _, text in read.all(tag)] for tag in ("dt", "dd"))
    told = dict(zip(names, values, strict=True))
    assert told["command"] == "framework run 'pole one.toml'"
    assert told["machine"] == "Linux, x86_64, 2 cores"
    assert told["versions"] == "framework 0.1.0, python 3.11.7, torch 2.13.0"
    assert told["started"] == "2026-11-30 15:12:02+00:00"
    assert [text for _, text in read.all("tr")][1:] == ["algorithm/ppoframework-rl 0.1.0abababababab"]


@pytest.mark.parametrize("manifest", [{}, [], {"components": 3, "versions": [], "command": "x", "machine": None}])
def test_damaged_manifests_tell_what_they_have(tmp_path, manifest):
    """The run directory at least."""
    told = origin_of(RecordedRun(write(tmp_path / "run", manifest=manifest)))
    assert "run directory" in told


@pytest.mark.parametrize("name", HOSTILE)
def test_manifests_are_text(tmp_path, name):
    """Whatever stands in them."""
    manifest = {
        "components": {name: {"version": name, "sha256": name}},
        "versions": {name: name},
        "machine": {name: name},
    }
    manifest |= {"command": [name], "started": name, "base_directory": name, "framework": name}
    check_page(page("p", origin_of(RecordedRun(write(tmp_path / "run", manifest=manifest)))))
