"""Plain calls through the gateway, beside nginx as a proxy and beside the engine itself: prints ratios.

Needs wrk and nginx. One core carries the proxy, the other the load and the engine (an nginx that always says the
same). Runs are interleaved, the medians of the rounds' ratios count. Usage: python -m bench.gateway_plain [rounds]
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
import django

django.setup()

from tests.gateway.server import Server, database, eventually, make_tenant, migrate  # noqa: E402

SECONDS = 4
CONNECTIONS = 64
ANSWER = json.dumps({
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 20}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 20, "completion_tokens": 20, "total_tokens": 40},
})
BODY = json.dumps({"model": "m", "max_tokens": 20, "messages": [
    {"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": "Tell me a story. " * 10}]})
NGINX = """
daemon off; worker_processes 1; pid {folder}/{name}.pid; error_log /dev/null;
events {{ worker_connections 2048; }}
http {{
  access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/{name}-body;
  proxy_temp_path {folder}/{name}-proxy; fastcgi_temp_path {folder}/{name}-f; uwsgi_temp_path {folder}/{name}-u;
  scgi_temp_path {folder}/{name}-s;
  {more}
}}
"""
ENGINE = """server {{ listen 127.0.0.1:{port} backlog=1024; default_type application/json;
  location / {{ return 200 '{answer}'; }} }}"""
PROXY = """upstream engine {{ server 127.0.0.1:{engine}; keepalive 128; keepalive_requests 100000000; }}
  map_hash_bucket_size 256; map $http_authorization $known {{ default 0; "Bearer {key}" 1; }}
  server {{ listen 127.0.0.1:{port} backlog=1024;
    location / {{ if ($known = 0) {{ return 401; }} proxy_pass http://engine; proxy_http_version 1.1;
      proxy_set_header Connection ""; proxy_buffering off; }} }}"""


@dataclass(frozen=True)
class Measured:
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float  # of the proxy, for each request


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def nginx(folder: Path, name: str, more: str, core: int) -> Iterator[int]:
    """Run one nginx worker on one core; yields the worker's pid."""
    path = folder / f"{name}.conf"
    path.write_text(NGINX.format(folder=folder, name=name, more=more))
    process = subprocess.Popen(["taskset", "-c", str(core), "nginx", "-p", str(folder), "-c", str(path)])
    try:
        yield worker_of(process.pid)
    finally:
        process.terminate()
        process.wait(10)


def worker_of(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return int(eventually(lambda: children.read_text().split())[0])


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(port: int, key: str, script: Path, pid: int, core: int) -> Measured:
    before = cpu_seconds(pid)
    out = subprocess.run(
        ["taskset", "-c", str(core), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency", "-s", str(script),
         f"http://127.0.0.1:{port}/v1/chat/completions", "--", key], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise SystemExit(out)
    count = int(found(r"(\d+) requests in", out))
    return Measured(float(found(r"Requests/sec:\s+([\d.]+)", out)), milliseconds(found(r"\n\s+50%\s+(\S+)", out)),
                    milliseconds(found(r"\n\s+99%\s+(\S+)", out)), 1000 * (cpu_seconds(pid) - before) / count)


def found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match is not None, text
    return match[1]


def milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def prepare(folder: Path, engine_port: int) -> tuple[Server, str]:
    migrate(folder)
    server = Server(folder)
    with database(folder):
        tenant = make_tenant(server, "bench")
        tenant.endpoint("m", f"http://127.0.0.1:{engine_port}")
        key = tenant.key()
    server.start(PORTAL_LOG_LEVEL=os.environ.get("PORTAL_LOG_LEVEL", "INFO"))
    server.wait()
    return server, key


def main(rounds: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix="gateway-bench-"))
    script = folder / "post.lua"
    script.write_text(f"""wrk.method = "POST"
wrk.body = [==[{BODY}]==]
wrk.headers["content-type"] = "application/json"
function init(args) wrk.headers["authorization"] = "Bearer " .. args[1] end
""")
    engine_port, proxy_port = free_port(), free_port()
    with ExitStack() as stack:
        engine = stack.enter_context(nginx(folder, "engine", ENGINE.format(port=engine_port, answer=ANSWER), 1))
        server, key = prepare(folder, engine_port)
        stack.callback(server.stop)
        assert server.process is not None
        os.sched_setaffinity(server.process.pid, {0})
        more = PROXY.format(port=proxy_port, engine=engine_port, key=key)
        proxy = stack.enter_context(nginx(folder, "proxy", more, 0))
        targets = {"engine": (engine_port, engine), "nginx": (proxy_port, proxy),
                   "gateway": (server.port, server.process.pid)}
        results: dict[str, list[Measured]] = {name: [] for name in targets}
        for _ in range(rounds):
            for name, (port, pid) in targets.items():
                results[name].append(load(port, key, script, pid, 1))
    shutil.rmtree(folder)
    report(results)


def report(results: dict[str, list[Measured]]) -> None:
    for name, runs in results.items():
        middle = [statistics.median(getattr(run, field) for run in runs) for field in Measured.__annotations__]
        print("{:8} {:9.0f} calls/s  p50 {:.2f} ms  p99 {:.2f} ms  {:.4f} CPU-ms a call".format(name, *middle))
    pairs = list(zip(results["gateway"], results["nginx"], results["engine"], strict=True))
    calls = statistics.median(gateway.per_second / other.per_second for gateway, other, _engine in pairs)
    cpu = statistics.median(gateway.cpu_ms / other.cpu_ms for gateway, other, _engine in pairs)
    direct = statistics.median(gateway.per_second / engine.per_second for gateway, _other, engine in pairs)
    print(f"gateway/nginx: calls per second {calls:.2f} (floor 0.25, goal 0.5), CPU {cpu:.2f} (floor 4, goal 2)")
    print(f"gateway/engine itself: calls per second {direct:.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
