import pytest
from synthetic_runs import write_run

from framework.errors import RunError
from framework.studies.groups import grouped


def pipeline(rate=0.1, **sections):
    return {"algorithm": {"use": "learner", "rate": rate}, **sections}


def names(runs):
    return [(group.name, group.seeds) for group in grouped(runs)[0]]


def test_runs_that_differ_in_their_seed_are_a_group(tmp_path):
    """By ascending seed; where they happened makes no other group."""
    runs = [write_run(tmp_path / str(seed), seed, [1.0], **pipeline(runtime={"samplers": seed})) for seed in (3, 1, 2)]
    assert names(runs) == [("pole", (1, 2, 3))]


def test_groups_are_called_by_their_names(tmp_path):
    """Where those tell them apart; runs of one pipeline and two names are two groups."""
    runs = [
        write_run(tmp_path / name, 1, [1.0], run={"name": name}, **pipeline(rate))
        for name, rate in (("slow", 0.1), ("fast", 0.2), ("same", 0.1))
    ]
    assert names(runs) == [("slow", (1,)), ("fast", (1,)), ("same", (1,))]


@pytest.mark.parametrize(
    ("sections", "name"),
    [
        (pipeline(0.2), "algorithm.rate=0.2"),
        ({"algorithm": {"use": "other", "rate": 0.3, "beta": 1}}, "algorithm.use=other"),
        (pipeline(bonus=[{"use": "a", "weight": 1}, {"use": "b"}]), "bonus=a+b"),
        (pipeline(curriculum={"use": "levels", "n": 3}), "curriculum.use=levels"),
        (pipeline(0.2, encoder={"hidden": [64, 64]}), "algorithm.rate=0.2 encoder={hidden = [64, 64]}"),
        ({"algorithm": {"use": "learner"}}, "~algorithm.rate"),
        (pipeline(run={"total_steps": 900}), "run.total_steps=900"),
    ],
)
def test_groups_of_one_name_are_called_by_what_differs(tmp_path, sections, name):
    """As overrides of the first group's pipeline; another component without its options."""
    runs = [write_run(tmp_path / "a", 1, [1.0], **pipeline()), write_run(tmp_path / "b", 1, [1.0], **sections)]
    assert names(runs) == [("pole", (1,)), (name, (1,))]


def test_names_that_do_not_tell_groups_apart_are_numbered(tmp_path):
    """As where another component comes with different options."""
    runs = [write_run(tmp_path / "a", 1, [1.0], **pipeline())]
    runs += [write_run(tmp_path / f"b{beta}", 1, [1.0], algorithm={"use": "other", "beta": beta}) for beta in (1, 2, 3)]
    assert [name for name, _ in names(runs)] == [
        "pole",
        "algorithm.use=other",
        "algorithm.use=other (2)",
        "algorithm.use=other (3)",
    ]


def test_runs_that_are_not_whole_are_left_out_with_a_note(tmp_path):
    """So is the earlier of two with equal pipeline and seed: it says nothing that the other does not."""
    runs = [
        write_run(tmp_path / "a", 1, [1.0]),
        write_run(tmp_path / "b", 1, [1.0]),
        write_run(tmp_path / "c", 2, [1.0], status="interrupted", run={"total_steps": 1000}),
        write_run(tmp_path / "d", 3, [1.0], status="stopped"),
    ]
    (group,), notes = grouped(runs)
    assert group.runs == (runs[1], runs[3])
    assert notes == [
        f"{tmp_path}/a is left out: {tmp_path}/b has its pipeline and seed, too",
        f"{tmp_path}/c is left out: it is interrupted at 100 of 1,000 steps",
    ]
    with pytest.raises(RunError, match=r"c is left out.*\nno run is whole"):
        grouped(runs[2:3])
