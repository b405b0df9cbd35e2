"""The gateways that ours is compared with, each started as its makers advise, with one worker on one core."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .load import PATH, Aim
from .processes import Core, Missing, running, until
from .tools import need, program_of

START_SECONDS = 120.0
NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; client_body_buffer_size 128k; client_max_body_size 8m;
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  map_hash_bucket_size 256; map $http_authorization $known {{ default 0; {keys} }}
  upstream engine {{ server 127.0.0.1:{engine}; keepalive 256; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{port} backlog=2048;
    location / {{ if ($known = 0) {{ return 401; }} proxy_pass http://engine; proxy_http_version 1.1;
      proxy_set_header Connection ""; proxy_buffering off; }} }}
}}
"""


@dataclass(frozen=True)
class Rig:
    """What all gateways of a run share."""

    folder: Path
    core: Core
    engine_port: int
    keys: tuple[str, ...]
    install: bool = False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def answers(aim: Aim) -> bool:
    """Whether a whole call goes through."""
    line = http.client.HTTPConnection("127.0.0.1", aim.port, timeout=10)
    body = json.dumps({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "Hello"}]})
    try:
        line.request("POST", PATH, body, {"content-type": "application/json", "authorization": f"Bearer {aim.keys[0]}"})
        answer = line.getresponse()
        return answer.status == 200 and b"usage" in answer.read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        line.close()


@contextmanager
def serving(rig: Rig, name: str, port: int, command: Sequence[str | Path], keys: tuple[str, ...], *,
            env: dict[str, str] | None = None, cwd: Path | None = None, pass_fds: Sequence[int] = ()) -> Iterator[Aim]:
    """A gateway that answers. Raises Missing, with the last line of its log, where it does not in time."""
    log = rig.folder / f"{name}.log"
    with running(command, rig.core, log=log, env=env, cwd=cwd, pass_fds=pass_fds) as process:
        aim = Aim(port, keys, (process.pid,))
        came = until(lambda: process.poll() is not None or answers(aim), START_SECONDS, pause=0.2)
        if not came or process.poll() is not None:
            last = (log.read_text(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
            raise Missing(f"{name} did not start: {last[:300]}")
        yield aim


@contextmanager
def nginx(rig: Rig) -> Iterator[Aim]:
    need("nginx", install=rig.install)
    port = free_port()
    known = " ".join(f'"Bearer {key}" 1;' for key in rig.keys)
    config = rig.folder / "nginx.conf"
    config.write_text(NGINX.format(folder=rig.folder, keys=known, engine=rig.engine_port, port=port))
    with serving(rig, "nginx", port, ["nginx", "-p", rig.folder, "-c", config], rig.keys) as aim:
        yield aim


@contextmanager
def litellm(rig: Rig) -> Iterator[Aim]:
    """Without a database, with one key, and with nothing to log."""
    port, key = free_port(), "sk-bench-0123456789"
    config = rig.folder / "litellm.yaml"
    config.write_text(json.dumps({
        "model_list": [{"model_name": "m", "litellm_params": {
            "model": "openai/m", "api_base": f"http://127.0.0.1:{rig.engine_port}/v1", "api_key": "none"}}],
        "general_settings": {"master_key": key}, "litellm_settings": {"set_verbose": False, "telemetry": False}}))
    command: list[str | Path] = [program_of("litellm", install=rig.install), "--config", config, "--host", "127.0.0.1",
                                 "--port", str(port), "--num_workers", "1"]
    quiet = {**os.environ, "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    with serving(rig, "litellm", port, command, (key,), env=quiet, cwd=rig.folder) as aim:
        yield aim


@contextmanager
def vllm_router(rig: Rig) -> Iterator[Aim]:
    """The router in Rust."""
    port = free_port()
    command: list[str | Path] = [
        program_of("vllm-router", install=rig.install), "--worker-urls", f"http://127.0.0.1:{rig.engine_port}",
        "--policy", "round_robin", "--host", "127.0.0.1", "--port", str(port), "--prometheus-port", str(free_port()),
        "--log-level", "error"]
    with serving(rig, "vllm-router", port, command, ("none",), cwd=rig.folder) as aim:
        yield aim


@contextmanager
def production_stack(rig: Rig) -> Iterator[Aim]:
    port = free_port()
    command: list[str | Path] = [
        program_of("production-stack", install=rig.install), "--host", "127.0.0.1", "--port", str(port),
        "--service-discovery", "static", "--static-backends", f"http://127.0.0.1:{rig.engine_port}",
        "--static-models", "m", "--routing-logic", "roundrobin", "--log-level", "warning"]
    with serving(rig, "production-stack", port, command, ("none",), cwd=rig.folder) as aim:
        yield aim


PEERS: dict[str, Callable[[Rig], AbstractContextManager[Aim]]] = {
    "nginx": nginx, "litellm": litellm, "production-stack": production_stack, "vllm-router": vllm_router,
}
