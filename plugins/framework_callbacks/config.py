"""Options of the callbacks."""

from __future__ import annotations

from attrs import frozen

from framework.schema import OptionError, option


@frozen
class EarlyStoppingConfig:
    """Options of early stopping."""

    target: float | None = option(None, help="Mean return of an evaluation at which the run is stopped.")
    patience: int | None = option(
        None, help="Evaluations in a row without a new best mean return, after which the run is stopped.", ge=1
    )
    min_improvement: float = option(0.0, help="How much better than the best before a new best must be.", ge=0)

    def __attrs_post_init__(self) -> None:
        if self.target is None and self.patience is None:
            raise OptionError("give a target, a patience, or both", "target", "patience")
