"""What an explanation needs to know of a wish."""

from __future__ import annotations

from endpoints.explaining import Asked

from .base import Spec


def asked_of(spec: Spec) -> Asked:
    """What one replica asks for, for the figures in an explanation."""
    wanted, needed = spec.wanted, spec.wanted.resources
    return Asked(gpus=needed.gpus, cpu_millis=needed.cpu_millis, memory_bytes=needed.memory_bytes, nodes=needed.nodes,
                 image=wanted.image, model=wanted.artifact_location, release=wanted.release,
                 start_seconds=wanted.start_seconds)
