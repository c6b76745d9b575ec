import importlib.util
import sys
from pathlib import Path

import pytest

from framework import hookimpl, plugins
from framework.catalog import Catalog
from framework.entry_points import EntryPoint
from framework.hookspecs import GROUP

COMPONENTS = "fake_components"


class Plugin:
    @hookimpl
    def register_encoders(self, register):
        register("mlp", f"{COMPONENTS}:Anything", config=f"{COMPONENTS}:NetConfig")
        register("recurrent", f"{COMPONENTS}:Anything", supports=["memory"])
        register("composite", f"{COMPONENTS}:Anything", config=f"{COMPONENTS}:CompositeConfig")

    @hookimpl
    def register_environments(self, register):
        register("world", f"{COMPONENTS}:Anything", config=f"{COMPONENTS}:WorldConfig", summary="A world.")
        register("school", f"{COMPONENTS}:Anything", supports=["tasks"])

    @hookimpl
    def register_algorithms(self, register):
        config, capabilities = f"{COMPONENTS}:AgentConfig", ["memory", "streams", "replay", "off_policy", "action_mask"]
        register("agent", f"{COMPONENTS}:Anything", config=config, supports=capabilities)
        register("plain", f"{COMPONENTS}:Anything", config=config)
        register("hoarder", f"{COMPONENTS}:Anything", supports=["replay"], needs=["replay"])

    @hookimpl
    def register_bonuses(self, register):
        register("counter", f"{COMPONENTS}:Anything", config=f"{COMPONENTS}:CounterConfig")
        register("lost", "no_such_module:X", config="no_such_module:Config")
        register("broken", f"{COMPONENTS}:Anything", config=f"{COMPONENTS}:BrokenConfig")
        register("raising", f"{COMPONENTS}:Anything", config=f"{COMPONENTS}:RaisingConfig")

    @hookimpl
    def register_curricula(self, register):
        register("threshold", f"{COMPONENTS}:Anything")

    @hookimpl
    def register_replays(self, register):
        register("uniform", f"{COMPONENTS}:Anything")
        register("refusing", f"{COMPONENTS}:Refusing")
        register("failing", f"{COMPONENTS}:Failing")


@pytest.fixture(scope="session")
def components():
    """The module with the components of the made-up plugin."""
    spec = importlib.util.spec_from_file_location(COMPONENTS, Path(__file__).with_name(f"{COMPONENTS}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[COMPONENTS] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[COMPONENTS]


@pytest.fixture(scope="session")
def catalog(components):
    """A catalogue of the made-up plugin, whose components have bare names as bundled ones have."""
    return Catalog(plugins.load([EntryPoint(GROUP, "fake", Plugin(), plugins.BUNDLED, "0")]))


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write pipeline files into an empty working directory."""
    monkeypatch.chdir(tmp_path)

    def write(text, name="p.toml"):
        Path(name).write_text(text, encoding="utf-8", newline="")
        return name

    return write
