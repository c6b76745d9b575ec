from framework.interfaces import HostStatus
from framework_kubernetes import pods


def pod(name, created, phase, state=None, node=None):
    containers = [] if state is None else [{"name": "sampler", "state": state}]
    spec = {} if node is None else {"nodeName": node}
    metadata = {"name": name, "creationTimestamp": f"2026-01-01T00:00:0{created}Z"}
    return {
        "kind": "Pod",
        "metadata": metadata,
        "spec": spec,
        "status": {"phase": phase, "containerStatuses": containers},
    }


def test_each_pod_is_a_host():
    """The eldest first; with its node once it has one, and its exit code once its container has ended."""
    told = [
        pod("d", 4, "Pending"),
        pod("c", 3, "Pending", {"waiting": {"reason": "ImagePullBackOff"}}, "node-2"),
        pod("b", 2, "Running", {"running": {}}, "node-1"),
        pod("a", 1, "Failed", {"terminated": {"exitCode": 75}}, "node-1"),
        pod("z", 1, "Succeeded", {"terminated": {"exitCode": 0}}, "node-1"),
        pod("x", 5, "Failed"),  # evicted before it had a container
    ]
    assert pods.statuses(told) == [
        HostStatus("a", "ended", "node-1", 75, 1),
        HostStatus("z", "ended", "node-1", 0, 1),
        HostStatus("b", "running", "node-1", None, 1),
        HostStatus("c", "waiting", "node-2", None, 0),
        HostStatus("d", "waiting", "", None, 0),
        HostStatus("x", "ended", "", None, 0),
    ]


def test_how_a_job_has_ended():
    """Conditions that hold, and that end it, in Kubernetes's words."""
    suspended = {"type": "Suspended", "status": "True"}
    failed = {"type": "Failed", "status": "True", "reason": "PodFailurePolicy", "message": "exit code 78"}
    assert pods.end_of({}) == ""
    assert pods.end_of({"status": {"conditions": [suspended, {"type": "Failed", "status": "False"}]}}) == ""
    assert pods.end_of({"status": {"conditions": [suspended, failed]}}) == "Failed: PodFailurePolicy: exit code 78"
    assert pods.end_of({"status": {"conditions": [{"type": "Complete", "status": "True"}]}}) == "Complete"
