"""Options of the launcher."""

import pytest

from framework.schema import OptionError, check_defaults, structure
from framework_slurm.config import SlurmConfig


def test_options_become_those_of_sbatch():
    """Each that is given, in the order of sbatch's own manual, and further ones as they are."""
    config = SlurmConfig(
        partition="short,long", account="lab", qos="low", time="1-12:00:00", memory="4G", constraint="icelake&ib",
        gres="gpu:1", extra=["--exclude=node[1-3]", "--exclusive"],
    )  # fmt: skip
    assert config.sbatch_options() == [
        "--partition=short,long",
        "--account=lab",
        "--qos=low",
        "--time=1-12:00:00",
        "--mem=4G",
        "--constraint=icelake&ib",
        "--gres=gpu:1",
        "--exclude=node[1-3]",
        "--exclusive",
    ]
    assert SlurmConfig(time=90, memory=0).sbatch_options() == ["--time=90", "--mem=0"]
    assert SlurmConfig().sbatch_options() == []
    check_defaults(SlurmConfig)


@pytest.mark.parametrize(
    "options",
    [
        {"partition": "a b"},
        {"partition": "a\n#SBATCH --uid=0"},
        {"account": ""},
        {"qos": "a#b"},
        {"time": "soon"},
        {"time": 0},
        {"time": "1:2:3:4"},
        {"memory": "4 GB"},
        {"memory": -1},
        {"constraint": "'a'"},
        {"gres": "gpu:1\n"},
        {"extra": ["exclusive"]},
        {"extra": ["--comment=two words"]},
        {"extra": ["--comment=a\nrm"]},
        {"setup": ["module load a\nrm -r b"]},
        {"template": "a\nb"},
        {"template": ""},
    ],
)
def test_what_would_break_the_script_is_refused(options):
    """Line ends, quotes and blanks where sbatch has none."""
    (name,) = options
    _, problems = structure(SlurmConfig, options, "launcher")
    assert [problem.path.partition("[")[0].removesuffix(".0") for problem in problems] == [f"launcher.{name}"]


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        ("--array=0-9", "cannot have --array: say how many with samplers and workers"),
        ("--cpus-per-task=4", "cannot have --cpus-per-task: say how many with workers"),
        ("--clusters=b", "name the cluster in the environment variable SLURM_CLUSTERS"),
        ("--wrap=ls", "cannot have --wrap"),
        ("--wait", "cannot have --wait"),
    ],
)
def test_what_the_launcher_says_itself_is_refused(extra, reason):
    """With what to do instead."""
    with pytest.raises(OptionError, match=reason):
        SlurmConfig(extra=["--exclusive", extra])
