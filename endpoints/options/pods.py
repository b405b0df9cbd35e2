"""What people may say of the pods themselves on HyperPod: nothing that reaches the node or beyond their namespace.

The kinds of volumes are those of Kubernetes' “restricted” Pod Security Standard:
https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.translation import gettext as _

from models_catalog.choices import EngineKind
from models_catalog.permitted import PERMITTED

from .case import Case, parts
from .schema import Problem

VOLUMES = frozenset({"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected",
                     "secret"})
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
# What the portal sets itself, and what would load other code than the image's.
OURS = frozenset({"PORTAL_REVISION", "PORTAL_ENDPOINT", "VLLM_API_KEY", "ENGINE_KEY", "HF_TOKEN", "PATH"})
LOADERS = ("LD_", "PYTHON", "VLLM_PLUGINS", "VLLM_ALLOW_INSECURE")
SECRET = re.compile(r"(?:^|_)(?:TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|API_?KEY|PRIVATE_KEY|ACCESS_KEY)(?:_|$)", re.I)
FLAG = re.compile(r"--(?P<name>[a-z0-9]+(?:-[a-z0-9]+)*)(?:=(?P<value>.*))?")
VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
ROLES = ("prefillSpec", "decodingSpec")
COUNT = re.compile(r"[0-9]{1,4}")
MOST_PODS = 64  # as replicas of any endpoint


def check_pods(case: Case) -> Iterator[Problem]:
    """Volumes, init containers, probes, variables, and the two roles of a divided endpoint."""
    for index, volume in enumerate(case.get("kubernetes.volumes") or ()):
        yield from _volume(f"kubernetes.volumes.{index}", volume)
    for path in ("worker.probes", "kubernetes.initContainers"):
        for where, part in parts(case.get(path), path):
            yield from _reach(where, part)
    for index, variable in enumerate(case.get("worker.environmentVariables") or case.options.get("environmentVariables") or ()):
        path = "worker.environmentVariables" if case.get("worker.environmentVariables") else "environmentVariables"
        yield from _variable(f"{path}.{index}", variable)
    yield from _divided(case)


def _volume(path: str, volume: Mapping[str, Any]) -> Iterator[Problem]:
    if volume.get("name") == "model":
        yield Problem(f"{path}.name", _("The portal's own volume with the weights has this name: choose another one."))
    for kind in sorted(set(volume) - {"name"} - VOLUMES):
        yield Problem(f"{path}.{kind}", _("Volumes of this kind reach beyond the namespace. Permitted are: %(kinds)s.")
                      % {"kinds": ", ".join(sorted(VOLUMES))})


def _reach(path: str, part: Mapping[str, Any]) -> Iterator[Problem]:
    """What a container may not have, and probes that would call other hosts."""
    for name in ("privileged", "allowPrivilegeEscalation"):
        if part.get(name):
            yield Problem(f"{path}.{name}", _("Containers of endpoints get no rights on the node."))
    if (part.get("capabilities") or {}).get("add") or part.get("procMount") or part.get("hostPort"):
        yield Problem(path, _("Containers get no rights on the node: leave capabilities.add, procMount and hostPort out."))
    for name in ("httpGet", "tcpSocket"):
        if (part.get(name) or {}).get("host"):
            yield Problem(f"{path}.{name}.host", _("A probe asks its own pod: leave the host out."))


def _variable(path: str, variable: Mapping[str, Any]) -> Iterator[Problem]:
    name = variable["name"]
    if not NAME.fullmatch(name):
        yield Problem(f"{path}.name", _("The name of a variable has letters, digits and underscores."))
    if name.upper() in OURS:
        yield Problem(f"{path}.name", _("The portal sets this variable itself."))
    elif name.upper().startswith(LOADERS) or "TRUST_REMOTE_CODE" in name.upper():
        yield Problem(f"{path}.name", _("This variable could load other code than the image's, so it can't be set."))
    elif variable.get("value") and SECRET.search(name):
        yield Problem(f"{path}.value", _("Secrets are not written here: put it into a Secret and name that in valueFrom."))


def _divided(case: Case) -> Iterator[Problem]:
    """pdSpec: one set of pods reads prompts, another writes the answers."""
    divided = case.options.get("pdSpec")
    if divided is None:
        return
    if case.engine != EngineKind.VLLM:
        yield Problem("pdSpec", _("Prefill and decode can be divided with vLLM only, and this profile's engine is %(engine)s.")
                      % {"engine": case.engine})
    for role in ROLES:
        limits = (divided[role].get("resources") or {}).get("limits") or {}
        wanted = {name: amount for name, amount in limits.items() if "gpu" in name or "/mig-" in name}
        for name, amount in wanted.items():
            if not COUNT.fullmatch(str(amount)):
                yield Problem(f"pdSpec.{role}.resources.limits.{name}", _("This must be a whole number."))
        if divided[role].get("replicas", 1) > MOST_PODS:
            yield Problem(f"pdSpec.{role}.replicas", _("Choose at most %(most)d.") % {"most": MOST_PODS})
        if not wanted:
            yield Problem(f"pdSpec.{role}.resources.limits", _("Say the GPUs of each pod, such as {\"nvidia.com/gpu\": 1}: the "
                                                               "operator needs them here."))
        yield from _arguments(f"pdSpec.{role}.args", divided[role].get("args") or ())


def _arguments(path: str, given: Any) -> Iterator[Problem]:
    """Flags of the engine that the catalogue permits, with plain values."""
    for index, text in enumerate(given):
        flag = FLAG.fullmatch(text)
        value = flag["value"] if flag else text
        name = flag["name"] if flag else ""
        if flag and name not in PERMITTED and name.removeprefix("no-") not in PERMITTED:
            yield Problem(f"{path}.{index}", _("The argument “--%(name)s” is not permitted.") % {"name": name[:60]})
        elif value and not VALUE.fullmatch(value):
            yield Problem(f"{path}.{index}", _("The value of an argument has letters, digits and . _ + - only."))
