"""What people wish: each verb writes the wish, one event and one audit entry in one transaction, and rings the bell."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F, Max
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from clusters.models import Cluster, KubernetesAccess
from clusters.states import ClusterKind
from endpoints.autoscale import check_autoscale, sentences
from endpoints.models import Endpoint, Event, Revision
from endpoints.options import check_change
from endpoints.planning.paths import for_new_revision
from endpoints.states import Affinity, Wish
from models_catalog.models import Profile
from models_catalog.services import revision_spec
from portal.tenancy import audit
from portal.tenancy.actor import PORTAL, Actor
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Conflict, Invalid, NotFound, Stale
from portal.tenancy.models import Workspace
from portal.tenancy.queue import after_commit
from portal.tenancy.roles import Verb

from .proposals import first_spec, next_spec
from .quota import begin_claim, check_quota
from .route_wish import require_no_route
from .weights import renew, with_weights

MAX_REPLICAS = 64


@retry_tx
def create(
    actor: Actor, workspace: Workspace, *, name: str, cluster: Cluster, profile: Profile, replicas: int = 1,
    public_name: str = "", arguments: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None,
    devices: Sequence[int] = (), options: Mapping[str, Any] | None = None, autoscale: Mapping[str, Any] | None = None,
    affinity: str = "", note: str = "", deploy: bool = True,
    origin: Mapping[str, Any] | None = None, notes: Sequence[str] = (), uid: UUID | None = None,
) -> Endpoint:
    """A new endpoint with its first revision. `deploy=False` leaves it stopped; `origin` (the portal only) is its owner.

    `uid` is that of an approved plan.

    Raises NotFound, NotAllowed, Invalid (with the field), Conflict where the name is taken, QuotaExceeded.
    """
    actor.require(Verb.DEPLOY, workspace)
    spec = first_spec(workspace, cluster, profile, arguments=arguments, environment=environment, devices=devices,
                      options=options, operates=actor.operates)
    scaling, said = checked_autoscale(cluster, autoscale or {}, spec)
    endpoint = Endpoint(
        workspace=workspace, cluster=cluster, name=name, public_name=public_name or name,
        public_key=(public_name or name).lower(), replicas=checked_replicas(replicas, least=0 if origin else 1),
        affinity=affinity, autoscale=scaling, notes=[*notes, *said], created_by=actor.user, created_by_key=actor.key,
        wish=Wish.RUNNING if deploy else Wish.STOPPED,
        **(origin or {}), **({"uid": uid} if uid else {}))
    _validate(endpoint)
    spec = with_weights(endpoint, profile, spec)
    begin_claim(workspace.pk)
    require_no_route(endpoint)
    _insert(endpoint)
    _new_revision(actor, endpoint, profile, spec, note)
    check_quota(endpoint)
    audit.record(actor, "create", endpoint, workspace=workspace, after={**audit.snapshot(endpoint, _AUDITED), "spec": spec})
    _tell(actor, endpoint, _("Deployment of %(profile)s asked for.") % {"profile": profile})
    return endpoint


def deploy(actor: Actor, endpoint: Endpoint, *, expected_generation: int | None = None) -> Endpoint:
    """Bring the wanted revision into service, whatever the endpoint does now; a failed start is tried again."""
    return _wish(actor, endpoint, "deploy", _("Deployment asked for."), expected_generation,
                 wish=Wish.RUNNING, forgive=True)


def start(actor: Actor, endpoint: Endpoint, *, expected_generation: int | None = None) -> Endpoint:
    """Start a stopped endpoint again."""
    if endpoint.wish == Wish.RUNNING:
        raise Conflict(_("%(name)s is not stopped.") % {"name": endpoint.name})
    return _wish(actor, endpoint, "start", _("Start asked for."), expected_generation, wish=Wish.RUNNING, forgive=True)


def stop(actor: Actor, endpoint: Endpoint, *, expected_generation: int | None = None) -> Endpoint:
    """Take every replica away, keep the endpoint and its history."""
    if endpoint.wish == Wish.STOPPED:
        raise Conflict(_("%(name)s is stopped already, or on its way there.") % {"name": endpoint.name})
    return _wish(actor, endpoint, "stop", _("Stop asked for."), expected_generation, wish=Wish.STOPPED)


def scale(
    actor: Actor, endpoint: Endpoint, replicas: int, *, expected_generation: int | None = None,
) -> Endpoint:
    """Wish another number of replicas. Raises Invalid, QuotaExceeded, Conflict where an autoscaler owns the number."""
    count = checked_replicas(replicas)
    if endpoint.autoscale:
        raise Conflict(_("Autoscaling chooses the replicas of %(name)s, from %(low)d to %(high)d. Change these bounds, or "
                         "switch it off.") % {"name": endpoint.name, "low": endpoint.autoscale["min_replicas"],
                                              "high": endpoint.autoscale["max_replicas"]}, code="autoscaled")
    return _wish(actor, endpoint, "scale", _("%(count)d replicas asked for.") % {"count": count}, expected_generation,
                 replicas=count)


def set_affinity(
    actor: Actor, endpoint: Endpoint, affinity: str, *, expected_generation: int | None = None,
) -> Endpoint:
    """Choose which of several replicas takes a call. Raises Invalid (field ``affinity``), Conflict where nothing differs."""
    if affinity not in Affinity.values:
        raise Invalid(_("Choose one of the ways to spread calls."), field="affinity")
    if affinity == endpoint.affinity:
        raise Conflict(_("The calls of %(name)s are spread so already.") % {"name": endpoint.name}, code="no_change")
    return _wish(actor, endpoint, "affinity", _("Calls shall go to: %(way)s.") % {"way": Affinity(affinity).label},
                 expected_generation, affinity=affinity)


def set_autoscale(
    actor: Actor, endpoint: Endpoint, value: Mapping[str, Any], *, expected_generation: int | None = None,
) -> Endpoint:
    """Let the place's autoscaler own the replicas between bounds; {} gives the number back to people.

    Raises NotAllowed, Invalid (field ``autoscale``), Conflict where nothing differs, QuotaExceeded: the upper bound counts.
    """
    actor.require(Verb.DEPLOY, endpoint.workspace)
    scaling, notes = checked_autoscale(endpoint.cluster, value, endpoint.wanted.spec if endpoint.wanted else {})
    if scaling == endpoint.autoscale:
        raise Conflict(_("The autoscaling of %(name)s is so already.") % {"name": endpoint.name}, code="no_change")
    asked = " ".join([*sentences(scaling)[:1], *notes]) or _("Autoscaling switched off.")
    return _wish(actor, endpoint, "autoscale", asked, expected_generation, autoscale=scaling, notes=notes)


@retry_tx
def update(
    actor: Actor, endpoint: Endpoint, *, profile: Profile | None = None, arguments: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None, devices: Sequence[int] | None = None,
    options: Mapping[str, Any] | None = None, note: str = "", expected_generation: int | None = None,
) -> Revision:
    """A new revision, which replaces the replicas one by one; what is not given stays as it was."""
    actor.require(Verb.DEPLOY, endpoint.workspace)
    _require_not_owned(actor, endpoint)
    chosen, spec = next_spec(
        endpoint, profile, arguments=arguments, environment=environment, devices=devices, options=options,
        operates=actor.operates)
    before = endpoint.wanted
    require_fits(endpoint, spec)
    if before is not None and spec == before.spec:
        raise Conflict(_("Nothing differs from revision %(number)d.") % {"number": before.number}, code="no_change")
    revision = _new_revision(actor, endpoint, chosen, spec, note, attach=False)
    _wish(actor, endpoint, "update", _("Update to revision %(number)d asked for.") % {"number": revision.number},
          expected_generation, wanted=revision, wish=Wish.RUNNING, accepted=still_accepted(endpoint))
    return revision


@retry_tx
def follow(
    endpoint: Endpoint, profile: Profile, *, arguments: Mapping[str, Any], replicas: int, autoscale: Mapping[str, Any],
    notes: Sequence[str], origin_generation: int,
) -> Endpoint:
    """Wish what the object of the cluster that owns the endpoint says now; a new revision only where the engine changes.

    Raises Invalid, QuotaExceeded, Stale.
    """
    spec = revision_spec(profile, arguments=arguments)
    scaling, said = checked_autoscale(endpoint.cluster, autoscale, spec)
    fields: dict[str, Any] = {}
    if endpoint.wanted is None or spec != endpoint.wanted.spec:
        fields["wanted"] = _new_revision(PORTAL, endpoint, profile, spec, "", attach=False)
    return _wish(
        PORTAL, endpoint, "follow", _("Its object in the cluster was changed (generation %(number)d).") % {
            "number": origin_generation}, None, replicas=checked_replicas(replicas, least=0), autoscale=scaling,
        notes=[*notes, *said], origin_generation=origin_generation, origin_missing_at=None, wish=Wish.RUNNING, **fields)


@retry_tx
def roll_back(
    actor: Actor, endpoint: Endpoint, number: int, *, expected_generation: int | None = None,
) -> Endpoint:
    """Wish an earlier revision again. Raises NotFound, Conflict where it is the wanted one already."""
    actor.require(Verb.DEPLOY, endpoint.workspace)
    revision = Revision.objects.filter(endpoint=endpoint, number=number).first()
    if revision is None:
        raise NotFound(_("There is no revision %(number)d.") % {"number": number})
    if revision.pk == endpoint.wanted_id:
        raise Conflict(_("Revision %(number)d is the wanted one already.") % {"number": number}, code="no_change")
    require_fits(endpoint, revision.spec)
    renew(endpoint, revision)
    return _wish(actor, endpoint, "roll back", _("Roll back to revision %(number)d asked for.") % {"number": number},
                 expected_generation, wanted=revision, wish=Wish.RUNNING, accepted=still_accepted(endpoint), forgive=True)


def retry(actor: Actor, endpoint: Endpoint, *, expected_generation: int | None = None) -> Endpoint:
    """Forget earlier failures and try the same wish again, also for an endpoint that an object of the cluster owns."""
    return _wish(actor, endpoint, "retry", _("Another try asked for."), expected_generation, forgive=True)


def delete(actor: Actor, endpoint: Endpoint, *, expected_generation: int | None = None) -> Endpoint:
    """Take everything away; the row goes last. Repeating it changes nothing."""
    if endpoint.wish == Wish.DELETED:
        return endpoint
    return _wish(actor, endpoint, "delete", _("Deletion asked for."), expected_generation, wish=Wish.DELETED)


def still_accepted(endpoint: Endpoint) -> list[dict[str, Any]]:
    """What was accepted of changes outside, as it counts for another revision."""
    return [for_new_revision(change) for change in endpoint.accepted]


def rewish(actor: Actor, endpoint: Endpoint, verb: str, message: str, **fields: Any) -> Endpoint:
    """Change other fields of the wish as one of the verbs does. Raises NotFound, NotAllowed, Stale, Conflict."""
    return _wish(actor, endpoint, verb, message, None, **fields)


_AUDITED = ("wish", "replicas", "affinity", "autoscale", "wanted", "generation", "name", "public_name", "cluster")


@retry_tx
def _wish(
    actor: Actor, endpoint: Endpoint, verb: str, message: str, expected_generation: int | None, *, forgive: bool = False,
    **fields: Any,
) -> Endpoint:
    """Write a wish by compare-and-swap on the generation. Raises NotFound, NotAllowed, Stale, Conflict."""
    actor.require(Verb.DEPLOY, endpoint.workspace)
    if verb != "retry":
        _require_not_owned(actor, endpoint)
    if expected_generation is not None and expected_generation != endpoint.generation:
        raise Stale(_changed_meanwhile(endpoint))
    if endpoint.wish == Wish.DELETED:
        raise Conflict(_("%(name)s is being deleted.") % {"name": endpoint.name}, code="deleting")
    was, before = copy.copy(endpoint), audit.snapshot(endpoint, _AUDITED)
    begin_claim(endpoint.workspace_id)
    won = Endpoint.objects.filter(pk=endpoint.pk, generation=endpoint.generation).update(
        generation=F("generation") + 1, version=F("version") + 1, next_look_at=Now(), attempts=0, last_error="",
        deadline_at=None, updated_at=Now(), **{"drift": [], "corrections": 0, **fields})
    if not won:
        raise Stale(_changed_meanwhile(endpoint))
    endpoint.refresh_from_db()
    if forgive and endpoint.wanted_id is not None:
        Revision.objects.filter(pk=endpoint.wanted_id).update(failed_at=None, failure="")
    check_quota(endpoint, was)
    audit.record(actor, verb, endpoint, workspace=endpoint.workspace, before=before,
                 after=audit.snapshot(endpoint, _AUDITED))
    _tell(actor, endpoint, message)
    return endpoint


def _changed_meanwhile(endpoint: Endpoint) -> str:
    last = Event.objects.filter(endpoint_id=endpoint.pk, kind="wish").first()
    if last is None:
        return _("This endpoint is gone.")
    return _("%(name)s was changed by %(who)s at %(when)s: %(what)s Load it again.") % {
        "name": endpoint.name, "who": last.actor_label, "when": f"{last.at:%H:%M:%S} UTC", "what": last.message}


def _tell(actor: Actor, endpoint: Endpoint, message: str) -> None:
    Event.objects.create(endpoint=endpoint, kind="wish", was=endpoint.status, now=endpoint.status, message=message,
                         actor_label=actor.label[:200], generation=endpoint.generation)
    after_commit("endpoints.tasks.reconcile_endpoint", endpoint.pk)


def _new_revision(
    actor: Actor, endpoint: Endpoint, profile: Profile, spec: dict[str, Any], note: str, *, attach: bool = True,
) -> Revision:
    """The next revision; `attach` makes it the first and wanted one of a new endpoint."""
    last = 0 if attach else Revision.objects.filter(endpoint=endpoint).aggregate(last=Max("number"))["last"] or 0
    revision = Revision.objects.create(endpoint=endpoint, number=last + 1, profile=profile, spec=spec, note=note[:200],
                                       created_by=actor.user)
    if attach:
        endpoint.wanted = revision
        Endpoint.objects.filter(pk=endpoint.pk).update(wanted=revision, next_look_at=Now())  # by no host's own clock
    return revision


def _insert(endpoint: Endpoint) -> None:
    try:
        with transaction.atomic():
            endpoint.save(force_insert=True)
    except IntegrityError as error:
        taken = Endpoint.objects.filter(workspace=endpoint.workspace_id, name=endpoint.name).exists()
        field = "name" if taken else "public_name"
        raise Conflict(_("The workspace has an endpoint with this name already."), field=field) from error


def _validate(endpoint: Endpoint) -> None:
    try:
        endpoint.clean_fields(exclude=["wanted", "serving", "created_by", "workspace", "cluster"])
    except ValidationError as error:
        field, messages = next(iter(error.message_dict.items()))
        raise Invalid(" ".join(messages), field="public_name" if field == "public_key" else field) from error


def checked_replicas(replicas: int, least: int = 1) -> int:
    """`least` is 0 for an object of the cluster: its own autoscaler may want none."""
    if isinstance(replicas, bool) or not least <= replicas <= MAX_REPLICAS:
        raise Invalid(_("Choose 1 to %(most)d replicas; to run none, stop the endpoint.") % {"most": MAX_REPLICAS},
                      field="replicas")
    return replicas


def checked_autoscale(
    cluster: Cluster, value: Mapping[str, Any], spec: Mapping[str, Any],
) -> tuple[dict[str, Any], list[str]]:
    """The wish as it is kept, and notes; `spec` is that of the revision it goes with. Raises Invalid (field ``autoscale``)."""
    scaling, notes = check_autoscale(value, cluster.kind, spec.get("options"))
    asked = scaling and cluster.kind == ClusterKind.KUBERNETES  # HyperPod's operator brings its own KEDA
    access = KubernetesAccess.objects.filter(cluster=cluster).first() if asked else None
    if access is not None and access.capabilities and not access.has("keda"):
        raise Invalid(_("%(place)s has no KEDA, which does the autoscaling: install it there and test the connection.")
                      % {"place": cluster}, field="autoscale")
    return scaling, notes


def require_fits(endpoint: Endpoint, spec: Mapping[str, Any]) -> None:
    """The endpoint's autoscaling goes with these settings, and what runs can become them. Raises Invalid."""
    check_autoscale(endpoint.autoscale, endpoint.cluster.kind, spec.get("options"))
    if endpoint.wanted is not None and endpoint.wish == Wish.RUNNING:
        check_change(endpoint.wanted.spec, spec)


def _require_not_owned(actor: Actor, endpoint: Endpoint) -> None:
    """People change the object that owns the endpoint, for as long as the portal follows it."""
    origin = endpoint.origin
    if actor.user is None or not origin:
        return
    if KubernetesAccess.objects.filter(cluster=endpoint.cluster_id, imports_to=endpoint.workspace_id).exists():
        raise Conflict(_("%(name)s belongs to the %(kind)s %(namespace)s/%(object)s of %(place)s: change or delete that object "
                         "with kubectl.") % {"name": endpoint.name, "kind": origin["kind"], "namespace": origin["namespace"],
                                             "object": origin["name"], "place": endpoint.cluster}, code="owned_by_cluster")
