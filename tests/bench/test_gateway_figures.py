"""What the gateway's bench makes of its measurements: ratios, medians, verdicts, the page."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import pytest

from bench.gateway.__main__ import parse
from bench.gateway.figures import BARE, DIRECT, FIGURES, OURS, Figure, Outcome, Verdict, judge, lines
from bench.gateway.load import Measured
from bench.gateway.page import BEGIN, END, Run, write
from bench.gateway.peers import PEERS
from bench.gateway.report import holds, middle
from bench.gateway.soak import Soaked

CPU = Figure("CPU", "plain64", "cpu", "nginx", 4, 2)
RATE = Figure("calls", "plain64", "per_second", "nginx", 0.25, 0.5, at_least=True)


def calls(per_second: float = 1000, cpu: float = 0.02, first: float = 0, faults: int = 0) -> Measured:
    return Measured(per_second=per_second, cpu=cpu, first=first, faults=faults)


def test_each_figure_names_a_load_a_field_and_a_target_that_exist_and_its_goal_is_the_stricter_bound() -> None:
    for figure in FIGURES:
        assert figure.line in {line.name for line in lines(1)}
        assert figure.field in {field.name for field in fields(Measured)}
        assert figure.other in {"", DIRECT, BARE, *PEERS}
        assert figure.verdict(figure.goal) is Verdict.GOAL
        assert figure.verdict(figure.floor) is Verdict.FLOOR


@pytest.mark.parametrize(("figure", "value", "verdict"), [
    (CPU, 1.9, Verdict.GOAL), (CPU, 2.0, Verdict.GOAL), (CPU, 3.99, Verdict.FLOOR), (CPU, 4.01, Verdict.MISSED),
    (RATE, 0.5, Verdict.GOAL), (RATE, 0.49, Verdict.FLOOR), (RATE, 0.24, Verdict.MISSED), (RATE, None, Verdict.UNKNOWN),
])
def test_a_value_is_judged_by_floor_and_goal(figure: Figure, value: float | None, verdict: Verdict) -> None:
    assert figure.verdict(value) is verdict


@pytest.mark.parametrize(("figure", "measured", "ratio"), [
    (CPU, {OURS: calls(cpu=0.06), "nginx": calls(cpu=0.02)}, 3.0),
    (replace(CPU, inverse=True, at_least=True), {OURS: calls(cpu=0.02), "nginx": calls(cpu=0.06)}, 3.0),
    (replace(CPU, field="first", added=True),
     {OURS: calls(first=50), "nginx": calls(first=30), DIRECT: calls(first=20)}, 3.0),
    (replace(CPU, other=""), {OURS: calls(cpu=0.5)}, 0.5),
    (CPU, {OURS: calls()}, None),
    (CPU, {OURS: calls(faults=1), "nginx": calls()}, None),
    (CPU, {OURS: calls(), "nginx": calls(faults=1)}, None),
    (CPU, {OURS: calls(), "nginx": calls(cpu=0)}, None),
    (CPU, {OURS: calls(), "nginx": calls(per_second=0, cpu=300)}, None),
])
def test_a_ratio_is_of_one_round_and_needs_both_without_faults(
        figure: Figure, measured: dict[str, Measured], ratio: float | None) -> None:
    assert figure.of(measured) == (None if ratio is None else pytest.approx(ratio))


def test_the_median_of_the_rounds_ratios_counts_and_not_the_ratio_of_the_medians() -> None:
    rounds = [{OURS: calls(cpu=ours), "nginx": calls(cpu=theirs)} for ours, theirs in ((2, 1), (30, 10), (4, 1))]
    outcome = judge(CPU, {"plain64": rounds})
    assert outcome.values == (2, 3, 4)
    assert (outcome.value, outcome.verdict, outcome.missed_by) == (3, Verdict.FLOOR, "1.50 times")
    assert middle([one[OURS] for one in rounds]).cpu == 4
    assert judge(CPU, {}).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(("outcomes", "expected"), [
    ([Outcome(CPU, (3.0,)), Outcome(RATE, (0.3,))], True),
    ([Outcome(CPU, (5.0,)), Outcome(RATE, (0.3,))], False),
    ([Outcome(replace(CPU, binds=False), (5.0,))], True),
    ([Outcome(CPU, ())], False),
])
def test_a_missed_floor_ends_with_failure_and_so_does_a_figure_that_binds_and_has_no_value(
        outcomes: list[Outcome], expected: bool) -> None:
    assert holds(outcomes, absent={}) is expected


def test_a_peer_that_is_not_here_says_nothing() -> None:
    assert holds([Outcome(replace(CPU, other="litellm"), ())], absent={"litellm": "it is not in the index"})
    assert not holds([Outcome(CPU, ())], absent={"nginx": "it is not installed"})


def test_a_quick_run_is_beside_nginx_only() -> None:
    assert parse(["--quick"]).peers == ["nginx"]
    with pytest.raises(SystemExit):
        parse(["--lines", "nothing"])


@pytest.mark.parametrize(("soaked", "expected"), [
    (Soaked((100.0,) * 50, (), 1000, 1000, 0), True),
    (Soaked(tuple(100 + 0.5 * number for number in range(50)), (), 1000, 1000, 0), False),  # grows all the time
    (Soaked((60.0,) * 10 + (100.0,) * 40, (), 1000, 1000, 0), True),  # caches fill at first
    (Soaked((100.0,) * 50, ("socket",), 1000, 1000, 0), False),
    (Soaked((100.0,) * 50, (), 1000, 1000, 1), False),
    (Soaked((100.0,) * 50, (), 0, 0, 0), False),
    (Soaked((100.0,) * 50, (), 1000, 999, 0), False),
    (Soaked((100.0,) * 50, (), 1000, 1001, 0), False),
])
def test_a_soak_holds_with_flat_memory_no_descriptor_kept_and_each_call_booked_once(soaked: Soaked, expected: bool) -> None:
    assert soaked.holds is expected


def test_the_page_keeps_what_people_wrote(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"Before.\n{BEGIN}\nold\n{END}\nAfter.\n")
    rounds = {"plain64": [{OURS: calls(cpu=0.09), "nginx": calls(cpu=0.02)}]}
    absent = {"litellm": "litellm is not in the index"}
    write(page, Run(rounds, [judge(CPU, rounds)], absent, ["nginx", "litellm"], 3, 0.5, "abc"))
    text = page.read_text()
    assert text.startswith(f"Before.\n{BEGIN}\n")
    assert text.endswith(f"{END}\nAfter.\n")
    assert "old" not in text
    for words in ("4.5", "below the floor", "Not measured: litellm is not in the index", "| portal | 1,000 | 90.0 |"):
        assert words in text
    page.write_text("Nothing to replace.")
    with pytest.raises(ValueError, match="no marks"):
        write(page, Run({}, [], {}, [], 3, 0, ""))
