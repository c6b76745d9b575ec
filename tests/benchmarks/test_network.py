import subprocess
import sys

import pytest

from measure.network import Network, possible

pytestmark = pytest.mark.skipif(not possible(), reason="needs root, ip and /dev/net/tun for network namespaces")

LISTEN = "import socket; s = socket.create_server(('', 5)); print('there', flush=True); print(s.accept()[1][0])"
CONNECT = "import socket, sys; s = socket.socket(); s.settimeout(0.5); print(s.connect_ex((sys.argv[1], 5)) == 0)"


def namespaces() -> str:
    return subprocess.run(["ip", "netns", "list"], check=True, capture_output=True, text=True).stdout


def test_machines_reach_one_another_unless_one_is_away() -> None:
    """Each has an address of its own; afterwards nothing of them is left."""
    before = namespaces()
    with (
        Network(("a", "b")) as network,
        Network(("a",)),  # another of the same names is no trouble
        subprocess.Popen(
            network.inside("a", [sys.executable, "-c", LISTEN]), stdout=subprocess.PIPE, text=True
        ) as listener,
    ):
        assert listener.stdout is not None
        assert listener.stdout.readline() == "there\n"
        connect = network.inside("b", [sys.executable, "-c", CONNECT, network.addresses["a"]])
        network.away.add("b")
        assert subprocess.run(connect, check=True, capture_output=True).stdout == b"False\n"
        network.away.clear()
        assert subprocess.run(connect, check=True, capture_output=True).stdout == b"True\n"
        assert listener.stdout.read() == f"{network.addresses['b']}\n"
    assert namespaces() == before
