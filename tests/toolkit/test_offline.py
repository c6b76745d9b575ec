from framework.toolkit.offline import OfflineAlgorithm


def test_what_can_learn_offline_is_told_by_its_method():
    """Whatever it inherits from."""

    class Learner:
        def update_offline(self, steps, progress):
            return {}

    assert isinstance(Learner(), OfflineAlgorithm)
    assert not isinstance(object(), OfflineAlgorithm)
