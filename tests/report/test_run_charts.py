from markup import Page
from written_runs import PIPELINE, evaluation, update, write

from framework.report.run_charts import algorithm, learning, speed
from framework.report.run_curves import POINTS, groups_of
from framework.report.thinned_run import ThinnedRun


def groups(tmp_path, **runs):
    """Runs by the names of their groups, each with its metrics."""
    folders = []
    for name, metrics in runs.items():
        group = name.partition("_")[0]
        folders.append(write(tmp_path / name, metrics, pipeline=PIPELINE.replace("pole", group)))
    return groups_of([ThinnedRun(folder) for folder in folders])


def titles(markup):
    """What the charts are called, with their notes."""
    return [text for _, text in Page(f"<div>{markup}</div>").all("figcaption")]


LINES = [update(1), evaluation(1, 3.0, **{"metrics/cost": 2.0}), update(2), evaluation(2, 4.0)]


def test_learning_is_shown_while_training_and_in_evaluations(tmp_path):
    """Only what there is: success where the environment tells it."""
    assert titles(learning(groups(tmp_path, a=LINES))) == [
        "Return mean of the last 100 episodes",
        "Return in evaluations means, with 95 % intervals over episodes",
        "Episode length mean of the last 100 episodes",
        "Episode length in evaluations",
    ]
    successes = [update(1, success=0.5), evaluation(1, success=0.25)]
    told = learning(groups(tmp_path / "b", b=successes))
    assert [title for title in titles(told) if title.startswith("Success")] == [
        "Success mean of the last 100 episodes",
        "Success in evaluations means, with 95 % intervals over episodes",
    ]
    assert "100%" in told


def test_bands_are_explained(tmp_path):
    """Of seeds, and of stretches, where there are any."""
    assert "bands" not in learning(groups(tmp_path, a=LINES))
    seeds = learning(groups(tmp_path / "b", b_1=LINES, b_2=LINES))
    assert "means over seeds, bands their range" in seeds
    assert "Return in evaluations means, with the range of seeds" in titles(seeds)
    long = [update(n) for n in range(1, POINTS + 2)]
    assert "means over stretches, bands the range in each" in learning(groups(tmp_path / "c", c=long))


def test_the_algorithm_has_a_chart_for_each_of_its_metrics(tmp_path):
    """And so have measurements of evaluations; what only one of several groups has says whose it is."""
    assert titles(algorithm(groups(tmp_path, a=LINES))) == ["loss", "evaluation/metrics/cost"]
    two = groups(tmp_path / "b", b=LINES, c=[update(1, bonus__rnd__reward=1.0)])
    assert titles(algorithm(two)) == ["loss", "evaluation/metrics/cost b", "bonus/rnd/reward c"]


def test_many_metrics_are_cut(tmp_path):
    """So that the page stays small; what is left out is said."""
    many = {f"head_{n}": 1.0 for n in range(100)}
    told = algorithm(groups(tmp_path, a=[update(1, **many)]))
    assert len(titles(told)) == 60
    assert "41 more are in metrics.jsonl." in told


def test_speed_shows_where_the_time_goes(tmp_path):
    """One group's shares together, several groups' apart; machines where there are some."""
    machines = {"time/machine/node/steps_per_second": 50.0}
    one = speed(groups(tmp_path, a=[update(1, **machines), update(2, dropped=1, failed_episodes=2)]))
    assert titles(one) == [
        "Environment steps per second with all that the run does",
        "Learner's time",
        "Samplers' time",
        "Lag versions that the acting policy is behind, at most",
        "Trajectories dropped",
        "Failed episodes",
        "machine/node/steps_per_second",
    ]
    legend = [text for _, text in Page(f"<div>{one}</div>").all("li")]
    assert legend == ["waiting for samplers", "updating", "policy", "environments"]
    two = titles(speed(groups(tmp_path / "b", b=LINES, c=LINES)))
    assert two[1:5] == [
        "Learner's time: waiting for samplers",
        "Learner's time: updating",
        "Samplers' time: policy",
        "Samplers' time: environments",
    ]


def test_a_run_without_metrics_has_no_charts(tmp_path):
    """In no section."""
    fresh = groups(tmp_path, a=[])
    assert (learning(fresh), algorithm(fresh), speed(fresh)) == ("", "", "")
