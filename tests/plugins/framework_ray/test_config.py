"""Options of the launcher, which are checked before anything is started."""

from __future__ import annotations

from importlib import util
from pathlib import Path
from typing import Any

import pytest
import runs

import framework
from framework.__main__ import main
from framework.errors import EXIT_USAGE, PipelineError
from framework.schema import OptionError
from framework_ray.config import RayConfig, unfit


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Packages that can be found, beside all others; ray is one of them unless it is taken out."""
    packages = {"ray"}
    find_spec = util.find_spec

    def find(name: str, *arguments: Any) -> Any:
        return object() if name in packages else None if name == "ray" else find_spec(name, *arguments)

    monkeypatch.setattr("framework_ray.config.find_spec", find)
    return packages


def test_without_the_package_a_pipeline_is_refused(
    installed: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By framework check, which imports nothing, with the command that installs it."""
    path, launcher = runs.write(tmp_path), ["runtime.listen='5555'", 'runtime.launcher="ray"']
    assert main(["check", str(path), *launcher]) == 0
    installed.clear()
    assert main(["check", str(path), *launcher]) == EXIT_USAGE
    assert "the launcher ray needs the package ray: pip install 'framework-rl[ray]'" in capsys.readouterr().err


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"address": "ray://head:10001"}, "runtime.launcher.address: ray://head:10001 is for Ray's clients: give HOST"),
        ({"address": "http://head:8265"}, "runtime.launcher.address: http://head:8265 is for Ray's clients"),
        ({"resources": {"GPU": 1}}, "runtime.launcher.resources: GPU is asked for by num_gpus"),
        ({"resources": {"CPU": 1}}, "runtime.launcher.resources: CPU is asked for by num_cpus"),
        ({"resources": {"simulator": 0}}, "runtime.launcher.resources: simulator must be greater than 0"),
        ({"num_cpus": -1}, "runtime.launcher.num_cpus: must be at least 0"),
        ({"cpus": 1}, "runtime.launcher.cpus: unknown key; did you mean num_cpus?"),
    ],
)
def test_options_that_ray_would_refuse(options: dict[str, Any], problem: str, tmp_path: Path) -> None:
    """Are refused with the pipeline, by the name that they have there."""
    overrides = {"runtime.listen": "5555", "runtime.launcher": {"use": "ray", **options}}
    with pytest.raises(PipelineError) as error:
        framework.load(runs.write(tmp_path), overrides)
    assert problem in str(error.value)


@pytest.mark.usefixtures("installed")
def test_a_host_has_a_processor_for_each_worker() -> None:
    """Unless another number is said; what is not asked for is not mentioned."""
    assert RayConfig().reserved(8) == {"num_cpus": 8.0}
    assert RayConfig(num_cpus=0.5, num_gpus=0.25, resources={"simulator": 1}).reserved(8) == {
        "num_cpus": 0.5,
        "num_gpus": 0.25,
        "resources": {"simulator": 1.0},
    }


@pytest.mark.parametrize("address", ["auto", "local", "10.0.0.1:6379", "head.cluster.example:6379", "[fd00::1]:6379"])
def test_addresses_of_clusters_are_fit(address: str) -> None:
    """Those that ray.init makes a driver of."""
    assert unfit(address) is None


@pytest.mark.usefixtures("installed")
def test_options_go_to_the_driver_and_back() -> None:
    """As JSON has no None, an option that was left out is left out."""
    from framework.schema import plain

    config = RayConfig(resources={"simulator": 2})
    assert RayConfig(**plain(config)) == config
    with pytest.raises(OptionError):
        RayConfig(**plain(config) | {"num_cpus": "two"})
