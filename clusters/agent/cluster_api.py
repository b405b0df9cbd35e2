"""The API of the cluster that this agent runs in, called with the agent's own ServiceAccount."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .messages import MAX_API_ANSWER, ApiAnswer, ApiRequest

# Where every pod finds its ServiceAccount (Kubernetes documentation, "Accessing the API from a Pod").
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
CONNECT_SECONDS = 3.0
# base64 adds a third, the message around it a little.
MOST_BYTES = MAX_API_ANSWER * 3 // 4 - 65536
# The agent's role lacks them anyway: nobody gets into a container through this door.
FORBIDDEN = re.compile(r"/(exec|attach|portforward|proxy|ephemeralcontainers)(/|\?|$)")
KEPT_HEADERS = ("content-type", "content-encoding", "retry-after", "warning")


@dataclass(frozen=True)
class ClusterApi:
    """One connection a call; the token is read anew each time, since the kubelet renews it."""

    server: str = "https://kubernetes.default.svc"
    account: Path = ACCOUNT

    def answer(self, call: ApiRequest) -> ApiAnswer:
        """Make the call; what stands in the way of it becomes an answer with status 0."""
        if FORBIDDEN.search(call.path):
            return _no_answer(call, "refused by the agent")
        try:
            status, headers, body = self.call(call.method, call.path, call.headers, call.body.encode(), call.seconds)
        except ssl.SSLCertVerificationError:
            return _no_answer(call, "tls")
        except TimeoutError:
            return _no_answer(call, "timeout")
        except (OSError, http.client.HTTPException):
            return _no_answer(call, "refused")
        if len(body) > MOST_BYTES and headers.get("content-encoding") != "gzip":
            body, headers = gzip.compress(body, 5), {**headers, "content-encoding": "gzip"}
        if len(body) > MOST_BYTES:
            return _no_answer(call, "too large")
        return ApiAnswer(uid=call.uid, status=status, headers=headers, body=base64.b64encode(body).decode())

    def call(
        self, method: str, path: str, headers: dict[str, str], body: bytes, seconds: float,
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, the headers that matter, and the body. Raises OSError, HTTPException."""
        url = urlsplit(self.server)
        context = ssl.create_default_context(cafile=str(self.account / "ca.crt"))
        connection = http.client.HTTPSConnection(
            url.hostname or "", url.port or 443, timeout=CONNECT_SECONDS, context=context)
        try:
            connection.connect()
            connection.sock.settimeout(seconds)
            token = (self.account / "token").read_text().strip()
            connection.request(method, path, body=body or None, headers={**headers, "Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            kept = {name: answer.headers[name][:1000] for name in KEPT_HEADERS if name in answer.headers}
            return answer.status, kept, answer.read(16 * MOST_BYTES)
        finally:
            connection.close()

    def json(self, method: str, path: str, value: object = None) -> tuple[int, Any]:
        """For the agent's own few calls: status and decoded body."""
        body = b"" if value is None else json.dumps(value).encode()
        content = "application/apply-patch+yaml" if method == "PATCH" else "application/json"
        status, _headers, raw = self.call(
            method, path, {"Content-Type": content, "Accept": "application/json"}, body, 15)
        return status, json.loads(raw or b"null")

    @property
    def namespace(self) -> str:
        return (self.account / "namespace").read_text().strip()


def _no_answer(call: ApiRequest, why: str) -> ApiAnswer:
    return ApiAnswer(uid=call.uid, status=0, headers={}, body=base64.b64encode(why.encode()).decode())
