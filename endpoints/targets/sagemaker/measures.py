"""Figures of calls as CloudWatch keeps them for SageMaker endpoints, under the names that HyperPod has for them.

Metrics and units: AWS's guide, “SageMaker AI endpoint invocation metrics”; FirstChunkLatency and the names of dimensions
were not verified on AWS.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from clusters.drivers.aws import Aws
from endpoints.options.sagemaker import variants
from endpoints.targets.base import Spec
from endpoints.targets.measuring import CONCURRENT, FIRST_BYTE, INVOCATIONS, LATENCY, Measured

NAMESPACE, SOURCE = "AWS/SageMaker", "CloudWatch"
SECONDS = 300
# Our name, CloudWatch's metric and statistic, and what makes it our unit: its times are microseconds.
METRICS: dict[str, tuple[str, str, float]] = {
    INVOCATIONS: ("Invocations", "Sum", 1.0), LATENCY: ("ModelLatency", "Average", 0.001),
    FIRST_BYTE: ("FirstChunkLatency", "Average", 0.001), CONCURRENT: ("ConcurrentRequestsPerModel", "Maximum", 1.0),
}


def measure(aws: Aws, spec: Spec) -> Measured:
    """Of the last five minutes, in one call. Raises AwsError."""
    names = [each["VariantName"] for each in variants(spec.wanted.options, spec.replicas)]
    now = timezone.now()
    answer = aws.call("cloudwatch", "get_metric_data", MetricDataQueries=queries(spec.external_name, names),
                      StartTime=now - timedelta(seconds=SECONDS), EndTime=now, ScanBy="TimestampDescending")
    values = figures(answer.get("MetricDataResults", ()), len(names))
    said = any(value is not None for value in values.values())
    return Measured(values, SOURCE, now, period=_("in the last 5 minutes"),
                    missing="" if said else _("CloudWatch has no figures yet: they come with the first calls, some minutes "
                                              "late."))


def queries(endpoint: str, names: list[str]) -> list[dict[str, Any]]:
    """One for each metric and variant; its id says which."""
    return [{
        "Id": f"m{metric}v{variant}",
        "MetricStat": {
            "Metric": {"Namespace": NAMESPACE, "MetricName": theirs, "Dimensions": [
                {"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": name}]},
            "Period": SECONDS, "Stat": statistic},
    } for metric, (theirs, statistic, _factor) in enumerate(METRICS.values()) for variant, name in enumerate(names)]


def figures(results: Any, variants_count: int) -> dict[str, float | None]:
    """Calls are added up over the variants, times are means weighted by calls, of what runs at once the sum."""
    newest = {one["Id"]: float(one["Values"][0]) for one in results if one.get("Values")}
    calls = [newest.get(f"m0v{variant}", 0.0) for variant in range(variants_count)]
    found: dict[str, float | None] = {}
    for metric, (ours, (_theirs, statistic, factor)) in enumerate(METRICS.items()):
        values = {variant: newest[key] for variant in range(variants_count) if (key := f"m{metric}v{variant}") in newest}
        found[ours] = _combined(values, calls, is_mean=statistic == "Average") * factor if values else None
    return found


def _combined(values: dict[int, float], calls: list[float], *, is_mean: bool) -> float:
    if not is_mean:
        return sum(values.values())
    weights = {variant: calls[variant] or 1.0 for variant in values}
    return sum(value * weights[variant] for variant, value in values.items()) / sum(weights.values())
