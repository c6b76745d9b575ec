"""Options of `multimodal`."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from framework.schema import OptionError, option


@frozen
class MultimodalConfig:
    """Options of `multimodal`."""

    parts: dict[str, str | dict[str, Any]] = option(
        factory=dict,
        help="The encoder of each modality: of an observation, or of all observations whose names start with NAME/. "
        "By default transformer for tokens and images, mlp for all other observations together.",
        part="encoder",
    )
    present: dict[str, str] = option(
        factory=dict,
        help="For modalities that may be absent: the observation that tells, 0 where it is. It is Discrete or "
        "MultiBinary.",
    )
    width: int = option(64, help="Width of each token.", ge=1)
    depth: int = option(2, help="Blocks in which modalities look at all tokens.", ge=1)
    heads: int = option(4, help="Attention heads; they divide the width.", ge=1)
    expansion: int = option(2, help="Width of the feed-forward layers, as a multiple of width.", ge=1)
    features: int = option(128, help="Width of the fully connected layer at the end.", ge=1)
    align: tuple[str, str] | None = option(
        None, help="Two modalities to align: those of one observation are told from those of others, as in CLIP."
    )
    align_weight: float = option(0.1, help="Factor of the loss of the alignment.", gt=0)

    def __attrs_post_init__(self) -> None:
        if self.width % self.heads:
            raise OptionError(f"must divide width, which is {self.width}; is {self.heads}", "heads", "width")
        if self.align and self.align[0] == self.align[1]:
            raise OptionError("must be two different modalities", "align")
