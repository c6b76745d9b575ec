"""Runs that start from the weights of others; what is loaded, and how much: tests/toolkit/test_transfer.py."""

from pathlib import Path

import pytest
import runs
import safetensors.torch
import torch

import framework
from framework.errors import FrameworkError

SHORT = {"run__total_steps": 256, "runtime__samplers": 0, "evaluation__episodes": 0}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A run to take weights from."""
    folder = tmp_path_factory.mktemp("source")
    return runs.run(runs.write(folder), folder, **SHORT, run__seed=9)


def encoder(directory: Path, module: str = "encoder") -> dict[str, torch.Tensor]:
    """The weights of an encoder at the end of a run."""
    return getattr(framework.load_agent(directory, "last").policy, module).state_dict()


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_frozen_encoder_stays_what_it_was(source, tmp_path):
    """Loaded from a run directory and frozen, it is bit-equal to the source's after training; the heads are not."""
    overrides = {"encoder__init_from": str(source), "encoder__freeze": True}
    directory = runs.run(runs.write(tmp_path), tmp_path, **SHORT, **overrides)
    assert equal(encoder(directory), encoder(source))
    assert not equal(encoder(directory, "action_head"), encoder(source, "action_head"))
    reports = [event["what"] for event in runs.events(directory, "weights_loaded")]
    assert len(reports) == 2  # policy and value have an encoder each
    assert all("loaded 4 of 4 tensors, 100.0% of the numbers" in report for report in reports)


def test_weights_are_where_training_starts(source, tmp_path):
    """Not frozen, the encoder changes; the file may be given relative to the pipeline file."""
    weights = {f"net.{name}": tensor for name, tensor in encoder(source).items()}
    path = runs.write(tmp_path)
    safetensors.torch.save_file(weights, tmp_path / "weights.safetensors")
    directory = runs.run(path, tmp_path, **SHORT, encoder__init_from="weights.safetensors")
    assert not equal(encoder(directory), encoder(source))
    assert "weights.safetensors, net." in runs.events(directory, "weights_loaded")[0]["what"]


def test_a_resumed_run_has_weights_of_its_own(source, tmp_path):
    """They are loaded once: resuming does not need the source any more."""
    path = runs.write(tmp_path)
    file = tmp_path / "weights.safetensors"
    safetensors.torch.save_file({name: x.contiguous() for name, x in encoder(source).items()}, file)
    started = runs.session(path, tmp_path, **SHORT, encoder__init_from=file.name)
    updates = started.updates()
    next(updates)
    updates.close()
    file.unlink()
    pipeline = framework.load_run(started.directory)
    assert [update.number for update in framework.train(pipeline, resume=started.directory)] == [2]
    assert len(runs.events(started.directory, "weights_loaded")) == 2


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"encoder__init_from": "nowhere"}, "nowhere: cannot be read as safetensors"),
        ({"encoder__hidden": [16, 17], "encoder__init_share": 0.9}, "fewer weights than asked for"),
    ],
)
def test_what_cannot_be_loaded_is_a_mistake(source, tmp_path, overrides, message):
    """Nothing starts where the source is missing, or too little of it fits."""
    options = {"encoder__init_from": str(source), **overrides}
    with pytest.raises(FrameworkError, match=message):
        runs.run(runs.write(tmp_path), tmp_path, **SHORT, **options)


def test_a_run_without_a_checkpoint_has_no_weights(tmp_path):
    """A run directory that is too young says so."""
    run = tmp_path / "young"
    (run / "checkpoints").mkdir(parents=True)
    (run / "manifest.json").write_text("{}")
    with pytest.raises(FrameworkError, match="young has no checkpoint to take weights from"):
        runs.run(runs.write(tmp_path), tmp_path, **SHORT, encoder__init_from="young")
