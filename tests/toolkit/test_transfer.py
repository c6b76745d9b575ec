"""Weights of other runs: what is loaded, what is told, what is refused, and what stays frozen."""

from __future__ import annotations

from copy import deepcopy

import pytest
import safetensors.torch
import torch
from torch import nn

from framework.errors import FrameworkError
from framework.runtime.disk import checkpoint
from framework.toolkit.optimizer import FlatOptimizer
from framework.toolkit.transfer import find_part, freeze, load_matching, read_tensors, under


def network(inputs=3, outputs=2):
    """Two layers, a norm with statistics of its own, and dropout."""
    return nn.Sequential(nn.Linear(inputs, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, outputs))


def copied(module):
    return {name: x.clone() for name, x in module.state_dict().items()}


def equal_states(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(autouse=True)
def _own_generator():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def test_everything_fits():
    """A module's own state is loaded whole, buffers too."""
    source, target = network(), network()
    report = load_matching(target, source.state_dict(), share=1.0)
    assert equal_states(source.state_dict(), target.state_dict())
    assert report.share == 1.0
    assert set(report.loaded) == set(target.state_dict())
    assert (report.missing, report.unexpected, report.skipped) == ((), (), {})


def test_report_tells_what_did_not_fit():
    """Missing, unexpected and of another shape or kind: each is named; what fits is loaded, the rest stays."""
    source, target = network(outputs=5), network()
    state = copied(source)
    del state["0.bias"]
    state["extra.weight"] = torch.zeros(1)
    state["1.num_batches_tracked"] = torch.zeros(())
    before = copied(target)
    report = load_matching(target, state, share=0.5)
    assert report.missing == ("0.bias",)
    assert report.unexpected == ("extra.weight",)
    assert report.skipped == {
        "1.num_batches_tracked": "[] float32 for [] int64",
        "3.weight": "[5, 4] float32 for [2, 4] float32",
        "3.bias": "[5] float32 for [2] float32",
    }
    # 12 numbers of the first layer's weights and 16 of the norm, of 43 with 4 + 1 + 8 + 2 others.
    assert report.share == pytest.approx(28 / 43)
    for name, x in target.state_dict().items():
        assert torch.equal(x, state[name] if name in report.loaded else before[name]), name
    for fact in ("loaded 5 of 9 tensors", "65.1%", "missing: 0.bias", "unexpected: extra.weight", "3.bias ([5]"):
        assert fact in str(report)


@pytest.mark.parametrize("share", [0.66, 1.0])
def test_too_little_is_refused(share):
    """Below the stated share nothing changes, and the error says what did not fit."""
    target = network()
    state = copied(network(outputs=5))
    del state["0.bias"], state["1.num_batches_tracked"]
    before = copied(target)
    with pytest.raises(FrameworkError, match=rf"share of {share:g}\) fit Sequential: loaded 5 of 9 .* missing: 0.bias"):
        load_matching(target, state, share=share)
    assert equal_states(before, target.state_dict())


def test_nothing_at_all_is_refused_at_any_share():
    """Weights none of which fit are a mistake, even where no share is asked for."""
    with pytest.raises(FrameworkError, match="loaded 0 of 9"):
        load_matching(network(), {"other": torch.zeros(1)}, share=0.0)


def test_precisions_are_converted():
    """Weights in bfloat16 are loaded into float32 parameters."""
    source, target = network().to(torch.bfloat16), network()
    load_matching(target, source.state_dict(), share=1.0)
    assert target[0].weight.dtype == torch.float32
    assert torch.equal(target[0].weight, source[0].weight.to(torch.float32))


def test_loaded_in_place():
    """Parameters that an optimizer has made views of its own stay so."""
    target = network()
    optimizer = FlatOptimizer(target)
    source = network()
    load_matching(target, source.state_dict(), share=1.0)
    optimizer.check()
    assert equal_states(source.state_dict(), target.state_dict())


def policy_state(encoder, named_encoders):
    """A policy's state as checkpoints hold it, with encoders under several names."""
    parts = {"encoder": encoder, **named_encoders}
    return {f"{part}.{name}": x for part, module in parts.items() for name, x in module.state_dict().items()}


def test_checkpoint_to_module(tmp_path):
    """From a checkpoint's folder, a module finds the part that is its own."""
    encoder, head = network(), nn.Sequential(nn.Linear(2, 1))
    state = {"update": 3, "algorithm": {"moments": [torch.ones(2)], "policy": policy_state(encoder, {"head": head})}}
    tensors = read_tensors(checkpoint.save(tmp_path, "update-3", state))
    target = network()
    prefix = find_part(target, tensors)
    assert prefix == "algorithm/policy/encoder."
    assert load_matching(target, under(tensors, prefix), share=1.0).unexpected == ()
    assert equal_states(target.state_dict(), encoder.state_dict())


def test_part_that_fits_best():
    """Shapes decide before names, names before their order; a whole module has no prefix."""
    small, large = network(), network(outputs=5)
    state = policy_state(large, {"zoo": small, "value_encoder": small})
    assert find_part(network(), state) == "value_encoder."
    assert find_part(network(outputs=5), state) == "encoder."
    assert find_part(network(), small.state_dict()) == ""


def test_no_part_is_refused():
    """Where no name is one of the module's, the error shows both."""
    with pytest.raises(FrameworkError, match=r"belongs to Sequential: it has 0\.weight, .* given are conv\.weight"):
        find_part(network(), {"conv.weight": torch.zeros(1), "a0.weight": torch.zeros(4, 3)})


def test_safetensors_file(tmp_path):
    """A file is read as it is, whatever wrote it."""
    source = network()
    file = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(source.state_dict(), file)
    assert equal_states(read_tensors(file), source.state_dict())


@pytest.mark.parametrize("content", [None, b"", b"\x80\x04K\x01."])
def test_what_cannot_be_read_is_refused(tmp_path, content):
    """A missing file, an empty one, or a pickle: the error names it, and nothing is unpickled."""
    file = tmp_path / "weights.pt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(FrameworkError, match=r"weights\.pt: cannot be read as safetensors"):
        read_tensors(file)


def test_frozen_stays_bit_for_bit():
    """Training what stands on a frozen module, with weight decay, changes none of its bits, its statistics neither."""
    body, head = network(), nn.Linear(2, 1)
    freeze(body)
    whole = nn.Sequential(body, head)
    optimizer = FlatOptimizer(whole, weight_decay=0.1)
    whole.train()
    before, head_before = copied(body), copied(head)
    for _ in range(5):
        optimizer.zero_grad()
        whole(torch.randn(8, 3)).square().sum().backward()
        optimizer.step(0.1)
    assert equal_states(before, body.state_dict())
    assert not equal_states(head_before, head.state_dict())
    assert len(optimizer.state_dict()["first_moment"]) == 2  # the optimizer has the head's alone


@pytest.mark.parametrize("copy", [lambda module: module, deepcopy])
def test_frozen_stays_in_evaluation_mode(copy):
    """Dropout and norms too, whoever calls ``train()`` on what, and in copies as well."""
    body = network()
    freeze(body)
    whole = copy(nn.Sequential(body, nn.Dropout(0.5)))
    whole.train()
    whole[0][2].train()
    assert not any(part.training for part in whole[0].modules())
    assert whole[1].training
    x = torch.randn(4, 3)
    assert torch.equal(whole[0](x), whole[0](x))


def test_copies_of_what_is_frozen_are_their_own():
    """``train()`` of a copy returns the copy."""
    body = network()
    freeze(body)
    twin = deepcopy(body)
    assert twin.train() is twin
    assert body.train() is body
