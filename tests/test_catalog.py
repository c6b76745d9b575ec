import hashlib
import sys
from types import ModuleType

import pytest

from framework import catalog as catalog_module
from framework import hookimpl, plugins
from framework.catalog import Catalog, UnknownComponent, default_catalog, provenance
from framework.entry_points import EntryPoint
from framework.errors import FrameworkError, PluginError
from framework.hookspecs import GROUP, OLDER_GROUPS
from framework.plugins import load

SOURCE = """
from attrs import frozen
from framework.schema import option

@frozen
class TinyConfig:
    width: int = option(4, help="Units.")

class Tiny:
    supports = frozenset({"memory"})
    Config = TinyConfig

class Plain:
    pass

number = 3
"""


def module(**hooks):
    plugin = ModuleType("a_plugin")
    vars(plugin).update({name: hookimpl(function) for name, function in hooks.items()})
    return plugin


def offer(plugin, name="acme", distribution="framework-acme", version="1.2", group=GROUP):
    return EntryPoint(group, name, plugin, distribution, version)


def catalog(*offered, blocked=()):
    return Catalog(load(offered, blocked))


def encoders(**targets):
    def register_encoders(register):
        for name, target in targets.items():
            register(name, target, config=target + "Config", summary=f"The {name} one.", supports={"memory"})

    return module(register_encoders=register_encoders)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the module ``beside.py``, which is not on the path; what is imported from it is forgotten."""
    before = set(sys.modules)
    (tmp_path / "beside.py").write_text(SOURCE)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def installed(folder, monkeypatch):
    """The same folder, on the path."""
    monkeypatch.syspath_prepend(folder)
    return folder


def error_of(loaded, kind, use, directory=None):
    with pytest.raises(UnknownComponent) as caught:
        loaded.find(kind, use, directory)
    assert isinstance(caught.value, FrameworkError)
    return caught.value


# --- names -------------------------------------------------------------------------------------------------------


def test_finds_by_qualified_name():
    """A component carries its kind, names, capabilities and where it comes from."""
    component = catalog(offer(encoders(tiny="m:Tiny"))).find("encoder", "acme/tiny")
    assert component.name == "acme/tiny"
    assert (component.kind, component.target, component.config) == ("encoder", "m:Tiny", "m:TinyConfig")
    assert (component.summary, component.supports) == ("The tiny one.", {"memory"})
    assert (component.plugin, component.distribution, component.version) == ("acme", "framework-acme", "1.2")


def test_installing_a_plugin_changes_no_bare_name():
    """A third-party component of a bundled one's name is another component."""
    loaded = catalog(
        offer(encoders(tiny="ours:Tiny"), "encoders", "framework-rl"),
        offer(encoders(tiny="theirs:Tiny")),
    )
    assert loaded.find("encoder", "tiny").target == "ours:Tiny"
    assert loaded.find("encoder", "acme/tiny").target == "theirs:Tiny"
    assert loaded.names("encoder") == ["tiny", "acme/tiny"]
    assert loaded.names("bonus") == []
    assert len(loaded.components()) == 2


def test_from_plugins_takes_modules():
    """For tests and notebooks: plugins that no distribution offers, alone or beside the installed ones."""
    plugin = encoders(tiny="m:Tiny")
    assert Catalog.from_plugins({"mine": plugin}).names("encoder") == ["mine/tiny"]
    combined = Catalog.from_plugins({"mine": plugin}, plugins.installed())
    assert {"mine/tiny", "mlp"} <= set(combined.names("encoder"))
    assert combined.find("encoder", "mine/tiny").distribution is None


def test_default_catalog_is_found_once_and_respects_blocking(monkeypatch):
    """The same object comes back until another set of plugins is blocked."""
    monkeypatch.delenv("FRAMEWORK_PLUGINS_DISABLE", raising=False)
    catalog = default_catalog()
    assert default_catalog() is catalog
    assert "mlp" in catalog.names("encoder")
    monkeypatch.setenv("FRAMEWORK_PLUGINS_DISABLE", "encoders")
    assert "mlp" not in default_catalog().names("encoder")


# --- messages ----------------------------------------------------------------------------------------------------


def test_an_unknown_name_suggests_a_known_one():
    """Spelling, the missing plugin prefix and the wrong kind are told apart; the exit code is that of usage."""
    loaded = catalog(offer(encoders(cnn="m:A", tiny="m:Tiny")), offer(encoders(mlp="m:M"), "base", "framework-rl"))
    for kind, use, message in [
        ("encoder", "mpl", "there is no encoder named 'mpl'; did you mean mlp?"),
        ("encoder", "tiny", "there is no encoder named 'tiny'; did you mean acme/tiny?"),
        ("encoder", "acme/tinny", "there is no encoder named 'acme/tinny'; did you mean acme/tiny?"),
        ("encoder", "zzz", "there is no encoder named 'zzz'; known: mlp, acme/cnn, acme/tiny"),
        ("bonus", "mlp", "there is no bonus named 'mlp'; 'mlp' is of the kind encoder"),
        ("bonus", "xyz", "there is no bonus named 'xyz'; no bonus is installed"),
    ]:
        error = error_of(loaded, kind, use)
        assert (str(error), error.exit_code) == (message, 2)


def test_an_unknown_kind_is_the_callers_error():
    """Kinds are not user input."""
    with pytest.raises(ValueError, match="'encoders' is no kind of component"):
        catalog().find("encoders", "mlp")


def test_a_missing_plugin_is_told_with_exit_code_4():
    """A qualified name whose plugin is not there is a plugin error."""
    error = error_of(catalog(offer(encoders(tiny="m:Tiny"))), "encoder", "acne/tiny")
    assert (str(error), error.exit_code) == ("no plugin named 'acne' is installed; did you mean acme/tiny?", 4)


def test_a_broken_plugin_is_told_with_its_traceback():
    """The message names distribution, version and reason, and the traceback follows."""

    def register_encoders(register):
        raise OSError("no such device")

    error = error_of(catalog(offer(module(register_encoders=register_encoders))), "encoder", "acme/tiny")
    assert error.exit_code == 4
    assert error.message == "plugin 'acme' (framework-acme 1.2) is broken: OSError: no such device"
    assert 'raise OSError("no such device")' in error.traceback
    assert str(error) == f"{error.message}\n{error.traceback}"


def test_what_did_not_load_is_told_for_what_it_is():
    """Blocked plugins, conflicts and older contracts have their own messages, all with exit code 4."""
    loaded = catalog(
        offer("boom", "off"),
        offer("boom", "twin", "first", "1"),
        offer("boom", "twin", "second", "2"),
        offer("boom", "old", group=OLDER_GROUPS[0]),
        blocked=["off"],
    )
    for use, words in [
        ("off/x", "plugin 'off' (framework-acme 1.2) is blocked: named in --no-plugin"),
        ("twin/x", "the plugin 'twin' is offered by first 1 and second 2; uninstall one"),
        ("old/x", "plugin 'old' (framework-acme 1.2) is too old: it is made for the hook contract"),
    ]:
        error = error_of(loaded, "encoder", use)
        assert words in str(error)
        assert error.exit_code == 4


def test_a_bare_name_may_be_in_a_bundled_plugin_that_did_not_load():
    """Then the plugin is named, instead of saying that the name is unknown."""
    loaded = catalog(offer(encoders(mlp="m:M"), "base", "framework-rl"), offer("boom", "algo", "framework-rl"))
    error = error_of(loaded, "algorithm", "best")
    assert error.exit_code == 4
    assert "there is no algorithm named 'best' among what is loaded; plugin 'algo'" in error.message
    assert error_of(loaded, "encoder", "mpl").exit_code == 2


# --- loading -----------------------------------------------------------------------------------------------------


def test_components_are_imported_when_they_are_loaded(installed):
    """Finding imports nothing; `load` and `config_class` give the classes."""
    component = catalog(offer(encoders(tiny="beside:Tiny"))).find("encoder", "acme/tiny")
    assert "beside" not in sys.modules
    assert component.load().__name__ == "Tiny"
    assert component.config_class().__name__ == "TinyConfig"


def test_no_config_means_no_options():
    """A component that is registered without a config class has none."""
    plugin = module(register_encoders=lambda register: register("tiny", "m:Tiny"))
    assert catalog(offer(plugin)).find("encoder", "acme/tiny").config_class() is None


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_such_module_here:X", "cannot be imported from no_such_module_here: ModuleNotFoundError"),
        ("beside:Tinny", "beside has no Tinny; did you mean Tiny?"),
        ("beside:Tiny.Confg", "beside has no Tiny.Confg; did you mean Config?"),
        ("beside:Nothing.At.All", "beside has no Nothing.At.All"),
        ("beside:number", "beside:number is not a class"),
    ],
)
def test_a_target_that_is_wrong_names_its_distribution(installed, target, message):
    """What cannot be loaded is a plugin error that says whose it is."""
    plugin = module(register_encoders=lambda register: register("tiny", target))
    with pytest.raises(PluginError) as caught:
        catalog(offer(plugin)).find("encoder", "acme/tiny").load()
    assert str(caught.value).startswith("encoder 'acme/tiny' (framework-acme 1.2)")
    assert message in str(caught.value)


def test_a_target_that_raises_brings_its_traceback(installed):
    """The traceback starts in the plugin's own code."""
    (installed / "raising.py").write_text("def f():\n    raise OSError('libacme.so')\nf()\n")
    plugin = module(register_encoders=lambda register: register("tiny", "raising:Tiny"))
    with pytest.raises(PluginError, match=r"OSError: libacme.so\nTraceback") as caught:
        catalog(offer(plugin)).find("encoder", "acme/tiny").load()
    assert "line 3, in <module>" in str(caught.value)
    assert "importlib" not in str(caught.value)


def test_a_config_must_have_types_that_are_understood(installed):
    """An option of a type that TOML cannot express is a mistake of the plugin."""
    source = SOURCE.replace("width: int = option(4", "width: set[int] = option(factory=set")
    (installed / "sets.py").write_text(source)
    plugin = module(register_encoders=lambda register: register("tiny", "sets:Tiny", config="sets:TinyConfig"))
    with pytest.raises(PluginError, match="sets:TinyConfig is broken: TypeError: an option cannot have the type set"):
        catalog(offer(plugin)).find("encoder", "acme/tiny").config_class()


def test_a_config_must_be_an_attrs_class(installed):
    """Any other class has no options that could be read."""
    plugin = module(register_encoders=lambda register: register("tiny", "beside:Tiny", config="beside:Plain"))
    with pytest.raises(PluginError, match="beside:Plain is not an attrs class"):
        catalog(offer(plugin)).find("encoder", "acme/tiny").config_class()


# --- use = "module:Class" ----------------------------------------------------------------------------------------


def test_a_class_in_a_file_beside_the_pipeline(folder):
    """Its options are ``Class.Config``, its capabilities ``Class.supports``."""
    component = catalog().find("encoder", "beside:Tiny", folder)
    assert (component.name, component.plugin, component.distribution) == ("beside:Tiny", "", None)
    assert component.supports == {"memory"}
    assert component.config_class().__name__ == "TinyConfig"
    assert component.load() is catalog().find("encoder", "beside:Tiny", folder).load()


def test_a_class_without_options(folder):
    """A class with neither ``Config`` nor ``supports`` takes no options and declares nothing."""
    component = catalog().find("encoder", "beside:Plain", folder)
    assert component.config_class() is None
    assert component.supports == frozenset()


def test_the_folder_does_not_stay_on_the_path(folder):
    """Modules beside the file can be imported while it is; afterwards neither is importable by name."""
    (folder / "helper_beside.py").write_text("WIDTH = 3\n")
    (folder / "uses_helper.py").write_text("import helper_beside\nclass Wide:\n    width = helper_beside.WIDTH\n")
    before = list(sys.path)
    assert catalog().find("encoder", "uses_helper:Wide", folder).load().width == 3
    assert sys.path == before
    assert "uses_helper" not in sys.modules


def test_files_do_not_hide_what_is_installed(folder):
    """A module beside the file does not replace one of the same name from the standard library."""
    (folder / "this_wraps.py").write_text("import wave\nclass Wave:\n    file = wave.__file__\n")
    (folder / "wave.py").write_text("raise RuntimeError")
    assert str(folder) not in catalog().find("encoder", "this_wraps:Wave", folder).load().file


def test_files_of_one_name_in_two_folders_are_two_modules(folder):
    """Pipelines in different folders may each have a file of the same name."""
    second = folder / "other"
    second.mkdir()
    (second / "beside.py").write_text("class Tiny:\n    other = True\n")
    assert hasattr(catalog().find("encoder", "beside:Tiny", second).load(), "other")
    assert not hasattr(catalog().find("encoder", "beside:Tiny", folder).load(), "other")


def test_an_importable_module(installed):
    """Without a file of that name, the module is imported as Python does; a dotted class is followed."""
    component = catalog().find("encoder", "beside:Tiny", installed / "elsewhere")
    assert component.load() is sys.modules["beside"].Tiny
    assert catalog().find("encoder", "beside:Tiny.Config").load().__name__ == "TinyConfig"


def test_nothing_is_loaded_from_the_working_directory(folder, monkeypatch):
    """The file must be beside the pipeline, not where the command is typed."""
    monkeypatch.chdir(folder)
    (folder / "pipelines").mkdir()
    error = error_of(catalog(), "encoder", "beside:Tiny", folder / "pipelines")
    assert f"there is no file beside.py in {folder / 'pipelines'}, and no module 'beside'" in str(error)
    assert error.exit_code == 2


@pytest.mark.parametrize(
    ("use", "message", "code"),
    [
        ("beside:Tinny", "beside has no Tinny; did you mean Tiny?", 2),
        ("beside:number", "beside:number is not a class", 2),
        ("beside.py:Tiny", "'beside.py:Tiny' must be written module:Class, such as beside:Tiny", 2),
        ("beside:", "'beside:' must be written module:Class", 2),
        ("be-side:Tiny", "'be-side:Tiny' must be written module:Class", 2),
        ("missing:Tiny", "there is no file missing.py in", 2),
        ("missing.inner:Tiny", "no module 'missing.inner' that can be imported", 2),
        ("raising:Tiny", "cannot be imported from raising: OSError: libacme.so\nTraceback", 4),
        ("lacking:Tiny", "cannot be imported from lacking: ModuleNotFoundError: No module named 'no_such_thing'", 4),
        ("package.inner:Tiny", "cannot be imported from package.inner: OSError: package", 4),
    ],
)
def test_a_wrong_class_is_told_from_broken_code(folder, monkeypatch, use, message, code):
    """A wrong name is the pipeline's mistake (2); code that raises is broken (4), and shows its traceback."""
    (folder / "raising.py").write_text("raise OSError('libacme.so')")
    (folder / "lacking.py").write_text("import no_such_thing")
    (folder / "site" / "package").mkdir(parents=True)
    (folder / "site" / "package" / "__init__.py").write_text("raise OSError('package')")
    monkeypatch.syspath_prepend(folder / "site")
    error = error_of(catalog(), "encoder", use, folder)
    assert message in str(error)
    assert error.exit_code == code


def test_a_file_that_failed_is_tried_again(folder):
    """After mending the file, the same process can load it: nothing half-imported stays."""
    (folder / "mended.py").write_text("1 / 0")
    error_of(catalog(), "encoder", "mended:Tiny", folder)
    (folder / "mended.py").write_text("class Tiny:\n    pass  # longer now\n")
    assert catalog().find("encoder", "mended:Tiny", folder).load().__name__ == "Tiny"


# --- provenance --------------------------------------------------------------------------------------------------


def test_provenance_is_of_the_targets_source(installed):
    """Distribution, version and the hash of the file that the target is in; the target is not imported."""
    component = catalog(offer(encoders(tiny="beside:Tiny"))).find("encoder", "acme/tiny")
    expected = hashlib.sha256(SOURCE.encode()).hexdigest()
    assert provenance(component) == {"distribution": "framework-acme", "version": "1.2", "sha256": expected}
    assert "beside" not in sys.modules


def test_provenance_of_a_file_beside_the_pipeline(folder):
    """A class that a pipeline names directly has no distribution, and the hash of its file."""
    expected = hashlib.sha256(SOURCE.encode()).hexdigest()
    component = catalog().find("encoder", "beside:Tiny", folder)
    assert provenance(component) == {"distribution": None, "version": None, "sha256": expected}


def test_provenance_without_source():
    """A target that is in no file has no hash."""
    assert provenance(catalog_module.Component("encoder", "x", "sys:flags"))["sha256"] is None
