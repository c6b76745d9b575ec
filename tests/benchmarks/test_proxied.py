import socket
import threading
from pathlib import Path

import pytest

from framework.runtime.link.token import JoinToken
from measure.proxied import Proxied


@pytest.fixture
def server() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def test_bytes_pass_both_ways_unless_a_machine_is_away(tmp_path: Path, server: socket.socket) -> None:
    """Its token leads through its proxy; what it sends while it is away arrives when it is back."""
    file = tmp_path / "join"
    port = server.getsockname()[1]
    file.write_text(str(JoinToken("join", "run", (f"tcp://127.0.0.1:{port}",), *["k" * 40] * 3)))
    with Proxied(("learner", "host")) as network, server:
        token = JoinToken.read(str(network.token("host", file)))
        with socket.create_connection(("127.0.0.1", int(token.endpoints[0].rpartition(":")[2]))) as host:
            learner, _ = server.accept()
            with learner:
                host.sendall(b"up")
                assert learner.recv(10) == b"up"
                learner.sendall(b"down")
                assert host.recv(10) == b"down"
                network.away.add("host")
                host.sendall(b"late")
                learner.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    learner.recv(10)
                network.away.clear()
                learner.settimeout(5.0)
                assert learner.recv(10) == b"late"
    assert not [thread for thread in threading.enumerate() if thread.name == "proxies"]
