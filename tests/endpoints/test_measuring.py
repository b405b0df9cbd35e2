"""The four figures of document 003: read from Prometheus' text, and from CloudWatch's answers."""

from __future__ import annotations

import pytest

from endpoints.targets.measuring import CONCURRENT, FIRST_BYTE, INVOCATIONS, LATENCY, read_figures
from endpoints.targets.sagemaker.measures import figures, queries

LABELS = '{resource_name="chat",namespace="ip-alpha"}'
HISTOGRAM = f"""
# TYPE model_invocations_total counter
model_invocations_total{LABELS} 40
# TYPE model_concurrent_requests gauge
model_concurrent_requests{LABELS} 3
# TYPE model_latency_milliseconds histogram
model_latency_milliseconds_bucket{{le="1000"}} 30
model_latency_milliseconds_bucket{{le="+Inf"}} 40
model_latency_milliseconds_sum 20000
model_latency_milliseconds_count 40
# TYPE model_ttfb_milliseconds histogram
model_ttfb_milliseconds_sum 4000
model_ttfb_milliseconds_count 40
"""
PLAIN = """
model_invocations_total 10
model_latency_milliseconds 100
model_latency_milliseconds{quantile="0.9"} 300
"""


def test_histograms_of_one_pod_become_means() -> None:
    assert read_figures([HISTOGRAM]) == {INVOCATIONS: 40, LATENCY: 500, FIRST_BYTE: 100, CONCURRENT: 3}


def test_pods_are_added_up_and_times_weighted_by_calls() -> None:
    busy = HISTOGRAM.replace(" 20000", " 120000").replace("_count 40", "_count 80")
    found = read_figures([HISTOGRAM, busy])
    assert (found[INVOCATIONS], found[CONCURRENT]) == (80, 6)
    assert found[LATENCY] == pytest.approx(140000 / 120)


def test_plain_numbers_are_averaged_and_what_is_not_kept_is_none() -> None:
    assert read_figures([PLAIN]) == {INVOCATIONS: 10, LATENCY: 200, FIRST_BYTE: None, CONCURRENT: None}
    assert read_figures([PLAIN, "model_latency_milliseconds NaN\nmodel_concurrent_requests +Inf\n"]) == read_figures([PLAIN])
    assert read_figures([]) == dict.fromkeys((INVOCATIONS, LATENCY, FIRST_BYTE, CONCURRENT))


def test_text_of_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="html"):
        read_figures(["<html>not found</html>"])


def test_cloudwatch_is_asked_once_for_every_metric_and_variant() -> None:
    asked = queries("chat-1", ["a", "b"])
    assert len(asked) == 8
    assert len({one["Id"] for one in asked}) == 8
    dimensions = [each for one in asked for each in one["MetricStat"]["Metric"]["Dimensions"]]
    assert {each["Value"] for each in dimensions} == {"chat-1", "a", "b"}


def test_variants_are_added_up_and_microseconds_become_milliseconds() -> None:
    results = [{"Id": "m0v0", "Values": [30.0, 5.0]}, {"Id": "m0v1", "Values": [10.0]}, {"Id": "m1v0", "Values": [200_000.0]},
               {"Id": "m1v1", "Values": [400_000.0]}, {"Id": "m2v0", "Values": []}, {"Id": "m3v0", "Values": [2.0]}]
    assert figures(results, 2) == {INVOCATIONS: 40, LATENCY: pytest.approx(250), FIRST_BYTE: None, CONCURRENT: 2}


def test_an_endpoint_that_nobody_called_has_no_figures() -> None:
    assert set(figures([], 1).values()) == {None}
