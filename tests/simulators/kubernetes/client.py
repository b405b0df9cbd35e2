"""A small administrator's client for tests: dicts in, dicts out, over the simulator's own HTTPS."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any
from urllib.parse import quote, urlencode

Object = dict[str, Any]


class Refused(Exception):
    """The API server said no: `status` is HTTP's, `body` the Status object."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"{status}: {body.get('message') if isinstance(body, dict) else body}")
        self.status, self.body = status, body


class Client:
    def __init__(self, port: int, ca_pem: str | None, token: str, host: str = "127.0.0.1") -> None:
        self._host, self._port, self._token = host, port, token
        self._context = ssl.create_default_context(cadata=ca_pem) if ca_pem else None

    def call(
        self, method: str, path: str, body: Any = None, *, content_type: str = "application/json", **query: str
    ) -> Any:
        """The answer's JSON.

        :raises Refused: a status of 400 or more.
        """
        if self._context is not None:
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                self._host, self._port, context=self._context, timeout=60
            )
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=60)
        headers = {"Authorization": f"Bearer {self._token}", "User-Agent": "test/1.0", "Content-Type": content_type}
        data = None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, f"{path}?{urlencode(query)}" if query else path, data, headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        json_answer = answer.headers.get_content_type() == "application/json"
        found = json.loads(text) if json_answer and text else text.decode()
        if answer.status >= 400:
            raise Refused(answer.status, found)
        return found

    def path(self, api_version: str, plural: str, namespace: str = "", name: str = "") -> str:
        parts = ["apis" if "/" in api_version else "api", api_version]
        parts += ["namespaces", namespace] if namespace else []
        return "/" + "/".join([*parts, plural, *([quote(name)] if name else [])])

    def get(self, api_version: str, plural: str, namespace: str = "", name: str = "") -> Object:
        found: Object = self.call("GET", self.path(api_version, plural, namespace, name))
        return found

    def list(self, api_version: str, plural: str, namespace: str = "", **query: str) -> list[Object]:
        found: list[Object] = self.call("GET", self.path(api_version, plural, namespace), **query)["items"]
        return found

    def create(self, plural: str, obj: Object) -> Object:
        path = self.path(obj["apiVersion"], plural, obj["metadata"].get("namespace", ""))
        found: Object = self.call("POST", path, obj)
        return found

    def apply(self, plural: str, obj: Object, *, manager: str = "test", force: bool = True) -> Object:
        metadata = obj["metadata"]
        path = self.path(obj["apiVersion"], plural, metadata.get("namespace", ""), metadata["name"])
        query = {"fieldManager": manager, **({"force": "true"} if force else {})}
        found: Object = self.call("PATCH", path, obj, content_type="application/apply-patch+yaml", **query)
        return found

    def patch(
        self, api_version: str, plural: str, namespace: str, name: str, patch: Object, *, subresource: str = ""
    ) -> Object:
        path = self.path(api_version, plural, namespace, name) + (f"/{subresource}" if subresource else "")
        found: Object = self.call("PATCH", path, patch, content_type="application/merge-patch+json")
        return found

    def delete(self, api_version: str, plural: str, namespace: str = "", name: str = "", **query: str) -> Object:
        found: Object = self.call("DELETE", self.path(api_version, plural, namespace, name), **query)
        return found
