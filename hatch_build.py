"""The README as package indexes show it, where the files of the repository are not at hand."""

from __future__ import annotations

import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

#: What makes sense only beside the files of the repository; an index shows the comment after ``else:`` in its place.
_REPOSITORY = re.compile(r"<!-- in the repository -->\n(.*?)<!-- else:\n(.*?)-->\n", re.DOTALL)
_PICTURE = re.compile(r"!\[[^\]]*\]\([^)]*\)\n*")
_RELATIVE_LINK = re.compile(r"\[([^\]]+)\]\((?!https?://)[^)]*\)")


class CustomMetadataHook(MetadataHookInterface):
    """Fills in ``readme``, which pyproject.toml declares dynamic."""

    def update(self, metadata: dict) -> None:
        """Set the readme in ``metadata``, the project's table."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": index_readme(text)}


def index_readme(text: str) -> str:
    """README.md without pictures and without links to files, whose words stay."""
    return _RELATIVE_LINK.sub(r"\1", _PICTURE.sub("", _REPOSITORY.sub(r"\2", text)))
