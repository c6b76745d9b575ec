import pytest

from framework.errors import RunError
from framework_kubernetes import kubectl
from framework_kubernetes.kubectl import Kubectl, Refused


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Make ``kubectl`` a shell script."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def write(script):
        (tmp_path / "kubectl").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "kubectl").chmod(0o755)

    return write


def test_what_it_is_given_and_what_it_says(program):
    """Context and namespace come first; the document goes to standard input, and its output comes back."""
    program('echo "$@"; cat')
    assert Kubectl("c", "n").call("get", "x y", document="z\n") == "--context=c --namespace=n get x y\nz\n"
    assert Kubectl().call("get") == "get\n"
    program("echo '{\"a\": 1}'")
    assert Kubectl().read("get") == {"a": 1}


def test_failing_calls_are_told(program):
    """With the command, the exit code and what it said, if anything."""
    program("echo 'no such host' >&2; exit 3")
    with pytest.raises(Refused, match=r"^kubectl --context=c get pods failed with exit code 3: no such host$"):
        Kubectl("c").call("get", "pods")
    program("exit 1")
    with pytest.raises(Refused, match=r"failed with exit code 1: nothing was said$"):
        Kubectl().call("get")


def test_a_secret_is_never_told(program):
    """Neither as it is nor as Kubernetes writes it."""
    program("cat >&2; exit 1")
    with pytest.raises(Refused, match=r"1: \(the join token\) \(the join token\)$"):
        Kubectl().call("create", document="fw1.abc ZncxLmFiYw==", secret="fw1.abc")


def test_it_is_not_there(tmp_path, monkeypatch):
    """What to do is told."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RunError, match=r"kubectl is not installed, or not on PATH: install it .*--dry-run"):
        Kubectl.here(None, None)


def test_it_cannot_be_started(program, tmp_path, monkeypatch):
    """What the system says is told."""
    program("")
    (tmp_path / "kubectl").chmod(0o644)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RunError, match=r"kubectl cannot be started: .*Permission denied"):
        Kubectl().call("get")


def test_it_does_not_answer(program, monkeypatch):
    """A cluster that is not reachable is not waited for for ever."""
    program("exec sleep 60")
    monkeypatch.setattr(kubectl, "_LIMIT", 0.2)
    monkeypatch.setattr(kubectl, "GONE", 0)
    with pytest.raises(RunError, match="kubectl get has not ended after 0 s: is the cluster reachable"):
        Kubectl().call("get")
