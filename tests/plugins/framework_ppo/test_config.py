"""Options of PPO: coefficients that follow schedules."""

from __future__ import annotations

from typing import Any

import pytest
from small_ppo import collect, make_context, ppo, use

from framework.schema import OptionError
from framework_ppo.config import PPOConfig
from framework_ppo.objective import Loss, Predictions, Targets, ppo_loss


def test_coefficients_follow_their_schedules() -> None:
    """Each its own; nothing else changes, and where all are constant the options are the same object."""
    config = PPOConfig(
        entropy_coefficient=0.2,
        entropy_coefficient_schedule="linear",
        value_coefficient=2.0,
        value_coefficient_schedule=((0.0, 1.0), (0.5, 0.1)),
    )
    later = config.at(0.25)
    assert later.entropy_coefficient == pytest.approx(0.15)
    assert later.value_coefficient == pytest.approx(2.0 * 0.55)
    assert later.learning_rate == config.learning_rate
    assert PPOConfig().at(0.25) == PPOConfig()
    constant = PPOConfig()
    assert constant.at(0.5) is constant


def test_an_update_learns_by_the_coefficients_of_its_time() -> None:
    """The objective gets them, as those that stand in a pipeline without schedules."""
    coefficients: list[tuple[float, float]] = []

    def objective(new: Predictions, old: Targets, clip_range: float, options: PPOConfig) -> Loss:
        coefficients.append((options.entropy_coefficient, options.value_coefficient))
        return ppo_loss(new, old, clip_range, options)

    context = make_context()
    options: dict[str, Any] = {"entropy_coefficient": 0.4, "entropy_coefficient_schedule": "linear"}
    algorithm = ppo(context, **options)
    scheduled = collect(algorithm, context, progress=0.5)
    use("autograd", algorithm)
    algorithm._objective = objective
    algorithm.update(scheduled)
    assert set(coefficients) == {(0.2, 0.5)}


@pytest.mark.parametrize("name", ["entropy_coefficient", "value_coefficient"])
def test_schedules_are_checked(name: str) -> None:
    """With the name of the option."""
    with pytest.raises(OptionError) as refusal:
        PPOConfig(**{f"{name}_schedule": ((0.5, 1.0), (0.1, 1.0))})
    assert refusal.value.options == (f"{name}_schedule",)
