"""Names that options choose from."""

from framework.toolkit import choices, networks, update_rules


def test_every_name_is_one_of_what_there_is() -> None:
    """Nothing can be chosen that is not there, and nothing is there that cannot be chosen."""
    assert set(choices.OPTIMIZERS) == update_rules.RULES.keys()
    assert choices.INITIALIZATIONS == networks.INITIALIZATIONS
