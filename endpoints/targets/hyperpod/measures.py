"""The four figures of HyperPod's operator: a sidecar in each pod tells them on a port of its own.

Port, path and names: AWS's guide, “Implementing inference observability on HyperPod clusters” (read 2026-11-21); whether
the times are histograms or plain numbers it doesn't say, so both are read.
"""

from __future__ import annotations

import time

from django.utils import timezone
from django.utils.translation import gettext as _

from clusters.drivers.kube import Kube
from clusters.drivers.kube_errors import KubeError
from endpoints.targets.base import Spec
from endpoints.targets.measuring import NAMES, Measured, read_figures

from .evidence import pods_in

PORT, PATH = 9113, "/metrics"
SOURCE = "operator's sidecar"
MOST_PODS, MOST_SECONDS = 64, 6.0


def measure(kube: Kube, spec: Spec) -> Measured:
    """The figures of all ready pods. Raises KubeError where the pods can't be listed; a pod that is silent is left out.

    Silent ones cost seconds each, and somebody waits: no more are asked after some.
    """
    pods = [pod.name for pod in pods_in(kube, spec) if pod.ready][:MOST_PODS]
    texts, refused, end = [], "", time.monotonic() + MOST_SECONDS
    for pod in pods:
        if time.monotonic() > end:
            break
        try:
            texts.append(kube.read_pod(spec.namespace, pod, PORT, PATH))
        except KubeError as error:
            refused = error.message
    return Measured(_read(texts), SOURCE, timezone.now(), period=_("since the pods started"),
                    missing=_why(pods, texts, refused))


def _read(texts: list[str]) -> dict[str, float | None]:
    try:
        return read_figures(texts)
    except ValueError:  # a sidecar that speaks another format tells us nothing
        return dict.fromkeys(NAMES)


def _why(pods: list[str], texts: list[str], refused: str) -> str:
    if not pods:
        return _("No pod is ready to be asked.")
    if texts:
        return ""
    return _("The pods' port %(port)d does not answer: are metrics switched off, or is the right to read it missing? "
             "%(why)s") % {"port": PORT, "why": refused}
