"""Runs simulated AWS until SIGTERM: `python -m tests.simulators.aws`."""

from __future__ import annotations

import argparse
import signal
import sys

from tests.simulators.aws.server import AwsSimulator


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulators.aws", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="a free one by itself")
    parser.add_argument("--speed", type=float, default=1.0, help="how much faster than real time endpoints change")
    asked = parser.parse_args()
    signals = (signal.SIGTERM, signal.SIGINT)
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # before any thread starts: sigwait below takes them
    with AwsSimulator(asked.port) as simulator:
        simulator.clock.speed = asked.speed
        keys = simulator.keys
        print(f"export AWS_ENDPOINT_URL={simulator.url} AWS_ACCESS_KEY_ID={keys.access_key_id} "
              f"AWS_SECRET_ACCESS_KEY={keys.secret_access_key} AWS_DEFAULT_REGION=us-east-1", flush=True)
        signal.sigwait(signals)
    return 0


if __name__ == "__main__":
    sys.exit(main())
