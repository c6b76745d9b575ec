"""Who is let in: what a sampler must have in common with the learner, and what it is told where it has not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen

import framework
from framework.runtime.data.specification import Specification
from framework.runtime.link import wire

#: What must be equal whatever the policy's lag is; other versions change results only by rounding.
ALWAYS = {"framework"}
#: Letters of a stranger's text that are told; and how many of the things that only it has: a refusal is one message.
_TEXT_LIMIT = 100
_EXTRA_LIMIT = 8
LINE_LIMIT = 20  #: differences that are told of: a stranger may have thousands


@frozen
class Admission:
    """What a sampler is told, and what it must agree with."""

    run: str
    pipeline: dict[str, Any]
    directory: str
    versions: dict[str, str]  #: what the learner computes with; see `framework.runtime.data.fingerprint.versions`
    components: dict[str, str]  #: what it is composed of; see `framework.runtime.data.fingerprint.fingerprints`
    specification: Specification
    exact: bool = True  #: whether equal results are promised, as they are at a fixed lag

    def check_introduction(self, fields: Mapping[str, Any]) -> str | None:
        """Why who introduces itself is not let in; None where it is."""
        expected = {"protocol": wire.PROTOCOL, "framework": framework.__version__, "run": self.run}
        for name, value in expected.items():
            if fields.get(name) != value:
                return f"this run has {name} {value!r}, the sampler has {_described(fields.get(name))}"
        return None

    def check_versions(self, versions: Mapping[str, str]) -> str | None:
        """Why a sampler that computes with these versions is not let in; None where it is."""
        must = self.versions.keys() if self.exact else ALWAYS
        return _joined(line for name, line in differences(self.versions, versions).items() if name in must)

    def check_components(self, components: Mapping[str, str]) -> str | None:
        """Why a sampler with these components is not let in; None where it is."""
        return _joined(differences(self.components, components).values())


def differences(learner: Mapping[str, str], sampler: Mapping[str, str]) -> dict[str, str]:
    """What a sampler has otherwise than the learner: for each, both sides and how to mend it."""
    return {
        name: f"{printable(name)}: the learner has {learner.get(name, 'none')}, the sampler "
        f"{printable(sampler.get(name, 'none'))}; {_advice(name, learner.get(name, ''), sampler.get(name, ''))}"
        for name in (*sorted(learner), *sorted(sampler.keys() - learner.keys())[:_EXTRA_LIMIT])
        if learner.get(name) != sampler.get(name)
    }


def printable(text: str, limit: int = _TEXT_LIMIT, also: str = "") -> str:
    """At most ``limit`` letters of a stranger's text, harmless for terminals and records; ``also`` are let through."""
    return "".join(letter if letter.isprintable() or letter in also else "?" for letter in text[:limit])


def _described(value: Any) -> str:
    """What an introduction that nobody has checked says; lists may be nested too deep to be shown."""
    return printable(repr(value)) if isinstance(value, str | int | None) else f"a {type(value).__name__}"


def _joined(lines: Iterable[str]) -> str | None:
    return " | ".join(list(lines)[:LINE_LIMIT]) or None


def _advice(name: str, learner: str, sampler: str) -> str:
    """How the sampler's machine is brought to what the learner has."""
    if name == "processor":
        capabilities = (text.rpartition(" ")[2].lower() for text in (learner, sampler))
        levels = sorted(filter(re.compile("[a-z0-9]+").fullmatch, capabilities), key=_level)  # it may be anything
        return f'start both with ATEN_CPU_CAPABILITY={levels[0]} in the environment, or set policy_lag = "free"'
    if name == "python":
        return f"run the sampler with Python {learner}"
    package, _, rest = learner.partition(" ")
    if name in ("framework", "torch", "numpy", "gymnasium"):
        package, rest = ("framework-rl" if name == "framework" else name), learner
    release = rest.partition(" ")[0]
    if release == sampler.partition(" ")[0] or release == sampler.partition(" ")[2].partition(" ")[0]:
        return f"the same version of {package} with other sources: install the learner's on the sampler's machine"
    if not release or release.startswith("("):
        return f"bring the learner's {package} to the sampler's machine"
    return f"on the sampler's machine: pip install {package}=={release}"


def _level(capability: str) -> int:
    """Rank of a capability of torch's CPU kernels; those that are none of x86's come first."""
    order = ("default", "avx2", "avx512")
    return order.index(capability) if capability in order else -1
