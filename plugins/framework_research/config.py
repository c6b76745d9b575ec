"""Options of the research environment."""

from __future__ import annotations

from attrs import frozen

from framework.schema import option

CORPORA = ("synthetic", "factbook")
SPLITS = ("train", "validation", "test")
MODES = ("multimodal", "page", "state", "text", "text+figure", "image")
BIGRAMS = ("split", "train", "held out")


@frozen
class ResearchConfig:
    """What `framework_research.environment.ResearchEnv` takes."""

    task_complexity: float = option(
        0.5, help="Difficulty: how many hops, documents, pages, figures, twins, dead links, questions.", ge=0, le=1
    )
    observation_mode: str = option(
        "multimodal",
        help='"multimodal": the page as rows of numbers, and its figure as a picture, which alone shows the heights of '
        'bars; "page": the rows without the picture; "state": rows that have the heights, too; "text": the page as '
        'words that tell no heights; "text+figure": words and picture; "image": rows and figure as one picture.',
        choices=MODES,
    )
    reward_shaping: str = option(
        "dense", help='"sparse", or "dense": evidence is worth something when it is noted.', choices=("dense", "sparse")
    )
    max_steps: int = option(1000, help="Actions after which an episode is truncated.", ge=1)
    corpus: str = option(
        "synthetic", help='Made-up worlds, or "factbook": facts of real countries (extra: factbook).', choices=CORPORA
    )
    split: str = option("train", help="Whose names and pairs of relations come up.", choices=SPLITS)
    bigrams: str = option(
        "split",
        help='Which pairs of relations follow each other: the split\'s own, those of "train", or those "held out".',
        choices=BIGRAMS,
    )
    gamma: float = option(0.99, help="Discount that dense rewards are shaped for.", ge=0, le=1)
    native: bool = option(True, help="Step all environments as one; the results are the same.")
