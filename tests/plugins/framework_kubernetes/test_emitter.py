import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from framework_kubernetes import emitter

#: Which YAML, in one version or another, takes for something else than strings, or not for one string.
ODD = [
    "",
    "yes",
    "No",
    "ON",
    "null",
    "~",
    "0400",
    "1e3",
    "1:20",
    "2026-01-01",
    ".inf",
    "=",
    "<<",
    "-",
    "---",
    "{a}",
    "[a]",
]
ODD += [
    "&a",
    "*a",
    "!a",
    "|",
    ">",
    "%a",
    "@a",
    "`a",
    "'a'",
    '"',
    "\\",
    "0x1f",
    "--- a",
    "# a",
    "a: b",
    "a #b",
    " a ",
    "\x85",
]
STRINGS = st.text(max_size=30) | st.sampled_from(ODD)
VALUES = st.recursive(
    STRINGS | st.booleans() | st.integers(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(STRINGS, inner, max_size=4),
    max_leaves=8,
)

READABLE = """\
kind: Job
spec:
  command: [a, "--b"]
  rules:
    - x: 1
      "y": "1"
    - x: 2
  z: {}
---
"on": true
"""


@settings(derandomize=True, deadline=None, max_examples=60, database=None)
@given(st.lists(st.dictionaries(STRINGS, VALUES, min_size=1, max_size=4), min_size=1, max_size=3))
def test_what_is_written_is_read_back(objects):
    """Any objects of strings, integers, booleans, arrays and tables come back equal, of equal types."""
    read = list(yaml.safe_load_all(emitter.documents(objects)))
    assert read == objects
    assert repr(read) == repr(objects)  # True is not 1


def test_people_can_read_it():
    """Blocks for tables and for arrays of tables, a line for an array of scalars, quotes where they are needed."""
    rules = [{"x": 1, "y": "1"}, {"x": 2}]
    text = emitter.documents(
        [{"kind": "Job", "spec": {"command": ["a", "--b"], "rules": rules, "z": {}}}, {"on": True}]
    )
    assert text == READABLE


@pytest.mark.parametrize("value", [None, 1.5, b"a", {"a"}])
def test_other_values_are_refused(value):
    """What has no place in a manifest is not written as something else."""
    with pytest.raises(TypeError, match="has no place in a manifest"):
        emitter.documents([{"a": value}])
