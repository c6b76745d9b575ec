"""What a pipeline file may say: as JSON Schema for editors, and as rows for documentation."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, get_args, get_origin

from attrs import NOTHING

from framework.catalog import Catalog, Component
from framework.errors import PluginError
from framework.pipeline.components import KERNEL_OPTIONS
from framework.pipeline.sections import ARRAYS, COMPONENTS, KEYS, SECTIONS, Top
from framework.pipeline.toml import literal
from framework.plugins import TARGET
from framework.schema import default_of, join, kind_of, options, plain, type_name

_BOUNDS = {
    "ge": ("minimum", "≥"),
    "gt": ("exclusiveMinimum", ">"),
    "le": ("maximum", "≤"),
    "lt": ("exclusiveMaximum", "<"),
}


class Row(NamedTuple):
    """One option, as documentation shows it."""

    path: str
    type: str  #: with its bounds or choices: ``number > 0``
    default: str  #: as TOML; empty where there is none
    required: bool
    help: str


def rows(cls: type, path: str = "") -> Iterator[Row]:
    """The options of a config class that is read at the dotted key ``path``."""
    for key, (field, hint) in options(cls).items():
        choices = field.metadata.get("choices")
        bounds = "".join(f" {_BOUNDS[name][1]} {bound}" for name, bound in field.metadata.get("bounds", {}).items())
        kind = " or ".join(map(literal, choices)) if choices else type_name(hint) + bounds
        default = default_of(field)
        shown = "" if default is NOTHING or default is None else literal(plain(default))
        yield Row(join(path, key), kind, shown, field.default is NOTHING, field.metadata.get("help", ""))


def json_schema(cls: type) -> dict[str, Any]:
    """The JSON Schema (draft 7, which editors of TOML read) of the table that a config class is made from."""
    properties = {}
    for key, (field, hint) in options(cls).items():
        properties[key] = _type_schema(hint, field.metadata) | {"description": field.metadata.get("help", "")}
        default = default_of(field)
        if default is not NOTHING and default is not None:
            properties[key]["default"] = plain(default)
    required = [key for key, (field, _) in options(cls).items() if field.default is NOTHING]
    return {"type": "object", "properties": properties, "additionalProperties": False} | _required(required)


def pipeline_schema(catalog: Catalog) -> tuple[dict[str, Any], list[str]]:
    """The JSON Schema of a whole pipeline file, and why some components' options are not in it.

    Components are told apart by ``use``. A file that ``extends`` another need not have what is required.
    """
    unknown: list[str] = []
    properties: dict[str, Any] = {"extends": {"type": "string", "description": "Another pipeline file to start from."}}
    demands: dict[str, Any] = {}
    for key in KEYS:
        if key in SECTIONS:
            section = json_schema(SECTIONS[key])
            demands[key] = _required(section.pop("required", []))
            properties[key] = section | {"description": _summary(SECTIONS[key])}
        elif key in COMPONENTS:
            variants = {component: _variant(component, unknown) for component in catalog.components(key)}
            demands[key] = _demand(key, variants)
            properties[key] = _choice(catalog.names(key), variants.values())
    properties |= json_schema(Top)["properties"]
    for part in (properties, demands):
        part |= {key: {"type": "array", "items": part[key]} for key in ARRAYS}
    demand = {"required": ["run", "environment", "algorithm"], "properties": demands}
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Pipeline",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "if": {"not": {"required": ["extends"]}},
        "then": demand,
    }
    return schema, unknown


def _variant(component: Component, unknown: list[str]) -> dict[str, Any]:
    """The table of one component."""
    properties: dict[str, Any] = {"use": {"const": component.name}}
    if component.kind in KERNEL_OPTIONS:
        properties |= json_schema(KERNEL_OPTIONS[component.kind])["properties"]
    head = {"title": component.name, "description": component.summary}
    try:
        cls = component.config_class()
    except PluginError as error:
        unknown.append(str(error))
        return head | {"properties": properties}
    options_schema: dict[str, Any] = (
        json_schema(cls) if cls else {"type": "object", "properties": {}, "additionalProperties": False}
    )
    return options_schema | head | {"properties": options_schema["properties"] | properties}


def _choice(names: list[str], variants: Iterable[dict[str, Any]]) -> dict[str, Any]:
    direct = {"type": "string", "pattern": f"^{TARGET.pattern}$"}
    unnamed = {"title": "module:Class", "properties": {"use": direct}, "required": ["use"]}
    use = {"anyOf": [{"enum": names}, direct], "description": "Which one: its name, or module:Class."}
    return {"type": "object", "properties": {"use": use}, "anyOf": [*variants, unnamed]}


def _demand(kind: str, variants: Mapping[Component, dict[str, Any]]) -> dict[str, Any]:
    """What is required of a component's table, less than which suffices in a file that extends another."""
    rules = []
    for component, variant in variants.items():
        required = variant.pop("required", [])
        if required:
            rules.append({"if": {"properties": {"use": {"const": component.name}}}, "then": _required(required)})
    demand = {} if kind == "encoder" else _required(["use"])
    return demand | ({"allOf": rules} if rules else {})


def _required(keys: list[str]) -> dict[str, Any]:
    return {"required": keys} if keys else {}


def _summary(cls: type) -> str:
    return (cls.__doc__ or "").partition("\n")[0]


def _type_schema(hint: Any, metadata: Mapping[Any, Any]) -> dict[str, Any]:
    kind, arguments = kind_of(hint), get_args(hint)
    schema: dict[str, Any] = {}
    if kind == "class":
        schema = json_schema(hint)
    elif kind == "union":
        members = [_type_schema(inner, metadata) for inner in arguments if inner is not types.NoneType]
        schema = members[0] if len(members) == 1 else {"anyOf": members}
    elif kind == "choice":
        schema = {"enum": list(arguments)}
    elif kind == "table":
        schema = {"type": "object", "additionalProperties": _type_schema((arguments or (str, Any))[1], {})}
    elif kind == "array" and get_origin(hint) is tuple and arguments[-1] is not ...:
        items = [_type_schema(inner, metadata) for inner in arguments]
        schema = {"type": "array", "items": items, "minItems": len(items), "maxItems": len(items)}
    elif kind == "array":
        schema = {"type": "array", "items": _type_schema(arguments[0] if arguments else Any, metadata)}
    elif kind != "value":
        bounds = metadata.get("bounds", {}) if kind in ("integer", "number") else {}
        schema = {"type": kind} | {_BOUNDS[name][0]: bound for name, bound in bounds.items()}
        if metadata.get("choices"):
            schema["enum"] = list(metadata["choices"])
        if metadata.get("pattern") and kind == "string":
            schema["pattern"] = f"^({metadata['pattern']})$"
    return schema
