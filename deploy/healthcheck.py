"""``python deploy/healthcheck.py PORT PATH``: exit 0 when this container answers 200. For the compose file."""

from __future__ import annotations

import http.client
import sys


def main(port: str, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=5)
    try:
        # As the proxy in front would say it, so that no redirect to https is sent.
        connection.request("GET", path, headers={"Host": "localhost", "X-Forwarded-Proto": "https"})
        return 0 if connection.getresponse().status == 200 else 1
    except OSError:
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
