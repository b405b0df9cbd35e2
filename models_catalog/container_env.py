"""Engine arguments as environment variables: how the containers that AWS makes for SageMaker take them. Pure.

What each family does with its variables (facts.md 2.6):

- vLLM and SGLang: a start script turns ``SM_VLLM_<NAME>`` and ``SM_SGLANG_<NAME>`` into ``--<name>``, with the value as
  one argument, or alone where the value is empty. So a bare flag is an empty value: “true” would become a stray argument
  in older images and a bare flag in newer ones. A list can't have more than one member. The script reads the variables
  line by line, cut at “=”: a line break ends a value and an “=” at its end is lost.
- LMI: ``OPTION_<NAME>`` with “true” or “false” in words, and names of its own for some. Its handler leaves out whatever is
  false, so nothing that is on can be turned off, and refuses what doesn't fit its own names. Read in
  vllm_rb_properties.py and vllm_user_guide.md of github.com/deepjavalibrary/djl-serving. From LMI 15 on it runs vLLM's
  asynchronous engine, which must be asked for until LMI 17.

SageMaker takes at most 100 variables of at most 1,024 characters (botocore's EnvironmentMap). Secrets are not put in here:
who makes the container adds HF_TOKEN. Not verified on AWS.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from django.utils.translation import gettext as _

from portal.tenancy.errors import Invalid

from .choices import EngineKind

MOST_CHARACTERS, MOST_VARIABLES = 1024, 100
ASYNC = {"OPTION_ROLLING_BATCH": "disable", "OPTION_ASYNC_MODE": "true",
         "OPTION_ENTRYPOINT": "djl_python.lmi_vllm.vllm_async_service"}
FIRST_ASYNC = 15
# LMI's own names. With vLLM's beside its own it compares the two and refuses to start.
LMI_NAMES = {
    "tensor-parallel-size": "TENSOR_PARALLEL_DEGREE", "max-num-seqs": "OPTION_MAX_ROLLING_BATCH_SIZE",
    "max-num-batched-tokens": "OPTION_MAX_ROLLING_BATCH_PREFILL_TOKENS", "quantization": "OPTION_QUANTIZE",
    "cpu-offload-gb": "OPTION_CPU_OFFLOAD_GB_PER_GPU",
}
LMI_DTYPES = {"half": "float16", "float": "float32"}


def container_environment(
    engine: str, arguments: Mapping[str, Any], *, model_path: str, served_name: str, gpus: int = 0, version: str = "",
) -> dict[str, str]:
    """The variables of a container of this engine (an EngineKind), sorted.

    `arguments` are checked ones, and may hold ``revision`` for a model of a hub. `model_path` is a folder in the
    container or a hub's name; `gpus` are those of the container, shared by tensor parallelism unless the arguments say
    otherwise. `version` is the release's; without one it is taken for a new one. Raises Invalid (field ``arguments``)
    for what the container has no way to say.
    """
    if engine == EngineKind.LMI:
        found = _lmi(arguments, model_path, served_name, gpus, version)
    else:
        prefix, model = ("SM_SGLANG_", "model-path") if engine == EngineKind.SGLANG else ("SM_VLLM_", "model")
        wanted = {**_shared(gpus, arguments), **arguments, model: model_path, "served-model-name": served_name}
        found = dict(_flag(prefix, name, value, negates=engine == EngineKind.VLLM) for name, value in wanted.items())
    for name, value in found.items():
        _check(name, value)
    if len(found) > MOST_VARIABLES:
        _refuse(_("SageMaker takes at most %(most)d environment variables.") % {"most": MOST_VARIABLES})
    return dict(sorted(found.items()))


def _shared(gpus: int, arguments: Mapping[str, Any]) -> dict[str, int]:
    """All GPUs for each layer, where no argument divides them in another way."""
    ways = ("tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size")
    return {"tensor-parallel-size": gpus} if gpus > 1 and not any(way in arguments for way in ways) else {}


def _flag(prefix: str, name: str, value: Any, *, negates: bool) -> tuple[str, str]:
    """One variable for a start script; SGLang's flags have no form that turns them off."""
    if value is False:
        if not negates:
            _refuse(_("“%(name)s” can't be switched off in this container: leave it out.") % {"name": name})
        return prefix + _key(f"no-{name}"), ""
    return prefix + _key(name), "" if value is True else _text(name, value)


def _lmi(arguments: Mapping[str, Any], model_path: str, served_name: str, gpus: int, version: str) -> dict[str, str]:
    wanted = {**arguments, "served-model-name": served_name}
    if wanted.pop("pipeline-parallel-size", 1) != 1:
        _refuse(_("LMI containers don't split a model into stages: leave “pipeline-parallel-size” out."))
    if wanted.get("dtype") in LMI_DTYPES:
        wanted["dtype"] = LMI_DTYPES[wanted["dtype"]]
    # LMI 15 reads the parser only when told so; later ones pass over it.
    thinking = {"OPTION_ENABLE_REASONING": "true"} if "reasoning-parser" in wanted else {}
    mode = ASYNC if _major(version) >= FIRST_ASYNC else {"OPTION_ROLLING_BATCH": "vllm"}
    return {"HF_MODEL_ID": model_path, "TENSOR_PARALLEL_DEGREE": str(gpus or "max"), **mode, **thinking,
            **{LMI_NAMES.get(name, f"OPTION_{_key(name)}"): _lmi_text(name, value) for name, value in wanted.items()}}


def _major(version: str) -> int:
    first = version.partition(".")[0]
    return int(first) if first.isdecimal() else FIRST_ASYNC


def _lmi_text(name: str, value: Any) -> str:
    if value is False:
        _refuse(_("LMI containers can only switch “%(name)s” on: leave it out.") % {"name": name})
    return "true" if value is True else _text(name, value)


def _key(name: str) -> str:
    return name.upper().replace("-", "_")


def _text(name: str, value: Any) -> str:
    if isinstance(value, list | tuple):
        if len(value) != 1:
            _refuse(_("“%(name)s” can have one value only in AWS's containers, which take each variable as one.") % {
                "name": name})
        return _text(name, value[0])
    return json.dumps(value, sort_keys=True, separators=(",", ":")) if isinstance(value, Mapping) else str(value)


def _check(name: str, value: str) -> None:
    """What a start script or SageMaker would change or refuse."""
    if len(value) > MOST_CHARACTERS:
        _refuse(_("%(name)s is longer than the %(most)d characters that SageMaker takes.") % {
            "name": name, "most": MOST_CHARACTERS})
    words = value.lower() in ("true", "false") and not name.startswith("OPTION_")
    stray = value.startswith("-") and not value[1:].replace(".", "", 1).isdecimal()
    if words or stray or value.endswith("=") or not value.isprintable():
        _refuse(_("%(name)s has a value that AWS's containers would not take as it stands.") % {"name": name})


def _refuse(message: str) -> NoReturn:
    raise Invalid(message, field="arguments")
