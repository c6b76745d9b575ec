from types import ModuleType

import pytest

from framework import hookimpl
from framework.entry_points import EntryPoint
from framework.errors import PluginError
from framework.hookspecs import GROUP
from framework.lifecycle import Lifecycle, StopRequest
from framework.plugins import load


def offer(plugin, name="acme"):
    return EntryPoint(GROUP, name, plugin, f"framework-{name}", "1.2")


def module(**hooks):
    """A module with the given functions as its hook implementations."""
    plugin = ModuleType("a_plugin")
    vars(plugin).update({name: hookimpl(function) for name, function in hooks.items()})
    return plugin


NO_PLUGINS = load([]).manager


# --- plugins -----------------------------------------------------------------------------------------------------


def test_a_broken_plugin_leaves_no_hook_behind():
    """Where a registration fails, the plugin's lifecycle hooks are not called either."""
    called = []
    plugin = module(
        register_encoders=lambda register: register("!", "m:X"),
        run_finished=lambda status: called.append("end"),
    )
    Lifecycle(load([offer(plugin)]).manager, pytest.fail).call("run_finished", directory=None, status="done")
    assert called == []


def test_lifecycle_hooks_get_the_arguments_they_name():
    """Each plugin is called with those arguments that its function takes."""
    calls = []
    partial = module(update_finished=lambda metrics: calls.append((metrics,)))
    full = module(update_finished=lambda directory, metrics: calls.append((directory, metrics)))
    loaded = load([offer(partial, "one"), offer(full, "two")])
    Lifecycle(loaded.manager, pytest.fail).call("update_finished", directory="d", metrics={"loss": 1.0}, control=None)
    assert calls == [("d", {"loss": 1.0}), ({"loss": 1.0},)]
    assert [row.listens for row in loaded.rows] == [("update_finished",), ("update_finished",)]


def test_a_lifecycle_hook_that_raises_drops_its_plugin():
    """It is reported once, with its traceback; the other plugins and all later calls go on without it."""
    calls, failures = [], []

    def update_finished(metrics):
        raise RuntimeError("disk\nfull")

    bad = module(update_finished=update_finished, run_finished=lambda status: calls.append("bad"))
    fine = module(update_finished=lambda: calls.append("update"), run_finished=lambda: calls.append("end"))
    lifecycle = Lifecycle(load([offer(fine, "fine"), offer(bad, "bad")]).manager, failures.append)
    for _ in range(2):
        lifecycle.call("update_finished", directory=None, metrics={}, control=None)
    lifecycle.call("run_finished", directory=None, status="done")
    assert calls == ["update", "update", "end"]
    [failure] = failures
    assert (failure.name, failure.hook, failure.reason) == ("bad", "update_finished", "RuntimeError: disk")
    assert 'raise RuntimeError("disk\\nfull")' in failure.traceback
    assert "framework/lifecycle.py" not in failure.traceback
    assert str(failure) == "plugin 'bad' failed in update_finished and is left out from here on: RuntimeError: disk"


def test_a_wrong_call_is_the_callers_error():
    """Arguments that the hook does not have, or that are missing, are not blamed on a plugin."""
    lifecycle = Lifecycle(NO_PLUGINS, pytest.fail)
    with pytest.raises(TypeError, match="run_finished takes directory, status; given: status"):
        lifecycle.call("run_finished", status="done")
    with pytest.raises(KeyError):
        lifecycle.call("run_ended")


# --- callbacks ---------------------------------------------------------------------------------------------------


class Listening:
    """Notes what it hears."""

    def __init__(self):
        self.heard = []

    def update_finished(self, metrics):
        self.heard.append(metrics)

    def run_finished(self, status, directory):
        self.heard.append((directory, status))


def test_callbacks_have_hooks_as_methods():
    """Each with the arguments that it names, in any order."""
    callback = Listening()
    lifecycle = Lifecycle(NO_PLUGINS, pytest.fail, [("mine", callback)])
    lifecycle.call("update_finished", directory="d", metrics={"loss": 1.0}, control=None)
    lifecycle.call("checkpoint_saved", directory="d", checkpoint="c")
    lifecycle.call("run_finished", directory="d", status="done")
    assert callback.heard == [{"loss": 1.0}, ("d", "done")]


def test_a_callback_that_raises_is_dropped():
    """It is reported as what it is; plugins and other callbacks hear on."""

    class Failing(Listening):
        def update_finished(self):
            raise RuntimeError("no network")

    bad, good, failures, heard = Failing(), Listening(), [], []

    @hookimpl
    def run_finished(status):
        heard.append(status)

    plugins = load([offer(module(run_finished=run_finished))]).manager
    lifecycle = Lifecycle(plugins, failures.append, [("bad", bad), ("good", good)])
    lifecycle.call("update_finished", directory="d", metrics={}, control=None)
    lifecycle.call("run_finished", directory="d", status="done")
    assert (bad.heard, good.heard, heard) == ([], [{}, ("d", "done")], ["done"])
    [failure] = failures
    assert (
        str(failure)
        == "callback 'bad' failed in update_finished and is left out from here on: RuntimeError: no network"
    )


def test_a_callback_without_hooks_is_refused():
    """The error lists them, and has a suggestion where one is misspelt."""

    class Misspelt:
        def update_finishd(self):
            """Never called."""

    with pytest.raises(
        PluginError, match=r"callback 'mine' has none of the hooks run_started, .*; did you mean update"
    ):
        Lifecycle(NO_PLUGINS, pytest.fail, [("mine", Misspelt())])


def test_a_callback_that_asks_for_more_is_refused():
    """The error says what the hook gives."""

    class Greedy:
        def run_finished(self, metrics):
            """Never called."""

    with pytest.raises(PluginError, match="run_finished asks for 'metrics', but the hook gives directory, status"):
        Lifecycle(NO_PLUGINS, pytest.fail, [("mine", Greedy())])


def test_the_first_reason_to_stop_counts():
    """Later ones do not replace it, and there always is one."""
    control = StopRequest()
    assert control.reason == ""
    control.stop("good enough")
    control.stop("too late")
    assert control.reason == "good enough"
    empty = StopRequest()
    empty.stop("")
    assert empty.reason == "no reason was given"
