"""STS: who am I, and roles. https://docs.aws.amazon.com/STS/latest/APIReference/"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from tests.simulators.aws.errors import AwsFault
from tests.simulators.aws.identities import Identities
from tests.simulators.aws.messages import Call, Params

# From the API reference; botocore's model has them without the anchors.
SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}")
EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}")


class Sts:
    def __init__(self, identities: Identities) -> None:
        self._identities = identities

    def answer(self, call: Call) -> Params | None:
        """None: not played here."""
        if call.operation == "GetCallerIdentity":
            return {"Arn": call.identity.arn, "UserId": call.identity.user_id, "Account": call.identity.account}
        return self._assume(call) if call.operation == "AssumeRole" else None

    def _assume(self, call: Call) -> Params:
        asked = call.params
        seconds, external_id = int(asked.get("DurationSeconds", 3600)), asked.get("ExternalId", "")
        if not SESSION_NAME.fullmatch(asked["RoleSessionName"]) or not 900 <= seconds <= 43200:
            raise AwsFault("ValidationError", "1 validation error detected: RoleSessionName or DurationSeconds")
        if external_id and not EXTERNAL_ID.fullmatch(external_id):
            raise AwsFault("ValidationError", "1 validation error detected: ExternalId")
        keys = self._identities.assume(call.identity, asked["RoleArn"], asked["RoleSessionName"], external_id, seconds)
        ends = datetime.fromtimestamp(keys.expires_at or 0, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "Credentials": {"AccessKeyId": keys.access_key_id, "SecretAccessKey": keys.secret_access_key,
                            "SessionToken": keys.session_token, "Expiration": ends},
            "AssumedRoleUser": {"AssumedRoleId": keys.identity.user_id, "Arn": keys.identity.arn},
        }  # fmt: skip
