"""CloudWatch Logs: the groups of endpoints, with what failing endpoints and tests write there.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/ . Filter patterns: words that must all appear, "…" for
a phrase, -word for one that must not; other forms are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.simulators.aws.clock import Clock
from tests.simulators.aws.errors import AwsFault
from tests.simulators.aws.messages import Call, Params
from tests.simulators.aws.sagemaker.lists import page
from tests.simulators.aws.world import PerSpot, Spot

STREAM = "AllTraffic/i-0123456789abcdef0"
TERM = re.compile(r'(-?)(?:"([^"]+)"|([\w.:/]+))')


@dataclass(slots=True)
class Line:
    stream: str
    at: int  # milliseconds
    text: str
    number: int


class Logs:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._groups: PerSpot[dict[str, list[Line]]] = PerSpot(lambda _spot: {})

    def reset(self) -> None:
        self._groups.clear()

    def write(self, spot: Spot, group: str, text: str, stream: str = STREAM) -> None:
        lines = self._groups[spot].setdefault(group, [])
        lines.append(Line(stream, int(self._clock.now() * 1000), text, len(lines)))

    def answer(self, call: Call) -> Params | None:
        """None: not played here."""
        groups, asked = self._groups[Spot.of(call.identity, call.region)], call.params
        if call.operation == "DescribeLogGroups":
            start = asked.get("logGroupNamePrefix", "")
            return {"logGroups": [{"logGroupName": name} for name in sorted(groups) if name.startswith(start)]}
        doors = {"FilterLogEvents": _filtered, "GetLogEvents": _stream, "DescribeLogStreams": _streams}
        if call.operation not in doors:
            return None
        group = asked.get("logGroupName") or asked.get("logGroupIdentifier", "").rpartition("log-group:")[2]
        if group not in groups:
            raise AwsFault("ResourceNotFoundException", "The specified log group does not exist.")
        return doors[call.operation](groups[group], asked)


def _between(lines: list[Line], asked: Params) -> list[Line]:
    start, end = asked.get("startTime", 0), asked.get("endTime", 2**62)
    return sorted((line for line in lines if start <= line.at <= end), key=lambda line: (line.at, line.number))


def _filtered(lines: list[Line], asked: Params) -> Params:
    streams, start = asked.get("logStreamNames"), asked.get("logStreamNamePrefix", "")
    kept = [line for line in _between(lines, asked) if (streams is None or line.stream in streams)
            and line.stream.startswith(start) and _matches(asked.get("filterPattern", ""), line.text)]  # fmt: skip
    shown, more = page({"NextToken": asked.get("nextToken", ""), "MaxResults": asked.get("limit", 10000)}, kept)
    events = [{**_event(line), "logStreamName": line.stream, "eventId": str(line.number)} for line in shown]
    return {"events": events, "searchedLogStreams": [], **({"nextToken": more["NextToken"]} if more else {})}


def _matches(pattern: str, text: str) -> bool:
    if pattern.strip() and not re.fullmatch(rf"(\s*{TERM.pattern}\s*)+", pattern):
        raise AwsFault("InvalidParameterException", "Invalid filter pattern")
    return all(((phrase or word) in text) is not bool(minus) for minus, phrase, word in TERM.findall(pattern))


def _event(line: Line) -> Params:
    return {"timestamp": line.at, "message": line.text, "ingestionTime": line.at}


def _stream(lines: list[Line], asked: Params) -> Params:
    """Pages go on from a token until nothing is left; then the same token comes again, as in AWS."""
    mine = [line for line in _between(lines, asked) if line.stream == asked["logStreamName"]]
    if not any(line.stream == asked["logStreamName"] for line in lines):
        raise AwsFault("ResourceNotFoundException", "The specified log stream does not exist.")
    limit, token = asked.get("limit", 10000), asked.get("nextToken", "")
    way, _, position = token.partition("/")
    if way == "f":
        start = int(position)
    elif way == "b":
        start = max(int(position) - limit, 0)
    else:
        start = 0 if asked.get("startFromHead") else max(len(mine) - limit, 0)
    shown = mine[start : start + limit] if way != "b" else mine[start : int(position)]
    return {"events": [_event(line) for line in shown], "nextForwardToken": f"f/{start + len(shown)}",
            "nextBackwardToken": f"b/{start}"}  # fmt: skip


def _streams(lines: list[Line], asked: Params) -> Params:
    start = asked.get("logStreamNamePrefix", "")
    names = dict.fromkeys(line.stream for line in lines if line.stream.startswith(start))
    last = {name: max(line.at for line in lines if line.stream == name) for name in names}
    ordered = sorted(names, key=lambda name: last[name] if asked.get("orderBy") == "LastEventTime" else name,
                     reverse=asked.get("descending", False))  # fmt: skip
    return {"logStreams": [{"logStreamName": name, "lastEventTimestamp": last[name]} for name in ordered]}
