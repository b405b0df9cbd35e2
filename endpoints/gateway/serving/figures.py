"""The figures of several processes as one page: each sample says which process counted it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

LABEL = "worker"


class Merged(Collector):
    """Prometheus pages by the name of their worker, as one."""

    def __init__(self, pages: Mapping[str, bytes]) -> None:
        self._pages = pages

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for worker, page in self._pages.items():
            for found in text_string_to_metric_families(page.decode()):
                family = families.setdefault(found.name, Metric(found.name, found.documentation, found.type))
                for sample in found.samples:
                    family.add_sample(sample.name, {**sample.labels, LABEL: worker}, sample.value)
        yield from families.values()


def merged(pages: Mapping[str, bytes]) -> bytes:
    """One page in Prometheus's text format."""
    return generate_latest(Merged(pages))
