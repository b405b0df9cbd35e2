"""SageMaker's public hub of models: what its contents say, read with care; a document is text from outside.

The names of a document's fields are those that the SageMaker Python SDK reads (``HubModelDocument``); they were not
verified against the live hub, so that each may be missing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from portal.tenancy.text import clean

HUB = "SageMakerPublicHub"
MOST_TYPES = 100


@dataclass(frozen=True)
class HubModel:
    """One entry of the hub. `eula` is where its licence lies, "" where there is none to accept."""

    model_id: str
    version: str
    name: str
    description: str = ""
    keywords: tuple[str, ...] = ()
    status: str = ""


@dataclass(frozen=True)
class HubDetails:
    """What deploying an entry takes."""

    model: HubModel
    eula: str = ""
    gated: bool = False
    default_instance_type: str = ""
    instance_types: tuple[str, ...] = ()
    image: str = ""
    artifact: str = ""

    @property
    def asks_for_acceptance(self) -> bool:
        return self.gated or bool(self.eula)


def summary(found: Mapping[str, Any]) -> HubModel:
    """An item of ``list_hub_contents``."""
    return HubModel(
        model_id=clean(found.get("HubContentName", ""), 63), version=clean(found.get("HubContentVersion", ""), 14),
        name=clean(found.get("HubContentDisplayName") or found.get("HubContentName", ""), 120),
        description=clean(found.get("HubContentDescription", ""), 1000),
        keywords=tuple(clean(word, 60) for word in found.get("HubContentSearchKeywords") or ()),
        status=clean(found.get("SupportStatus") or found.get("HubContentStatus", ""), 20))


def details(found: Mapping[str, Any]) -> HubDetails:
    """The answer of ``describe_hub_content``; a document that is no JSON object says nothing."""
    document = _document(found.get("HubContentDocument", ""))
    types = document.get("SupportedInferenceInstanceTypes")
    return HubDetails(
        model=summary(found), eula=_text(document, "HostingEulaUri", 500), gated=document.get("GatedBucket") is True,
        default_instance_type=_text(document, "DefaultInferenceInstanceType", 40),
        instance_types=tuple(clean(one, 40) for one in types[:MOST_TYPES]) if isinstance(types, list) else (),
        image=_text(document, "HostingEcrUri", 300), artifact=_text(document, "HostingArtifactUri", 500))


def _document(text: object) -> dict[str, Any]:
    try:
        found = json.loads(text) if isinstance(text, str) else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(document: Mapping[str, Any], name: str, most: int) -> str:
    value = document.get(name)
    return clean(value, most) if isinstance(value, str) else ""
