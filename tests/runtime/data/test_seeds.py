from itertools import product

from framework.runtime.data import seeds


def test_seeds_are_a_function_of_their_key() -> None:
    """The same key gives the same seed on every machine, in every version: resumed runs depend on it."""
    assert seeds.episode_seed(1, 2, 3) == 1895476584
    assert seeds.trajectory_seed(1, 2, 3) == 50878163
    assert seeds.evaluation_seed(1) == 798405205
    assert seeds.tasks_seed(1, 2) == 768136099
    assert seeds.task_order_seed(1, 2, 3) == 718923638


def test_seeds_differ() -> None:
    """Every run, environment, shard, number and purpose has a seed of its own."""
    keys = list(product(range(4), range(12), range(12)))
    numbers = [seeds.episode_seed(*key) for key in keys] + [seeds.trajectory_seed(*key) for key in keys]
    numbers += [seeds.task_order_seed(*key) for key in keys]
    numbers += [seeds.tasks_seed(run, version) for run in range(4) for version in range(12)]
    numbers += [seeds.evaluation_seed(run) for run in range(4)]
    assert len(set(numbers)) == len(numbers)


def test_seeds_fit_every_environment() -> None:
    """31 bits, none negative; seeds of a run may have any size."""
    for run in (0, 1, 2**31, 2**64 + 1):
        for number in (0, 2**31, 2**40):
            assert 0 <= seeds.episode_seed(run, 7, number) < 2**31
