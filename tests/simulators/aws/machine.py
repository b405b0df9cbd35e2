"""Credentials that a machine or a container finds by itself: the instance's metadata, and a container's address.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html ,
https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from tests.simulators.aws.identities import ACCOUNT, Identities
from tests.simulators.aws.messages import Answer, Params, Request, json_answer

HOUR = 3600
ROLES = "/latest/meta-data/iam/security-credentials/"
CONTAINER, TOKEN = "/machine-credentials", "/latest/api/token"


class Machine:
    """The machine that the portal runs on, with a role of its own. Without `role` it has none."""

    def __init__(self, identities: Identities) -> None:
        self._identities = identities
        self.reset()

    def reset(self) -> None:
        self.role, self.lifetime = "", HOUR
        self._session, self.container_token = secrets.token_urlsafe(16), secrets.token_urlsafe(16)

    def has_role(self, name: str = "portal-machine") -> str:
        """Gives the machine a role; its ARN."""
        self.role = self._identities.add_role(name).arn
        return self.role

    def environment(self, url: str) -> dict[str, str]:
        """What a container finds in its environment."""
        return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{url}{CONTAINER}",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN": self.container_token}  # fmt: skip

    def instance_environment(self, url: str) -> dict[str, str]:
        """What leads an SDK to this instance's metadata."""
        return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{url}/"}

    def answer(self, request: Request) -> Answer | None:
        """None: not for the metadata service."""
        if request.path == CONTAINER:
            allowed = request.headers.get("authorization") == self.container_token
            return json_answer(self._credentials()) if allowed and self.role else Answer(401)
        if request.path == TOKEN and request.method == "PUT":
            return Answer(200, self._session.encode(), {"x-aws-ec2-metadata-token-ttl-seconds": "21600"})
        if not request.path.startswith(ROLES):
            return None
        if request.headers.get("x-aws-ec2-metadata-token") != self._session:
            return Answer(401)
        name, asked = self.role.rpartition("/")[2], request.path.removeprefix(ROLES)
        if not name or asked not in ("", name):
            return Answer(404)
        if not asked:
            return Answer(200, name.encode())
        return json_answer({"Code": "Success", "Type": "AWS-HMAC", **self._credentials()})

    def _credentials(self) -> Params:
        keys = self._identities.session_of(self.role, "i-0machine", self.lifetime)
        moment = datetime.fromtimestamp(keys.expires_at or 0, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"AccessKeyId": keys.access_key_id, "SecretAccessKey": keys.secret_access_key, "Token": keys.session_token,
                "Expiration": moment, "LastUpdated": now, "AccountId": ACCOUNT}  # fmt: skip
