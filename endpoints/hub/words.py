"""The hub's words for states."""

from __future__ import annotations

from endpoints.states import Status

NOT_FOUND = "NOTFOUND"
# The hub knows fewer: what serves is in service, what a person has to look at has failed.
ENDPOINT: dict[str, str] = {
    Status.PENDING: "CREATING", Status.CREATING: "CREATING", Status.INSERVICE: "INSERVICE", Status.UPDATING: "INSERVICE",
    Status.DEGRADED: "INSERVICE", Status.STALLED: "FAILED", Status.FAILED: "FAILED", Status.STOPPING: "DELETING",
    Status.STOPPED: "TERMINATED", Status.DELETING: "DELETING", Status.DELETED: "TERMINATED",
}
# SageMaker's states of a HyperPod cluster, facts.md 1.13.
CLUSTER: dict[str, str] = {
    "InService": "ACTIVE", "Creating": "CREATING", "Updating": "UPDATING", "SystemUpdating": "UPDATING",
    "RollingBack": "UPDATING", "Deleting": "DELETING", "Failed": "FAILED",
}


def cluster_word(status: str) -> str:
    """PENDING for a cluster that nobody has looked at yet."""
    return CLUSTER.get(status, "PENDING")
