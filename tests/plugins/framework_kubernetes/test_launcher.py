import json
import os
import stat
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from kubernetes_stub import IMAGE, Stubbed, launch

from framework.commands import cli
from framework.errors import RunError
from framework.runtime.launch.launch import Launch
from framework.runtime.link.keys import Keys
from framework.runtime.link.token import JoinToken
from framework_kubernetes.kubectl import Kubectl

JOB = "pong-20260101-120000-samplers"
SECRET = "pong-20260101-120000-join"
PLACE = "namespace-of-mine"


def states(run):
    [started] = Launch.started(run)
    return [(host.state, host.status) for host in started.status()]


# --- what is launched --------------------------------------------------------------------------------------------


def test_pods_collect_with_the_token_of_their_launch(cluster, run):
    """A pod for each host, by the contract's command; each reads the launch's own token, and has its pod's name."""
    launch(run, samplers=6, workers=3).start()
    pods = cluster.reach(2)
    token = (run / "launch" / "kubernetes" / "token").read_text().strip()
    assert [(pod.folder / "token").read_text() for pod in pods] == [token] * 2
    assert JoinToken.parse(token).name == "kubernetes-1"
    assert [pod.log for pod in pods] == [f"{pod.name} with 3 samplers\n" for pod in pods]
    assert {pod.spec["containers"][0]["resources"]["requests"]["cpu"] for pod in pods} == {"3"}
    [started] = Launch.started(run)
    assert [(host.name, host.state, host.place, host.status, host.starts) for host in started.status()] == [
        (pod.name, "running", "node-1", None, 1) for pod in pods
    ]


def test_the_token_may_lead_to_another_address(cluster, run):
    """With `at`: where pods reach the learner under another name than it listens at."""
    launch(run, at="pong-0.pong:5555").start()
    [pod, _] = cluster.reach(2)
    assert JoinToken.parse((pod.folder / "token").read_text()).endpoints == ("tcp://pong-0.pong:5555",)


def test_the_token_is_in_the_secret_alone(cluster, run):
    """Neither calls, answers, pods, what they print, plans nor what the launch keeps have it: standard input does."""
    started = launch(run)
    plan = started.plan()
    started.start()
    pods = cluster.reach(2)
    cluster.end(pods[0], 70)
    assert cluster.wait(lambda: pods[0].judged, 20)
    cluster.reach(2)
    launch(run, samplers=3).start()
    cluster.reach(3)
    states(run)
    folder = run / "launch" / "kubernetes"
    token = JoinToken.read(str(folder / "token"))
    kept = "".join(file.read_text() for file in folder.iterdir() if file.name != "token")
    record = cluster.record()
    assert pods[0].name in record
    for secret in (str(token), token.secret):
        assert secret not in plan + kept + record
    assert ["fw1." in document for document in cluster.given].count(True) == 1
    assert sum(str(token) in document for document in cluster.given) == 1
    launch(run, samplers=3).stop()
    assert str(token) not in cluster.record()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to others")
@pytest.mark.parametrize(("image_user", "options"), [(1001, {}), (1001, {"user": 1234}), (0, {"user": 1234})])
def test_the_token_is_readable_by_whoever_samplers_run_as(run, tmp_path, image_user, options):
    """By an image's user who is not root, and by one that is asked for; and by nobody outside of the pod's group."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        with Stubbed(Path(folder), image_user) as cluster, cluster.on_path():
            (Path(folder) / "orders").chmod(0o755)
            launch(run, samplers=1, **options).start()
            [pod] = cluster.reach(1)
            assert (pod.folder / "token").read_text() == (run / "launch" / "kubernetes" / "token").read_text().strip()
            assert (pod.folder / "token").stat().st_uid == options.get("user", image_user)
            [file] = pod.files
            assert stat.S_IMODE(file.stat().st_mode) == 0o440
            launch(run, samplers=1, **options).stop()


# --- pods that end -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [70, 75, 137])
def test_pods_that_end_are_replaced(cluster, run, code):
    """By others under other names, whatever they ended with, but for what no pod of this run can do better."""
    launch(run).start()
    [one, other] = cluster.reach(2)
    cluster.kill(one) if code == 137 else cluster.end(one, code)
    assert cluster.wait(lambda: one.judged, 20)
    assert other in cluster.reach(2)
    assert states(run) == [("ended", code), ("running", None), ("running", None)]
    assert cluster.jobs[PLACE, JOB].failed == 1


def test_pods_that_lose_their_node_do_not_count(cluster, run):
    """Evicted pods are replaced for as long as there are nodes."""
    launch(run).start()
    [one, _] = cluster.reach(2)
    cluster.evict(one)
    assert cluster.wait(lambda: one.judged, 20)
    cluster.reach(2)
    assert states(run)[0] == ("ended", 75)
    assert cluster.jobs[PLACE, JOB].failed == 0


def test_when_the_run_is_done_no_pod_is_new(cluster, run):
    """One that succeeds has heard that the run is complete; what fails after that is not replaced."""
    launch(run, samplers=3).start()
    [one, two, three] = cluster.reach(3)
    cluster.end(one, 0)
    cluster.end(two, 70)
    assert cluster.wait(lambda: one.judged and two.judged, 20)
    cluster.end(three, 0)
    cluster.reach_end("Complete")
    assert sorted(states(run)) == [("ended", 0), ("ended", 0), ("ended", 70)]


@pytest.mark.parametrize("code", [77, 78])
def test_a_run_that_lets_no_pod_in_has_no_more(cluster, run, code):
    """A key that is not valid, and versions that differ, are the same for all pods: the Job fails, the others end."""
    launch(run).start()
    [one, _] = cluster.reach(2)
    cluster.end(one, code)
    cluster.reach_end("Failed")
    assert cluster.wait(lambda: list(cluster.pods.values()) == [one], 20)
    assert states(run) == [("ended", code)]
    launch(run, samplers=4).start()  # anew, with a key of its own
    cluster.reach(4)


# --- scale and stop ----------------------------------------------------------------------------------------------


def test_more_and_fewer(cluster, run):
    """Those that there are stay; the youngest go first."""
    launch(run).start()
    first = cluster.reach(2)
    launch(run, samplers=4).start()
    assert cluster.reach(4)[:2] == first
    launch(run, samplers=1).start()
    assert cluster.reach(1) == first[:1]


def test_nothing_is_left(cluster, run):
    """When `stop` returns, pods, Job, Secret and key are gone; once more is no error."""
    started = launch(run)
    started.start()
    pods = cluster.reach(2)
    started.stop()
    assert [pod.phase for pod in pods] == ["Failed"] * 2
    assert (cluster.pods, cluster.jobs, cluster.secrets) == ({}, {}, {})
    assert Keys(run).clients()["kubernetes-1"]["revoked"]
    started.stop()


def test_stopping_what_others_have_deleted(cluster, run):
    """What is gone already is no error."""
    launch(run).start()
    cluster.reach(2)
    cluster.delete_job((PLACE, JOB))
    assert cluster.wait(lambda: not cluster.jobs, 20)
    with pytest.raises(RunError, match=f"the Job {JOB} is gone: .*framework launch --stop .*pong-20260101-120000"):
        states(run)
    launch(run).stop()
    assert cluster.secrets == {}


def test_the_cluster_stays_the_same(cluster, run):
    """Where another context or namespace has become current, the launch is still found, and ended, where it is."""
    launch(run).start()
    cluster.reach(2)
    cluster.config = {"current": "other", "mine": "theirs"}
    cluster.context = "mine"
    assert states(run) == [("running", None)] * 2
    launch(run).stop()
    assert (cluster.jobs, cluster.secrets) == ({}, {})


@pytest.mark.parametrize(
    ("config", "options", "place"),
    [
        ({"current": "a", "far": "b"}, {"context": "far"}, "b"),
        ({"current": "a", "far": "b"}, {"context": "far", "namespace": "c"}, "c"),
        ({"current": ""}, {}, "default"),
        (None, {}, "pods-own"),
        (None, {"namespace": "c"}, "c"),
    ],
    ids=str,
)
def test_where_it_is_launched(cluster, run, config, options, place):
    """In the context's namespace, in another, and from within a pod."""
    cluster.config = config
    launch(run, **options).start()
    cluster.reach(2)
    assert list(cluster.jobs) == [(place, JOB)]
    assert list(cluster.secrets) == [(place, SECRET)]
    launch(run, **options).stop()
    assert (cluster.jobs, cluster.secrets) == ({}, {})


# --- refusals ----------------------------------------------------------------------------------------------------


def test_a_context_that_is_not_there(cluster, run):
    """Is told, instead of another one being taken."""
    with pytest.raises(RunError, match='context "far" does not exist'):
        launch(run, context="far").start()
    assert not launch(run).is_started


@pytest.mark.parametrize("kind", ["job", "secret"])
def test_what_is_there_already_is_left_alone(cluster, run, kind):
    """A Job or a Secret of the same name: it is named, stays as it is, and nothing else is left."""
    launch(run).start()
    cluster.reach(2)
    jobs, secrets = dict(cluster.jobs), dict(cluster.secrets)
    (jobs if kind == "secret" else secrets).clear()
    (run / "launch").rename(run / "lost")
    if kind == "secret":
        cluster.delete_job((PLACE, JOB))
        assert cluster.wait(lambda: not cluster.jobs, 20)
    else:
        cluster.secrets.clear()
    with pytest.raises(RunError, match=f"already exists.*\n.*kubectl delete job/{JOB} secret/{SECRET}"):
        launch(run).start()
    assert (cluster.jobs, cluster.secrets) == (jobs, secrets)
    assert Keys(run).clients()["kubernetes-2"]["revoked"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RunError], ids=lambda error: error.__name__)
def test_an_interrupted_start_leaves_nothing(cluster, run, monkeypatch, error):
    """Where it is not known whether there is a Job, it is deleted with the Secret."""
    calls = []

    def interrupted(kubectl, *arguments, **options):
        calls.append(arguments[0])
        result = call(kubectl, *arguments, **options)
        if calls.count("create") == 2 and arguments[0] == "create":
            raise error
        return result

    call = Kubectl.call
    monkeypatch.setattr(Kubectl, "call", interrupted)
    with pytest.raises(error):
        launch(run).start()
    assert (cluster.jobs, cluster.secrets) == ({}, {})
    assert Keys(run).clients()["kubernetes-1"]["revoked"]


def test_what_is_left_is_told(cluster, run):
    """Where neither the Job can be made nor the Secret deleted."""
    launch(run).start()
    cluster.reach(2)
    (run / "launch").rename(run / "lost")
    cluster.secrets.clear()
    cluster.refusals["delete"] = "Error from server (Forbidden)"
    with pytest.raises(
        RunError, match=r"(?s)already exists.*and what was made before is left: kubectl .* delete secret/"
    ):
        launch(run).start()


def test_a_launch_that_never_knew_its_cluster(cluster, run):
    """One that was killed at its very beginning can be ended, and says so."""
    launch(run).start()
    (run / "launch" / "kubernetes" / "cluster.json").unlink()
    with pytest.raises(
        RunError, match=r"interrupted before the cluster was known: end it with framework launch --stop"
    ):
        states(run)
    launch(run).stop()
    assert not launch(run).is_started


def test_what_kubectl_says_is_told_without_the_token(cluster, run):
    """The command, its exit code and its words; where these quote what it was given, the token is left out."""
    cluster.refusals["create"] = "Error from server (Forbidden): {document} is not allowed"
    with pytest.raises(RunError) as caught:
        launch(run).start()
    message = str(caught.value)
    assert message.startswith("kubectl --context=current --namespace=namespace-of-mine create --filename=- failed with")
    assert "exit code 1: Error from server (Forbidden): apiVersion: v1" in message
    assert "join: (the join token)" in message.replace('"', "")
    assert "fw1." not in message


# --- by hand -----------------------------------------------------------------------------------------------------


def test_the_plan_can_be_applied(cluster, run, tmp_path, monkeypatch):
    """What --dry-run prints needs no kubectl; with the command in its comment it works as it is."""
    monkeypatch.chdir(tmp_path)
    options = ["--samplers", "4", "--workers", "2", f'image="{IMAGE}"']
    with monkeypatch.context() as without:
        without.setenv("PATH", "")
        result = CliRunner().invoke(cli, ["launch", "kubernetes", str(run), "--dry-run", *options])
    assert result.exit_code == 0, result.output
    assert cluster.calls == []
    (tmp_path / "samplers.yaml").write_text(result.stdout)
    [command] = [line.removeprefix("#   ") for line in result.stdout.splitlines() if "create secret" in line]
    assert command.startswith("framework join runs/pong-20260101-120000 | kubectl create secret generic ")
    assert os.system("kubectl apply -f samplers.yaml") == 0
    assert os.system(command.replace("framework join", "cat", 1).replace(" |", "/join |", 1)) == 0
    pods = cluster.reach(2)
    assert [(pod.folder / "token").read_text() for pod in pods] == [(run / "join").read_text()] * 2


def test_launch_status_scale_and_stop_from_the_command_line(cluster, run):
    """As typed."""

    def call(*words):
        result = CliRunner().invoke(cli, ["launch", *words], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    call("kubernetes", str(run), "--samplers", "2", f'image="{IMAGE}"', 'labels={"example.org/team"="rl"}')
    cluster.reach(2)
    assert call(str(run), "--status").count("running") == 2
    call(str(run), "--scale", "3")
    cluster.reach(3)
    call(str(run), "--stop")
    assert cluster.jobs == {}


def test_what_is_kept_says_which_cluster(cluster, run):
    """And nothing else."""
    launch(run).start()
    kept = json.loads((run / "launch" / "kubernetes" / "cluster.json").read_text())
    assert kept == {"context": "current", "namespace": PLACE}
