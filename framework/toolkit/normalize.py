"""Running mean and variance, and the normalization of observations and rewards by them.

The learner owns `RunningMoments`: it alone sees every observation exactly once. What acts carries a `Standardize`,
which only holds the mean and scale to apply, so that it is frozen wherever nobody updates it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from framework.toolkit.returns import forward_scan

#: Spreads below this share of the mean are rounding, of float64 and of float32: nothing varies.
ROUNDING, ROUNDING_32 = 1e-12, 1e-6
#: Clip range of normalized rewards, as usual (Engstrom et al., 2020, arXiv:2005.12729, section 3).
REWARD_CLIP = 10.0
#: What float32 does not hold exactly.
_WIDE = (torch.float64, torch.int64, torch.int32, torch.uint64, torch.uint32)


class RunningMoments(nn.Module):
    """Running count, mean and variance of rows, in float64 buffers.

    Parts are merged by the rule of Chan, Golub and LeVeque (1979), which stays exact when the mean is far larger
    than the deviation.
    """

    count: Tensor  #: [] float64
    mean: Tensor  #: ``shape`` float64
    m2: Tensor  #: ``shape`` float64, the sum of squared deviations from the mean

    def __init__(self, shape: tuple[int, ...] = (), device: str | torch.device | None = None):
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.float64, device=device))
        self.register_buffer("mean", torch.zeros(shape, dtype=torch.float64, device=device))
        self.register_buffer("m2", torch.zeros(shape, dtype=torch.float64, device=device))

    @torch.no_grad()
    def update(self, rows: Tensor) -> None:
        """Update with ``rows`` [B, *shape]; no rows change nothing."""
        if rows.shape[0]:
            rows = rows.to(torch.float64)
            mean = rows.mean(0)
            self.merge(float(rows.shape[0]), mean, (rows - mean).square_().sum(0))

    @torch.no_grad()
    def merge(self, count: float | Tensor, mean: Tensor, m2: Tensor) -> None:
        """Update with the moments of ``count`` other rows; a count of zero changes nothing."""
        total = self.count + count
        share = count / total.clamp(min=1.0)
        delta = mean - self.mean
        self.m2 += m2 + delta.square() * (self.count * share)
        self.mean += delta * share
        self.count.copy_(total)

    @property
    def variance(self) -> Tensor:
        """Population variance, ``shape`` float64; ones before two rows were seen."""
        return torch.where(self.count > 1, self.m2 / self.count.clamp(min=1.0), torch.ones_like(self.m2))

    def scale(self, epsilon: float, rounding: float = ROUNDING) -> Tensor:
        """Inverse standard deviation, ``shape`` float64; 1 where nothing has varied yet.

        A standard deviation below ``rounding`` times the mean counts as none.
        """
        varies = self.variance > (rounding * self.mean).square()
        return torch.where(varies, (self.variance + epsilon).rsqrt(), torch.ones_like(self.m2))


class Standardize(nn.Module):
    """Normalization ``clamp((x - mean) * scale, -clip, clip)``: the identity within ``clip`` until it is `set`.

    The mean is kept in two float32 parts, which together hold 48 bits and cost less than float64: subtracting a rounded
    mean would leave little of values far from zero. The result is float32.
    """

    mean: Tensor  #: ``shape`` float32
    rest: Tensor  #: ``shape`` float32, what ``mean`` lacks
    scale: Tensor  #: ``shape`` float32

    def __init__(self, shape: tuple[int, ...], clip: float = 10.0, epsilon: float = 1e-8):
        super().__init__()
        self.clip, self.epsilon = clip, epsilon
        self.register_buffer("mean", torch.zeros(shape, dtype=torch.float32))
        self.register_buffer("rest", torch.zeros(shape, dtype=torch.float32))
        self.register_buffer("scale", torch.ones(shape, dtype=torch.float32))

    def set(self, moments: RunningMoments) -> None:
        """Normalize by these moments from now on."""
        limit = torch.finfo(torch.float32).max  # a mean of infinity would leave no number
        self.mean.copy_(moments.mean.clamp(-limit, limit))
        self.rest.copy_((moments.mean - self.mean).clamp(-limit, limit))
        self.scale.copy_(moments.scale(self.epsilon))

    def forward(self, x: Tensor) -> Tensor:
        """``x`` [..., *shape] of any dtype -> float32 of the same shape."""
        centered = x - (self.mean.double() + self.rest) if x.dtype in _WIDE else x - self.mean - self.rest
        return (centered * self.scale).clamp(-self.clip, self.clip).to(torch.float32)


class ReturnScale(nn.Module):
    """Reward normalization: division by the running standard deviation of the discounted return.

    The return of each environment is ``R[t] = r[t] + gamma * R[t - 1]``, goes on from batch to batch, and starts anew
    with each episode; the mean is not subtracted, so that rewards keep their sign (Engstrom et al., 2020,
    arXiv:2005.12729, section 3). Until returns vary, rewards are not scaled. The result is clipped to
    ``[-clip, clip]``: a first reward after many zeros would be as large as it was rare.
    """

    returns: Tensor  #: [environments] float64, after the last step of the last batch

    def __init__(self, environments: int, gamma: float, clip: float = REWARD_CLIP, epsilon: float = 1e-8):
        super().__init__()
        self.gamma, self.clip, self.epsilon = gamma, clip, epsilon
        self.moments = RunningMoments()
        self.register_buffer("returns", torch.zeros(environments, dtype=torch.float64))

    @torch.no_grad()
    def forward(self, rewards: Tensor, done: Tensor, valid: Tensor, *, continued: bool = True) -> Tensor:
        """``rewards``, ``done``, ``valid`` [T, N] -> scaled rewards [T, N] float32.

        Steps that are not ``valid`` do not count. With ``continued`` false the columns are not the environments of
        the last batch, and all returns start at 0.
        """
        going_on = done.logical_not().to(torch.float64)
        x = rewards.to(torch.float64)
        if continued:
            x = torch.cat((x[:1] + self.gamma * self.returns, x[1:]))
        returns = forward_scan(x, torch.cat((torch.zeros_like(x[:1]), self.gamma * going_on[:-1])))
        self.moments.update(returns[valid])
        self.returns.copy_(returns[-1] * going_on[-1])
        scaled = rewards * self.moments.scale(self.epsilon, ROUNDING_32)
        return scaled.clamp(-self.clip, self.clip).to(torch.float32)
