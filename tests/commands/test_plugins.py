import json
import re
from types import ModuleType

import pytest
from attrs import frozen

from framework import hookimpl
from framework.__main__ import main
from framework.catalog import Catalog, default_catalog
from framework.entry_points import EntryPoint
from framework.hookspecs import GROUP, OLDER_GROUPS
from framework.plugins import load
from framework.schema import option


@frozen
class Settings:
    """Options of every sort."""

    width: int = option(4, help="Units of the layer.", ge=1, lt=100)
    mode: str = option("fast", help="How.", choices=("fast", "slow"))
    sizes: tuple[int, ...] = option((2, 3), help="Sizes.")
    limit: float | None = option(None, help="At most this.")
    path: str = option(help="Where.")


@frozen
class Odd:
    """An option whose type has no plain values."""

    limit: complex = option(0, help="Not a number that TOML has.")


class Tiny:
    """A component without code."""


def acme():
    plugin = ModuleType("acme")

    @hookimpl
    def register_encoders(register):
        register("tiny", f"{__name__}:Tiny", config=f"{__name__}:Settings", summary="Small one.", supports={"memory"})
        register("plain", f"{__name__}:Tiny")

    @hookimpl
    def run_finished(status):
        """Nothing to do."""

    vars(plugin).update(register_encoders=register_encoders, run_finished=run_finished)
    return plugin


def broken():
    plugin = ModuleType("broken")

    @hookimpl
    def register_bonuses(register):
        raise OSError("no such device")

    plugin.register_bonuses = register_bonuses
    return plugin


OFFERED = [
    EntryPoint(GROUP, "acme", acme(), "framework-acme", "1.2"),
    EntryPoint(GROUP, "broken", broken(), "framework-broken", "0.1"),
    EntryPoint(GROUP, "lost", "no_such_module_here", "framework-lost", "0.1"),
    EntryPoint(OLDER_GROUPS[0], "old", "boom", "framework-old", "0.0"),
]


@pytest.fixture(autouse=True)
def plugins(monkeypatch):
    """The plugins of this file in place of what is installed."""
    monkeypatch.setattr("framework.commands.plugins.default_catalog", lambda: Catalog(load(OFFERED)))


def shown(capsys, *arguments, code=0):
    assert main(["plugins", *arguments]) == code
    return capsys.readouterr().out


def test_the_table_has_a_row_for_each_plugin(capsys):
    """Plugin, distribution, version and status; below it what it offers or why it is not loaded."""
    lines = shown(capsys).splitlines()
    assert lines[:10] == [
        "PLUGIN  DISTRIBUTION      VERSION  STATUS",
        "acme    framework-acme    1.2      loaded",
        "  encoder  acme/tiny   Small one.",
        "  encoder  acme/plain",
        "  listens to run_finished",
        "broken  framework-broken  0.1      broken",
        "  OSError: no such device",
        "lost    framework-lost    0.1      broken",
        "  ModuleNotFoundError: No module named 'no_such_module_here'",
        "old     framework-old     0.0      too old",
    ]
    assert lines[10].startswith("  it is made for the hook contract 'framework.plugins.v0'")
    assert "framework plugins NAME" in lines[-1]


def test_a_component_is_explained(capsys):
    """Each option has its type, bounds, choices, default or that it is required, and its help."""
    text = shown(capsys, "acme/tiny")
    assert text.splitlines() == [
        "encoder acme/tiny: Small one.",
        f"  target    {__name__}:Tiny",
        "  supports  memory",
        "  width: integer ≥ 1, < 100 = 4",
        "      Units of the layer.",
        '  mode: string of fast, slow = "fast"',
        "      How.",
        "  sizes: array of integers = [2, 3]",
        "      Sizes.",
        "  limit: number",
        "      At most this.",
        "  path: string (required)",
        "      Where.",
    ]


def test_a_plugin_is_explained_with_all_of_its_components(capsys):
    """The name of a plugin shows the plugin, and every component that it offers."""
    blocks = shown(capsys, "acme").rstrip().split("\n\n")
    assert blocks[0] == "plugin acme (framework-acme 1.2): loaded\n  listens to run_finished"
    assert [block.split("\n")[0] for block in blocks[1:]] == ["encoder acme/tiny: Small one.", "encoder acme/plain"]
    assert blocks[2].endswith("no options")


@pytest.mark.parametrize("name", ["broken", "broken/anything"])
def test_what_is_broken_is_explained_with_its_traceback(capsys, name):
    """A broken plugin, or a component that it would have, shows the reason and the whole traceback."""
    text = shown(capsys, name)
    assert text.startswith("plugin broken (framework-broken 0.1): broken\nOSError: no such device\nTraceback")
    assert 'raise OSError("no such device")' in text


def test_an_unknown_name_suggests_a_known_one(capsys):
    """A name that is neither is a usage error."""
    assert main(["plugins", "acme/tinny"]) == 2
    assert capsys.readouterr().err == "no plugin or component is named 'acme/tinny'; did you mean acme/tiny?\n"


def test_json_has_the_same(capsys):
    """``--json`` writes the rows, and for one name the options too."""
    rows = {row["name"]: row for row in json.loads(shown(capsys, "--json"))}
    assert {name: row["status"] for name, row in rows.items()} == {
        "acme": "loaded",
        "broken": "broken",
        "lost": "broken",
        "old": "too old",
    }
    assert [component["name"] for component in rows["acme"]["components"]] == ["acme/tiny", "acme/plain"]
    assert "Traceback" in rows["broken"]["traceback"]
    [component] = json.loads(shown(capsys, "acme/tiny", "--json"))["components"]
    assert component["supports"] == ["memory"]
    options = {option["name"]: option for option in component["options"]}
    assert options["width"] == {
        "name": "width",
        "type": "integer",
        "required": False,
        "help": "Units of the layer.",
        "default": 4,
        "bounds": {"ge": 1, "lt": 100},
    }
    assert options["path"]["required"]
    assert "default" not in options["path"]


def test_options_that_cannot_be_read_say_so(capsys, monkeypatch):
    """Where a config class cannot be imported, the error stands in its place, and the exit code is 4."""
    plugin = ModuleType("sick")
    plugin.register_encoders = hookimpl(lambda register: register("x", "m:X", config="no_such_module_here:X"))
    catalog = Catalog(load([EntryPoint(GROUP, "sick", plugin, "framework-sick", "3")]))
    monkeypatch.setattr("framework.commands.plugins.default_catalog", lambda: catalog)
    text = shown(capsys, "sick", code=4)
    assert "encoder 'sick/x' (framework-sick 3) cannot be imported from no_such_module_here" in text
    assert "No module named" in json.loads(shown(capsys, "sick", "--json", code=4))["components"][0]["options"]


def test_options_that_break_the_rules_say_so(capsys, monkeypatch):
    """A config class whose fields the framework cannot read is the plugin's error, not a crash."""
    plugin = ModuleType("odd")
    plugin.register_encoders = hookimpl(lambda register: register("x", "m:X", config=f"{__name__}:Odd"))
    catalog = Catalog(load([EntryPoint(GROUP, "odd", plugin, "framework-odd", "3")]))
    monkeypatch.setattr("framework.commands.plugins.default_catalog", lambda: catalog)
    assert f"encoder 'odd/x' (framework-odd 3): {__name__}:Odd is broken: TypeError: " in shown(capsys, "odd", code=4)


def test_no_plugin_at_all(capsys, monkeypatch):
    """An empty environment gives an empty table."""
    monkeypatch.setattr("framework.commands.plugins.default_catalog", lambda: Catalog(load([])))
    assert re.match(r"PLUGIN +DISTRIBUTION +VERSION +STATUS\n\n", shown(capsys))
    assert json.loads(shown(capsys, "--json")) == []


def test_kinds_list_their_components(capsys):
    """Each with its summary; as values with ``--json``. A kind of which nothing is installed says so."""
    lines = shown(capsys, "encoder").splitlines()
    assert lines == ["acme/tiny   Small one.", "acme/plain", "", "`framework plugins NAME` shows the options of one."]
    listing = json.loads(shown(capsys, "encoder", "--json"))
    assert [component["name"] for component in listing] == ["acme/tiny", "acme/plain"]
    assert shown(capsys, "bonus") == "no bonus is installed\n"


def test_components_are_known_without_their_plugin(capsys):
    """What pipelines write is shown."""
    assert shown(capsys, "tiny") == shown(capsys, "acme/tiny")


def test_bundled_components_are_known_with_their_plugin(capsys, monkeypatch):
    """Though pipelines leave it out."""
    monkeypatch.setattr("framework.commands.plugins.default_catalog", default_catalog)
    assert shown(capsys, "curiosity/rnd") == shown(capsys, "rnd")
    assert shown(capsys, "rnd").startswith("bonus rnd: ")
    assert main(["plugins", "curiosity/rdn"]) == 2
    assert capsys.readouterr().err.endswith("did you mean curiosity/rnd?\n")
    assert main(["plugins", "encodr"]) == 2
    assert capsys.readouterr().err.endswith("; did you mean encoder?\n")
