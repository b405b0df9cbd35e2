"""How far a loader is, by the lines that it writes: our own, those of rclone, and the bars of the hub's client."""

from __future__ import annotations

import re
from dataclasses import dataclass

OURS = re.compile(r"^progress (\d{1,18}) (\d{1,18})$", re.MULTILINE)
# rclone's statistics, https://rclone.org/docs/#stats-duration; the line about counts has no units.
RCLONE = re.compile(r"Transferred:\s+([\d.]+)\s*([kKMGTP]?)(i?)B\w*\s*/\s*([\d.]+)\s*([kKMGTP]?)(i?)B")
# tqdm's bars: "model.safetensors:  45%|████▌     | 676M/1.50G [00:30<00:36, 22.5MB/s]"; the bar that counts files has no unit.
TQDM = re.compile(r"([^\s:|\[\]]{1,120}):\s{0,4}\d{1,3}%\|[^|]{0,60}\|\s*([\d.]{1,8})([kKMGT]?)B?/([\d.]{1,8})([kKMGT])B?\b")
POWERS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}
MOST = 2**62


@dataclass(frozen=True)
class Progress:
    """Bytes; `total` is 0 where it is not known."""

    done: int
    total: int = 0


def progress_in(log: str) -> Progress | None:
    """The newest figures in the last lines of a loader's log, None where there are none. The log is untrusted text."""
    if ours := OURS.findall(log):
        done, total = map(int, ours[-1])
        return Progress(done, total)
    if found := RCLONE.findall(log):
        done, power, binary, total, of_power, of_binary = found[-1]
        return _made(_bytes(done, power, 1024 if binary else 1000), _bytes(total, of_power, 1024 if of_binary else 1000))
    bars = {name: (_bytes(done, power), _bytes(total, of)) for name, done, power, total, of in TQDM.findall(log)}
    return _made(sum(done for done, _of in bars.values()), sum(of for _done, of in bars.values())) if bars else None


def _made(done: int, total: int) -> Progress:
    return Progress(min(done, MOST), min(total, MOST))


def _bytes(number: str, power: str, base: int = 1000) -> int:
    try:
        return int(float(number) * base ** POWERS[power])
    except ValueError:
        return 0  # "1.2.3" is no number


def last_line(log: str) -> str:
    """What a loader said last, as the reason why it ended."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return lines[-1] if lines else ""
