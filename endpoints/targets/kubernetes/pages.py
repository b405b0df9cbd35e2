"""The engines' own pages of figures in pods, read through the API server."""

from __future__ import annotations

import time
from collections.abc import Iterable

from clusters.drivers.kube import Kube
from clusters.drivers.kube_errors import KubeError, Problem
from endpoints.targets.base import Spec
from endpoints.targets.engine_pages import MOST_ENGINES, MOST_SECONDS, PATH


def pages_of_pods(kube: Kube, spec: Spec, pods: Iterable[str], port: int) -> list[str]:
    """A pod that does not answer is left out. Raises KubeError where the right to ask pods is missing."""
    texts, end = [], time.monotonic() + MOST_SECONDS
    for pod in list(pods)[:MOST_ENGINES] if port else ():
        if time.monotonic() > end:
            break
        try:
            texts.append(kube.read_pod(spec.namespace, pod, port, PATH))
        except KubeError as error:
            if error.problem is Problem.FORBIDDEN:
                raise
    return texts
