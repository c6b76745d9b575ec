import pytest

from framework.exit_codes import in_words


@pytest.mark.parametrize(("status", "words"), [(0, "exit code 0"), (70, "exit code 70"), (-9, "SIGKILL")])
def test_ends_have_words(status: int, words: str) -> None:
    """The exit code, or the signal's name."""
    assert in_words(status) == words
