"""The closed lists of the catalogue."""

from __future__ import annotations

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Task(TextChoices):
    CHAT = "chat", _("chat")
    VISION_CHAT = "vision-chat", _("chat with pictures")
    EMBEDDING = "embedding", _("embeddings")
    RERANK = "rerank", _("rerank")
    SPEECH = "speech", _("speech")


class ArtifactKind(TextChoices):
    HUGGING_FACE = "huggingface", _("Hugging Face")
    LOCAL_PATH = "path", _("folder on the host")
    HTTP = "http", _("HTTP archive")
    S3 = "s3", _("S3")
    VOLUME = "volume", _("Kubernetes volume (PVC, NFS)")
    FSX = "fsx", _("FSx for Lustre")
    JUMPSTART = "jumpstart", _("SageMaker JumpStart")


# The kinds that an agent on a host can load now; the others belong to places that come with them.
ON_HOSTS = frozenset({ArtifactKind.HUGGING_FACE, ArtifactKind.LOCAL_PATH})


class EngineKind(TextChoices):
    VLLM = "vllm", "vLLM"
    SGLANG = "sglang", "SGLang"
    LMI = "lmi", "LMI (DJL)"


class Device(TextChoices):
    CPU = "cpu", _("CPU")
    CUDA = "cuda", "CUDA"
