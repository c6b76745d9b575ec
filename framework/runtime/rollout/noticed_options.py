"""Options of a reset that notice whether the environment reads its task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


class NoticedOptions(dict[str, Any]):
    """Options of a reset, which notice whether anybody reads one of them: most environments ignore what they get."""

    def __init__(self, noticed: str, options: Mapping[str, Any]):
        super().__init__(options)
        self._noticed = noticed
        self.read = False

    def __getitem__(self, key: str) -> Any:
        self.read |= key == self._noticed
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """As `dict.get`."""
        self.read |= key == self._noticed
        return super().get(key, default)

    def pop(self, key: str, *default: Any) -> Any:
        """As `dict.pop`."""
        self.read |= key == self._noticed
        return super().pop(key, *default)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """As `dict.setdefault`."""
        self.read |= key == self._noticed
        return super().setdefault(key, default)

    def popitem(self) -> tuple[str, Any]:
        """As `dict.popitem`."""
        key, value = super().popitem()
        self.read |= key == self._noticed
        return key, value

    def items(self) -> Any:
        """As `dict.items`."""
        self.read = True
        return super().items()

    def values(self) -> Any:
        """As `dict.values`."""
        self.read = True
        return super().values()

    def __iter__(self) -> Iterator[str]:  # makes ``dict(options)`` and ``{**options}`` go through ``__getitem__``
        return super().__iter__()
