import os
import re
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import PipelineError, Problem
from framework.pipeline.document import BYTES_LIMIT, differences, read

BASE = """\
requires = ["a", "b"]
[algorithm]
use = "agent"
epochs = 2
kwargs.x = 1

[[bonus]]
use = "counter"
weight = 0.5
"""


def origins(document):
    return {path: str(origin) for path, origin in document.origins.items()}


def problems_of(path, overrides=()):
    with pytest.raises(PipelineError) as caught:
        read(path, overrides)
    return [str(problem) for problem in caught.value.problems]


# --- extends -----------------------------------------------------------------------------------------------------


def test_tables_merge_and_arrays_are_replaced(write):
    """A file that extends another changes keys inside tables, and replaces arrays; origins name the right file."""
    write(BASE, "base.toml")
    write('extends = "base.toml"\nrequires = []\n[algorithm]\nepochs = 3\nkwargs.y = 2\n')
    document = read("p.toml")
    assert document.values == {
        "requires": [],
        "algorithm": {"use": "agent", "epochs": 3, "kwargs": {"x": 1, "y": 2}},
        "bonus": [{"use": "counter", "weight": 0.5}],
    }
    assert origins(document) == {
        "requires": "p.toml:2",
        "algorithm": "base.toml:2",
        "algorithm.use": "base.toml:3",
        "algorithm.epochs": "p.toml:4",
        "algorithm.kwargs": "base.toml:5",
        "algorithm.kwargs.x": "base.toml:5",
        "algorithm.kwargs.y": "p.toml:5",
        "bonus": "base.toml:7",
        "bonus.0": "base.toml:7",
        "bonus.0.use": "base.toml:8",
        "bonus.0.weight": "base.toml:9",
    }


def test_another_component_takes_nothing_from_the_one_it_replaces(write):
    """Where use changes, the rest of the table belongs to another component and goes."""
    write(BASE, "base.toml")
    write('extends = "base.toml"\n[algorithm]\nuse = "plain"\ngamma = 1\n')
    document = read("p.toml")
    assert document.values["algorithm"] == {"use": "plain", "gamma": 1}
    places = {path: origin for path, origin in origins(document).items() if path.startswith("algorithm")}
    assert places == {"algorithm": "p.toml:2", "algorithm.use": "p.toml:3", "algorithm.gamma": "p.toml:4"}
    assert read("p.toml", ['algorithm.use="agent"']).values["algorithm"] == {"use": "agent"}
    assert read("p.toml", ['algorithm.use="plain"']).values["algorithm"] == {"use": "plain", "gamma": 1}


def test_files_extend_files_relative_to_themselves(write):
    """Each file names its base relative to its own folder."""
    Path("shared/deep").mkdir(parents=True)
    write("[run]\nseed = 1\nname = 'a'\n", "shared/base.toml")
    write('extends = "../base.toml"\n[run]\nname = "b"\n', "shared/deep/middle.toml")
    write('extends = "shared/deep/middle.toml"\n')
    document = read("p.toml")
    assert document.values == {"run": {"seed": 1, "name": "b"}}
    assert str(document.origins["run.seed"]) == "shared/deep/../base.toml:2"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('\nextends = "p.toml"', "p.toml:2: extends: p.toml extends this file in turn"),
        ('extends = "loop.toml"', "loop.toml:1: extends: p.toml extends this file in turn"),
        ('extends = "none.toml"', "p.toml:1: extends: there is no file none.toml"),
        ('extends = ["a.toml"]', "p.toml:1: extends: expected the name of one file, relative to this one"),
        ('extends = "bad.toml"', "bad.toml:2: not TOML: Invalid value"),
    ],
)
def test_what_cannot_be_extended(write, text, problem):
    """Cycles, missing files and files that are no TOML are named where they are."""
    write('extends = "p.toml"', "loop.toml")
    write("a = 1\nb = x", "bad.toml")
    write(text)
    assert problems_of("p.toml") == [problem]


# --- files -------------------------------------------------------------------------------------------------------


def test_files_that_cannot_be_read(tmp_path, write):
    """A missing file, a folder, and bytes that are no UTF-8 are problems of the pipeline."""
    Path("p.toml").write_bytes(b"a = 1\nb = '\xff'\n")
    assert problems_of("p.toml") == ["p.toml:2: not TOML: it is not encoded in UTF-8"]
    assert problems_of("none.toml") == ["none.toml: cannot be read: No such file or directory"]
    assert problems_of(".") == [".: cannot be read: Is a directory"]
    (problem,) = problems_of("a\0b")
    assert re.fullmatch("a\0b: cannot be read: .*embedded null.*", problem)


def test_a_byte_order_mark_is_no_mistake(write):
    """Some editors write a byte order mark; it is not part of the text."""
    assert read(write("\ufeffa = 1")).values == {"a": 1}


@settings(derandomize=True, deadline=None, max_examples=100)
@given(content=st.binary(max_size=60))
def test_any_bytes_are_values_or_a_pipeline_error(tmp_path_factory, content):
    """Whatever is in the file, read gives values or raises PipelineError."""
    path = tmp_path_factory.getbasetemp() / "fuzz.toml"
    path.write_bytes(content)
    with suppress(PipelineError):
        assert isinstance(read(path).values, dict)


def test_differences_are_found_in_nested_values():
    """By dotted key, both values; arrays are compared whole, and what is missing is None."""
    original = {"run": {"seed": 1, "name": "a"}, "bonus": [{"weight": 1.0}], "replay": {"use": "uniform"}}
    changed = {"run": {"seed": 2, "name": "a"}, "bonus": [{"weight": 0.5}], "a b": 3}
    assert differences(original, original) == {}
    assert differences(original, changed) == {
        "run.seed": (1, 2),
        "bonus": ([{"weight": 1.0}], [{"weight": 0.5}]),
        "replay": ({"use": "uniform"}, None),
        '"a b"': (None, 3),
    }


# --- overrides ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "section", "expected"),
    [
        ("algorithm.epochs=7", "algorithm", {"use": "agent", "epochs": 7, "kwargs": {"x": 1}}),
        ("algorithm.rate = 1e-4", "algorithm", {"use": "agent", "epochs": 2, "kwargs": {"x": 1}, "rate": 1e-4}),
        ('algorithm."a.b"={y=[1]}', "algorithm", {"use": "agent", "epochs": 2, "kwargs": {"x": 1}, "a.b": {"y": [1]}}),
        ("algorithm.kwargs={y=2}", "algorithm", {"use": "agent", "epochs": 2, "kwargs": {"x": 1, "y": 2}}),
        ("algorithm.kwargs.x=[]", "algorithm", {"use": "agent", "epochs": 2, "kwargs": {"x": []}}),
        ("algorithm.use=plain", "algorithm", {"use": "plain"}),
        ("algorithm.use=my_file:Mine", "algorithm", {"use": "my_file:Mine"}),
        ("algorithm={use='plain', gamma=1}", "algorithm", {"use": "plain", "gamma": 1}),
        ("bonus.0.weight=2", "bonus", [{"use": "counter", "weight": 2}]),
        ("bonus.0={weight=2}", "bonus", [{"use": "counter", "weight": 2}]),
        ("bonus.0.use=other", "bonus", [{"use": "other"}]),
        ("bonus=[]", "bonus", []),
        ("requires.1='c'", "requires", ["a", "c"]),
        ("run.deep.name='x = 1'", "run", {"deep": {"name": "x = 1"}}),
    ],
)
def test_an_override_sets_a_value(write, override, section, expected):
    """Overrides are TOML values at dotted keys, through arrays by index; tables merge as they do between files."""
    document = read(write(BASE), [override])
    assert (document.values[section], document.problems) == (expected, [])
    assert "override" in origins(document).values()


def test_a_new_component_comes_before_its_options(write):
    """The order of overrides does not matter: use is set first."""
    document = read(write(BASE), ["algorithm.gamma=1", "algorithm.use=plain"])
    assert document.values["algorithm"] == {"gamma": 1, "use": "plain"}


def test_an_override_takes_a_table_or_a_key_out(write):
    """With its origins; what stands beside it stays, and what is set there anew is all that there is."""
    document = read(write(BASE), ["algorithm.kwargs.y=5", "~bonus", "~algorithm.kwargs", "~algorithm.epochs"])
    assert document.problems == []
    assert document.values == {"requires": ["a", "b"], "algorithm": {"use": "agent", "kwargs": {"y": 5}}}
    assert {path.partition(".")[0] for path in document.origins} == {"requires", "algorithm"}
    assert not any("epochs" in path or path.endswith(".x") for path in document.origins)


@pytest.mark.parametrize("word", ["second", "True", "CartPole-v1", "my_file:Mine", "1e-4x", "/tmp/a.safetensors"])
def test_a_word_is_a_string(write, word):
    """Without quotes; whether the option takes one is not known here."""
    document = read(write(BASE), [f"run.name={word}"])
    assert (document.values["run"]["name"], document.problems) == (word, [])


def test_overrides_from_python_are_values(write):
    """A mapping gives values as they are, and does not share them with the document."""
    overrides = {"algorithm.hidden": (1, 2), "run": {"name": "plain word"}}
    document = read(write(BASE), overrides)
    assert document.values["algorithm"]["hidden"] == [1, 2]
    document.values["run"]["name"] = "changed"
    assert overrides["run"] == {"name": "plain word"}


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("algorithm.epochs", "override: 'algorithm.epochs' is not written key=value, such as run.seed=2"),
        ("a b=1", "override: 'a b=1' is not written key=value, such as run.seed=2"),
        ("=1", "override: '=1' is not written key=value, such as run.seed=2"),
        (
            "run.name=my second",
            "override: 'my second' is not a TOML value; if it is a string it needs quotes: 'run.name=\"my second\"'",
        ),
        (
            "algorithm.hidden=64,64",
            "override: '64,64' is not a TOML value; if it is a string it needs quotes: 'algorithm.hidden=\"64,64\"'; "
            "an array: 'algorithm.hidden=[64,64]'",
        ),
        ("run.seed=", "override: '' is not a TOML value; if it is a string it needs quotes: 'run.seed=\"\"'"),
        ("a=1\n[b]", "override: '1\\n[b]' is not a TOML value; if it is a string it needs quotes: 'a=\"1\\n[b]\"'"),
        ("~run.seeds", "override: run.seeds: there is no such key to take out"),
        ("~curriculum", "override: curriculum: there is no such key to take out"),
        ("~curriculum.use", "override: curriculum.use: there is no such key to take out"),
        ("~algorithm.use.x", "override: algorithm.use.x: there is no such key to take out"),
        ("~bonus.0", "override: bonus.0: elements of an array cannot be taken out: give the whole"),
        ("~", "override: '~' is not written key=value, such as run.seed=2"),
        ("~bonus=1", "override: '~bonus=1' is not written key=value, such as run.seed=2"),
        ("bonus.1.weight=2", "override: bonus.1: there is no such element in an array of 1"),
        ("bonus.x=2", "override: bonus.x: there is no such element in an array of 1"),
        (
            f"{'.'.join('a' * 3000)}=1",
            f"override: '{'a.' * 30}…': a key of 3,000 parts; 64 at most are possible",
        ),
        (f"~{'.'.join('a' * 99)}", f"override: '~{('a.' * 30)[:59]}…': a key of 99 parts; 64 at most are possible"),
        ("a=" + "[" * 70 + "]" * 70, f"override: 'a={'[' * 58}…': nested too deeply"),
        ("a=" + "[" * 3000 + "]" * 3000, f"override: 'a={'[' * 58}…': nested too deeply"),
        (f"run.seed={'9' * 5000}", f"override: 'run.seed={'9' * 51}…': a number of more than 4,300 digits"),
        (
            f"a=[{'1,' * 100_001}]",
            f"override: 'a=[{'1,' * 28}1…': 100,002 keys and elements; 100,000 at most are possible",
        ),
        ("algorithm.use.x=2", "override: algorithm.use: has no keys, so algorithm.use.x cannot be set"),
    ],
)  # fmt: skip
def test_a_wrong_override_is_a_problem(write, override, problem):
    """What is wrong with an override is said, and how to write it; the other overrides still count."""
    document = read(write(BASE), [override, "run.seed=3"])
    assert list(map(str, document.problems)) == [problem]
    assert document.values["run"] == {"seed": 3}


def test_a_key_from_python_that_is_no_key(write):
    """Keys of a mapping are dotted keys too."""
    document = read(write(BASE), {"run seed": 1})
    assert [problem.message for problem in document.problems] == ["'run seed' is not a dotted key, such as run.seed"]


# --- origins -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("algorithm.epochs", "p.toml:4"),
        ("algorithm.learning_rate", "p.toml:2"),
        ("bonus.0.decay", "p.toml:7"),
        ("algorithm.kwargs.x.y", "p.toml:5"),
        ("encoder.use", "p.toml"),
        (None, "p.toml"),
        ("algorithm.gamma", "override"),
    ],
)
def test_problems_are_located(write, path, place):
    """A problem gets the place of its key, else of the table around it, else the file alone."""
    document = read(write(BASE), ["algorithm.gamma=1"])
    problem = document.locate(Problem("wrong", path), "p.toml")
    assert str(problem) == ": ".join(filter(None, (place, path, "wrong")))


def refused(path):
    """What reading it says, in one line."""
    with pytest.raises(PipelineError) as caught:
        read(path)
    (problem,) = caught.value.problems
    return str(problem)


def test_only_regular_files_of_some_size_are_read(tmp_path):
    """A device, a pipe, a folder or a huge file is one line at once, and none of them is read to its end."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large.toml").write_text("#" * (BYTES_LIMIT + 1))
    assert refused("/dev/zero") == "/dev/zero: cannot be read: it is no regular file"
    assert refused(tmp_path / "pipe").endswith("it is no regular file")
    assert refused(tmp_path / "large.toml").endswith("it has more than 1,048,576 bytes")
    assert refused(tmp_path).endswith("Is a directory")
    assert re.search("cannot be read: .*embedded null", refused("a\0b"))
    assert refused("x" * 5000).endswith("File name too long")


@pytest.mark.parametrize("base", ["a\\u0000b", "x" * 5000, "loop.toml", "/dev/zero", "pipe"])
def test_what_cannot_be_extended_is_told_with_its_line(tmp_path, base):
    """NUL in the name, a name that is too long, links in a circle, devices and pipes."""
    (tmp_path / "loop.toml").symlink_to("loop.toml")
    os.mkfifo(tmp_path / "pipe")
    path = tmp_path / "p.toml"
    path.write_text(f'extends = "{base}"')
    text = refused(path)
    assert "Traceback" not in text
    assert text.startswith(
        (f"{path}:1: extends: ", "/dev/zero: cannot be read", f"{tmp_path / 'pipe'}: cannot be read")
    )


def test_a_long_chain_of_files_is_refused(tmp_path):
    """Files that extend one another are followed so far and no further."""
    for number in range(1200):
        (tmp_path / f"{number}.toml").write_text(f'extends = "{number + 1}.toml"\n')
    assert "more than 32 files extend one another" in refused(tmp_path / "0.toml")


def test_large_files_are_merged_quickly(tmp_path):
    """Eight thousand keys over as many others, and as many of them overridden, take less than a few seconds."""
    keys = "".join(f"k{number} = {{ a = [1, 2], b = 1 }}\n" for number in range(4_000))
    (tmp_path / "base.toml").write_text(f"[run]\n{keys}")
    (tmp_path / "p.toml").write_text(f'extends = "base.toml"\n[run]\n{keys}')
    started = time.process_time()
    document = read(tmp_path / "p.toml", {"run": {f"k{number}": 1 for number in range(4_000)}})
    assert time.process_time() - started < 4
    assert document.values["run"]["k5"] == 1
    assert "run.k5.a" not in document.origins
