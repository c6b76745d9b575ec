"""CartPole without velocities in its observations: the right action depends on earlier observations."""

import gymnasium
import numpy as np


class HiddenVelocities(gymnasium.ObservationWrapper):
    """Reduces observations to position and angle, [2]."""

    def __init__(self, env: gymnasium.Env):
        super().__init__(env)
        bounds = env.observation_space
        self.observation_space = gymnasium.spaces.Box(bounds.low[::2], bounds.high[::2], dtype=np.float32)

    def observation(self, observation: np.ndarray) -> np.ndarray:
        """Position and angle of ``observation``."""
        return observation[::2]


class CartPole:
    """The environment component: ``use = "hidden_velocities:CartPole"``."""

    def __init__(self, config: None, context: object):
        pass

    def make(self) -> gymnasium.Env:
        """One environment."""
        return HiddenVelocities(gymnasium.make("CartPole-v1"))
