import re

from hypothesis import given, settings
from hypothesis import strategies as st

from framework_kubernetes import rules
from framework_kubernetes.names import Names


def test_a_name_that_kubernetes_takes_stays():
    """A run's name is easily found again in the names of its objects."""
    names = Names.of("pong-20260101-120000")
    assert (names.job, names.secret) == ("pong-20260101-120000-samplers", "pong-20260101-120000-join")


def test_a_name_that_is_changed_gets_a_digest():
    """Runs whose names differ in what Kubernetes does not take, or at their end, have objects of their own."""
    names = [Names.of(run).instance for run in ("Pong_1", "pong.1", "pong-1", "Pong-1", "x" * 60, "x" * 61, "-", "é")]
    assert len(set(names)) == len(names)
    assert [name for name in names if not re.fullmatch(r"pong-1|((pong-1|x{39})-)?[0-9a-f]{8}", name)] == []


@settings(derandomize=True, deadline=None, max_examples=100, database=None)
@given(st.text(min_size=1, max_size=200))
def test_names_are_labels_with_room_for_those_of_pods(run):
    """Whatever a run is called: the Job's name, with a hyphen and five characters behind it, is a DNS-1123 label."""
    names = Names.of(run)
    assert [name for name in (f"{names.job}-abcde", names.secret, names.instance) if rules.label(name)] == []
