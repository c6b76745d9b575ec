"""Where the learner computes, and with how many threads."""

from __future__ import annotations

import torch

from framework.errors import PipelineError, Problem
from framework.toolkit.cores import affine_cores

#: Policies below so many parameters are updated faster by one thread than by several.
SMALL_POLICY = 1_000_000


def usable_device(name: str) -> str:
    """The device that ``runtime.device`` names; PipelineError where it cannot be used."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise PipelineError([Problem(f"{name!r} cannot be used here: {error}", "runtime.device")]) from None
    return name


def learner_threads(setting: int | str, parameters: int, slices: int = 1) -> int:
    """The learner's threads, for a policy of so many parameters.

    They depend on nothing that may change between equal runs on one machine: with several slices there is one, however
    many processes share them.
    """
    if isinstance(setting, int):
        return setting
    return 1 if parameters < SMALL_POLICY or slices > 1 else affine_cores()
