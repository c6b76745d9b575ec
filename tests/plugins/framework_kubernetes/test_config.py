import pytest

from framework.schema import structure
from framework_kubernetes.config import KubernetesConfig


def problems(**options):
    return [str(problem) for problem in structure(KubernetesConfig, {"image": "pong", **options}, "launcher")[1]]


def test_the_image_is_all_that_must_be_said():
    """Every other option has a default."""
    assert problems() == []
    assert [str(problem) for problem in structure(KubernetesConfig, {}, "launcher")[1]] == [
        "launcher.image: missing: Container image with the framework and the plugins, such as registry.example/pong:1."
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"cpu": 4, "memory": "16Gi"},
        {"cpu": 0.5},
        {"cpu": "500m"},
        {"namespace": "rl", "context": "arn:aws:eks:eu:1:cluster/x"},
        {"labels": {"example.org/team": "rl"}, "node_selector": {"kubernetes.io/arch": "amd64"}},
        {"tolerations": ["spot:NoSchedule"], "variables": {"ATEN_CPU_CAPABILITY": "avx2"}},
        {"service_account": "a.b", "image_pull_secret": "a.b", "user": 1000, "directory": "/srv"},
    ],
    ids=str,
)
def test_what_is_taken(options):
    """What Kubernetes takes."""
    assert problems(**options) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"image": "Pong"}, 'launcher.image: must be an image, such as "registry.example/pong:1", not "Pong"'),
        ({"namespace": "RL"}, "launcher.namespace: must be at most 63 lower-case letters"),
        ({"context": ""}, "launcher.context: must match"),
        ({"cpu": 0}, "launcher.cpu: must be a positive number"),
        ({"memory": "16GB"}, 'launcher.memory: must be a positive number, with a unit or without, such as "500m"'),
        ({"service_account": "a_b"}, "launcher.service_account: must be at most 253"),
        ({"image_pull_secret": "a_b"}, "launcher.image_pull_secret: must be at most 253"),
        ({"tolerations": ["spot"]}, "launcher.tolerations: must be a taint"),
        ({"node_selector": {"a b": "c"}}, 'not "a b"'),
        ({"labels": {"a": "b c"}}, 'not "b c"'),
        ({"labels": {"app.kubernetes.io/name": "x"}}, "launcher.labels: app.kubernetes.io/name is set by the launcher"),
        ({"variables": {"A-B": "x"}}, "launcher.variables: must be a name of letters, digits and _"),
        ({"variables": {"FRAMEWORK_JOIN": "fw1.x"}}, "launcher.variables: FRAMEWORK_JOIN is set by the launcher"),
        ({"user": 0}, "launcher.user: must be at least 1"),
        ({"directory": "srv"}, "launcher.directory: must match /.*"),
    ],
    ids=str,
)
def test_what_is_refused(options, words):
    """What Kubernetes would refuse, and what is the launcher's own, with the option and what it must be."""
    [problem] = problems(**options)
    assert words in problem
    assert "fw1" not in problem
