"""Transfer of weights from another run or program: loading, and freezing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MethodType

import safetensors
import safetensors.torch
import torch
from attrs import field, frozen
from torch import Tensor, nn

from framework.errors import FrameworkError


@frozen
class Report:
    """Which tensors were loaded into a module's parameters and buffers, and which were not."""

    loaded: tuple[str, ...]  #: names of the module's tensors that got the values given
    missing: tuple[str, ...]  #: the module's, not given
    unexpected: tuple[str, ...]  #: given, but none of the module's
    skipped: Mapping[str, str]  #: name -> why the tensor given does not fit the module's
    share: float = field(kw_only=True)  #: of all numbers in the module's tensors, those that were loaded; in [0, 1]

    def __str__(self) -> str:
        count = len(self.loaded) + len(self.missing) + len(self.skipped)
        parts = [f"loaded {len(self.loaded)} of {count} tensors, {self.share:.1%} of the numbers"]
        if self.missing:
            parts.append(f"missing: {_listed(self.missing)}")
        if self.skipped:
            parts.append(f"skipped: {_listed(f'{name} ({why})' for name, why in self.skipped.items())}")
        if self.unexpected:
            parts.append(f"unexpected: {_listed(self.unexpected)}")
        return "; ".join(parts)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` file or of a checkpoint's folder, by name.

    In a checkpoint the names are paths, such as ``algorithm/policy/encoder.layers.0.weight``. Raises `FrameworkError`
    where there is none, or it cannot be read; nothing is ever unpickled.
    """
    file = path / "tensors.safetensors" if path.is_dir() else path
    try:
        tensors: dict[str, Tensor] = safetensors.torch.load(file.read_bytes())
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise FrameworkError(
            f"{file}: cannot be read as safetensors, the only format that weights are taken from: {error}"
        ) from error
    # Checkpoints number their tensors, as paths alone may be equal.
    return {re.sub(r"^\d+/", "", name): x for name, x in tensors.items()} if path.is_dir() else tensors


def find_part(module: nn.Module, tensors: Mapping[str, Tensor]) -> str:
    """The prefix under which most tensors match the module's by name and shape, such as ``"policy/encoder."``.

    Of equal matches the first in alphabetical order is taken. Raises `FrameworkError` where no name is one of the
    module's.
    """
    of_equal_shape: dict[str, int] = {}
    of_equal_name: dict[str, int] = {}
    for suffix, value in module.state_dict().items():
        for name, x in tensors.items():
            prefix = name.removesuffix(suffix)
            if name.endswith(suffix) and (not prefix or prefix[-1] in "./"):
                of_equal_name[prefix] = of_equal_name.get(prefix, 0) + 1
                of_equal_shape[prefix] = of_equal_shape.get(prefix, 0) + (x.shape == value.shape)
    if not of_equal_name:
        raise FrameworkError(
            f"none of the tensors given belongs to {type(module).__name__}: "
            f"it has {_listed(module.state_dict())}; given are {_listed(tensors)}"
        )
    return min(of_equal_name, key=lambda prefix: (-of_equal_shape[prefix], -of_equal_name[prefix], prefix))


def under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names start with the prefix, by the rest of their names."""
    return {name.removeprefix(prefix): x for name, x in tensors.items() if name.startswith(prefix)}


@torch.no_grad()
def load_matching(module: nn.Module, tensors: Mapping[str, Tensor], *, share: float) -> Report:
    """Copy tensors into the module's parameters and buffers of equal name and shape, in place; returns a report.

    Floating-point numbers are converted where precisions differ. Raises `FrameworkError`, and changes nothing, where
    less than ``share``, in [0, 1], of the module's numbers would be loaded: weights that are mostly left out would
    otherwise look like a transfer that did not help.
    """
    targets = module.state_dict()
    skipped = {
        name: f"{_kind(tensors[name])} for {_kind(value)}"
        for name, value in targets.items()
        if name in tensors and not _fits(tensors[name], value)
    }
    loaded = tuple(name for name in targets if name in tensors and name not in skipped)
    numbers = sum(value.numel() for value in targets.values())
    report = Report(
        loaded=loaded,
        missing=tuple(name for name in targets if name not in tensors),
        unexpected=tuple(name for name in tensors if name not in targets),
        skipped=skipped,
        share=sum(targets[name].numel() for name in loaded) / numbers if numbers else 0.0,
    )
    if report.share < share or not loaded:
        raise FrameworkError(
            f"fewer weights than asked for (a share of {share:g}) fit {type(module).__name__}: {report}"
        )
    for name in loaded:
        targets[name].copy_(tensors[name])
    return report


def freeze(module: nn.Module) -> None:
    """Freeze the module: no gradients, and evaluation mode for good.

    Norms keep their statistics and dropout stays off, even after ``train()`` of the module, of a part of it, or of what
    it is part of. To be called before an optimizer is made.
    """
    module.requires_grad_(False)
    module.eval()
    for part in module.modules():
        # A method of the object, and not of a class of its own, as copies of a module must stay what they are.
        part.train = MethodType(_stay, part)  # type: ignore[method-assign]


def _stay(module: nn.Module, mode: bool = True) -> nn.Module:
    return module


def _fits(source: Tensor, target: Tensor) -> bool:
    both_real = source.is_floating_point() and target.is_floating_point()
    return source.shape == target.shape and (both_real or source.dtype == target.dtype)


def _kind(x: Tensor) -> str:
    return f"{list(x.shape)} {str(x.dtype).removeprefix('torch.')}"


def _listed(names: Iterable[str], most: int = 8) -> str:
    listed = list(names)
    rest = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + rest if listed else "nothing"
