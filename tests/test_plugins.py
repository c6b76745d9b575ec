import sys
from types import ModuleType

import pytest

from framework import hookimpl, plugins
from framework.entry_points import EntryPoint
from framework.hookspecs import GROUP, KINDS, OLDER_GROUPS, REGISTER_HOOKS
from framework.plugins import Registration, load


@hookimpl
def register_encoders(register):
    register("tiny", "acme.tiny:Tiny", config="acme.config:TinyConfig", summary="Small.", supports=["memory"])


def offer(plugin, name="acme", distribution="framework-acme", version="1.2", group=GROUP):
    return EntryPoint(group, name, plugin, distribution, version)


def bare(**functions):
    """A module with the given functions, as they are."""
    module = ModuleType("a_plugin")
    vars(module).update(functions)
    return module


def module(**hooks):
    """A module with the given functions as its hook implementations."""
    return bare(**{name: hookimpl(function) for name, function in hooks.items()})


def good(name):
    return offer(bare(register_encoders=register_encoders), name, f"framework-{name}")


def only(plugin, **entry):
    """The row of ``plugin``, loaded beside a good one, which must not be harmed."""
    rows = {row.name: row for row in load([offer(plugin, **entry), good("other")]).rows}
    assert rows["other"].status == "loaded"
    return rows[entry.get("name", "acme")]


def write(folder, **files):
    for name, source in files.items():
        (folder / f"{name}.py").write_text(source)


# --- loading -----------------------------------------------------------------------------------------------------


def test_a_plugin_offers_components():
    """A loaded plugin's row has what it registered, with distribution and version."""
    row = only(bare(register_encoders=register_encoders))
    expected = Registration("encoder", "tiny", "acme.tiny:Tiny", "acme.config:TinyConfig", "Small.", {"memory"}, set())
    assert row.registrations == (expected,)
    assert (row.status, row.distribution, row.version, row.reason) == ("loaded", "framework-acme", "1.2", "")


def test_every_kind_can_be_registered():
    """Each hook registers its own kind: the six kinds of component, launchers, callbacks and commands."""
    hooks = {name: lambda register: register("x", "m:X") for name in REGISTER_HOOKS}
    row = only(module(**hooks))
    assert {registration.kind for registration in row.registrations} == {*KINDS, "launcher", "callback", "command"}


def test_a_plugin_may_be_an_object_in_a_module(tmp_path, monkeypatch):
    """An entry point names a module, or something in one; extras behind it do not matter."""
    source = "from framework import hookimpl\nclass Plugin:\n @hookimpl\n def register_replays(self, register):\n"
    write(tmp_path, plugin_object=source + "  register('x', 'm:X')\nplugin = Plugin()\n")
    monkeypatch.syspath_prepend(tmp_path)
    row = only("plugin_object:plugin [extra]")
    assert [registration.kind for registration in row.registrations] == ["replay"]


def test_names_are_bare_for_bundled_plugins_only():
    """Components of the framework's own distribution have bare names; everyone else's are plugin/name."""
    hooks = bare(register_encoders=register_encoders)
    bundled = only(hooks, distribution="Framework_RL")
    assert bundled.qualified("tiny") == "tiny"
    assert only(hooks).qualified("tiny") == "acme/tiny"
    assert only(hooks, distribution="").qualified("tiny") == "acme/tiny"


# --- isolation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "reason", "last_line"),
    [
        ("import no_such_module_at_all", "ModuleNotFoundError", "No module named 'no_such_module_at_all'"),
        ("1 / 0", "ZeroDivisionError: division by zero", "ZeroDivisionError: division by zero"),
        ("def broken(:", "SyntaxError: invalid syntax", "SyntaxError: invalid syntax"),
        ("import sys\nsys.exit(3)", "SystemExit: 3", "SystemExit: 3"),
        ("raise ValueError('first\\nsecond')", "ValueError: first", "second"),
    ],
)
def test_a_plugin_that_fails_to_import_is_broken_alone(tmp_path, monkeypatch, source, reason, last_line):
    """The reason is one line; the traceback starts in the plugin's code and ends with the exception."""
    write(tmp_path, plugin_failing=source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "plugin_failing", raising=False)
    row = only("plugin_failing")
    assert row.status == "broken"
    assert row.reason.startswith(reason)
    assert "\n" not in row.reason
    assert str(tmp_path / "plugin_failing.py") in row.traceback
    assert "importlib" not in row.traceback
    assert row.traceback.splitlines()[-1].endswith(last_line)


def test_a_plugin_whose_module_is_missing_is_broken():
    """An entry point to a module that is not there gives a reason that names the module."""
    row = only("plugin_that_is_not_there")
    assert (row.status, row.reason) == ("broken", "ModuleNotFoundError: No module named 'plugin_that_is_not_there'")


def test_a_misspelled_hook_is_named_with_its_place():
    """The reason gives file, line, the wrong name and the one that was probably meant."""
    row = only(module(register_encoderz=register_encoders))
    line = register_encoders.__code__.co_firstlineno
    assert row.status == "broken"
    assert row.reason == f"{__file__}:{line}: register_encoderz is no hook; did you mean register_encoders?"


def test_an_unknown_argument_is_named():
    """The reason gives the argument, and those that the hook has."""
    row = only(module(register_encoders=lambda registry: None))
    assert row.reason.endswith("register_encoders asks for 'registry', but the hook gives register")


def test_all_broken_rules_are_told_at_once():
    """Two mistakes in one plugin are both in its reason."""
    row = only(module(register_encoderz=lambda register: None, run_started=lambda folder: None))
    assert "register_encoderz is no hook" in row.reason
    assert "asks for 'folder', but the hook gives directory, pipeline" in row.reason


def test_a_hook_without_its_mark_is_not_ignored():
    """A function with a hook's name that lacks @hookimpl would silently do nothing, so it is an error."""
    row = only(bare(register_encoders=lambda register: None))
    assert (row.status, row.reason) == ("broken", "register_encoders is not marked with @hookimpl")


def test_hooks_may_take_fewer_arguments_than_they_are_given():
    """So hooks can grow by arguments without breaking older plugins."""
    assert only(module(register_encoders=lambda: None, run_finished=lambda status: None)).status == "loaded"


def test_an_optional_hook_may_be_unknown():
    """A plugin may mark a hook as optional, to work with frameworks that do not have it yet."""
    plugin = bare(some_day=hookimpl(optionalhook=True)(lambda anything: None))
    assert only(plugin).status == "loaded"


def test_wrappers_are_refused():
    """A wrapper would run around other plugins' hooks, where its failure could not be told from theirs."""

    def register_encoders(register):
        yield

    row = only(bare(register_encoders=hookimpl(wrapper=True)(register_encoders)))
    assert row.reason.endswith("register_encoders is a hook wrapper, which a plugin cannot be")


@pytest.mark.parametrize(
    ("arguments", "options", "reason"),
    [
        (("Tiny", "m:X"), {}, "ValueError: encoder 'Tiny': a name must match"),
        (("a/b", "m:X"), {}, "ValueError: encoder 'a/b': a name must match"),
        ((None, "m:X"), {}, "ValueError: encoder None: a name must match"),
        (("x", "m.X"), {}, "ValueError: the target of encoder 'x' must be written 'module:Class', not 'm.X'"),
        (("x", dict), {}, "ValueError: the target of encoder 'x' must be written 'module:Class'"),
        (("x", "m:X"), {"config": "m"}, "ValueError: the config of encoder 'x' must be written 'module:Class'"),
        (("x", "m:X"), {"supports": "memory"}, "TypeError: supports of encoder 'x' must be a collection of strings"),
        (("x", "m:X"), {"summry": "?"}, "TypeError: "),
        (("x",), {}, "TypeError: "),
        (("taken", "m:X"), {}, "ValueError: encoder 'taken' is registered twice"),
    ],
)
def test_a_bad_registration_breaks_its_plugin_alone(arguments, options, reason):
    """Wrong names, targets, capabilities, arguments and repetitions are told with the line that registers."""

    def hook(register):
        register("taken", "m:X")
        register(*arguments, **options)

    row = only(module(register_encoders=hook))
    assert row.status == "broken"
    assert row.reason.startswith(reason)
    assert row.registrations == ()
    assert "register(*arguments, **options)" in row.traceback


@pytest.mark.parametrize("name", ["Acme", "acme/x", "9x", ""])
def test_a_plugin_name_that_pipelines_cannot_write_is_refused(name):
    """A plugin's name is part of its components' names, so it follows the same rule."""
    assert only(module(), name=name).reason == "a plugin's name must match [a-z][a-z0-9_]*"


# --- names, blocking, contracts ----------------------------------------------------------------------------------


def test_two_distributions_of_one_plugin_name_disable_each_other():
    """Neither is imported, and each row names both."""
    rows = load([offer("boom", "twin", "first", "1"), offer("boom", "twin", "second", "2"), good("other")]).rows
    assert [(row.name, row.status) for row in rows] == [
        ("other", "loaded"),
        ("twin", "duplicate"),
        ("twin", "duplicate"),
    ]
    assert {row.reason for row in rows[1:]} == {
        "the plugin 'twin' is offered by first 1 and second 2; uninstall one",
    }


def test_one_object_under_two_names_counts_once():
    """The second name of a module breaks alone, and says why."""
    plugin = module()
    rows = load([offer(plugin, "one"), offer(plugin, "two")]).rows
    assert [row.status for row in rows] == ["loaded", "broken"]
    assert "already registered" in rows[1].reason


def test_blocked_plugins_are_not_imported():
    """A blocked plugin has a row; a blocked name that nothing has is told too."""
    rows = {row.name: row for row in load([offer("boom"), good("other")], blocked=("acme", "absent")).rows}
    assert {name: row.status for name, row in rows.items()} == {
        "acme": "blocked",
        "absent": "blocked",
        "other": "loaded",
    }
    assert rows["absent"].reason.endswith("but no plugin of this name is installed")
    assert rows["acme"].traceback == ""


def test_blocking_ends_a_conflict():
    """A name that is offered twice can be blocked."""
    rows = load([offer("boom", "twin", "first"), offer("boom", "twin", "second")], blocked=["twin"]).rows
    assert [row.status for row in rows] == ["blocked", "blocked"]


def test_blocked_names_come_from_the_environment(monkeypatch):
    """Names are separated by commas; spaces and empty names do not count."""
    monkeypatch.setenv("FRAMEWORK_PLUGINS_DISABLE", " acme, ,other,")
    assert plugins.blocked_names() == {"acme", "other"}
    monkeypatch.delenv("FRAMEWORK_PLUGINS_DISABLE")
    assert plugins.blocked_names() == frozenset()


def test_plugins_of_another_contract_are_listed_and_not_imported():
    """Older groups are too old, groups that are not known are too new; both name the contract."""
    old, new = offer("boom", "old", group=OLDER_GROUPS[0]), offer("boom", "new", group=f"{GROUP}.v9")
    rows = {row.name: row for row in load([old, new, good("other")]).rows}
    assert {name: row.status for name, row in rows.items()} == {"old": "too old", "new": "too new", "other": "loaded"}
    assert f"made for the hook contract {OLDER_GROUPS[0]!r}" in rows["old"].reason
    assert "look for a newer framework-acme" in rows["old"].reason
    assert "look for a newer framework-rl" in rows["new"].reason


def test_a_plugin_may_serve_two_contracts():
    """Where a distribution offers a plugin under this contract and an older one, only this one counts."""
    hooks = bare(register_encoders=register_encoders)
    rows = load([offer(hooks), offer("boom", group=OLDER_GROUPS[0])]).rows
    assert [row.status for row in rows] == ["loaded"]


def test_what_is_installed_here_loads():
    """The bundled plugins are found through their entry points, and none of them is broken."""
    rows = [row for row in load(plugins.installed()).rows if row.bundled]
    assert {row.name for row in rows} >= {"encoders", "gymnasium", "ppo", "tensorboard"}
    assert [(row.name, row.reason) for row in rows if row.status != "loaded"] == []


def test_bundled_names_are_unique():
    """Bare names come from several plugins, so no two of them may offer the same one."""
    names = [
        (registration.kind, registration.name)
        for row in load(plugins.installed()).rows
        if row.bundled
        for registration in row.registrations
    ]
    assert sorted(names) == sorted(set(names))
