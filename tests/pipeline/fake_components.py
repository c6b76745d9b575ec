"""Components of a plugin that is made up for the tests."""

from typing import Any, Literal

from attrs import frozen

from framework.errors import FrameworkError
from framework.schema import OptionError, option


@frozen
class NetConfig:
    hidden: tuple[int, ...] = option((64, 64), help="Widths.", ge=1)


@frozen
class WorldConfig:
    id: str = option(help="Which world.")
    kwargs: dict[str, Any] = option(factory=dict, help="Arguments.")


@frozen
class AgentConfig:
    learning_rate: float = option(2.5e-4, help="Step size.", gt=0)
    epochs: int = option(4, help="Passes.", ge=1)
    schedule: str = option("linear", help="Of the step size.", choices=("linear", "constant"))
    target_kl: float | None = option(None, help="Where to stop.", gt=0)


@frozen
class CounterConfig:
    decay: float = option(0.5, help="Of the counts.", ge=0, le=1)
    mode: Literal["exact", "hash"] = option("exact", help="How to count.")

    def __attrs_post_init__(self):
        if self.mode == "hash" and self.decay == 0:
            raise OptionError("a hash needs a decay", "decay", "mode")


@frozen
class CompositeConfig:
    core: str | dict[str, Any] = option("mlp", part="encoder", help="What comes first.")
    parts: dict[str, str | dict[str, Any]] = option(factory=dict, part="encoder", help="One for each leaf.")


class Anything:
    def __init__(self, config, context):
        self.config, self.context = config, context


class Refusing:
    def __init__(self, config, context):
        raise FrameworkError("the action space is too round")


class Failing:
    def __init__(self, config, context):
        raise ZeroDivisionError("by design")


@frozen
class BrokenConfig:
    numbers: set[int] = option(factory=set, help="Sets are no options.")


@frozen
class RaisingConfig:
    def __attrs_post_init__(self):
        raise KeyError("by design")
