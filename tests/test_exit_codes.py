import pytest

from framework.exit_codes import in_words, is_final


@pytest.mark.parametrize(("status", "words"), [(0, "exit code 0"), (70, "exit code 70"), (-9, "SIGKILL")])
def test_ends_have_words(status: int, words: str) -> None:
    """The exit code, or the signal's name."""
    assert in_words(status) == words


@pytest.mark.parametrize(
    ("status", "final"),
    [(0, True), (77, True), (78, True), (70, False), (75, False), (1, False), (127, False), (-9, False), (-15, False)],
)
def test_some_ends_are_final(status: int, final: bool) -> None:
    """Where the run is done, the key is not valid or versions differ, another start would end likewise."""
    assert is_final(status) == final
