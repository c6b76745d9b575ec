"""Options of the replay buffers."""

from __future__ import annotations

from attrs import frozen

from framework.schema import option


@frozen
class UniformConfig:
    """Options of `uniform`."""

    capacity: int = option(
        100_000, help="Steps that are kept, of all environments together; rounded down to whole rows.", ge=1
    )
    n_step: int = option(1, help="Steps of a transition, where its episode goes on for as many.", ge=1)
    share_frames: bool = option(
        True, help="Keep each frame of stacked integer observations once, where the first batch shows such stacks."
    )


@frozen
class PrioritizedConfig(UniformConfig):
    """Options of `prioritized`; the defaults are those of Schaul et al. (2016), proportional variant."""

    alpha: float = option(0.6, help="How much priorities count: 0 not at all, 1 in proportion.", ge=0, le=1)
    beta: float = option(0.4, help="How far importance weights correct for it at the start of the run.", ge=0, le=1)
    beta_end: float = option(1.0, help="The same at the end of the run; linear in between.", ge=0, le=1)
    epsilon: float = option(1e-6, help="Added to each priority, so that none is 0.", gt=0)
