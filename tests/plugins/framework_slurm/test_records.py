"""What the launch folder has of the hosts."""

from framework_slurm.records import History, Jobs, history_file, host_name


def test_jobs_are_kept(tmp_path):
    """By number; a folder without any has none."""
    jobs = Jobs(tmp_path)
    assert jobs.read() == {}
    jobs.write({10: "42", 0: "41"})
    assert Jobs(tmp_path).read() == {0: "41", 10: "42"}
    assert [file.name for file in tmp_path.iterdir()] == ["jobs.json"]


def test_a_history_has_starts_and_the_last_exit_code(tmp_path):
    """Also where the node has died with the last process, which then has no exit code."""
    file = history_file(tmp_path, 3)
    assert file.name == f"{host_name(3)}.state" == "slurm-3.state"
    assert History.read(file) == History(0, None, "")
    file.write_text("started node1\nended 75\nstarted node2\nstarted node3\n")
    assert History.read(file) == History(3, 75, "node3")


def test_a_signal_is_a_negative_number(tmp_path):
    """As elsewhere in Python, and not 128 more as in bash."""
    file = history_file(tmp_path, 0)
    file.write_text("started node1\nended 137\n")
    assert History.read(file).status == -9
