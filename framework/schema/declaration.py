"""How a config class declares an option, and the check of its defaults."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs
from attrs import NOTHING

from framework.errors import Problem
from framework.schema.fields import default_of, options
from framework.schema.reading import read_option


class OptionError(ValueError):
    """A rule of a config class is broken; ``options`` names the field to blame, then others that the rule is about."""

    def __init__(self, message: str, *options: str):
        self.options = options
        super().__init__(message)


def option(
    default: Any = NOTHING,
    *,
    help: str,
    factory: Callable[[], Any] | None = None,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    choices: Iterable[Any] | None = None,
    pattern: str | None = None,
    part: str | None = None,
    function: bool = False,
    formerly: str | tuple[str, ...] = (),
) -> Any:
    """One option of a config class, given by keyword; without ``default`` or ``factory`` it is required.

    Bounds (of numbers), choices, and ``pattern`` (of whole strings) hold for each element of an array. ``part`` is the
    kind of component that the option names, by a string or a table with ``use`` (type ``str | dict[str, Any]``), or a
    table of such (``dict[str, str | dict[str, Any]]``); see `framework.interfaces.Context.make_part`. ``function`` says
    that the option names one, ``"module:function"``; see `framework.interfaces.Context.find_function`. ``formerly`` is
    what the option was named before, or several such names: a pipeline that uses one is refused, and told the new name.
    Building the class with a value of another type, or with one that breaks these rules, raises `OptionError`; integers
    become floats and lists tuples where the type says so.
    """
    bounds = {name: bound for name, bound in (("ge", ge), ("gt", gt), ("le", le), ("lt", lt)) if bound is not None}
    metadata: dict[str, Any] = {"help": help, "bounds": bounds, "choices": tuple(choices or ()), "pattern": pattern}
    metadata |= {"part": part, "function": function}
    metadata["formerly"] = (formerly,) if isinstance(formerly, str) else formerly
    if factory is not None:
        default = attrs.Factory(factory)
    return attrs.field(default=default, kw_only=True, converter=_CONVERTER, metadata=metadata)


def check_defaults(cls: Any) -> None:
    """Raise ValueError where a default of the config class breaks the option's own rules."""
    for key, (field, hint) in options(cls).items():
        problems: list[Problem] = []
        try:
            if (default := default_of(field)) is not NOTHING:
                read_option(field, hint, default, key, problems)
        except Exception as error:  # any code may make a default
            raise ValueError(f"the default of {key} cannot be made: {error!r}") from error
        if problems:
            raise ValueError(f"the default of {problems[0]}")


def _convert(value: Any, instance: Any, field: attrs.Attribute[Any]) -> Any:
    problems: list[Problem] = []
    key = field.alias or field.name
    result = read_option(*options(type(instance))[key], value, key, problems)
    if problems:
        raise OptionError("; ".join(map(str, problems)), key)
    return result


#: One for all options: making a converter takes attrs longer than all else about an option.
_CONVERTER = attrs.Converter(_convert, takes_self=True, takes_field=True)
