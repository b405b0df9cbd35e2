"""What a Dataset is told of an artifact: type, address and options, and what people should know of that way.

The forms are those of BaizeAI/dataset, api/dataset/v1alpha1/dataset_types.go (facts.md 5.4).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from django.utils.translation import gettext as _

from models_catalog.choices import ArtifactKind

BY_DATASET = frozenset({ArtifactKind.HUGGING_FACE, ArtifactKind.HTTP, ArtifactKind.S3, ArtifactKind.VOLUME})
BY_JOB = frozenset({ArtifactKind.HUGGING_FACE, ArtifactKind.HTTP})
# Sources that the engine can't fetch by itself, so that a deployment waits for a copy.
NEEDS_COPY = frozenset({ArtifactKind.HTTP, ArtifactKind.S3})


@dataclass(frozen=True)
class Source:
    type: str
    uri: str
    options: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def dataset_source(kind: str, location: str, revision: str) -> Source:
    """Raises KeyError for an artifact that no Dataset can load (see `BY_DATASET`)."""
    return {
        ArtifactKind.HUGGING_FACE: _hub, ArtifactKind.HTTP: _http, ArtifactKind.S3: _s3, ArtifactKind.VOLUME: _volume,
    }[ArtifactKind(kind)](location, revision)


def _hub(location: str, revision: str) -> Source:
    """The loader of the Dataset controller downloads the hub's main branch: its source never passes the revision on."""
    options = {"repoType": "MODEL", **({"revision": revision} if revision else {})}
    ignored = _("The Dataset controller's loader may ignore the pinned revision %(revision)s and load the hub's main "
                "branch; a copy for one workspace is loaded by the portal's own Job, which keeps to it.")
    return Source("HUGGING_FACE", f"huggingface://{location}", options,
                  (ignored % {"revision": revision[:12]},) if revision else ())


def _http(location: str, _revision: str) -> Source:
    """`repoType` as in the Hydra guide means nothing here; `sync`, the default, would delete files at the target."""
    return Source("HTTP", location, {"syncMode": "copy"}, (
        _("The server must list the folder as an HTML page: the loader (rclone) finds the files by it."),))


def _s3(location: str, _revision: str) -> Source:
    return Source("S3", location, {"syncMode": "copy"})


def _volume(location: str, _revision: str) -> Source:
    """Nothing is loaded: the Dataset points at what is there."""
    return Source("NFS" if location.startswith("nfs:") else "PVC", location)


def secret_data(kind: str, token: str) -> dict[str, str]:
    """The artifact's token under the keys that loaders read; "user:password" and "access-key:secret-key" are split."""
    if not token:
        return {}
    if kind == ArtifactKind.HUGGING_FACE:
        return {"token": token}
    first, colon, second = token.partition(":")
    names = ("access-key", "secret-key") if kind == ArtifactKind.S3 else ("username", "password")
    return dict(zip(names, (first, second), strict=True)) if colon else {}
