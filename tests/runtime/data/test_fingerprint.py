from pathlib import Path

import runs

import framework
from framework.runtime.data.fingerprint import components, fingerprints


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
