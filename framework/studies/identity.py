"""Which options make two runs runs of one pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.pipeline.document import differences

#: Options that say where a run happens, and those among them that change its arithmetic.
_WHERE = ("runtime.", "checkpoint.", "callback", "run.report", "evaluation.video")
_ARITHMETIC = ("runtime.precision", "runtime.compile")


def differing(one: Mapping[str, Any], two: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Both values of each option, by dotted key in order, at which what two pipelines learn differs.

    Pipelines are plain values with every option filled in. Where a run happens makes no difference.
    """
    return {
        key: values
        for key, values in sorted(differences(one, two).items())
        if key in _ARITHMETIC or not key.startswith(_WHERE)
    }
