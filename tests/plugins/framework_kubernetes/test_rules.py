import pytest

from framework_kubernetes import rules


@pytest.mark.parametrize(
    ("rule", "right", "wrong"),
    [
        (rules.label, ["a", "rl-2", "0", "a" * 63], ["", "A", "-a", "a-", "a.b", "a_b", "a\n", "a" * 64]),
        (rules.subdomain, ["a", "a.b-c.d", "a." * 126 + "a"], ["", ".", "a.", "a..b", "A.b", "a." * 127 + "a"]),
        (rules.label_key, ["a", "A.b_c-d", "example.org/a"], ["", "a/", "/a", "a/b/c", "Ex/a", "-a", "a" * 64, "a b"]),
        (rules.label_value, ["", "a", "A.b_c-1", "a" * 63], ["-", "a-", "a b", "a/b", "a" * 64, "é"]),
        (
            rules.quantity,
            ["1", "500m", "0.5", "16Gi", "2G", "1.5Ti"],
            ["", "0", "-1", "1 Gi", "1gi", "1KB", "Gi", "0m"],
        ),
        (
            rules.image,
            [
                "pong",
                "pong:1",
                "a/b/c",
                "host:5000/a/b:v1.0_x",
                "localhost/a",
                f"a@sha256:{'0' * 64}",
                "h.example/a__b",
            ],
            ["", "Pong", "a b", "a:", ":1", "a//b", "/a", "a/", "a:b:c", "a@sha256:0", "-a", f"a:{'x' * 129}", "a\n"],
        ),
        (rules.variable, ["A", "_a1", "ATEN_CPU_CAPABILITY"], ["", "1A", "A-B", "A=B", "A B"]),
        (
            rules.taint,
            ["a:NoExecute", "a=b:NoSchedule", "x.org/a=:PreferNoSchedule"],
            ["a", "a:b", ":NoExecute", "a=b c:NoExecute"],
        ),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_kubernetes_takes(rule, right, wrong):
    """Each rule takes what Kubernetes takes, and says of all else what it must be."""
    assert {text: rule(text) for text in right} == dict.fromkeys(right, "")
    assert [text for text in wrong if not rule(text).startswith("must be ")] == []


def test_a_taint_and_what_tolerates_it():
    """With a value it must be equal; without one, any will do."""
    assert rules.toleration("example.org/spot=true:NoSchedule") == {
        "key": "example.org/spot",
        "operator": "Equal",
        "value": "true",
        "effect": "NoSchedule",
    }
    assert rules.toleration("spot:NoExecute") == {"key": "spot", "operator": "Exists", "effect": "NoExecute"}
