"""Options of components: attrs classes, checked strictly, to and from plain values.

A config class is a frozen attrs class whose fields are made with `option`. Understood types: ``bool``, ``int``,
``float``, ``str``, ``Literal``, ``X | Y``, ``X | None`` (``None`` by default, as TOML has no null),
``tuple[X, ...]``, ``tuple[X, Y]``, ``list[X]``, ``dict[str, X]``, ``Any`` and other such classes.
A class attribute ``hints: ClassVar[dict[str, str]]`` says what is there instead of keys that users of other libraries
try, such as ``{"batch_size": "it is named minibatch_size here"}``.
Plain values are what TOML and JSON share: strings, integers of 64 bits, finite numbers, booleans, arrays, tables.
"""

from framework.schema.declaration import OptionError, check_defaults, option
from framework.schema.fields import default_of, kind_of, options, type_name
from framework.schema.reading import plain, structure, unknown_keys
from framework.schema.text import join, quote, suggest

__all__ = [
    "OptionError",
    "check_defaults",
    "default_of",
    "join",
    "kind_of",
    "option",
    "options",
    "plain",
    "quote",
    "structure",
    "suggest",
    "type_name",
    "unknown_keys",
]
