"""What every object's metadata must look like: names, labels, annotations, finalizers, owners.

After k8s.io/apimachinery pkg/api/validation and pkg/util/validation, whose wording clients show.
"""

from __future__ import annotations

import re
from typing import Any

from tests.simulators.kubernetes.errors import cause
from tests.simulators.kubernetes.schema.validate import Causes, invalid, required, too_long

LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = rf"{LABEL}(\.{LABEL})*"
LABEL_1035 = r"[a-z]([-a-z0-9]*[a-z0-9])?"
QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
LABEL_VALUE = rf"({QUALIFIED})?"
CONFIG_KEY = r"[-._a-zA-Z0-9]+"

LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    f"with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{LABEL}')"
)
SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    f"end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{SUBDOMAIN}')"
)
LABEL_1035_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and "
    f"end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '{LABEL_1035}')"
)
QUALIFIED_TEXT = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    f"(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{QUALIFIED}')"
)
LABEL_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    f"'{LABEL_VALUE}')"
)
CONFIG_KEY_TEXT = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    f"'key-name', regex used for validation is '{CONFIG_KEY}')"
)
ANNOTATIONS_LIMIT = 256 * 1024  # bytes of all keys and values together


def _matches(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?:{pattern})\Z")


_label, _subdomain, _label_1035 = _matches(LABEL), _matches(SUBDOMAIN), _matches(LABEL_1035)
_qualified, _label_value, _config_key = _matches(QUALIFIED), _matches(LABEL_VALUE), _matches(CONFIG_KEY)


def label_faults(name: str, unit: str = "characters") -> list[str]:
    """Why a text is no RFC 1123 label."""
    faults = [f"must be no more than 63 {unit}"] if len(name) > 63 else []
    if not _label.match(name):
        faults.append("must not contain dots" if _subdomain.match(name) else LABEL_TEXT)
    return faults


def subdomain_faults(name: str) -> list[str]:
    faults = ["must be no more than 253 characters"] if len(name) > 253 else []
    return faults if _subdomain.match(name) else [*faults, SUBDOMAIN_TEXT]


def label_1035_faults(name: str) -> list[str]:
    faults = ["must be no more than 63 characters"] if len(name) > 63 else []
    return faults if _label_1035.match(name) else [*faults, LABEL_1035_TEXT]


def path_segment_faults(name: str) -> list[str]:
    """Roles and their bindings may be called almost anything."""
    if name in (".", ".."):
        return [f"may not be '{name}'"]
    return [f"may not contain '{mark}'" for mark in "/%" if mark in name]


def config_key_faults(key: str) -> list[str]:
    faults = [too_long("", 253)["message"].lower()] if len(key) > 253 else []
    return faults if _config_key.match(key) and key not in (".", "..") else [*faults, CONFIG_KEY_TEXT]


def qualified_name_faults(text: str) -> list[str]:
    """Why a text is no key of a label: an optional DNS prefix, a slash, a name."""
    prefix, slash, name = text.rpartition("/")
    if text.count("/") > 1:
        example = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        return [f"a qualified name {QUALIFIED_TEXT} {example}"]
    faults = ["prefix part must be non-empty"] if slash and not prefix else []
    if prefix:
        faults += [f"prefix part {fault}" for fault in subdomain_faults(prefix)]
    if not name:
        return [*faults, "name part must be non-empty", f"name part {QUALIFIED_TEXT}"]
    if len(name) > 63:
        faults.append("name part must be no more than 63 bytes")
    return faults if _qualified.match(name) else [*faults, f"name part {QUALIFIED_TEXT}"]


def label_value_faults(value: str) -> list[str]:
    faults = ["must be no more than 63 bytes"] if len(value.encode()) > 63 else []
    return faults if _label_value.match(value) else [*faults, LABEL_VALUE_TEXT]


NAME_RULES = {
    "Namespace": label_faults, "Service": label_faults, "StatefulSet": label_faults,
    "Role": path_segment_faults, "ClusterRole": path_segment_faults,
    "RoleBinding": path_segment_faults, "ClusterRoleBinding": path_segment_faults,
}  # fmt: skip


def metadata_causes(kind: str, metadata: dict[str, Any]) -> Causes:
    """What is wrong with an object's metadata; `kind` is a built-in one's, or "" for a custom resource."""
    name = metadata.get("name", "")
    if name:
        causes = [invalid("metadata.name", name, why) for why in NAME_RULES.get(kind, subdomain_faults)(name)]
    else:
        causes = [required("metadata.name", "name or generateName is required")]
    causes += labels_causes(metadata.get("labels") or {}, "metadata.labels")
    if annotations := metadata.get("annotations"):
        causes += _annotation_causes(annotations)
    for finalizer in metadata.get("finalizers") or ():
        causes += [invalid("metadata.finalizers", finalizer, why) for why in qualified_name_faults(finalizer)]
    if owners := metadata.get("ownerReferences"):
        causes += _owner_causes(owners)
    return causes


def labels_causes(labels: dict[str, Any], path: str) -> Causes:
    causes: Causes = []
    for key, value in labels.items():
        causes += [invalid(path, key, why) for why in qualified_name_faults(key)]
        causes += [invalid(path, value, why) for why in label_value_faults(value)]
    return causes


def _annotation_causes(annotations: dict[str, str]) -> Causes:
    path = "metadata.annotations"
    causes = [invalid(path, key, why) for key in annotations for why in qualified_name_faults(key.lower())]
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    return [*causes, too_long(path, ANNOTATIONS_LIMIT)] if size > ANNOTATIONS_LIMIT else causes


def _owner_causes(owners: list[dict[str, Any]]) -> Causes:
    causes: Causes = []
    for key in ("apiVersion", "kind", "name", "uid"):
        empty = cause("FieldValueInvalid", 'Invalid value: "": must not be empty', f"metadata.ownerReferences.{key}")
        causes += [empty for owner in owners if not owner.get(key)]
    controllers = [f"{each.get('kind')}/{each.get('name')}" for each in owners if each.get("controller")]
    if len(controllers) > 1:
        why = f'Only one reference can have Controller set to true. Found "true" in references for {" and ".join(controllers)}'
        causes.append(invalid("metadata.ownerReferences", owners, why))
    return causes
