from pathlib import Path

import kubernetes_validate
import pytest

from framework.interfaces import Work
from framework_kubernetes import emitter, manifests
from framework_kubernetes.config import KubernetesConfig
from framework_kubernetes.names import Names

HERE = Path(__file__).parent
NAMES = Names.of("pong-20260101-120000")
WORK = Work(8, 4, ("framework",), Path("token"))
PLAIN = KubernetesConfig(image="registry.example/pong:1")
FULL = KubernetesConfig(
    image="registry.example/pong@sha256:" + "0" * 64,
    namespace="rl",
    cpu=3.5,
    memory="16Gi",
    variables={"ATEN_CPU_CAPABILITY": "avx2", "PRICE": "$(POD_NAME) costs $$1"},
    node_selector={"kubernetes.io/arch": "amd64", "example.org/numbered": "001"},
    tolerations=("example.org/spot=true:NoSchedule", "example.org/batch:NoExecute"),
    labels={"example.org/team": "on"},
    service_account="samplers",
    image_pull_secret="registry",
    user=1234,
    directory="/srv/$HOME",
)
OBJECTS = {
    "plain": manifests.job(PLAIN, NAMES, WORK),
    "full": manifests.job(FULL, NAMES, Work(1, 1, ("/opt/venv/bin/python", "-m", "framework"), Path("token"))),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_the_job_is_what_it_was(name):
    """Line by line, as it is given to Kubernetes."""
    assert emitter.documents([OBJECTS[name]]) == (HERE / "golden" / f"{name}.yaml").read_text()


@pytest.mark.parametrize("version", ["1.30", "1.33", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("name", ["plain", "full", "secret"])
def test_it_is_valid(name, version):
    """In older and newer versions of Kubernetes: every field is known there, and of its type."""
    objects = OBJECTS | {"secret": manifests.secret(FULL, NAMES, "fw1.x")}
    kubernetes_validate.validate(objects[name], version, strict=True)


def test_what_is_wrong_is_not_valid():
    """The schemas do tell: of a field with another name, and of a value of another type."""
    job = manifests.job(PLAIN, NAMES, WORK)
    job["spec"]["paralelism"] = job["spec"].pop("parallelism")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, "1.31", strict=True)
    job = manifests.job(PLAIN, NAMES, WORK)
    job["spec"]["parallelism"] = "8"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, "1.31", strict=True)


def test_the_command_is_that_of_the_contract():
    """The token comes from the mounted file, the name is the pod's, and nothing else is taken for a variable."""
    command = manifests.command(FULL, WORK)
    assert command[:-2] == WORK.command("$(POD_NAME)", "/var/run/framework/join")
    assert command[-2:] == ["--directory", "/srv/$$HOME"]
