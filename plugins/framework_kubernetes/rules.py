"""What Kubernetes takes for a name, a label, a quantity and so on. Each check returns what is wrong, or ``""``."""

from __future__ import annotations

import re

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_QUANTITY = re.compile(r"\d+(\.\d+)?([mkMGTPE]|[KMGTPE]i)?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOST = r"[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*(:\d+)?"
_FOLDER = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"({_HOST}/)?{_FOLDER}(/{_FOLDER})*(:\w[\w.-]{{0,127}})?(@[A-Za-z][A-Za-z0-9.+_-]*:[0-9a-fA-F]{{32,}})?", re.ASCII
)
_TAINT = re.compile(r"([^=:]+)(?:=([^=:]*))?:(NoSchedule|PreferNoSchedule|NoExecute)")

#: Kubernetes's own words for what a DNS-1123 label is, shortened.
_LOWER = "lower-case letters, digits and -, with a letter or digit at both ends"


def label(text: str) -> str:
    """Whether it is a DNS-1123 label, such as the name of a namespace."""
    return "" if len(text) <= 63 and _LABEL.fullmatch(text) else f"must be at most 63 {_LOWER}"


def subdomain(text: str) -> str:
    """Whether it is a DNS-1123 subdomain, as the names of most objects are."""
    fits = len(text) <= 253 and all(_LABEL.fullmatch(part) for part in text.split("."))
    return "" if fits else f"must be at most 253 {_LOWER}, or several such parts with dots between"


def label_key(text: str) -> str:
    """Whether it is the key of a label, such as ``example.org/team``."""
    prefix, slash, name = text.rpartition("/")
    if slash and (wrong := subdomain(prefix)):
        return f"{wrong}, before the /"
    fits = len(name) <= 63 and _NAME.fullmatch(name)
    return "" if fits else "must be at most 63 letters, digits, -, _ and ., with a letter or digit at both ends"


def label_value(text: str) -> str:
    """Whether it is the value of a label."""
    fits = not text or (len(text) <= 63 and _NAME.fullmatch(text))
    return "" if fits else "must be at most 63 letters, digits, -, _ and ., with a letter or digit at both ends"


def quantity(text: str) -> str:
    """Whether it is an amount of processors or bytes, and not nothing."""
    fits = _QUANTITY.fullmatch(text) and re.search("[1-9]", text)
    return "" if fits else 'must be a positive number, with a unit or without, such as "500m", 4 or "16Gi"'


def image(text: str) -> str:
    """Whether it is the name of a container image."""
    return "" if _IMAGE.fullmatch(text) else 'must be an image, such as "registry.example/pong:1"'


def variable(text: str) -> str:
    """Whether it is the name of an environment variable."""
    return "" if _VARIABLE.fullmatch(text) else "must be a name of letters, digits and _"


def taint(text: str) -> str:
    """Whether it is a taint as ``kubectl taint`` writes it."""
    match = _TAINT.fullmatch(text)
    if match is None:
        return 'must be a taint, such as "example.org/spot=true:NoSchedule" or "example.org/spot:NoExecute"'
    return label_key(match[1]) or label_value(match[2] or "")


def toleration(text: str) -> dict[str, str]:
    """What has a pod tolerate a `taint`; without a value, whichever it has."""
    match = _TAINT.fullmatch(text)
    assert match is not None
    key, value, effect = match.groups()
    matching = {"operator": "Exists"} if value is None else {"operator": "Equal", "value": value}
    return {"key": key, **matching, "effect": effect}
