"""Runs a simulated cluster until SIGTERM: `python -m tests.simulators.kubernetes --kubeconfig FILE`."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from tests.simulators.kubernetes.server import Simulator, cpu_node, gpu_node


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulators.kubernetes", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True, help="where to write the administrator's kubeconfig")
    parser.add_argument("--gpu-nodes", type=int, default=1, help="nodes with 8 GPUs each")
    parser.add_argument("--cpu-nodes", type=int, default=1)
    parser.add_argument("--crds", choices=("all", "none"), default="all")
    parser.add_argument("--engine-url", help="the server that answers for every ready pod")
    parser.add_argument("--speed", type=float, default=1.0, help="how much faster than real time")
    parser.add_argument("--http", action="store_true", help="plain HTTP instead of TLS")
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    nodes = [gpu_node(f"gpu-{number}") for number in range(asked.gpu_nodes)]
    nodes += [cpu_node(f"cpu-{number}") for number in range(asked.cpu_nodes)]
    signals = (signal.SIGTERM, signal.SIGINT)
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # before any thread starts: sigwait below takes them
    simulator = Simulator(nodes, crds=asked.crds, engine_url=asked.engine_url, speed=asked.speed, tls=not asked.http)
    with simulator:
        asked.kubeconfig.write_text(simulator.kubeconfig())
        asked.kubeconfig.chmod(0o600)
        print(f"ready: {simulator.url}", flush=True)
        signal.sigwait(signals)
    return 0


if __name__ == "__main__":
    sys.exit(main())
