"""Who asks, and what they may: tokens, client certificates, impersonation, role-based access control."""

from tests.simulators.kubernetes.auth.attributes import Attributes, attributes, forbidden
from tests.simulators.kubernetes.auth.authenticator import Authenticator
from tests.simulators.kubernetes.auth.bootstrap import bootstrap_objects
from tests.simulators.kubernetes.auth.rbac import Authorizer
from tests.simulators.kubernetes.auth.reviews import REVIEWS, Reviewer, review
from tests.simulators.kubernetes.auth.tokens import Tokens, token_request
from tests.simulators.kubernetes.auth.users import ADMIN, User

__all__ = [
    "ADMIN", "REVIEWS", "Attributes", "Authenticator", "Authorizer", "Reviewer", "Tokens", "User", "attributes",
    "bootstrap_objects", "forbidden", "review", "token_request",
]  # fmt: skip
