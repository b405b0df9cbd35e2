from .access import ApiKey, ApiKeyQuerySet, Membership, digest_of, split_key
from .audit import AuditEntry, AuditSeal
from .heartbeat import Heartbeat
from .idempotency import IdempotentCall
from .instance import Instance
from .invitations import Invitation, InvitationQuerySet
from .limits import Limit, LimitCounter, LimitKind, LimitQuerySet
from .people import User, Workspace, WorkspaceQuerySet
from .tries import Try

__all__ = [
    "ApiKey", "ApiKeyQuerySet", "AuditEntry", "AuditSeal", "Heartbeat", "IdempotentCall", "Instance", "Invitation",
    "InvitationQuerySet", "Limit", "LimitCounter", "LimitKind", "LimitQuerySet", "Membership", "Try", "User", "Workspace",
    "WorkspaceQuerySet", "digest_of", "split_key",
]
