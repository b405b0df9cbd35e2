"""Calls to SageMaker: 100 deployments with half of all calls throttled, and a look at 500 endpoints that rest.

``python bench/aws_deploy.py``. Runs the tests that hold the figures (tests/endpoints/sagemaker/test_calls.py) against the
simulated AWS and prints what they count. Limits: at most 3 times the calls of calm weather, and at most 6 calls a look.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS = ["tests/endpoints/sagemaker/test_calls.py", "-k", "hundred or 500", "-n0", "-q", "-s", "-m", ""]


def main() -> int:
    done = subprocess.run([sys.executable, "-m", "pytest", *TESTS], cwd=ROOT, capture_output=True, text=True, check=False)
    figures = [line.lstrip(".") for line in done.stdout.splitlines() if "calls" in line]
    print("\n".join(figures) or done.stdout)
    return done.returncode


if __name__ == "__main__":
    raise SystemExit(main())
