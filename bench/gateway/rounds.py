"""Interleaved rounds: in each, every target gets every load, one right after the other, so that noise meets all alike."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .figures import BARE, DIRECT, FIGURES, OURS, WORKER, Round
from .load import Aim, Line, Loads
from .peers import PEERS, Rig
from .portal import bare, prepare, whole, worker
from .processes import Core, Missing, cores, start, stop
from .tools import build, need

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Bench:
    """All that runs during the rounds."""

    loads: Loads
    targets: Mapping[str, Aim]
    absent: Mapping[str, str]  # targets that are not here, and why
    booked: Callable[[], int]  # how many requests the portal has written down


@contextmanager
def bench(folder: Path, peers: Sequence[str], *, tree: Path, install: bool, nice: int, tell: Tell) -> Iterator[Bench]:
    """Engine, portal and peers, all answering. Raises Missing where the engine or the portal can't be had."""
    need("wrk", "gcc", "taskset", install=install)
    core, load_core = cores(nice)
    mock, sload = build(folder)
    with ExitStack() as stack:
        engine = _engine(stack, mock, load_core)
        portal = prepare(folder, engine, tree)
        rig = Rig(folder, core, engine, portal.keys, install)
        targets, absent = {DIRECT: Aim(engine, portal.keys)}, dict[str, str]()
        others = {**{name: PEERS[name](rig) for name in peers}, BARE: bare(rig, portal), WORKER: worker(rig, portal)}
        for name, started in others.items():
            try:
                targets[name] = stack.enter_context(started)
            except Missing as error:
                absent[name] = str(error)
                tell(f"{name} is left out: {error}")
        targets[OURS] = stack.enter_context(whole(rig, portal))
        yield Bench(Loads(folder, sload, core, load_core), targets, absent, portal.booked)


def _engine(stack: ExitStack, mock: Path, core: Core) -> int:
    """Start the engine; its port."""
    process = start([mock], core, stdout=subprocess.PIPE)
    stack.callback(stop, process)
    assert process.stdout is not None
    return int(process.stdout.readline())


def measure(one: Bench, lines: Sequence[Line], rounds: int, tell: Tell) -> dict[str, list[Round]]:
    """By line, what each target did in each round. Every other round goes the other way about."""
    results: dict[str, list[Round]] = {line.name: [] for line in lines}
    for number in range(rounds):
        tell(f"round {number + 1} of {rounds}")
        for line in lines:
            names = [name for name in one.targets if name not in (BARE, WORKER) or _is_compared(name, line)]
            order = names[::-1] if number % 2 else names
            results[line.name].append({name: one.loads.run(line, one.targets[name]) for name in order})
    return results


def _is_compared(name: str, line: Line) -> bool:
    return any(name in (figure.whose, figure.other) and figure.line == line.name for figure in FIGURES)
