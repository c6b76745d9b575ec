"""A plugin-based framework for reinforcement-learning research."""

import pluggy

__version__ = "0.1.0"

hookimpl = pluggy.HookimplMarker("framework")
