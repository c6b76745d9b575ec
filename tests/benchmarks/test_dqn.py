from itertools import permutations

from dqn import p_value


def slow_p_value(first: list[float], second: list[float]) -> float:
    """The share of all orders of all scores, whose first half is that of ``first``, with as large a difference."""

    def difference(scores: tuple[float, ...]) -> float:
        return abs(sum(scores[: len(first)]) / len(first) - sum(scores[len(first) :]) / len(second))

    orders = list(permutations((*first, *second)))
    return sum(difference(order) >= difference((*first, *second)) - 1e-9 for order in orders) / len(orders)


def test_p_value_is_that_of_all_orders() -> None:
    """The exact permutation test of means; 1 for equal scores, and its minimum for separated ones."""
    first, second = [209.0, 196.0, 139.0], [235.0, 278.0, 111.0, 212.0]
    assert abs(p_value(first, second) - slow_p_value(first, second)) < 1e-12
    assert p_value([1.0, 1.0], [1.0, 1.0]) == 1
    assert p_value([1.0, 2.0, 3.0], [7.0, 8.0, 9.0]) == 2 / 20
