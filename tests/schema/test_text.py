from framework.schema import join, quote, suggest


def test_dotted_keys_are_quoted_where_toml_quotes_them():
    """Bare parts stay bare; anything else is a basic string."""
    assert join(join("", "a-b"), 0) == "a-b.0"
    assert join("a", 'b."c') == r'a."b.\"c"'
    assert quote('tab\t"\\\x00') == r'"tab\t\"\\\u0000"'


def test_a_suggestion_is_the_most_similar_name():
    """A misspelled name suggests the one that it was meant to be, and another name none."""
    assert suggest("enviroment", ["environment", "encoder"]) == "environment"
    assert suggest("zzz", ["environment", "encoder"]) == ""


def test_capitals_and_what_is_missing_at_the_end_hide_no_name():
    """A name is suggested however it is capitalised, and for its beginning."""
    assert suggest("PPO", ["dqn", "ppo"]) == "ppo"
    assert suggest("cartpole-V1", ["CartPole-v1"]) == "CartPole-v1"
    assert suggest("gym", ["gymnasium", "atari"]) == "gymnasium"
    assert suggest("gy", ["gymnasium", "atari"]) == ""
