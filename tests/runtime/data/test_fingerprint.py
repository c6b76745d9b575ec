import re
from pathlib import Path

import pytest
import runs
import torch

import framework
from framework.runtime.data.fingerprint import _package_digest, components, fingerprints, versions


def test_fingerprint_tells_components_apart(tmp_path: Path) -> None:
    """Equal for the same components whatever their options; other when one of them is another, or another version."""
    path = runs.write(tmp_path)
    fingerprint = fingerprints(framework.load(path))
    assert fingerprints(framework.load(path, ["run.seed=9"])) == fingerprint
    (tmp_path / "own.py").write_text("class Encoder: pass\n")
    text = runs.CARTPOLE.replace('use = "mlp"\nhidden = [16, 16]', 'use = "own:Encoder"')
    pipeline = framework.load(runs.write(tmp_path, text))
    changed = fingerprints(pipeline)
    assert changed != fingerprint
    (tmp_path / "own.py").write_text("class Encoder: changed = True\n")
    assert fingerprints(pipeline) != changed


def test_functions_that_options_name_are_told(tmp_path: Path) -> None:
    """With the hash of their file, as components are."""
    (tmp_path / "mine.py").write_text("def loss(*arguments): ...\n")
    pipeline = framework.load(runs.write(tmp_path), {"algorithm.objective": "mine:loss"})
    rows = components(pipeline)
    assert set(rows) == {"environment/gymnasium", "encoder/mlp", "algorithm/ppo", "algorithm/ppo.objective"}
    before = fingerprints(pipeline)
    (tmp_path / "mine.py").write_text("def loss(*arguments): return 0\n")
    assert fingerprints(pipeline) != before


def test_versions_tell_all_that_changes_what_is_computed() -> None:
    """Builds of torch for other accelerators act alike on a processor, so they count as one."""
    stated = versions()
    assert list(stated) == ["framework", "python", "torch", "numpy", "gymnasium", "processor"]
    assert re.fullmatch(rf"{re.escape(framework.__version__)} \([0-9a-f]{{12}}\)", stated["framework"])
    assert stated["torch"] == torch.__version__.partition("+")[0]
    assert stated["processor"].endswith(torch.backends.cpu.get_cpu_capability())


def test_a_package_is_all_of_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a component imports from its own package is part of what it is; data beside it are not."""
    package = tmp_path / "acme_wheels"
    (package / "inner").mkdir(parents=True)
    for name in ("__init__.py", "inner/__init__.py", "inner/part.py"):
        (package / name).write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    digest = _package_digest.__wrapped__
    digests = [digest("acme_wheels")]
    (package / "data.json").write_text("{}")
    assert digest("acme_wheels") == digests[0]
    (package / "inner" / "part.py").write_text("changed = True\n")
    digests.append(digest("acme_wheels"))
    (package / "inner" / "part.py").rename(package / "inner" / "other.py")
    digests.append(digest("acme_wheels"))
    assert len(set(digests)) == 3
    assert digest("no_such_package") == "no source"
