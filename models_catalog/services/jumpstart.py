"""Browse SageMaker's public hub, put a model of it on the shelf, and record who accepted its licence."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from clusters.drivers.aws import Aws, AwsError, AwsProblem, aws_for
from clusters.models import AwsAccount
from portal.tenancy import audit
from portal.tenancy.actor import Actor
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Invalid, NotFound, Unavailable
from portal.tenancy.models import Workspace
from portal.tenancy.roles import Verb
from portal.tenancy.text import clean, external_name, slug_of

from ..choices import ArtifactKind, Task
from ..jumpstart import HUB, HubDetails, HubModel, details, summary
from ..models import Artifact, CatalogModel, EulaAcceptance, Vendor
from .common import require_manage
from .serving import create_artifact
from .shelf import change_model, create_model

PAGE = 50
MOST_TEXT = 256 * 1024
VENDOR = "jumpstart"
SLUG_CHARS = 63


@dataclass(frozen=True)
class HubPage:
    items: tuple[HubModel, ...]
    next: str = ""


def browse(account: AwsAccount, region: str, *, text: str = "", token: str = "") -> HubPage:
    """The hub's models whose name contains `text`, a page of 50. Raises Invalid, Unavailable. One call."""
    wanted = {"NameContains": slug_of(text)[:63]} if text else {}
    more = {"NextToken": token} if token else {}
    answer = _ask(_aws(account, region), "list_hub_contents", HubName=HUB, HubContentType="Model", MaxResults=PAGE, **wanted,
                  **more)
    return HubPage(tuple(map(summary, answer.get("HubContentSummaries", ()))), answer.get("NextToken", ""))


def hub_details(account: AwsAccount, region: str, model_id: str, version: str = "") -> HubDetails:
    """What one model of the hub says of itself, the newest version where none is named. Raises NotFound, Unavailable."""
    which = {"HubContentVersion": version} if version else {}
    return details(_ask(_aws(account, region), "describe_hub_content", HubName=HUB, HubContentType="Model",
                        HubContentName=model_id, **which))


def licence_text(account: AwsAccount, region: str, found: HubDetails) -> str:
    """The licence that has to be accepted, "" where it lies behind a link of its own. Raises Unavailable."""
    bucket, _slash, key = found.eula.removeprefix("s3://").partition("/")
    if not found.eula.startswith("s3://") or not key:
        return ""
    try:
        data = _aws(account, region).object_bytes(bucket, key, most=MOST_TEXT)
    except AwsError as error:
        raise Unavailable(_("The licence can't be read: %(why)s") % {"why": error.message}) from error
    return clean(data.decode(errors="replace"), MOST_TEXT)


def shelve_hub_model(
    actor: Actor, account: AwsAccount, region: str, model_id: str, *, version: str = "", workspace: Workspace | None = None,
) -> CatalogModel:
    """Put a model of the hub on the shelf, pinned to its version; what is there already is found again.

    Raises NotAllowed, NotFound, Invalid, Unavailable.
    """
    require_manage(actor, workspace)
    return _shelve(actor, hub_details(account, region, model_id, version), workspace)


@retry_tx
def _shelve(actor: Actor, found: HubDetails, workspace: Workspace | None) -> CatalogModel:
    entry = found.model
    known = Artifact.objects.filter(kind=ArtifactKind.JUMPSTART, location=entry.model_id, model__workspace=workspace)
    there = known.filter(revision=entry.version).select_related("model").first()
    if there is not None:
        return there.model
    older = known.select_related("model").order_by("pk").first()
    model = _another_version(actor, older.model, found) if older else _first_version(actor, found, workspace)
    create_artifact(actor, model, kind=ArtifactKind.JUMPSTART, location=entry.model_id, revision=entry.version)
    return model


def _another_version(actor: Actor, model: CatalogModel, found: HubDetails) -> CatalogModel:
    """A version that asks for its licence to be accepted makes the model ask."""
    if found.asks_for_acceptance and not model.gated:
        return change_model(actor, model, gated=True)
    return model


def _first_version(actor: Actor, found: HubDetails, workspace: Workspace | None) -> CatalogModel:
    """Under a short name of its own: names that begin alike must not become one model."""
    entry = found.model
    slug = f"js-{slug_of(entry.model_id)}{f'-{workspace.slug}' if workspace else ''}"
    if len(slug) > SLUG_CHARS or CatalogModel.objects.filter(slug=slug).exists():
        whose = workspace.uid if workspace else uuid.NAMESPACE_URL
        slug = external_name(f"js-{entry.model_id}", uuid.uuid5(whose, entry.model_id))
    return create_model(
        actor, slug=slug, workspace=workspace, name=entry.name, vendor=_vendor(), task=_task(entry),
        gated=found.asks_for_acceptance, description=entry.description, sources=[f"jumpstart:{entry.model_id}"])


def _vendor() -> Vendor:
    """The hub names no vendor in a form that could be trusted; a person moves the model to its own."""
    found, _made = Vendor.objects.get_or_create(slug=VENDOR, defaults={"names": {"enUS": "SageMaker JumpStart"}})
    return found


def _task(entry: HubModel) -> Task:
    """By the task in the name of the model, such as huggingface-textembedding-…; most serve chats."""
    name = entry.model_id
    if "embedding" in name or "sentencesimilarity" in name:
        return Task.EMBEDDING
    return Task.RERANK if "rerank" in name else Task.CHAT


def read_and_accept(
    actor: Actor, artifact: Artifact, workspace: Workspace, account: AwsAccount, region: str,
) -> EulaAcceptance:
    """Accept the licence as the hub has it now, so that the record tells which text it was. Raises as `accept_licence`."""
    actor.require(Verb.MANAGE, workspace)
    found = hub_details(account, region, artifact.location, artifact.revision)
    return accept_licence(actor, artifact, workspace, url=found.eula, text=licence_text(account, region, found))


@retry_tx
def accept_licence(
    actor: Actor, artifact: Artifact, workspace: Workspace, *, url: str = "", text: str = "",
) -> EulaAcceptance:
    """Record that the licence was accepted for a workspace, by whom and which text. Repeating it changes nothing.

    Raises NotAllowed, and Invalid for artifacts of another kind.
    """
    actor.require(Verb.MANAGE, workspace)
    if artifact.kind != ArtifactKind.JUMPSTART:
        raise Invalid(_("Only models of SageMaker JumpStart have a licence that is accepted here."), field="artifact")
    if artifact.model.workspace_id not in (None, workspace.pk):
        raise NotFound()
    key = {"workspace": workspace, "artifact": artifact, "location": artifact.location, "revision": artifact.revision}
    digest = hashlib.sha256(text.encode()).hexdigest() if text else ""
    try:
        with transaction.atomic():
            made = EulaAcceptance.objects.create(**key, url=url[:500], digest=digest, accepted_by=actor.user)
    except IntegrityError:
        return EulaAcceptance.objects.get(**key)
    audit.record(actor, "accept licence", artifact, workspace=workspace, after={
        "model": artifact.location, "version": artifact.revision, "licence": made.url, "sha256": digest})
    return made


def has_accepted(workspace: Workspace, artifact: Artifact) -> bool:
    """Whether the licence of exactly this version was accepted for this workspace."""
    return EulaAcceptance.objects.filter(workspace=workspace, artifact=artifact, location=artifact.location,
                                         revision=artifact.revision).exists()


def _aws(account: AwsAccount, region: str) -> Aws:
    try:
        return aws_for(account, region)
    except AwsError as error:
        raise Invalid(error.message, field="region") from error


def _ask(aws: Aws, operation: str, **params: Any) -> dict[str, Any]:
    try:
        return aws.call("sagemaker", operation, **params)
    except AwsError as error:
        if error.problem is AwsProblem.NOT_FOUND:
            raise NotFound(_("The hub has no such model.")) from error
        if error.problem is AwsProblem.INVALID:
            raise Invalid(error.message) from error
        raise Unavailable(_("The hub can't be asked: %(why)s") % {"why": error.message}) from error
