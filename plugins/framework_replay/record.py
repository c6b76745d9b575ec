"""Play a run's policy, and keep its episodes as a Minari dataset."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("run", type=click.Path(exists=True, path_type=Path))
@click.argument("dataset")
@click.option("--episodes", type=click.IntRange(min=1), default=100, show_default=True, help="Number of episodes.")
@click.option("--checkpoint", default="best", show_default=True, help='"best", "last", or the name of a checkpoint.')
@click.option("--deterministic", is_flag=True, help="Take the most probable actions instead of sampling them.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of episodes and actions.")
@click.option("--trust", is_flag=True, help="Import Python files that RUN names, even if another account made it.")
def command(
    run: Path, dataset: str, episodes: int, checkpoint: str, deterministic: bool, seed: int, trust: bool
) -> None:
    """Play episodes with the policy of RUN, a run directory, and keep them as DATASET, an id of Minari.

    Such as pendulum/medium-v0. It is stored where Minari keeps its datasets, ~/.minari/datasets or the folder that
    MINARI_DATASETS_PATH names; the replay buffer minari reads it.
    """
    from framework.runtime.disk.load_run import load_run
    from framework.runtime.evaluate.agent import load_agent
    from framework_replay.dataset import import_minari

    import_minari()
    pipeline = load_run(run, trust=trust)
    agent = load_agent(run, checkpoint, trust=trust)
    agent.reset(seed=seed, deterministic=deterministic)
    played = _play(pipeline, agent, episodes, seed)
    steps = write(dataset, agent.observation_space, agent.action_space, played)
    returns = [sum(episode["rewards"]) for episode in played]
    mean = sum(returns) / episodes
    click.echo(f"{dataset}: {episodes} episodes, {steps:,} steps, return {mean:.2f}")


def _play(pipeline: Any, agent: Any, count: int, seed: int) -> list[dict[str, Any]]:
    """The columns of each episode, by their names in a `minari.EpisodeBuffer`."""
    import numpy as np

    from framework.pipeline.build import build_environment
    from framework.runtime.data.seeds import episode_seed
    from framework.runtime.rollout.environments import close_environment, make_environment

    environment = make_environment(build_environment(pipeline))
    tasks = pipeline.evaluation.tasks or (None,)
    played = []
    try:
        for number in range(count):
            task = tasks[number % len(tasks)]
            options = None if task is None else {"task": task}
            observation, info = environment.reset(seed=episode_seed(seed, 0, number), options=options)
            agent.reset(np.ones(1, bool))
            observations, infos, steps = [observation], [info], []
            ended = False
            while not ended:
                action = agent.act(observation, info.get("action_mask"))
                observation, reward, terminated, truncated, info = environment.step(action)
                observations.append(observation)
                infos.append(info)
                steps.append((action, float(reward), bool(terminated), bool(truncated)))
                ended = terminated or truncated
            actions, rewards, terminations, truncations = zip(*steps, strict=True)
            masks = [info["action_mask"] for info in infos if "action_mask" in info]
            played.append(
                {
                    "observations": column(agent.observation_space, observations),
                    "actions": column(agent.action_space, actions),
                    "rewards": list(rewards),
                    "terminations": list(terminations),
                    "truncations": list(truncations),
                    "infos": {"action_mask": np.stack(masks)} if len(masks) == len(infos) else {},
                }
            )
    finally:
        close_environment(environment, "environment")
    return played


def column(space: Any, values: Any) -> Any:
    """Values of a space one after the other: a dict or tuple of columns where it has parts."""
    import numpy as np
    from gymnasium.spaces import Dict, Tuple

    if isinstance(space, Dict):
        return {key: column(part, [value[key] for value in values]) for key, part in space.spaces.items()}
    if isinstance(space, Tuple):
        return tuple(column(part, [value[index] for value in values]) for index, part in enumerate(space.spaces))
    return np.asarray(values, space.dtype)


def write(dataset: str, observation_space: Any, action_space: Any, played: list[dict[str, Any]]) -> int:
    """Write episodes, by the names of the columns of `minari.EpisodeBuffer`; returns how many steps they have.

    Raises `FrameworkError` where there is such a dataset already, or its id is none.
    """
    import minari
    from minari.data_collector import EpisodeBuffer

    from framework.errors import FrameworkError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Minari: that nobody is named as the author
            written = minari.create_dataset_from_buffers(
                dataset,
                [EpisodeBuffer(id=number, **columns) for number, columns in enumerate(played)],
                observation_space=observation_space,
                action_space=action_space,
                jpeg_encoding=False,
            )
    except (ValueError, NotImplementedError) as error:
        raise FrameworkError(f"the dataset {dataset!r} cannot be written: {error}") from error
    return int(written.total_steps)
