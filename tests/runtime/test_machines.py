"""Runs whose samplers are on other machines, which are killed, cut off and stopped: with the figures' own scenarios.

Whatever happens, a run comes to what it does undisturbed and alone: weights, metrics and episodes, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import churn
import faults
from measure.fleet import Fleet, run_alone, run_to_end
from measure.network import Network, possible
from measure.proxied import Proxied

HERE = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def network() -> Iterator[Network | Proxied]:
    """Namespaces, or this machine behind proxies where none can be made."""
    with faults.machines(faults.HOST) as made:
        yield made


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the undisturbed run comes to."""
    return run_alone(tmp_path_factory.mktemp("alone"), faults.UPDATES)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", faults.SCENARIOS)
def test_a_disturbed_run_comes_to_the_same(
    name: str, network: Network | Proxied, expected: dict[str, str], tmp_path: Path
) -> None:
    """Within the times that are promised, twice of which are allowed on machines that do something else beside."""
    if name in faults.NEED_ROOT and not possible():
        pytest.skip("needs root, ip and /dev/net/tun")
    scenario, bars = faults.SCENARIOS[name]
    measurement = scenario(network, tmp_path, 0)
    assert measurement["outcome"] == expected
    assert not measurement.get("shards_moved") or "60 s" in name or "10 s" in name
    late = {field: measurement[field] for field, bar in bars.items() if measurement[field] > 2 * bar}
    assert not late


@pytest.mark.timeout(600)
def test_hosts_that_come_and_go_change_nothing() -> None:
    """One to eight and back to one, some of them killed, with memory and descriptors as at the beginning."""
    measurement = churn.measure(60.0)
    assert measurement["equal"]
    assert measurement["joined"] >= 6
    (early, late), (few, many) = measurement["megabytes"], measurement["descriptors"]
    assert late < early + 30
    assert many <= few + 30  # a connection has some, and there are eight


@pytest.mark.timeout(300)
@pytest.mark.parametrize("example", ["cartpole.toml", "minigrid-doorkey.toml"])
def test_two_machines_learn_what_one_does(example: str, network: Network | Proxied, tmp_path: Path) -> None:
    """At a fixed lag: final weights, metrics and episodes."""
    pipeline = HERE / "examples" / example
    overrides = ["run.total_steps=20000", "sampling.policy_lag=1", "evaluation.episodes=0", "evaluation.every_steps=0"]
    expected = run_to_end(tmp_path / "alone", pipeline, *overrides)
    with Fleet(network, tmp_path / "apart", pipeline, *overrides, "runtime.samplers=0") as fleet:
        host = fleet.host(faults.HOST, 2)
        assert fleet.end() == expected
        assert host.wait(30) == 0
