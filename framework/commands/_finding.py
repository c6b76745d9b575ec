"""What a check of the doctor's finds."""

from __future__ import annotations

from typing import Literal

from attrs import frozen


@frozen
class Finding:
    """The result of one check."""

    topic: str
    status: Literal["ok", "warning", "error"]
    text: str
    advice: str = ""
