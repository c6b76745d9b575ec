"""Golf with two clubs, each with a stroke of its own: a choice, and parameters of what was chosen."""

import gymnasium
import numpy as np

from framework.toolkit.spaces import ParameterizedActions

_GREEN, _HOLE, _LIMIT, _STROKES = 0.25, 0.04, 2.0, 20


class Golf(gymnasium.Env):
    """Hole the ball with few strokes: the reward is how much nearer it came, and 1 in the hole, less 0.1 a stroke.

    A drive goes up to 1 along each axis, and scatters by a twentieth of its length; the ball flies over the hole. A
    putt rolls up to 0.2, exactly, and may end in the hole; it is legal on the green alone. Observed is where the hole
    is from the ball. One drive and one putt earn 1.55 in the mean.
    """

    observation_space = gymnasium.spaces.Box(-2 * _LIMIT, 2 * _LIMIT, (2,), np.float32)

    def __init__(self):
        drive, putt = (gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32) for _ in range(2))
        self.action_space = ParameterizedActions({"drive": drive, "putt": putt})

    def reset(self, *, seed=None, options=None):
        """Tee off anywhere between 0.5 and 1 from the hole."""
        super().reset(seed=seed)
        angle, distance = self.np_random.uniform(0, 2 * np.pi), self.np_random.uniform(0.5, 1.0)
        self.to_hole = distance * np.array([np.cos(angle), np.sin(angle)])
        self.strokes = 0
        return self._observation(), self._info()

    def step(self, action):
        """One stroke."""
        putted = action["choice"] == 1
        stroke = 0.2 * action["putt"] if putted else action["drive"]
        before = np.linalg.norm(self.to_hole)
        scatter = 0.0 if putted else 0.05 * np.linalg.norm(stroke)
        self.to_hole = np.clip(self.to_hole - stroke - scatter * self.np_random.normal(size=2), -_LIMIT, _LIMIT)
        self.strokes += 1
        after = np.linalg.norm(self.to_hole)
        holed = bool(putted and after < _HOLE)
        reward = float(before - after + holed - 0.1)
        return self._observation(), reward, holed, self.strokes == _STROKES and not holed, self._info(holed)

    def _observation(self):
        return self.to_hole.astype(np.float32)

    def _info(self, holed=False):
        on_green = np.linalg.norm(self.to_hole) < _GREEN
        return {"action_mask": {"choice": np.array([True, on_green])}, "success": holed}
