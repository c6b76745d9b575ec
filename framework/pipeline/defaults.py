"""What the options of a pipeline are when nobody sets them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from attrs import NOTHING

from framework.catalog import Catalog
from framework.pipeline.components import KERNEL_OPTIONS
from framework.pipeline.sections import COMPONENTS, DEFAULT_ENCODER, SECTIONS
from framework.schema import default_of, join, options, plain, structure


def defaults(values: Mapping[str, Any], catalog: Catalog) -> dict[str, Any]:
    """The default of each option in the plain values of a whole pipeline, by dotted key; None where there is none.

    Options are left out whose defaults are not known: those of components whose plugin is missing or broken, and of
    components in Python files, as nothing is imported but what plugins declare.
    """
    return dict(_defaults(values, catalog))


def _defaults(values: Mapping[str, Any], catalog: Catalog) -> Iterator[tuple[str, Any]]:
    for name, cls in SECTIONS.items():
        yield from _of_table(cls, values.get(name), name)
    for kind in COMPONENTS:
        tables = values.get(kind)
        for index, table in enumerate(tables if isinstance(tables, list) else [tables]):
            if isinstance(table, Mapping):
                yield from _of_component(kind, table, join(kind, index) if tables is not table else kind, catalog)


def _of_component(kind: str, table: Mapping[str, Any], path: str, catalog: Catalog) -> Iterator[tuple[str, Any]]:
    yield join(path, "use"), DEFAULT_ENCODER if kind == "encoder" else None
    if kind in KERNEL_OPTIONS:
        yield from _of_table(KERNEL_OPTIONS[kind], table, path)
    use = str(table.get("use"))
    if ":" in use:  # a Python file: finding it would run it
        return
    with suppress(Exception):  # of a plugin that is missing, or whose options are broken
        config_class = catalog.find(kind, use).config_class()
        if config_class is not None:
            yield from list(_of_table(config_class, table, path))


def _of_table(cls: type, table: Any, path: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(table, Mapping):
        return
    values = {key: table[key] for key in options(cls) if key in table}
    for key in values:
        field, _ = options(cls)[key]
        default = default_of(field)
        if default is NOTHING and field.default is not NOTHING:  # it depends on the other options
            config, _ = structure(cls, {name: value for name, value in values.items() if name != key})
            default = None if config is None else getattr(config, field.name)
        yield join(path, key), None if default is NOTHING else plain(default)
