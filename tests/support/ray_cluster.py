"""A Ray cluster on this machine, as a process: ``python -m ray_cluster``. It ends with its standard input.

It has a head that runs nothing, and two nodes of four processors. The first line that it prints is JSON: the address of
the head, and the process ids of the raylets of the nodes.
"""

from __future__ import annotations

import json
import sys

from ray.cluster_utils import Cluster

NODES = 2


def main() -> None:
    """Serve until standard input ends."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        nodes = [cluster.add_node(num_cpus=4) for _ in range(NODES)]
        cluster.wait_for_nodes()
        raylets = [node.all_processes["raylet"][0].process.pid for node in nodes]
        print(json.dumps({"address": cluster.address, "raylets": raylets}), flush=True)
        sys.stdin.read()
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
