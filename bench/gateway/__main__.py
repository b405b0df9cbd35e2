"""The gateway beside nginx and other gateways: prints what each does, and each figure of DESIGN with its verdict.

One core carries the gateways, one worker each; another carries engine and load, both compiled. What counts is the
median of the rounds' ratios. Ends with 0 where each floor holds, 1 where one does not, 2 where nothing could be
measured.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .figures import FIGURES, judge, lines
from .page import Run, write
from .peers import PEERS
from .portal import ROOT
from .processes import Missing
from .report import by_target, holds, measured_line, verdict_line
from .rounds import Bench, bench, measure
from .soak import soak

PAGE = ROOT / "docs" / "performance.md"


def parse(argv: Sequence[str]) -> argparse.Namespace:
    names = [line.name for line in lines(1)]
    parser = argparse.ArgumentParser(prog="python -m bench.gateway", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="beside nginx only, in less than 5 minutes")
    parser.add_argument("--lines", default=",".join(names), help=f"which loads, of {', '.join(names)}")
    parser.add_argument("--peers", default=",".join(PEERS), help="beside which gateways")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, help="length of each run (default 3, quick 2)")
    parser.add_argument("--soak", action="store_true", help="then the gateway alone, long, at half of what it can do")
    parser.add_argument("--minutes", type=float, default=10, help="of the soak (default 10)")
    parser.add_argument("--write", action="store_true", help="write the tables of docs/performance.md")
    parser.add_argument("--tree", type=Path, default=ROOT, help="the checkout whose portal is measured")
    parser.add_argument("--nice", type=int, default=0, help="priority over other work, -20 to 19; below 0 needs root")
    parser.add_argument("--install", action="store_true", help="install what is missing, peers into var/bench")
    options = parser.parse_args(argv)
    options.peers = ["nginx"] if options.quick else [name for name in options.peers.split(",") if name]
    options.seconds = options.seconds or (2.0 if options.quick else 3.0)
    options.lines = [name for name in options.lines.split(",") if name]
    for name in (set(options.lines) - set(names)) | (set(options.peers) - set(PEERS)):
        parser.error(f"there is no {name}")
    return options


def say(text: str) -> None:
    print(text, flush=True)


def compare(options: argparse.Namespace, running: Bench) -> Run:
    """All rounds, with what they mean, printed."""
    load = os.getloadavg()[0]
    chosen = [line for line in lines(options.seconds) if line.name in options.lines]
    found = measure(running, chosen, options.rounds, say)
    for name, rounds in found.items():
        say(f"\n{name}: medians of {len(rounds)} rounds")
        for target, run in by_target(rounds).items():
            say(measured_line(target, run))
    outcomes = [judge(figure, found) for figure in FIGURES
                if figure.line in options.lines and figure.other not in set(PEERS) - set(options.peers)]
    say("\nFigures: median of the rounds' ratios (lowest…highest)")
    for outcome in outcomes:
        say(verdict_line(outcome))
    return Run(found, outcomes, running.absent, options.peers, options.seconds, load, revision(options.tree))


def revision(tree: Path) -> str:
    command = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def run(options: argparse.Namespace, folder: Path) -> bool:
    """Whether each floor holds."""
    with bench(folder, options.peers, tree=options.tree, install=options.install, nice=options.nice, tell=say) as running:
        compared = compare(options, running)
        soaked = soak(running, options.minutes, say) if options.soak else None
    if soaked is not None:
        say(str(soaked))
    if options.write:
        write(PAGE, compared, soaked)
    return holds(compared.outcomes, compared.absent) and (soaked is None or soaked.holds)


def main(argv: Sequence[str]) -> int:
    options = parse(argv)
    folder = Path(tempfile.mkdtemp(prefix="gateway-bench-"))
    try:
        return 0 if run(options, folder) else 1
    except Missing as error:
        say(str(error))
        return 2
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
