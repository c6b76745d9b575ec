import framework
from framework.catalog import default_catalog
from framework.pipeline.defaults import defaults

PIPELINE = """
[run]
total_steps = 1000
[environment]
use = "gymnasium"
id = "CartPole-v1"
[algorithm]
use = "ppo"
[[bonus]]
use = "rnd"
[sampling]
environments = 6
"""


def test_a_pipeline_of_defaults_has_them(tmp_path):
    """Every option that the file does not set, also those that follow from others, is its default."""
    file = tmp_path / "pipeline.toml"
    file.write_text(PIPELINE)
    values = framework.load(file).to_plain()
    known = defaults(values, default_catalog())
    flat = {f"{name}.{key}": value for name, table in values.items() if name != "bonus" for key, value in table.items()}
    flat |= {f"bonus.0.{key}": value for key, value in values["bonus"][0].items()}
    assert known.keys() == flat.keys()
    differing = {path for path, value in flat.items() if known[path] != value}
    assert differing == {
        "run.total_steps",
        "environment.use",
        "environment.id",
        "algorithm.use",
        "bonus.0.use",
        "sampling.environments",
    }
    assert known["sampling.shard"] == 6
    assert known["encoder.use"] == "mlp"
    assert known["environment.id"] is None


def test_components_in_files_are_not_imported(tmp_path):
    """Of those, and of plugins that are missing, defaults are left out but for what the kernel reads."""
    (tmp_path / "mine.py").write_text("raise SystemExit('imported')")
    values = {
        "encoder": {"use": "mine:Encoder", "freeze": False, "width": 3},
        "algorithm": {"use": "acme/none", "rate": 1.0},
        "environment": {"use": 3},
        "replay": "x",
        "run": {"seed": 1, "unknown": 2},
    }
    assert defaults(values, default_catalog()) == {
        "run.seed": 0,
        "environment.use": None,
        "encoder.use": "mlp",
        "encoder.freeze": False,
        "algorithm.use": None,
    }
