"""Components that are wrong in one way each, made of the right ones that the templates hold."""

from __future__ import annotations

from typing import Any

import attrs
import gymnasium
import numpy as np
import torch
from torch import nn

from framework.interfaces import Encoding

# --- encoders ----------------------------------------------------------------------------------------------------


def leaks_across_the_batch(base: Any) -> Any:
    class Wrong(base):
        def forward(self, observation, memory, first):
            encoding, memory = super().forward(observation, memory, first)
            return Encoding(encoding.features + encoding.features.mean(1, keepdim=True)), memory

    return Wrong


def ignores_first(base: Any) -> Any:
    class Wrong(base):
        supports = ("memory",)

        def initial_memory(self, count):
            return {"sum": torch.zeros(count, self.feature_dim)}

        def forward(self, observation, memory, first):
            encoding, _ = super().forward(observation, {}, first)
            sums = memory["sum"] + encoding.features.cumsum(0)
            return Encoding(sums), {"sum": sums[-1]}

    return Wrong


def drops_out(base: Any) -> Any:
    class Wrong(base):
        def __init__(self, config, context):
            super().__init__(config, context)
            self.layers.append(nn.Dropout(0.5))

    return Wrong


def has_a_dead_parameter(base: Any) -> Any:
    class Wrong(base):
        def __init__(self, config, context):
            super().__init__(config, context)
            self.unused = nn.Linear(3, 3)

    return Wrong


def leaves_a_leaf_out(base: Any) -> Any:
    class Wrong(base):
        def forward(self, observation, memory, first):
            masked = dict(observation)
            masked[self._names[-1]] = torch.zeros_like(masked[self._names[-1]])
            return super().forward(masked, memory, first)

    return Wrong


# --- algorithms --------------------------------------------------------------------------------------------------


def uses_its_actions_again(base: Any) -> Any:
    class Policy(torch.nn.Module):
        def __init__(self, policy):
            super().__init__()
            self.policy, self.initial_memory = policy, policy.initial_memory
            self.postprocess_trajectory = policy.postprocess_trajectory

        def act(self, observation, memory, first, generator, **options):
            actions, extras, memory = self.policy.act(observation, memory, first, generator, **options)
            self.actions = getattr(self, "actions", actions.clone())
            return self.actions.copy_(actions), extras, memory

    class Wrong(base):
        def __init__(self, config, context):
            super().__init__(config, context)
            self.policy = Policy(self.policy)

    return Wrong


def changes_the_batch(base: Any) -> Any:
    class Wrong(base):
        def update(self, batch):
            batch.rewards.clamp_(-0.1, 0.1)
            return super().update(batch)

    return Wrong


def forgets_its_optimizer(base: Any) -> Any:
    class Wrong(base):
        def state_dict(self):
            return {"policy": super().state_dict()["policy"]}

        def load_state_dict(self, state):
            self.policy.load_state_dict(state["policy"])

    return Wrong


def takes_truncation_for_termination(base: Any) -> Any:
    class Wrong(base):
        def update(self, batch):
            done = batch.terminated | batch.truncated
            return super().update(attrs.evolve(batch, terminated=done, truncated=torch.zeros_like(done)))

    return Wrong


def bootstraps_from_the_next_episode(base: Any) -> Any:
    class Wrong(base):
        def update(self, batch):
            values = batch.extras["value"][1:].flatten()[batch.final_index]
            return super().update(attrs.evolve(batch, extras={**batch.extras, "final_value": values}))

    return Wrong


def learns_from_invalid_steps(base: Any) -> Any:
    class Wrong(base):
        def update(self, batch):
            return super().update(attrs.evolve(batch, valid=torch.ones_like(batch.valid)))

    return Wrong


def rolls_its_own_dice(base: Any) -> Any:
    class Wrong(base):
        def update(self, batch):
            return super().update(attrs.evolve(batch, rewards=batch.rewards + torch.randn(())))

    return Wrong


def sees_nothing(base: Any) -> Any:
    class Wrong(base):
        def __init__(self, config, context):
            super().__init__(config, context)
            self.policy.encoder.register_forward_hook(
                lambda module, inputs, output: (Encoding(torch.zeros_like(output[0].features)), output[1])
            )

    return Wrong


# --- bonuses -----------------------------------------------------------------------------------------------------


def has_no_effect(base: Any) -> Any:
    class Wrong(base):
        def reward(self, batch):
            return torch.zeros_like(batch.rewards)

    return Wrong


def never_learns(base: Any) -> Any:
    class Wrong(base):
        def update(self, batch):
            return {}

    return Wrong


def rewards_with_a_gradient(base: Any) -> Any:
    class Wrong(base):
        def reward(self, batch):
            return super().reward(batch) * torch.ones((), requires_grad=True)

    return Wrong


def rewards_invalid_steps(base: Any) -> Any:
    class Wrong(base):
        def reward(self, batch):
            return super().reward(attrs.evolve(batch, valid=torch.ones_like(batch.valid)))

    return Wrong


def divides_by_a_variance_of_zero(base: Any) -> Any:
    class Wrong(base):
        def reward(self, batch):
            reward = super().reward(batch)
            return (reward - reward.mean()) / reward.std()

    return Wrong


# --- curricula ---------------------------------------------------------------------------------------------------


def starves_a_task(base: Any) -> Any:
    class Wrong(base):
        def __init__(self, config, context):
            super().__init__(config, context)
            self._exploration = 0.0

    return Wrong


def samples_with_its_own_generator(base: Any) -> Any:
    class Wrong(base):
        def sample(self, count, rng):
            self._rng = getattr(self, "_rng", np.random.default_rng(0))
            return super().sample(count, self._rng)

    return Wrong


def gives_arrays(base: Any) -> Any:
    class Wrong(base):
        def sample(self, count, rng):
            return [np.int64(task) for task in super().sample(count, rng)]

    return Wrong


def knows_only_its_own_tasks(base: Any) -> Any:
    class Wrong(base):
        def update(self, episodes):
            return super().update(
                [{**episode, "task": self._tasks[self._tasks.index(episode["task"])]} for episode in episodes]
            )

    return Wrong


# --- replay buffers ----------------------------------------------------------------------------------------------


def never_evicts(base: Any) -> Any:
    class Wrong(base):
        def __init__(self, config, context):
            super().__init__(attrs.evolve(config, capacity=10_000), context)

    return Wrong


def goes_on_into_the_next_episode(base: Any) -> Any:
    class Wrong(base):
        def add(self, batch):
            following = {name: x[1:].flatten(0, 1)[batch.final_index] for name, x in batch.observations.items()}
            return super().add(attrs.evolve(batch, final_observations=following))

    return Wrong


def hands_out_the_same_tensors(base: Any) -> Any:
    class Wrong(base):
        def sample(self, count, rng):
            self._samples = getattr(self, "_samples", {})
            sample = super().sample(count, rng)
            return self._samples.setdefault(sample[1].tobytes(), sample)

    return Wrong


def uses_ids_again(base: Any) -> Any:
    class Wrong(base):
        def add(self, batch):
            ids = super().add(batch)
            return np.where(ids < 0, ids, ids % self._capacity)

    return Wrong


def favours_the_newest(base: Any) -> Any:
    class Wrong(base):
        def sample(self, count, rng):
            class Skewed:
                def integers(self, low, high, size):
                    return high - 1 - np.floor((high - low) * rng.random(size) ** 2).astype(np.int64)

            return super().sample(count, Skewed())

    return Wrong


# --- environments ------------------------------------------------------------------------------------------------


def _around(base: Any, wrap: Any) -> Any:
    class Wrong(base):
        def make(self):
            return wrap(super().make())

    return Wrong


def ignores_its_seed(base: Any) -> Any:
    class Unseeded(gymnasium.Wrapper):
        def reset(self, *, seed=None, options=None):
            return self.env.reset(seed=int(np.random.default_rng().integers(2**31)), options=options)

    return _around(base, Unseeded)


def shares_its_state(base: Any) -> Any:
    steps: list[Any] = []

    class Counting(gymnasium.Wrapper):
        def reset(self, *, seed=None, options=None):
            steps.clear()
            return self.env.reset(seed=seed, options=options)

        def step(self, action):
            steps.append(action)
            observation, reward, *tail = self.env.step(action)
            return observation, reward + len(steps), *tail

    return _around(base, Counting)


def reuses_its_observation(base: Any) -> Any:
    class Reusing(gymnasium.Wrapper):
        def reset(self, *, seed=None, options=None):
            self.array, info = self.env.reset(seed=seed, options=options)
            return self.array, info

        def step(self, action):
            observation, *tail = self.env.step(action)
            self.array[:] = observation
            return self.array, *tail

    return _around(base, Reusing)


def leaves_its_space(base: Any) -> Any:
    class Outside(gymnasium.ObservationWrapper):
        def observation(self, observation):
            return observation * 5

    return _around(base, Outside)


def saves_nothing(base: Any) -> Any:
    class Forgetting(gymnasium.Wrapper):
        def save_snapshot(self):
            return b""

        def load_snapshot(self, snapshot):
            return self.env.reset(seed=0)

    return _around(base, Forgetting)


#: Kind, what is wrong, and the check that has to say so.
FAULTS = [
    ("encoder", leaks_across_the_batch, "row_independence[vector]"),
    ("encoder", ignores_first, "first_resets_memory[vector]"),
    ("encoder", drops_out, "train_eval_parity[vector]"),
    ("encoder", has_a_dead_parameter, "gradients_everywhere[vector]"),
    ("encoder", leaves_a_leaf_out, "every_leaf_matters[two]"),
    ("algorithm", uses_its_actions_again, "results_stay[discrete]"),
    ("algorithm", changes_the_batch, "batch_is_left_alone"),
    ("algorithm", forgets_its_optimizer, "state_round_trip"),
    ("algorithm", takes_truncation_for_termination, "truncation_is_not_termination"),
    ("algorithm", bootstraps_from_the_next_episode, "true_last_observation"),
    ("algorithm", learns_from_invalid_steps, "invalid_steps_have_no_effect"),
    ("algorithm", rolls_its_own_dice, "same_seed_same_output"),
    ("algorithm", rolls_its_own_dice, "no_global_random_state"),
    ("algorithm", sees_nothing, "solves_probe_of_observations[discrete]"),
    ("bonus", has_no_effect, "changes_advantages"),
    ("bonus", never_learns, "falls_on_repetition"),
    ("bonus", rewards_with_a_gradient, "no_gradient"),
    ("bonus", rewards_invalid_steps, "no_reward_for_invalid_steps"),
    ("bonus", divides_by_a_variance_of_zero, "reward_over_observations[vector]"),
    ("curriculum", starves_a_task, "no_task_starves"),
    ("curriculum", samples_with_its_own_generator, "sampling_has_no_memory"),
    ("curriculum", gives_arrays, "tasks"),
    ("curriculum", knows_only_its_own_tasks, "any_order"),
    ("replay", never_evicts, "evicts_the_oldest"),
    ("replay", goes_on_into_the_next_episode, "transitions[1]"),
    ("replay", hands_out_the_same_tensors, "nothing_is_shared"),
    ("replay", uses_ids_again, "ids"),
    ("replay", favours_the_newest, "sampling_statistics"),
    ("environment", ignores_its_seed, "seeding"),
    ("environment", shares_its_state, "vector_equals_single"),
    ("environment", reuses_its_observation, "observations_are_not_reused"),
    ("environment", leaves_its_space, "observations_fit"),
    ("environment", saves_nothing, "snapshots"),
]
