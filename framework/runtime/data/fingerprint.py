"""Where the components of a pipeline come from, and one fingerprint of all of them."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from framework.catalog import function_provenance, provenance
from framework.pipeline.components import functions

if TYPE_CHECKING:
    from framework.pipeline.sections import Pipeline


def components(pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    """Where each component of a pipeline comes from: distribution, version, and the hash of its source file."""
    optional = [part for part in (pipeline.curriculum, pipeline.replay) if part is not None]
    parts = [pipeline.environment, pipeline.encoder, pipeline.algorithm, *pipeline.bonuses, *optional]
    rows = {f"{part.kind}/{part.use}": provenance(part.component) for part in parts}
    for part in parts:
        for key, target in functions(part.config):
            rows[f"{part.kind}/{part.use}.{key}"] = function_provenance(target, pipeline.directory)
    return rows


def components_fingerprint(pipeline: Pipeline) -> str:
    """Equal where all components are the same."""
    text = json.dumps(components(pipeline), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
