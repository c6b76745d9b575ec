import pytest

from framework.runtime.launch.base import Exit


@pytest.mark.parametrize(("status", "reason"), [(0, "exit code 0"), (70, "exit code 70"), (-9, "SIGKILL")])
def test_exits_have_a_reason(status: int, reason: str) -> None:
    """The exit code, or the signal's name."""
    assert Exit("sampler-0", 0, 1, status).reason == reason
