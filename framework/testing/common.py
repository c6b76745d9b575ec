"""Checks that hold for components of every kind."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from itertools import islice
from typing import Any, NamedTuple

import attrs
import numpy as np

from framework.schema import kind_of, options, plain, structure
from framework.testing.compare import difference, through_checkpoint
from framework.testing.subject import Skip, Subject

#: Uses of a component before its state is saved, and after.
_USES = 3


class Trial(NamedTuple):
    """How a component is used, for checks of all kinds."""

    build: Callable[[], Any]
    inputs: Callable[[Any], Iterator[Any]]  #: what a component is used on; may depend on what it does
    use: Callable[[Any, Any], Any]  #: one use; a nest of all that comes out
    builds_with_global_generator: bool = False  #: whether it may draw from torch's generator while it is built


# --- what it declares --------------------------------------------------------------------------------------------


def check_light_import(subject: Subject) -> None:
    """Its plugin's declarations and its options import without torch, so that no command waits for torch."""
    component = subject.component
    if not component.plugin:
        raise Skip("it is named directly, as module:Class, and is imported as a whole")
    module = (component.config or component.target.rpartition(".")[0]).partition(":")[0]
    program = f"import sys, {module}\nsys.exit('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr, f"importing {module} alone fails:\n{done.stderr}"
    assert done.returncode == 0, f"importing {module} imports torch: do so in the module of the target only"


def check_summary(subject: Subject) -> None:
    """It says in a line what it is: in its registration, or in the first line of its docstring."""
    component = subject.component
    summary = component.summary if component.plugin else (component.load().__doc__ or "")
    assert summary.strip(), "it has no summary: give register(..., summary=...)"


def check_options_documented(subject: Subject) -> None:
    """Every option has a type that the framework reads, and a help text."""
    cls = subject.component.config_class()
    if cls is None:
        raise Skip("it has no options")
    missing = [name for name, field in _fields(cls) if not str(field.metadata.get("help", "")).strip()]
    assert not missing, f"options without help: {', '.join(missing)}"


def check_config_round_trip(subject: Subject) -> None:
    """Its options survive being written as TOML and read again."""
    from framework.pipeline import to_toml

    config = subject.chosen.config
    if config is None:
        raise Skip("it has no options")
    assert _frozen(config), f"{type(config).__name__} is not frozen"
    read, problems = structure(type(config), tomllib.loads(to_toml(plain(config))))
    assert not problems, f"what it writes is refused when it is read: {'; '.join(map(str, problems))}"
    assert read == config, f"options change when they are written and read: {config} became {read}"


def _frozen(config: Any) -> bool:
    name = next(iter(options(type(config))), None)
    try:
        setattr(config, name or "anything", None)
    except attrs.exceptions.FrozenInstanceError:
        return True
    return False


def _fields(cls: type) -> Iterator[tuple[str, attrs.Attribute[Any]]]:
    for name, (field, hint) in options(cls).items():
        yield name, field
        if kind_of(hint) == "class":
            yield from ((f"{name}.{inner}", inner_field) for inner, inner_field in _fields(hint))


# --- what it depends on ------------------------------------------------------------------------------------------


def check_same_seed_same_output(subject: Subject, trial: Trial) -> None:
    """Built twice with the same seed, it gives the same, whatever the global generators are."""
    results = []
    for seed in (1, 2):
        with seeded(seed):
            component = built(trial)
            results.append([deepcopy(trial.use(component, x)) for x in islice(trial.inputs(component), _USES)])
    assert not (differing := difference(results[0], results[1])), (
        f"two of the same seed differ: {differing}; every random number has to come from the context's seed"
    )


def check_no_global_random_state(subject: Subject, trial: Trial) -> None:
    """Python's, NumPy's and torch's global generators are as they were after it was built and used."""
    with seeded(1):
        component = None
        if trial.builds_with_global_generator:
            component = built(trial)
        before = _global_states()
        component = trial.build() if component is None else component
        for x in islice(trial.inputs(component), _USES):
            trial.use(component, x)
        changed = [name for name, state in _global_states().items() if difference(state, before[name])]
    assert not changed, f"it used the global generator of {' and '.join(changed)}; use one of its own"


def check_state_round_trip(subject: Subject, trial: Trial) -> None:
    """Saved to disk in the middle of its work and loaded into another, its state makes both go on bit for bit."""
    first = built(trial)
    inputs = trial.inputs(first)
    for x in islice(inputs, _USES):
        trial.use(first, x)
    second = built(trial)
    second.load_state_dict(through_checkpoint(first.state_dict()))
    differing = difference(first.state_dict(), second.state_dict())
    assert not differing, f"a loaded state is another: {differing}"
    for x in islice(inputs, _USES):
        copied = deepcopy(x)
        differing = difference(trial.use(first, x), trial.use(second, copied))
        assert not differing, f"after its state was loaded, it goes on differently: {differing}"
    differing = difference(first.state_dict(), second.state_dict())
    assert not differing, f"after its state was loaded, it becomes another: {differing}"


def built(trial: Trial) -> Any:
    """A component as its user builds it: one that may use torch's global generator finds it seeded."""
    import torch

    if not trial.builds_with_global_generator:
        return trial.build()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return trial.build()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds all global generators, and puts them back afterwards."""
    import torch

    python, legacy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        random.seed(seed)
        np.random.seed(seed)
        torch.default_generator.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)


def _global_states() -> dict[str, Any]:
    import torch

    return {"Python": random.getstate(), "NumPy": np.random.get_state(), "torch": torch.get_rng_state()}


DECLARATION = (check_light_import, check_summary, check_options_documented, check_config_round_trip)
BEHAVIOUR = (check_same_seed_same_output, check_no_global_random_state, check_state_round_trip)
