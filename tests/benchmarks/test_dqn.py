from itertools import permutations

from dqn import p_value


def slow_p_value(one: list[float], two: list[float]) -> float:
    """By all orders of all scores, the first of which are the one side's."""

    def apart(scores: tuple[float, ...]) -> float:
        return abs(sum(scores[: len(one)]) / len(one) - sum(scores[len(one) :]) / len(two))

    orders = list(permutations((*one, *two)))
    return sum(apart(order) >= apart((*one, *two)) - 1e-9 for order in orders) / len(orders)


def test_p_value_is_that_of_all_orders() -> None:
    """The exact permutation test of means; equal scores have no difference, and scores apart the least that can be."""
    one, two = [209.0, 196.0, 139.0], [235.0, 278.0, 111.0, 212.0]
    assert abs(p_value(one, two) - slow_p_value(one, two)) < 1e-12
    assert p_value([1.0, 1.0], [1.0, 1.0]) == 1
    assert p_value([1.0, 2.0, 3.0], [7.0, 8.0, 9.0]) == 2 / 20
