"""A VLLMCluster that somebody hands in as YAML becomes an endpoint of theirs."""

from __future__ import annotations

from django.utils.translation import gettext as _

from clusters.models import Cluster
from endpoints.models import Endpoint
from endpoints.vllmclusters import model_of, read
from portal.tenancy.actor import Actor
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Invalid, TooLarge
from portal.tenancy.models import Workspace
from portal.tenancy.roles import Verb
from portal.tenancy.strict_yaml import load
from portal.tenancy.text import slug_of

from .wished import facts_of, known_model, put_wished
from .wishes import create

MOST_BYTES = 64 * 1024


@retry_tx
def import_yaml(
    actor: Actor, workspace: Workspace, cluster: Cluster, text: str | bytes, *, name: str = "", deploy: bool = True,
) -> Endpoint:
    """An endpoint from one VLLMCluster, with its notes; its model and profile become the workspace's own.

    Raises NotAllowed to whom may not manage the workspace's models, Invalid, TooLarge, Conflict, QuotaExceeded.
    """
    actor.require(Verb.DEPLOY, workspace)
    manifest = load(_decoded(text))
    if not isinstance(manifest, dict):
        raise Invalid(_("This is no object: paste one VLLMCluster."), field="yaml")
    kind, location, _revision = model_of(manifest)
    model = known_model(workspace, kind, location)
    wished = read(manifest, facts_of(model))
    profile = put_wished(actor, workspace, wished, f"import/{wished.name}")
    unknown = [] if model else [unknown_note(location)]
    return create(
        actor, workspace, name=name or slug_of(wished.name or profile.model.name)[:63].rstrip("-"), cluster=cluster,
        profile=profile, replicas=max(1, wished.replicas), autoscale=wished.autoscale, notes=[*wished.notes, *unknown],
        deploy=deploy)


def unknown_note(location: str) -> str:
    return _("The catalogue does not know %(model)s: it is taken for a chat model, and its size is not checked.") % {
        "model": location}


def _decoded(text: str | bytes) -> str:
    data = text.encode() if isinstance(text, str) else text
    if len(data) > MOST_BYTES:
        raise TooLarge(_("A VLLMCluster has at most %(most)d KB.") % {"most": MOST_BYTES // 1024}, field="yaml")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(_("The file is not UTF-8 text."), field="yaml") from error
