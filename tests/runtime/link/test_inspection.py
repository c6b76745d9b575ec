from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq
from attrs import evolve
from dispatching import COMPONENTS, SPECIFICATION, VERSIONS

from framework.errors import RunError
from framework.runtime.link import inspection as module
from framework.runtime.link.admission import Admission
from framework.runtime.link.inspection import inspect
from framework.runtime.link.keys import FIRST
from framework.runtime.link.leases import Leases
from framework.runtime.link.listener import Listener
from framework.runtime.link.server import Server
from framework.runtime.link.token import JoinToken


@pytest.fixture
def token(tmp_path: Path) -> Iterator[JoinToken]:
    """A way into a run that listens."""
    directory = tmp_path / "run"
    directory.mkdir()
    admission = Admission("run", {"run": {"seed": 3}}, "/folder", VERSIONS, COMPONENTS, SPECIFICATION, exact=False)
    listener = Listener("0", directory, lambda file, endpoint: None)
    server = Server(f"ipc://{tmp_path}/link", Leases(1, 1), admission, 1, listener=listener)
    server.publish(0, {"weights": np.zeros(8, np.uint8)})
    yield JoinToken.read(str(directory / FIRST))
    server.close()


def test_a_run_says_what_it_asks_of_samplers(token: JoinToken, monkeypatch: pytest.MonkeyPatch) -> None:
    """To anyone with a key, with nobody joining; and the connection is measured."""
    monkeypatch.setattr(module, "_MEGABYTES", 2)
    run = inspect(token)
    assert (run.versions, run.components, run.exact) == (VERSIONS, COMPONENTS, False)
    assert run.pipeline == {"run": {"seed": 3}}
    assert run.bytes == sum(SPECIFICATION.bytes.values())
    assert run.endpoint == token.endpoints[0]
    assert 0 < run.round_trip < 1
    assert run.bandwidth > 1e6


def test_who_has_no_key_is_told(token: JoinToken) -> None:
    """As one of another run is."""
    public, secret = zmq.curve_keypair()
    with pytest.raises(RunError, match="does not let the join key join in"):
        inspect(evolve(token, public=public.decode(), secret=secret.decode()))
    with pytest.raises(RunError, match="this run has run 'run', the sampler has 'another'"):
        inspect(evolve(token, run="another"))


def test_nobody_there(token: JoinToken, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is said with all places that were tried."""
    monkeypatch.setattr(module, "_SECONDS", 0.3)
    with pytest.raises(RunError, match=r"nothing answers at tcp://127\.0\.0\.1:9, tcp://127\.0\.0\.1:10"):
        inspect(evolve(token, endpoints=("tcp://127.0.0.1:9", "tcp://127.0.0.1:10")))
