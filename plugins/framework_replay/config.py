"""Options of the replay buffers."""

from __future__ import annotations

from attrs import frozen

from framework.schema import option


@frozen
class UniformConfig:
    """Options of `uniform`."""

    capacity: int = option(
        100_000, help="Steps in the buffer, over all environments; rounded down to whole rows.", ge=1
    )
    n_step: int = option(1, help="Steps of a transition (n-step returns); fewer at the end of an episode.", ge=1)
    share_frames: bool = option(
        True, help="Store each frame of stacked integer observations once; stacks are detected in the first batch."
    )


@frozen(kw_only=True)
class MinariConfig(UniformConfig):
    """Options of `minari`."""

    capacity: int = option(
        100_000,
        help="Collected steps that are kept beside the dataset, over all environments; rounded down to whole rows.",
        ge=1,
    )
    dataset: str = option(
        help="A Minari dataset: its id in the local store, or its folder, relative to the pipeline file."
    )


@frozen
class PrioritizedConfig(UniformConfig):
    """Options of `prioritized`; the defaults are those of Schaul et al. (2016), proportional variant."""

    alpha: float = option(0.6, help="Priority exponent: 0 is uniform sampling, 1 proportional.", ge=0, le=1)
    beta: float = option(0.4, help="Initial importance-sampling exponent.", ge=0, le=1)
    beta_end: float = option(
        1.0, help="Final importance-sampling exponent; annealed linearly over the run.", ge=0, le=1
    )
    epsilon: float = option(1e-6, help="Added to each priority, so that all are positive.", gt=0)
