"""Who asks, and what they may: tokens, client certificates, impersonation, role-based access control."""

from tests.simulators.kubernetes.auth.attributes import Attributes, attributes, forbidden
from tests.simulators.kubernetes.auth.authenticator import Authenticator
from tests.simulators.kubernetes.auth.bootstrap import bootstrap_objects
from tests.simulators.kubernetes.auth.escalation import refuse_escalation
from tests.simulators.kubernetes.auth.rbac import GROUP, Authorizer
from tests.simulators.kubernetes.auth.reviews import REVIEWS, Reviewer, review
from tests.simulators.kubernetes.auth.token_secrets import TokenSecrets
from tests.simulators.kubernetes.auth.tokens import Tokens, token_request
from tests.simulators.kubernetes.auth.users import ADMIN, User

__all__ = [
    "ADMIN", "GROUP", "REVIEWS", "Attributes", "Authenticator", "Authorizer", "Reviewer", "TokenSecrets", "Tokens",
    "User", "attributes", "bootstrap_objects", "forbidden", "refuse_escalation", "review", "token_request",
]  # fmt: skip
