"""Encoders that start from the weights of another run, or stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.errors import FrameworkError

if TYPE_CHECKING:
    from framework.pipeline.components import Pretrained

Tell = Callable[[str], None]


def prepare(encoder: Any, options: Pretrained, directory: Path, tell: Tell | None) -> None:
    """Load and freeze a new encoder, as its table says.

    Paths are relative to ``directory``. ``tell`` hears what was loaded; without it nothing is, for an encoder whose
    weights come from elsewhere. Raises `FrameworkError` where too little of it can be loaded.
    """
    from framework.toolkit.transfer import find_part, freeze, load_matching, read_tensors, under

    if options.init_from is not None and tell is not None:
        source = _source(directory / options.init_from)
        tensors = read_tensors(source)
        prefix = find_part(encoder, tensors)
        report = load_matching(encoder, under(tensors, prefix), share=options.init_share)
        tell(f"{type(encoder).__name__} from {source}, {prefix or 'all of it'}: {report}")
    if options.freeze:
        freeze(encoder)


def _source(path: Path) -> Path:
    """The file, or the checkpoint's folder, that weights are to be read from: of a run, its best or else its last."""
    if not (path / "manifest.json").is_file() or not (path / "checkpoints").is_dir():
        return path
    folder = path / "checkpoints"
    for prefix in ("best-", "update-"):
        if checkpoints := sorted(folder.glob(f"{prefix}*")):
            return checkpoints[-1]
    raise FrameworkError(f"{path} has no checkpoint to take weights from")
