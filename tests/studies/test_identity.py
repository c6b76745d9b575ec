from framework.studies.identity import differing

ONE = {
    "run": {"seed": 1, "name": "a"},
    "algorithm": {"rate": 0.1, "epochs": 2},
    "runtime": {"samplers": 1, "precision": "float32", "compile": False},
    "checkpoint": {"keep": 3},
}


def test_what_is_learned_makes_the_difference():
    """Both values of each option, in order; options that are not there are None."""
    two = ONE | {"algorithm": {"rate": 0.2}, "bonus": [{"use": "x"}]}
    assert list(differing(ONE, two).items()) == [
        ("algorithm.epochs", (2, None)),
        ("algorithm.rate", (0.1, 0.2)),
        ("bonus", (None, [{"use": "x"}])),
    ]


def test_where_a_run_happens_makes_none_but_for_its_arithmetic():
    """Samplers and checkpoints may differ, precision may not."""
    runtime = {"samplers": 8, "precision": "bfloat16", "compile": False}
    two = ONE | {"runtime": runtime, "checkpoint": {"keep": 1}, "callbacks": [{"use": "x"}]}
    assert differing(ONE, two) == {"runtime.precision": ("float32", "bfloat16")}
