"""The scores of episodes, against sums over each episode's steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_ppo import collect, make_context, ppo

from framework.interfaces import EpisodeScores
from framework_ppo.metrics import mean_advantages


def scores(batch, advantages):
    return mean_advantages(advantages, batch.first, batch.valid, batch.final_index)


def slow_scores(batch, advantages):
    """Go back from each episode's last step to its first."""
    count, scores = advantages.shape[1], []
    for index in batch.final_index.tolist():
        t, n = divmod(index, count)
        sizes = []
        while t >= 0:
            if batch.valid[t, n]:
                sizes.append(abs(advantages[t, n].item()))
            if batch.first[t, n]:
                break
            t -= 1
        scores.append(sum(sizes) / len(sizes))
    return scores


@pytest.mark.parametrize("seed", range(4))
def test_a_score_is_the_mean_over_the_episodes_steps(seed):
    """Over those in the batch: from the episode's first step, or the batch's, to its last."""
    context = make_context(steps=20)
    batch = collect(ppo(context), context, ends=0.25, seed=seed)
    batch.first[0, 1] = False
    advantages = torch.randn(20, 4, generator=torch.Generator().manual_seed(seed))
    means = scores(batch, advantages)
    assert means.dtype == np.float64
    assert means.tolist() == pytest.approx(slow_scores(batch, advantages), rel=1e-12)
    assert len(set(batch.final_index.tolist())) == len(means) > 5


def test_reset_steps_do_not_count():
    """A step in which no action was taken belongs to no episode."""
    context = make_context(steps=6, num_envs=1)
    batch = collect(ppo(context), context, ends=0.0)
    batch.truncated[2, 0], batch.valid[3, 0], batch.first[4, 0], batch.terminated[5, 0] = True, False, True, True
    batch.final_index = torch.tensor([5, 2])
    advantages = torch.tensor([[1.0], [-2.0], [3.0], [1e6], [-4.0], [6.0]])
    assert scores(batch, advantages).tolist() == pytest.approx([5.0, 2.0])


def test_no_episode_no_score():
    """A batch in which no episode ended has none."""
    context = make_context()
    batch = collect(ppo(context), context, ends=0.0)
    assert scores(batch, torch.ones(16, 4)).shape == (0,)


def test_ppo_scores_the_episodes_of_its_last_batch():
    """With the advantages it learned from, before they were standardized; none before the first update."""
    context = make_context()
    algorithm = ppo(context)
    assert isinstance(algorithm, EpisodeScores)
    assert algorithm.episode_scores().shape == (0,)
    for seed in range(2):
        batch = collect(algorithm, context, seed=seed)
        expected = slow_scores(batch, algorithm._estimate_targets(batch, []).advantages)
        algorithm.update(batch)
        assert algorithm.episode_scores().tolist() == pytest.approx(expected)
