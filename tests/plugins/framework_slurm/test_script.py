"""The batch script, and templates in its place."""

import subprocess
from pathlib import Path

import pytest

from framework.errors import RunError
from framework.interfaces import LauncherContext, Work
from framework_slurm.config import SlurmConfig
from framework_slurm.script import batch_script, ranges

GOLDEN = Path(__file__).parent / "golden"
FOLDER = Path("/shared/runs/pong 100%/launch/slurm")
WORK = Work(hosts=4, workers=8, program=("framework",), token=FOLDER / "token")
FULL = SlurmConfig(
    partition="short",
    account="lab",
    time="4:00:00",
    memory="4G",
    extra=["--exclude=node7"],
    setup=["module load python/3.11", 'source "$HOME/venv/bin/activate"'],
)


def render(config, *, folder=FOLDER, source=Path(), numbers=range(4), work=WORK):
    return batch_script(config, LauncherContext(run="pong 100%", directory=folder, source=source), work, numbers)


def check_syntax(script):
    process = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert (process.returncode, process.stderr) == (0, "")


@pytest.mark.parametrize(("name", "config"), [("plain", SlurmConfig()), ("full", FULL)])
def test_the_script_is_what_it_was(name, config):
    """Every line of it, with and without options; bash finds no fault with it."""
    script = render(config)
    assert script == (GOLDEN / f"{name}.sh").read_text()
    check_syntax(script)


def test_words_are_quoted():
    """Whatever the command, the folder and the token's file are called, bash takes each for one word."""
    work = Work(2, 1, ("/opt/my venv/bin/python", "-m", "frame$work"), Path("/shared/it's/token"))
    script = render(SlurmConfig(), work=work)
    token = "'/shared/it'\"'\"'s/token'"
    assert f"'/opt/my venv/bin/python' -m 'frame$work' sampler --join {token} --workers 1 --name \"$name\" &" in script
    check_syntax(script)


@pytest.mark.parametrize(
    ("numbers", "text"),
    [(range(64), "0-63"), ([5], "5"), ([7, 0, 1, 2], "0-2,7"), ([4, 5, 9, 11, 12], "4-5,9,11-12")],
)
def test_numbers_are_written_as_ranges(numbers, text):
    """As SLURM writes them."""
    assert ranges(numbers) == text
    assert f"#SBATCH --array={text}\n" in render(SlurmConfig(), numbers=numbers)


@pytest.mark.parametrize("name", ['a"b', "a'b", "a#b", "a\\b", "a\nb"])
def test_a_folder_that_sbatch_cannot_be_told_is_refused(name):
    """As it has no way to quote these."""
    with pytest.raises(RunError, match="sbatch takes no quotes, backslashes and # in a path: rename the folder"):
        render(SlurmConfig(), folder=FOLDER / name)


def test_a_template_may_change_parts(tmp_path):
    """It lies relative to the pipeline file, and extends ours."""
    (tmp_path / "lab.sh").write_text(
        '{% extends "framework/batch.sh" %}\n'
        "{% block options %}\n{{ super() }}\n#SBATCH --mail-type=FAIL\n{% endblock %}\n"
        "{% block setup %}\nsource /lab/{{ job_name }}.sh\n{% endblock %}\n"
    )
    script = render(SlurmConfig(template="lab.sh"), source=tmp_path)
    assert script.startswith("#!/bin/bash\n")
    assert "#SBATCH --mail-type=FAIL\n" in script
    assert "\nsource /lab/framework-pong-100-.sh\n" in script
    assert "scontrol requeue" in script
    check_syntax(script)


def test_a_template_may_replace_all(tmp_path):
    """With the values that ours has."""
    (tmp_path / "own.sh").write_text(
        "#!/bin/sh\n#SBATCH --array={{ array }}\nname=slurm-$SLURM_ARRAY_TASK_ID\n{{ command }}\n"
    )
    assert render(SlurmConfig(template=str(tmp_path / "own.sh"))).splitlines()[1:3] == [
        "#SBATCH --array=0-3",
        "name=slurm-$SLURM_ARRAY_TASK_ID",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "own.sh: the template cannot be read: No such file or directory"),
        (b"\xff", "own.sh: the template cannot be read: it is not text"),
        (b"#!/bin/sh\n{% if %}", "own.sh:2: the template cannot be used: "),
        (b"#!/bin/sh\n{{ nodes }}", "own.sh: the template cannot be used: 'nodes' is undefined"),
        (b'{% extends "other.sh" %}', "own.sh: the template cannot be used: other.sh"),
        (b"#!/bin/sh\n{{ command }}", "must give a script that begins with #! and has #SBATCH --array"),
        (b"#SBATCH --array={{ array }}\n", "must give a script that begins with #! and has #SBATCH --array"),
    ],
)
def test_a_template_that_cannot_be_used_is_told(tmp_path, text, reason):
    """With its name, its line where that is known, and why."""
    if text is not None:
        (tmp_path / "own.sh").write_bytes(text)
    with pytest.raises(RunError, match=r"own\.sh") as error:
        render(SlurmConfig(template="own.sh"), source=tmp_path)
    assert reason in str(error.value)
