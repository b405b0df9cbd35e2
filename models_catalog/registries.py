"""Which registry an image comes from, and under which key its login stands in a docker configuration.

Names as containers/image reads them: a first part without dot, colon or `localhost` is a folder of Docker Hub.
"""

from __future__ import annotations

import re

DOCKER_HUB = "docker.io"
# What `docker login` writes for Docker Hub, and the kubelet looks for (kubectl create secret docker-registry).
DOCKER_HUB_KEY = "https://index.docker.io/v1/"
# Registries that give most of their images to nobody without a login: Amazon ECR, NVIDIA NGC, Azure, Google, Docker's
# hardened images. Amazon's public.ecr.aws asks for none.
WANTS_LOGIN = re.compile(r"\d{12}\.dkr\.ecr(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?|nvcr\.io|[a-z0-9-]+\.azurecr\.io|"
                         r"[a-z0-9-]+-docker\.pkg\.dev|dhi\.io")


def registry_of(image: str) -> str:
    """Its host, with the port where one is written; "" for no image."""
    first, slash, _rest = image.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    return first if is_host else DOCKER_HUB if image else ""


def auth_key(registry: str) -> str:
    """The key of `auths` in a docker configuration."""
    return DOCKER_HUB_KEY if registry == DOCKER_HUB else registry


def wants_login(image: str) -> bool:
    """Whether its registry is known to give little to strangers."""
    return WANTS_LOGIN.fullmatch(registry_of(image)) is not None
