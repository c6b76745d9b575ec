import math
import re
import tomllib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from framework.errors import PipelineError
from framework.pipeline.toml import parse, split, to_toml, written_lines
from framework.schema import join

FUZZ = settings(derandomize=True, deadline=None, max_examples=120)


# --- lines -------------------------------------------------------------------------------------------------------


def test_lines_of_every_kind_of_key():
    """Tables, arrays of tables, dotted and quoted keys, inline tables and elements of arrays have their own lines."""
    text = """\
# comment with a = 1
top = 1

[run]            # [not.this]
"quoted.key" = '''
[no.table]
x = 1'''
a.b.c = 3

[[bonus]]
use = "a"
[[bonus]]
use = "b"
hidden = [
  64,  # ]
  [1,
   2],
  {x = 1, y.z = [
    3]},
]
[bonus.deep]
k = 1
[other.sub]
"""
    assert parse(text)[1] == {
        "top": 2,
        "run": 4,
        'run."quoted.key"': 5,
        "run.a": 8,
        "run.a.b": 8,
        "run.a.b.c": 8,
        "bonus": 10,
        "bonus.0": 10,
        "bonus.0.use": 11,
        "bonus.1": 12,
        "bonus.1.use": 13,
        "bonus.1.hidden": 14,
        "bonus.1.hidden.0": 15,
        "bonus.1.hidden.1": 16,
        "bonus.1.hidden.1.0": 16,
        "bonus.1.hidden.1.1": 17,
        "bonus.1.hidden.2": 18,
        "bonus.1.hidden.2.x": 18,
        "bonus.1.hidden.2.y": 18,
        "bonus.1.hidden.2.y.z": 18,
        "bonus.1.hidden.2.y.z.0": 19,
        "bonus.1.deep": 21,
        "bonus.1.deep.k": 22,
        "other": 23,
        "other.sub": 23,
    }


def test_a_header_after_its_subtable_gives_the_line():
    """A table's line is that of its own header, also where a subtable came first."""
    assert parse("[a.b]\n\n[a]\n")[1] == {"a": 3, "a.b": 1}


class Writer:
    """Writes a TOML document in a random layout, and notes the line of each dotted key."""

    def __init__(self, draw):
        self.draw, self.text, self.lines, self.count = draw, "", {}, 0

    def line(self):
        return self.text.count("\n") + 1

    def pick(self, *choices):
        return self.draw(st.sampled_from(choices))

    def space(self, *, lines=False):
        self.text += self.pick("", " ", "\t", *(["\n", "\n\n  ", " # [c] = '\"\n"] if lines else []))

    def key(self):
        """A key that no other key of the document equals, in one of its spellings."""
        self.count += 1
        name = f"{self.pick('k', '', 'a.b', 'é', '=', '#', '[x]', ' ', '-')}{self.count}"
        if re.fullmatch("[A-Za-z0-9_-]+", name):
            return name, self.pick(name, f'"{name}"', f"'{name}'")
        return self.pick((name, f'"{name}"'), (name, f"'{name}'"), (f'"\n{name}', f'"\\"\\n{name}"'))

    def dotted(self, path, most):
        """Write a dotted key with fresh parts; returns the path of each part."""
        paths, first = [], True
        for _ in range(self.draw(st.integers(1, most))):
            name, written = self.key()
            self.text += ("" if first else self.pick(".", " . ", "\t.")) + written
            path = join(path, name)
            paths.append(path)
            first = False
        return paths

    def string(self):
        quotes = self.pick('"', "'", '"""', "'''")
        parts = [" ", "a", "#", "]", "}", "=", ",", "é", "'" if quotes[0] == '"' else '"']
        parts += ["\n", "\n[t]\n", "\nk = 1\n", quotes[0] + "x", quotes[0] * 2 + "x"] if len(quotes) == 3 else []
        parts += ["\\\\", '\\"', "\\n"] if quotes[0] == '"' else ["\\"]
        body = "".join(self.draw(st.lists(st.sampled_from(parts), max_size=6)))
        end = self.pick("", quotes[0], quotes[0] * 2) if len(quotes) == 3 and not body.endswith(quotes[0]) else ""
        self.text += quotes + body + end + quotes

    def value(self, path, depth=0):
        kind = self.pick("string", "scalar", *(["array", "table"] if depth < 3 else []))
        if kind == "string":
            self.string()
        elif kind == "scalar":
            self.text += self.pick("1", "0x1f", "1e-4", "inf", "true", "1979-05-27 07:32:00Z", "07:32:00", "1_000")
        elif kind == "array":
            self.text += "["
            size = self.draw(st.integers(0, 3))
            for index in range(size):
                self.space(lines=True)
                self.lines[join(path, index)] = self.line()
                self.value(join(path, index), depth + 1)
                self.space(lines=True)
                self.text += "," if index < size - 1 else self.pick("", ",")
            self.space(lines=True)
            self.text += "]"
        else:
            self.text += "{"
            for index in range(self.draw(st.integers(0, 2))):
                self.text += "," if index else ""
                self.space()
                self.pair(path, depth + 1)
                self.space()
            self.text += "}"

    def pair(self, table, depth=0):
        line = self.line()
        paths = self.dotted(table, 3)
        self.lines |= dict.fromkeys(paths, line)
        self.space()
        self.text += "="
        self.space()
        self.value(paths[-1], depth)

    def header(self, parents, tables, arrays):
        """Write a header: below one that is there already, or on its own. Returns the path of its table."""
        line, brackets = self.line(), self.pick("[]", "[[]]")
        self.text += brackets[: len(brackets) // 2]
        start, parent = len(self.text), ""
        if parents and self.pick(True, False):
            written = self.pick(*parents)
            path, size = arrays.get(written, (tables.get(written), 0))
            parent = join(path, size - 1) if size else path
            self.text += f"{written} ."
        table = self.dotted(parent, 3)
        self.lines |= dict.fromkeys(table, line)
        written, path = self.text[start:], table[-1]
        self.text += brackets[len(brackets) // 2 :]
        if brackets == "[[]]":
            self.lines[join(path, 0)] = line
        if parent:
            return join(path, 0) if brackets == "[[]]" else path
        if brackets == "[[]]":
            arrays[written] = (path, 1)
            return join(path, 0)
        tables[written] = path
        return path

    def repeat_table(self, arrays):
        """Write the header of one more table in an array of tables."""
        written = self.pick(*arrays)
        path, size = arrays[written]
        arrays[written] = (path, size + 1)
        self.lines[join(path, size)] = self.line()
        self.text += f"[[{written}]]"
        return join(path, size)

    def document(self):
        table, tables, arrays = "", {}, {}
        for _ in range(self.draw(st.integers(0, 10))):
            self.space(lines=True)
            kind = self.pick("pair", "header", "again")
            if kind == "pair":
                self.pair(table)
            elif kind == "again" and arrays:
                table = self.repeat_table(arrays)
            else:
                table = self.header([*tables, *arrays], tables, arrays)
            self.text += self.pick("\n", " # end\n", "\n\n")


def dotted_keys(value, path=""):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield join(path, key)
        yield from dotted_keys(item, join(path, key))


@FUZZ
@given(data=st.data())
def test_the_line_of_every_key_is_where_it_stands(data):
    """In any layout, the values are tomllib's, and each dotted key has the line on which it was written."""
    writer = Writer(data.draw)
    writer.document()
    text = writer.text.replace("\n", "\r\n") if data.draw(st.booleans()) else writer.text
    values, lines = parse(text)
    assert repr(values) == repr(tomllib.loads(text))
    assert lines == writer.lines
    assert set(lines) == set(dotted_keys(values))


# --- mistakes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("a = 1\nb = \n", "not TOML: Invalid value", 2),
        ("a = 1\na = 2\n", "not TOML: Cannot overwrite a value", 2),
        ("a = 1\n\n[t\n", "not TOML: Expected ']' at the end of a table declaration", 3),
        ("a = 1\n\nb = [1,\n  2\n", "not TOML: Unclosed array", 4),
        ('a = """\n\n', "not TOML: ", 1),
        ("a = " + "1" * 5000, "not TOML: a number of more than 4,300 digits", None),
        ("a = " + "[" * 100_000, "not TOML: nested too deeply", None),
    ],
)
def test_what_is_no_toml_is_named_with_its_line(text, message, line):
    """A syntax error is one problem, at the line where it is noticed."""
    with pytest.raises(PipelineError) as caught:
        parse(text, "p.toml")
    (problem,) = caught.value.problems
    assert problem.message.startswith(message)
    assert (problem.file, problem.line) == ("p.toml", line)


TOML_PIECES = [
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ".",
    ",",
    "\n",
    "#",
    '"',
    "'",
    '"""',
    "'''",
    "\\",
    "a",
    "1",
    " ",
    "\r",
]


@FUZZ
@given(st.one_of(st.text(), st.lists(st.sampled_from(TOML_PIECES), max_size=40).map("".join)))
@example("a = 1\r")
@example('a = "\\u12"')
@example("\ufeffa = 1")
def test_any_text_is_values_or_a_pipeline_error(text):
    """Whatever the text, `parse` gives what tomllib gives, or raises PipelineError."""
    try:
        values, lines = parse(text)
    except PipelineError as error:
        (problem,) = error.problems
        assert problem.line is None or 1 <= problem.line <= text.count("\n") + 1
    else:
        assert repr(values) == repr(tomllib.loads(text))
        assert set(lines) == set(dotted_keys(values))


# --- keys and writing --------------------------------------------------------------------------------------------


@FUZZ
@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1))
def test_join_and_split_are_inverse(parts):
    """Any keys can be joined to a dotted key and split again."""
    path = ""
    for part in parts:
        path = join(path, part)
    assert split(path) == parts


KEYS = st.text(st.characters(codec="utf-8"), max_size=5)
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(codec="utf-8"), max_size=10),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3))
)


@FUZZ
@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_written_toml_reads_back_the_same(values):
    """What to_toml writes, tomllib reads back equal, type by type; each written line sets the key that it names."""
    assert repr(tomllib.loads(to_toml(values))) == repr(reordered(values))
    assert {path for _, path in written_lines(values)} - {""} <= set(dotted_keys(values))


def reordered(values):
    """As to_toml writes it: tables and arrays of tables after everything else."""
    tables = {k: v for k, v in values.items() if isinstance(v, dict) or is_tables(v)}
    return {k: v for k, v in values.items() if k not in tables} | tables


def is_tables(value):
    return isinstance(value, list) and value and all(isinstance(item, dict) for item in value)


def test_written_toml_is_laid_out_in_sections():
    """One table a section, [[array]] for arrays of tables, one line an option; small floats stay exact."""
    values = {"requires": ["a"], "run": {"seed": 1, "rate": 1e-5}, "bonus": [{"use": "x", "kwargs": {"a b": True}}]}
    expected = 'requires = ["a"]\n\n[run]\nseed = 1\nrate = 1e-05\n\n[[bonus]]\nuse = "x"\nkwargs = {"a b" = true}\n'
    assert to_toml(values) == expected
    assert math.isclose(tomllib.loads(expected)["run"]["rate"], 1e-5)


def test_what_toml_has_not_is_refused():
    """None is no value of TOML: it is refused, not written as a string."""
    with pytest.raises(TypeError, match="None"):
        to_toml({"a": None})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a = " + "[" * 300 + "]" * 300, "nested too deeply"),
        ("a = " + "{a = " * 100 + "1" + "}" * 100, "nested too deeply"),
        (".".join("a" * 100_000) + " = 1", "nested too deeply"),
        ("[" + ".".join("a" * 10_000) + "]", "nested too deeply"),
        ("\n".join(f"k{number} = 1" for number in range(100_001)), "100,001 keys and elements; 100,000 at most"),
    ],
    ids=["arrays", "tables", "key", "header", "keys"],
)
def test_size_is_bounded(text, reason):
    """What no pipeline has is refused at once, in one line."""
    with pytest.raises(PipelineError, match=reason):
        parse(text)


def test_strings_with_dots_are_no_deep_keys():
    """The bound is about keys."""
    path = ".".join("a" * 200)
    assert parse(f'a = ["{path}"]')[0] == {"a": [path]}
    assert parse(f"a = \"\"\"\n{path}\n\"\"\"\nb = '''\n{path}'''")[0] == {"a": f"{path}\n", "b": path}
