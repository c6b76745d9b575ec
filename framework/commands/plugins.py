"""List the plugins and what they offer, or explain one of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click
from attrs import NOTHING, Attribute

from framework.catalog import Catalog, Component, UnknownComponent, default_catalog
from framework.commands._completion import complete_plugins
from framework.commands._table import table
from framework.errors import EXIT_DONE, EXIT_PLUGIN, PluginError
from framework.hookspecs import REGISTER_HOOKS
from framework.plugins import Plugin, did_you_mean
from framework.schema import default_of, options, plain, type_name

_SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


@click.command()
@click.argument("name", required=False, shell_complete=complete_plugins)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def command(name: str | None, as_json: bool) -> int:
    """List the installed plugins and their components.

    With NAME, the name of a plugin or a component, show the options of its components with type, default and meaning,
    or the reason and the traceback of a failure. NAME may also be a kind, such as encoder: its components are listed.
    """
    catalog = default_catalog()
    if name is None:
        listing = [_plugin_values(row, catalog) for row in catalog.plugins.rows]
        click.echo(json.dumps(listing, indent=2) if as_json else _overview(catalog))
        return EXIT_DONE
    if name in REGISTER_HOOKS.values():
        offered = catalog.components(name)
        listing = [_component_values(component) for component in offered]
        click.echo(json.dumps(listing, indent=2) if as_json else _kind_text(name, offered))
        return EXIT_DONE
    plugins, components = _named(name, catalog)
    options = {component: _options(component) for component in components}
    if as_json:
        details = [_component_values(component) | {"options": options[component]} for component in components]
        plain = {"plugins": [_plugin_values(row, catalog) for row in plugins], "components": details}
        click.echo(json.dumps(plain, indent=2))
    else:
        blocks = [_plugin_text(row) for row in plugins]
        blocks += [_component_text(component, options[component]) for component in components]
        click.echo("\n\n".join(blocks))
    return EXIT_PLUGIN if any(isinstance(listed, str) for listed in options.values()) else EXIT_DONE


def _named(name: str, catalog: Catalog) -> tuple[list[Plugin], list[Component]]:
    """The plugins and components that ``name`` means; where it is a component of a broken plugin, that plugin.

    A component may be named with its plugin, ``plugin/name``, or without; what pipelines write goes first.
    """
    rows, components = catalog.plugins.rows, catalog.components()
    plugins = [row for row in rows if row.name == name]
    matching = [
        component
        for component in components
        if component.name == name or component.plugin in {row.name for row in plugins}
    ]
    if not plugins and not matching:
        plugins = [row for row in rows if row.name == name.partition("/")[0] and row.status != "loaded"]
    if not plugins and not matching:
        matching = [component for component in components if name in (_qualified(component), _bare(component))]
    if not plugins and not matching:
        qualified = map(_qualified, components) if "/" in name else (component.name for component in components)
        hint = did_you_mean(name, [*(row.name for row in rows), *qualified, *REGISTER_HOOKS.values()])
        raise UnknownComponent(f"no plugin or component is named {name!r}{hint}")
    return plugins, matching


def _bare(component: Component) -> str:
    return component.name.rpartition("/")[2]


def _qualified(component: Component) -> str:
    return f"{component.plugin}/{_bare(component)}"


# --- values ------------------------------------------------------------------------------------------------------


def _component_values(component: Component) -> dict[str, Any]:
    names = ("kind", "name", "target", "config", "summary", "plugin", "distribution", "version")
    return {name: getattr(component, name) for name in names} | {"supports": sorted(component.supports)}


def _plugin_values(row: Plugin, catalog: Catalog) -> dict[str, Any]:
    components = [_component_values(component) for component in catalog.components() if _offers(row, component)]
    values = row._asdict()
    del values["registrations"]
    return values | {"components": components}


def _offers(row: Plugin, component: Component) -> bool:
    return row.status == "loaded" and component.plugin == row.name


def _options(component: Component) -> list[dict[str, Any]] | str:
    """The options of a component as plain values, or the reason why they are unknown."""
    try:
        cls = component.config_class()
        return [_option(key, field, type_name(hint)) for key, (field, hint) in options(cls).items()] if cls else []
    except PluginError as error:
        return str(error)


def _option(key: str, field: Attribute[Any], type_name: str) -> dict[str, Any]:
    required, default = field.default is NOTHING, default_of(field)
    values = {"name": key, "type": type_name, "required": required, "help": field.metadata.get("help", "")}
    rules = {rule: field.metadata[rule] for rule in ("bounds", "choices") if field.metadata.get(rule)}
    return values | rules | ({} if default is NOTHING else {"default": plain(default)})


# --- text --------------------------------------------------------------------------------------------------------


def _overview(catalog: Catalog) -> str:
    rows = [("PLUGIN", "DISTRIBUTION", "VERSION", "STATUS")]
    rows += [(row.name, row.distribution or "-", row.version or "-", row.status) for row in catalog.plugins.rows]
    heading, *lines = table(rows).splitlines()
    components = catalog.components()
    cells = [(component.kind, component.name, component.summary) for component in components]
    descriptions = dict(zip(components, table(cells, "  ").splitlines(), strict=True)) if cells else {}
    text = [heading]
    for row, line in zip(catalog.plugins.rows, lines, strict=True):
        text += [line, *(description for component, description in descriptions.items() if _offers(row, component))]
        text += [f"  listens to {', '.join(row.listens)}"] if row.listens else []
        text += [f"  {row.reason}"] if row.reason else []
    text += ["", "`framework plugins NAME` shows the options of a plugin or component, or what is wrong with it."]
    return "\n".join(text)


def _kind_text(kind: str, components: Sequence[Component]) -> str:
    rows = [(component.name, component.summary) for component in components]
    if not rows:
        return f"no {kind} is installed"
    return f"{table(rows)}\n\n`framework plugins NAME` shows the options of one."


def _plugin_text(row: Plugin) -> str:
    title = f"plugin {row.name} ({row.origin}): {row.status}"
    listens = f"  listens to {', '.join(row.listens)}" if row.listens else ""
    return "\n".join(filter(None, (title, listens, row.reason, row.traceback)))


def _component_text(component: Component, options: list[dict[str, Any]] | str) -> str:
    facts = [("target", component.target), ("supports", ", ".join(sorted(component.supports)))]
    text = [f"{component.kind} {component.name}: {component.summary}".rstrip(": ")]
    text.append(table([fact for fact in facts if fact[1]], "  "))
    if isinstance(options, str):
        return "\n".join([*text, options])
    for option in options:
        bounds = ",".join(f" {_SIGNS[name]} {bound}" for name, bound in option.get("bounds", {}).items())
        choices = " of " + ", ".join(map(str, option["choices"])) if "choices" in option else ""
        default = f" = {json.dumps(option['default'])}" if option.get("default") is not None else ""
        required = " (required)" if option["required"] else ""
        text.append(f"  {option['name']}: {option['type']}{bounds}{choices}{default}{required}")
        text.append(f"      {option['help']}")
    if component.kind == "command":
        text.append(f"  its options: framework {component.name} --help")
    elif not options:
        text.append("  no options")
    return "\n".join(text)
