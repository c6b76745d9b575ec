from typing import Any, Literal

import pytest
from attrs import frozen

from framework.schema import option, options, type_name


@frozen
class Inner:
    depth: int = option(1, help="How deep.", ge=0)


@pytest.mark.parametrize(
    ("hint", "name"),
    [
        (int, "an integer"),
        (float | None, "a number"),
        (int | Literal["auto"], 'an integer or "auto"'),
        (tuple[int, ...], "an array of integers"),
        (tuple[float, float], "an array of numbers"),
        (tuple[int, str], "an array"),
        (list[Literal["a", "b"]], "an array"),
        (dict[str, int], "a table"),
        (Inner, "a table"),
        (Any, "a value"),
    ],
)
def test_types_have_names(hint, name):
    """Messages and documentation call a type by the words of TOML."""
    assert type_name(hint, article=True) == name


def test_a_class_that_toml_cannot_express_is_refused():
    """Types that are no options, and None as a value beside another default, are mistakes of the class's author."""

    @frozen
    class Sets:
        numbers: set[int] = option(factory=set, help="")

    @frozen
    class Maybe:
        limit: float | None = option(1.0, help="")

    with pytest.raises(TypeError, match="cannot have the type set"):
        options(Sets)
    with pytest.raises(TypeError, match="limit may be None, so that must be its default"):
        options(Maybe)


def test_a_former_name_cannot_be_an_option():
    """Whoever uses the name could mean either option, so the class's author must choose another."""

    @frozen
    class Swapped:
        rate: float = option(0.1, help="", formerly="speed")
        speed: float = option(0.1, help="")

    with pytest.raises(TypeError, match="rate cannot have been named speed, which is an option now"):
        options(Swapped)
