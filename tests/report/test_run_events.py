import pytest
from markup import HOSTILE, Page, check_page
from written_runs import FINISHED, write

from framework.report.html import page
from framework.report.run_events import collectors_of, events_of
from framework.studies.recorded_run import RecordedRun

TIME = "2026-11-30T15:12:06.713+00:00"


def run(tmp_path, *events):
    return RecordedRun(write(tmp_path / "run", events=[{"time": TIME, **event} for event in events]))


def joined(number, **fields):
    return {"event": "sampler_joined", "sampler": f"sampler-{number}", "process": number, **fields}


def test_notable_events_come_first_and_others_are_folded(tmp_path):
    """With day and time."""
    told = events_of(run(tmp_path, joined(0), {"event": "sampler_lost", "sampler": "sampler-0", "status": 9}, FINISHED))
    read = Page(f"<div>{told}</div>")
    first, *others = [text for _, text in read.all("li")]
    assert first == "2026-11-30 15:12:06 sampler lost sampler-0 died (status 9)"
    assert others == [
        "2026-11-30 15:12:06 sampler joined sampler-0 is ready (process 0)",
        "2026-11-30 15:12:42 finished the run has ended: done",
    ]
    assert [text for _, text in read.all("summary")] == ["2 ordinary events"]


def test_nothing_out_of_the_ordinary(tmp_path):
    """Is said; of a run without events nothing is."""
    assert "Nothing out of the ordinary happened." in events_of(run(tmp_path, joined(0)))
    assert events_of(RecordedRun(write(tmp_path / "empty", events=()))) == ""


def test_tracebacks_are_folded_away(tmp_path):
    """What they lead to is not."""
    failed = {"traceback": "Traceback (most recent call last):\n  File x", "environment": 2, "call": "step"}
    failed |= {"reason": "ValueError: gone", "episode": 7, "failures": 1, "event": "environment_failed"}
    read = Page(f"<div>{events_of(run(tmp_path, failed))}</div>")
    assert [text for _, text in read.all("pre")] == [failed["traceback"]]
    assert "environment 2 failed in step: ValueError: gone" in read.text


def test_many_events_are_cut(tmp_path):
    """To the last hundred, and what is left out is said; long ones are cut too."""
    told = events_of(run(tmp_path, *({"event": f"strange_{n}", "x": "y" * 10_000} for n in range(500))))
    assert "The last 100 of 500." in told
    assert "strange 499" in told
    assert "strange 399 " not in told
    assert len(told) < 100_000


def test_collectors_are_counted(tmp_path):
    """Each by name: how often it joined, was lost, was replaced; only columns of what happened."""
    events = [joined(0), joined(1), {"event": "sampler_lost", "sampler": "sampler-1", "status": 9}]
    events += [{"event": "sampler_replaced", "sampler": "sampler-1", "incarnation": 1}, joined(1)]
    events += [{"event": "host_joined", "host": "node", "samplers": 4}, {"event": "sampler_differs", "sampler": "x"}]
    read = Page(f"<div>{collectors_of(run(tmp_path, *events))}</div>")
    assert "3 in all, 1 of them lost on the way." in read.text
    assert [text for _, text in read.all("th")[:6]] == [
        "who",
        "first heard of",
        "last event",
        "joined",
        "lost",
        "replaced",
    ]
    assert [text for _, text in read.all("th")[6:]] == ["sampler-0", "sampler-1", "node"]
    assert [text for _, text in read.all("td")][7:10] == ["2", "1", "1"]


def test_nobody_collected(tmp_path):
    """Inside the learner there are no samplers to tell of; names that are none are left out."""
    assert collectors_of(run(tmp_path, FINISHED, {"event": "sampler_joined", "sampler": ["x"]})) == ""
    many = [{"event": "host_joined", "host": f"node-{n}"} for n in range(70)]
    assert "and 20 more" in collectors_of(RecordedRun(write(tmp_path / "many", events=many)))


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_text(tmp_path, name):
    """Whatever samplers, hosts, events and reasons are called."""
    events = [
        joined(0, sampler=name),
        {"event": name, name: name},
        {"event": "host_refused", "host": name, "reason": name},
    ]
    events += [
        {"event": "failed", "reason": f"Traceback {name}\n{name}"},
        {"event": [name]},
        {"event": None, "time": 3},
    ]
    read = RecordedRun(write(tmp_path / "run", events=events))
    check_page(page("p", events_of(read), collectors_of(read)))
