import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from framework.__main__ import main

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.toml"))


@pytest.fixture
def validator(capsys):
    """What editors do with the schema that the command writes."""
    assert main(["schema"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    schema = json.loads(captured.out)
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def test_every_example_is_valid(validator):
    """The schema has every installed component's options: the examples validate."""
    assert len(EXAMPLES) > 0
    for path in EXAMPLES:
        assert list(validator.iter_errors(tomllib.loads(path.read_text()))) == [], path


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("learning_rate = ", "learning_rte = "),
        ("epochs = 20", 'epochs = "20"'),
        ('use = "ppo"', 'use = "pppo"'),
        ('id = "CartPole-v1"', ""),
        ("[sampling]", "[samplin]"),
        ("shard = 4", "shard = 0"),
        ("hidden = [64, 64]", "hidden = 64"),
    ],
)
def test_a_broken_example_is_refused(validator, old, new):
    """A mistake anywhere in an example makes it invalid."""
    text = next(path for path in EXAMPLES if path.stem == "cartpole").read_text()
    assert old in text
    assert not validator.is_valid(tomllib.loads(text.replace(old, new)))


def test_it_can_be_written_to_a_file(tmp_path, capsys):
    """-o writes the same text to a file."""
    assert main(["schema", "-o", str(tmp_path / "pipeline.schema.json")]) == 0
    assert capsys.readouterr().out == ""
    main(["schema"])
    assert (tmp_path / "pipeline.schema.json").read_text() == capsys.readouterr().out
