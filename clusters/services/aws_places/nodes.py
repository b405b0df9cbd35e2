"""Reboot and replace machines of a HyperPod cluster. AWS answers for each machine by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import TextChoices
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from clusters.drivers import kinds
from clusters.drivers.aws import AwsError
from clusters.drivers.kube import kube_for
from clusters.drivers.kube_errors import KubeError
from clusters.hyperpod import MOST_REPAIRED
from clusters.kube_inventory import Pod
from clusters.models import Cluster, Node
from clusters.namespaces import ENDPOINT_UID
from portal.tenancy import audit
from portal.tenancy.actor import Actor
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Conflict, Invalid
from portal.tenancy.text import clean

from ..place_rows import endpoints_of
from .asking import aws_of, hyperpod_of, named, refusal

APP = "app"  # the label that the HyperPod operator gives an endpoint's pods (facts.md 1.10)


class Repair(TextChoices):
    """What can be done to a machine; the second destroys its disks."""

    REBOOT = "reboot", gettext_lazy("reboot")
    REPLACE = "replace", gettext_lazy("replace")


# What a machine's state reads until AWS is asked again: a second click finds it and does nothing.
ASKED = {Repair.REBOOT: "RebootRequested", Repair.REPLACE: "ReplaceRequested"}
CALLS = {Repair.REBOOT: "batch_reboot_cluster_nodes", Repair.REPLACE: "batch_replace_cluster_nodes"}


@dataclass(frozen=True)
class RepairAnswer:
    """What AWS said of one machine; `problem` is empty where it will do it."""

    node: str
    instance_id: str
    problem: str = ""


def repair(actor: Actor, place: Cluster, nodes: Sequence[Node], how: Repair) -> list[RepairAnswer]:
    """Have AWS reboot or replace these machines, up to 25. Not inside a transaction.

    The audit has the wish before AWS is asked. Raises NotAllowed, Invalid (`nodes`), Conflict where AWS refuses all of
    them or one was asked for a moment ago, Unavailable where AWS can't be asked.
    """
    actor.require_operator()
    side = hyperpod_of(place)
    _require_machines(place, nodes)
    before = _claim(actor, place, nodes, how)
    ids = [node.instance_id for node in nodes]
    try:
        answer = aws_of(side).call("sagemaker", CALLS[how], ClusterName=named(side), NodeIds=ids)
    except AwsError as error:
        _release(actor, place, before, how, error.message)
        raise refusal(error) from error
    refused = {one["NodeId"]: _words(one["ErrorCode"], one.get("Message", "")) for one in answer.get("Failed") or ()}
    if refused:
        _release(actor, place, {node: status for node, status in before.items() if node.instance_id in refused}, how,
                 "; ".join(f"{key}: {words}" for key, words in refused.items()))
    return [RepairAnswer(node.name, node.instance_id, refused.get(node.instance_id, "")) for node in nodes]


def endpoints_on(node: Node) -> list[str]:
    """The endpoints that have pods on this node now, as workspace/name. Raises KubeError; not inside a transaction."""
    pods = kube_for(node.cluster).list(kinds.POD, Pod, fields=f"spec.nodeName={node.name}").items
    labels = [pod.metadata.labels or {} for pod in pods]
    uids = {one[ENDPOINT_UID] for one in labels if ENDPOINT_UID in one}
    apps = {one[APP] for one in labels if APP in one}
    rows = endpoints_of(node.cluster).select_related("workspace")
    return sorted(f"{row.workspace.slug}/{row.name}" for row in rows if str(row.uid) in uids or row.external_name in apps)


def who_is_hurt(node: Node) -> str:
    """The same in a sentence for a confirmation; says so where the cluster does not answer."""
    try:
        names = endpoints_on(node)
    except KubeError as error:
        return _("%(node)s: the cluster does not say what runs there (%(message)s).") % {
            "node": node.name, "message": clean(error.message, 200)}
    if not names:
        return _("%(node)s: no endpoint runs there.") % {"node": node.name}
    return _("%(node)s: %(names)s lose a replica.") % {"node": node.name, "names": ", ".join(names)}


def _require_machines(place: Cluster, nodes: Sequence[Node]) -> None:
    if not 1 <= len(nodes) <= MOST_REPAIRED:
        raise Invalid(_("Choose 1 to %(most)d nodes.") % {"most": MOST_REPAIRED}, field="nodes")
    for node in nodes:
        if node.cluster_id != place.pk or not node.instance_id:
            raise Invalid(_("%(node)s is no machine that AWS knows in this cluster.") % {"node": node.name}, field="nodes")


@retry_tx
def _claim(actor: Actor, place: Cluster, nodes: Sequence[Node], how: Repair) -> dict[Node, str]:
    """Mark the machines, each once (compare-and-swap), and note the wish; their states before. Raises Conflict."""
    before = {}
    for node in nodes:
        taken = Node.objects.filter(pk=node.pk).exclude(instance_status__in=ASKED.values())
        before[node] = node.instance_status
        if not taken.update(instance_status=ASKED[how]):
            raise Conflict(_("%(node)s: this was asked for a moment ago. Wait until AWS tells how it went.") % {
                "node": node.name}, code="asked_already")
    audit.record(actor, f"{how.value} nodes", place, workspace=place.workspace,
                 after={"nodes": {node.name: node.instance_id for node in nodes}})
    return before


@retry_tx
def _release(actor: Actor, place: Cluster, before: dict[Node, str], how: Repair, why: str) -> None:
    """AWS did not do it: the machines read as before, and the audit says why."""
    for node, status in before.items():
        Node.objects.filter(pk=node.pk, instance_status=ASKED[how]).update(instance_status=status)
    audit.record(actor, f"{how.value} nodes refused", place, workspace=place.workspace,
                 after={"nodes": [node.name for node in before], "message": clean(why, 1000)})


def _words(code: str, message: str) -> str:
    """AWS's own codes of batch calls, told as what to do."""
    known = {
        "InstanceIdNotFound": _("AWS knows no such machine in this cluster any more."),
        "InvalidInstanceStatus": _("AWS does not do this in the machine's present state. Try again later."),
        "InstanceIdInUse": _("AWS is doing something to this machine already. Try again later."),
        "InternalServerError": _("AWS failed. Try again."),
    }
    said = clean(message, 300)
    return f"{known.get(code, code)} {said}".strip() if said else known.get(code, code)
