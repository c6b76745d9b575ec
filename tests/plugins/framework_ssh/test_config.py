from __future__ import annotations

from typing import Any

import pytest

from framework.schema import OptionError
from framework_ssh.config import SshConfig


@pytest.mark.parametrize("host", ["node1", "user@node1", "ssh://user@node1:2222", "10.0.0.7", "::1", "node_1.cluster"])
def test_machines_are_as_ssh_knows_them(host: str) -> None:
    """By name, address or URL."""
    assert SshConfig(hosts=[host]).hosts == (host,)


@pytest.mark.parametrize("host", ["", "-oProxyCommand=x", "node 1", "node1\t", "node\n1", "node\u00a01", "node\x001"])
def test_what_is_no_machine_is_refused(host: str) -> None:
    """An option of ssh, above all, is none."""
    with pytest.raises(OptionError, match="must be machines, without blanks and with no dash in front") as error:
        SshConfig(hosts=["node1", host])
    assert error.value.options == ("hosts",)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("hosts", [], "must name a machine at least"),
        ("ssh", [], "must name a command"),
        ("ssh", ["ssh\n"], "must be without line breaks"),
        ("options", ["-p\0"], "must be without line breaks"),
        ("setup", ["a\nb"], "must be without line breaks"),
        ("setup", ["a\rb"], "must be without line breaks"),
        ("directory", "", "must be a folder"),
        ("directory", "~other/project", "must be a folder, such as `~/project`, not '~other/project'"),
        ("directory", "a\nb", "must be without line breaks"),
    ],
)
def test_what_cannot_be_is_refused(name: str, value: Any, message: str) -> None:
    """With the option that is to blame."""
    with pytest.raises(OptionError, match=message) as error:
        SshConfig(**{"hosts": ["node1"], name: value})
    assert error.value.options == (name,)


def test_machines_must_be_given() -> None:
    """All else has a default."""
    with pytest.raises(TypeError, match="hosts"):
        SshConfig()
    assert SshConfig(hosts=["node1"]).ssh == ("ssh",)
