"""The policy that knows the world."""

from __future__ import annotations

from researching import play

from framework_research.browser.shortest import shortest_episode
from framework_research.environment import ResearchEnv
from framework_research.policies.experts import expert
from framework_research.policies.oracle import oracle


def test_the_oracle_succeeds_in_the_fewest_steps() -> None:
    """In every world, and never later than the expert."""
    environment = ResearchEnv(task_complexity=0.4, observation_mode="state")

    def know(rows, mask, rng):
        return oracle(rows, mask, rng, environment=environment)

    for seed in range(40):
        rewards, succeeded = play(environment, know, seed)
        assert succeeded
        assert len(rewards) == len(shortest_episode(environment.episodes.worlds[0]))
        assert len(rewards) <= len(play(environment, expert, seed)[0])


def test_each_environment_has_a_plan_of_its_own() -> None:
    """Two that are played in turns both succeed in the fewest steps."""
    environments = [ResearchEnv(task_complexity=0.3, observation_mode="state") for _ in range(2)]
    ends = {}
    for seed, environment in enumerate(environments):
        environment.reset(seed=seed)
    for step in range(1, 20):
        for environment in set(environments) - ends.keys():
            action = oracle(None, None, None, environment=environment)
            terminated = environment.step(action)[2]
            if terminated:
                ends[environment] = step
    for environment in environments:
        assert environment.episodes.succeeded[0]
        assert ends[environment] == len(shortest_episode(environment.episodes.worlds[0]))
