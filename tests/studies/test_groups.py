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
    ("sections", "first", "second"),
    [
        (pipeline(0.2), "algorithm.rate=0.1", "algorithm.rate=0.2"),
        ({"algorithm": {"use": "other", "rate": 0.3, "beta": 1}}, "algorithm.use=learner", "algorithm.use=other"),
        (pipeline(bonus=[{"use": "a", "weight": 1}, {"use": "b"}]), "~bonus", "bonus=a+b"),
        (pipeline(curriculum={"use": "levels", "n": 3}), "~curriculum", "curriculum.use=levels"),
        (
            pipeline(0.2, encoder={"hidden": [64, 64]}),
            "algorithm.rate=0.1 ~encoder",
            "algorithm.rate=0.2 encoder={hidden = [64, 64]}",
        ),
        ({"algorithm": {"use": "learner"}}, "algorithm.rate=0.1", "~algorithm.rate"),
        (pipeline(run={"total_steps": 900}), "run.total_steps=100", "run.total_steps=900"),
    ],
)
def test_groups_of_one_name_are_called_by_what_differs(tmp_path, sections, first, second):
    """As overrides, each with its own value; other components without their options."""
    runs = [write_run(tmp_path / "a", 1, [1.0], **pipeline()), write_run(tmp_path / "b", 1, [1.0], **sections)]
    assert names(runs) == [(first, (1,)), (second, (1,))]


def test_each_of_several_groups_has_a_name(tmp_path):
    """Options in which any of them differs are told of all; names that some share stand before."""
    runs = [
        write_run(tmp_path / str(number), 1, [1.0], run={"name": name}, **pipeline(rate, **sections))
        for number, (name, rate, sections) in enumerate(
            [("a", 0.1, {}), ("a", 0.2, {}), ("b", 0.1, {}), ("a", 0.1, {"bonus": [{"use": "x"}]})]
        )
    ]
    assert [name for name, _ in names(runs)] == [
        "a algorithm.rate=0.1 ~bonus",
        "a algorithm.rate=0.2 ~bonus",
        "b algorithm.rate=0.1 ~bonus",
        "a algorithm.rate=0.1 bonus=x",
    ]


def test_names_that_do_not_tell_groups_apart_are_numbered(tmp_path):
    """As where another component comes with different options."""
    runs = [write_run(tmp_path / "a", 1, [1.0], **pipeline())]
    runs += [write_run(tmp_path / f"b{beta}", 1, [1.0], algorithm={"use": "other", "beta": beta}) for beta in (1, 2)]
    assert [name for name, _ in names(runs)] == [
        "algorithm.use=learner",
        "algorithm.use=other",
        "algorithm.use=other (2)",
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
