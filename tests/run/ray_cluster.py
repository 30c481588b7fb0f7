"""A Ray cluster of several nodes on this machine, quiet and small."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

__all__ = ["ray_cluster"]


@contextmanager
def ray_cluster(
    nodes: int,
    head_cores: int = 0,
    system: Mapping[str, int] | None = None,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Any]:
    """Start a `ray.cluster_utils.Cluster` of a head with so many cores and so many other nodes of one core.

    A run that gives its `address` connects to it by itself. `system` are settings of Ray's own, `variables` those that
    the workers have.
    """
    from ray.cluster_utils import Cluster  # noqa: PLC0415  slow, and not needed where such tests are left out

    head: dict[str, Any] = {"num_cpus": head_cores, "include_dashboard": False, "object_store_memory": 100 << 20}
    if system:
        head["_system_config"] = dict(system)
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_METRICS_COLLECTION": "0"}
    with patch.dict(os.environ, {**quiet, **(variables or {})}):
        cluster = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(nodes):
            cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
    try:
        yield cluster
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]
