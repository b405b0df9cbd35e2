"""Which namespace of a Kubernetes cluster belongs to which workspace: derived, never typed (threat T26)."""

from __future__ import annotations

from portal.tenancy.models import Workspace
from portal.tenancy.text import external_name

# Labels on everything that we make. Objects without our uid label are somebody else's, whatever their name.
MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "inference-portal"
ENDPOINT_UID = "inference-portal/endpoint"
COPY_UID = "inference-portal/copy"
WORKSPACE_UID = "inference-portal/workspace"
REVISION = "inference-portal/revision"
INSTANCE_UID = "inference-portal/instance"
FIELD_MANAGER = "inference-portal"
# Where copies of models lie that all workspaces share: the Hydra guide and its model check know this name only.
SHARED_NAMESPACE = "public"


def workspace_namespace(workspace: Workspace) -> str:
    """``ip-`` + the slug + 10 hex of the uid: at most 53 characters, never a system namespace."""
    return f"ip-{external_name(workspace.slug, workspace.uid)}"
