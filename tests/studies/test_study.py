import json

import pytest
import runs
from hypothesis import given
from hypothesis import strategies as st
from synthetic_runs import write_run

from framework.errors import FrameworkError, PipelineError, RunError
from framework.studies.study import Study, Variant, is_study, overrides_of, recorded_groups


@pytest.fixture
def pipeline(tmp_path):
    return runs.write(tmp_path)


@pytest.fixture
def study(tmp_path, pipeline):
    """Makes studies in one folder."""

    def make(*against, overrides=(), seeds=(1, 2)):
        return Study(tmp_path / "study", pipeline, overrides, [overrides_of(text) for text in against], seeds)

    return make


def begin(study):
    with study.at_work():
        pass
    return json.loads((study.folder / "study.json").read_text())


def test_every_variant_is_trained_with_every_seed(study, pipeline):
    """First those of the first seed; overrides of all variants come before their own."""
    jobs = study("algorithm.epochs=1", overrides=("run.total_steps=64",), seeds=(7, 2)).jobs
    assert list(jobs) == [
        "pipeline, seed 7",
        "algorithm.epochs=1, seed 7",
        "pipeline, seed 2",
        "algorithm.epochs=1, seed 2",
    ]
    job = jobs["algorithm.epochs=1, seed 2"]
    assert job.overrides == ("run.total_steps=64", "algorithm.epochs=1", "run.seed=2")
    assert job.folder.parts[-3:] == ("study", "algorithm.epochs=1", "seed-2")
    assert job.pipeline == pipeline


def test_record_says_what_is_compared_and_grows(study):
    """With variants and seeds that were asked for before; seeds themselves are no part of the pipeline."""
    first = begin(study("algorithm.epochs=1"))
    assert first["variants"] == {"pipeline": [], "algorithm.epochs=1": ["algorithm.epochs=1"]}
    assert first["seeds"] == [1, 2]
    assert first["pipeline"]["environment"]["id"] == "CartPole-v1"
    second = begin(study("encoder.use=mlp encoder.hidden=[8, 8]", seeds=(2, 5)))
    assert list(second["variants"]) == [*first["variants"], "encoder.use=mlp encoder.hidden=[8, 8]"]
    assert second["seeds"] == [1, 2, 5]


def test_another_pipeline_is_refused_with_what_differs(study, pipeline):
    """Before anything is trained; where it runs may differ."""
    begin(study())
    study(overrides=("runtime.samplers=3",))
    message = r"study is a study of another pipeline: algorithm\.epochs was 2 and is 5; choose .* --folder, or remove"
    with pytest.raises(FrameworkError, match=message):
        study(overrides=("algorithm.epochs=5",))
    pipeline.write_text(pipeline.read_text().replace("CartPole-v1", "Acrobot-v1"))
    with pytest.raises(FrameworkError, match=r'environment\.id was "CartPole-v1" and is "Acrobot-v1"'):
        study()


@pytest.mark.parametrize(
    ("against", "message"),
    [
        (["algorithm.epochs=2"], "algorithm.epochs=2: this is the same pipeline as pipeline"),
        (["algorithm.epochs=3", "algorithm.epochs=3"], "algorithm.epochs=3: this is the same pipeline as algorithm"),
        (["run.seed=3"], "run.seed=3: seeds are those of --seeds"),
        (["algorithm.epochs=3 run.seed=7"], "run.seed=7: seeds are those of --seeds"),
    ],
)
def test_variants_that_are_none_are_refused(study, against, message):
    """One that changes nothing would be the same runs again."""
    with pytest.raises(FrameworkError) as caught:
        study(*against)
    assert message in str(caught.value)


def test_wrong_variant_is_told_before_anything_is_made(study, tmp_path):
    """As any wrong pipeline."""
    with pytest.raises(PipelineError, match=r"algorithm\.epoch: unknown key; did you mean epochs\?"):
        study("algorithm.epoch=2")
    assert not (tmp_path / "study").exists()


def test_a_study_is_trained_by_one_process_at_a_time(study):
    """The other is told; afterwards it may."""
    message = "another process is training this study"
    with study().at_work(), pytest.raises(RunError, match=message), study().at_work():
        pass
    begin(study())


def test_recorded_study_is_read_back(study, tmp_path):
    """Its whole runs by variant, and notes on the others."""
    begun = study("algorithm.epochs=1")
    begin(begun)
    assert is_study(begun.folder)
    assert not is_study(tmp_path)
    statuses = dict.fromkeys(begun.jobs, "done") | {"pipeline, seed 2": "failed"}
    for name, job in begun.jobs.items():
        if name != "algorithm.epochs=1, seed 1":
            write_run(job.folder / "run", int(name[-1]), [1.0], status=statuses[name])
    groups, notes = recorded_groups(begun.folder)
    assert [(group.name, group.seeds) for group in groups] == [("pipeline", (1,)), ("algorithm.epochs=1", (2,))]
    assert len(notes) == 2
    assert "pipeline/seed-2/run is left out: it is failed at 100 of 100 steps" in notes[0]
    assert notes[1] == "algorithm.epochs=1, seed 1, is left out: it was not trained"
    begin(study("algorithm.epochs=3"))
    with pytest.raises(RunError, match=r"no run of algorithm\.epochs=3 is whole"):
        recorded_groups(begun.folder)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format": 1, "variants": {"a": 3}, "seeds": [], "pipeline": {}}'])
def test_broken_record_is_told(study, text):
    """With the file, and what to do."""
    begun = study()
    begin(begun)
    (begun.folder / "study.json").write_text(text)
    with pytest.raises(RunError, match=r"study\.json is not the record of a study: remove the folder"):
        study()


def test_record_of_another_format_is_told(study):
    """It is not read as if it were ours."""
    begun = study()
    record = begin(begun) | {"format": 2}
    (begun.folder / "study.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match="of another version of the framework: format 2, not 1"):
        recorded_groups(begun.folder)


@pytest.mark.parametrize(
    ("overrides", "folder"),
    [
        (("algorithm.learning_rate=3e-4",), "algorithm.learning_rate=3e-4"),
        (("encoder.use=gru", "algorithm.epochs=2"), "encoder.use=gru,algorithm.epochs=2"),
        (("encoder.hidden=[8, 8]",), "encoder.hidden=-8,-8-"),
        (("~curriculum",), "curriculum-"),
        (("a.b=" + "9" * 200,), "a.b=99999"),
        (('a.b="../../x"',), "a.b=-..-..-x-"),
    ],
)
def test_folder_of_a_variant_is_one_name(overrides, folder):
    """Readable, and with a hash where the overrides are not a file's name."""
    variant = Variant(" ".join(overrides), overrides)
    assert variant.folder.startswith(folder)
    assert "/" not in variant.folder
    assert len(variant.folder) < 100
    assert (variant.folder == folder) == (",".join(overrides) == folder)


@given(
    st.lists(
        st.sampled_from(["a.b=1", 'a="x y"', "a='it s'", "~b", "c=[1, [2, 3]]", "d={x = 1, y = [2 ]}", 'e="[ \'"'])
    )
)
def test_overrides_are_split_at_spaces_outside_of_quotes_and_brackets(words):
    """And stay as they were written."""
    assert overrides_of("  ".join(words)) == tuple(words)
    assert overrides_of(" " + "\n".join(words) + " ") == tuple(words)
