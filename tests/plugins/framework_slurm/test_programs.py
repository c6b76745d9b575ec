"""The programs of SLURM, as they are called and as they fail."""

import os

import pytest

from framework.errors import RunError
from framework_slurm import programs
from framework_slurm.programs import Task


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Puts a program of a name on PATH: lines of sh. What it was called with is in ``calls``."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def put(name, *lines):
        calls = f'echo "$(basename "$0") $*" >> {tmp_path}/calls\n'
        (tmp_path / name).write_text("#!/bin/sh\n" + calls + "\n".join(lines))
        (tmp_path / name).chmod(0o755)
        return tmp_path / "calls"

    return put


@pytest.mark.parametrize("answer", ["1234", "1234;cluster", "a word of the site's\n1234"])
def test_a_job_has_an_id(program, tmp_path, answer):
    """The last line of what sbatch prints; it gets the script over its standard input."""
    calls = program("sbatch", f'cat > {tmp_path}/script; printf "%s\\n" "{answer}"')
    assert programs.submit("#!/bin/bash\n") == "1234"
    assert calls.read_text() == "sbatch --parsable\n"
    assert (tmp_path / "script").read_text() == "#!/bin/bash\n"


def test_an_answer_without_an_id_is_an_error(program):
    """As where a site's wrapper says something else."""
    program("sbatch", "echo submitted")
    with pytest.raises(RunError, match="expected the id of a job, got: 'submitted'"):
        programs.submit("")


def test_the_queue_is_read(program):
    """Tasks of arrays, each on a line; other jobs, names of clusters, and reasons that are none yet are left out."""
    calls = program(
        "squeue",
        "cat << 'END'\nCLUSTER: b\n41|0|RUNNING|node1\n41|12|PENDING|(Resources | or so)",
        "41|13|PENDING|(None)\n40|N/A|RUNNING|node2\nEND",
    )
    assert programs.queued() == [
        Task("41", 0, "RUNNING", "node1"),
        Task("41", 12, "PENDING", "(Resources | or so)"),
        Task("41", 13, "PENDING", ""),
    ]
    assert calls.read_text() == f"squeue --all --noheader --array --user={os.getuid()} --format=%F|%K|%T|%R\n"


def test_tasks_are_cancelled_in_one_call(program):
    """Those of several jobs too."""
    calls = program("scancel")
    programs.cancel({"41": "0-3,7", "42": "8"})
    assert calls.read_text() == "scancel 41_[0-3,7] 42_[8]\n"


def test_a_refusal_is_told(program):
    """With the command, what it says, and what to do."""
    program("sbatch", 'echo "sbatch: error: invalid partition specified: shrt" >&2; exit 1')
    with pytest.raises(RunError) as error:
        programs.submit("")
    assert str(error.value) == (
        "sbatch --parsable has ended with 1: sbatch: error: invalid partition specified: shrt\n"
        "framework launch --dry-run prints the script, whose options may be at fault; "
        "scontrol ping tells whether SLURM can be reached from here"
    )
    program("scancel", "exit 3")
    with pytest.raises(RunError, match=r"ended with 3: it says nothing\nscontrol ping tells whether SLURM can be"):
        programs.cancel({"41": "0"})


def test_a_missing_program_is_told(monkeypatch, tmp_path):
    """With where it would be."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RunError, match="there is no sbatch here: launch on a machine that submits jobs to SLURM"):
        programs.submit("")
    (tmp_path / "squeue").write_text("")
    with pytest.raises(RunError, match="cannot be started: Permission denied"):
        programs.queued()


def test_a_program_that_does_not_answer_is_told(program, monkeypatch):
    """As where the controller is down."""
    monkeypatch.setattr(programs, "PATIENCE", 0.1)
    program("squeue", "exec sleep 60")
    with pytest.raises(RunError, match="no answer within 0 s: scontrol ping tells"):
        programs.queued()


def test_programs_do_not_see_the_token(program, tmp_path, monkeypatch):
    """As jobs get the environment of sbatch. Nor do they see what would change options; the rest they do."""
    monkeypatch.setenv("FRAMEWORK_JOIN", "fw1.secret")
    monkeypatch.setenv("SBATCH_ARRAY_INX", "0-9")
    monkeypatch.setenv("LAB", "blue")
    program("sbatch", f"env > {tmp_path}/variables; echo 7")
    programs.submit("")
    variables = (tmp_path / "variables").read_text()
    assert "secret" not in variables
    assert "SBATCH" not in variables
    assert "LAB=blue" in variables
