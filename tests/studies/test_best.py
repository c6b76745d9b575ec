import pytest
import runs

import framework
from framework.errors import FrameworkError
from framework.studies.best import write_best

BONUSES = """
[[bonus]]
use = "rnd"
weight = 0.5

[[bonus]]
use = "icm"
"""


@pytest.mark.parametrize(
    "values",
    [
        {"algorithm.learning_rate": 1e-7, "encoder.hidden": [8, 8]},
        {"encoder.use": "gru", "encoder.core": {"use": "mlp", "hidden": [8]}},
        {"bonus.1.weight": 0.25, "bonus.0.use": "icm", "algorithm.epochs": 3},
    ],
)
def test_the_file_is_the_pipeline_with_its_values(tmp_path, values):
    """Numbers, arrays, components, and elements of arrays, which a file can only replace as a whole."""
    pipeline = runs.write(tmp_path, runs.CARTPOLE + BONUSES)
    folder = tmp_path / "sweeps" / "it's"
    folder.mkdir(parents=True)
    assert write_best(folder / "best.toml", pipeline, values, "The best.")
    assert framework.load(folder / "best.toml").to_plain() == framework.load(pipeline, values).to_plain()
    assert (folder / "best.toml").read_text().startswith('# The best.\n\nextends = "../../pipeline.toml"\n')


def test_pipelines_with_files_beside_them_stay_beside_them(tmp_path):
    """The file is whole where it is to be copied, and the caller is told that it is not where it lies."""
    (tmp_path / "mine.py").write_text("class Mine:\n    supports = frozenset()\n")
    pipeline = runs.write(tmp_path, runs.CARTPOLE.replace('use = "mlp"\nhidden = [16, 16]', 'use = "mine:Mine"'))
    (tmp_path / "sweep").mkdir()
    best = tmp_path / "sweep" / "best.toml"
    assert not write_best(best, pipeline, {"algorithm.epochs": 3}, "The best.")
    copied = tmp_path / "pipeline-best.toml"
    copied.write_bytes(best.read_bytes())
    assert framework.load(copied).algorithm.config.epochs == 3


def test_what_cannot_be_written_is_named(tmp_path):
    """As everywhere."""
    pipeline = runs.write(tmp_path)
    with pytest.raises(FrameworkError, match=r"best\.toml: cannot be written: "):
        write_best(tmp_path / "nowhere" / "best.toml", pipeline, {"algorithm.epochs": 3}, "The best.")
