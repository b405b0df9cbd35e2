"""The public JumpStart hub, with a handful of models.

Names of a document's members are those that sagemaker-python-sdk reads (src/sagemaker/jumpstart/hub/interfaces.py, schema
2.3.0). Not verified on AWS: versions, addresses of images, artifacts and licences, and the lists of instance types.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.simulators.aws.errors import AwsFault
from tests.simulators.aws.messages import Params
from tests.simulators.aws.sagemaker.lists import page
from tests.simulators.aws.sagemaker.service import plays
from tests.simulators.aws.sagemaker.state import Region

PUBLIC = "SageMakerPublicHub"
MADE = 1735689600.0  # 2025-01-01


@dataclass(frozen=True, slots=True)
class JumpStartModel:
    name: str
    title: str
    provider: str
    instance: str
    instances: tuple[str, ...]
    accelerators: int = 1
    memory_mb: int = 16384
    version: str = "1.2.0"
    is_gated: bool = False
    licence: str = "apache-2.0"
    task: str = "Text Generation"
    status: str = "Supported"

    @property
    def keywords(self) -> list[str]:
        return ["@capability:inference", f"@provider:{self.provider.lower()}", f"@task:{self.task.lower().replace(' ', '-')}"]


G5 = ("ml.g5.2xlarge", "ml.g5.4xlarge", "ml.g5.12xlarge", "ml.g5.48xlarge", "ml.p4d.24xlarge")
BIG = ("ml.g5.48xlarge", "ml.p4d.24xlarge", "ml.p5.48xlarge")
MODELS = (
    JumpStartModel("deepseek-llm-r1-distill-qwen-1-5b", "DeepSeek-R1-Distill-Qwen-1.5B", "DeepSeek", "ml.g6.4xlarge",
                   ("ml.g6.4xlarge", "ml.g5.8xlarge", "ml.g6e.12xlarge"), licence="mit"),
    JumpStartModel("huggingface-llm-mistral-7b-instruct", "Mistral 7B Instruct", "Mistral", "ml.g5.2xlarge", G5,
                   version="3.3.0"),
    JumpStartModel("meta-textgeneration-llama-3-8b-instruct", "Meta Llama 3 8B Instruct", "Meta", "ml.g5.12xlarge", G5,
                   4, 98304, "2.6.0", True, "llama3"),
    JumpStartModel("meta-textgeneration-llama-3-70b-instruct", "Meta Llama 3 70B Instruct", "Meta", "ml.p4d.24xlarge", BIG,
                   8, 393216, "2.6.0", True, "llama3"),
    JumpStartModel("huggingface-llm-qwen2-5-7b-instruct", "Qwen 2.5 7B Instruct", "Qwen", "ml.g5.12xlarge", G5, 4, 98304),
    JumpStartModel("huggingface-sentencesimilarity-bge-m3", "BGE-M3", "BAAI", "ml.g5.2xlarge", G5[:2], licence="mit",
                   task="Sentence Similarity"),
    JumpStartModel("huggingface-llm-falcon-7b-bf16", "Falcon 7B BF16", "TII", "ml.g5.2xlarge", G5, status="Deprecated"),
)  # fmt: skip


@plays("ListHubContents")
def list_hub_contents(here: Region, asked: Params) -> Params:
    _check_hub(here, asked)
    found = [model for model in MODELS if asked["HubContentType"] == "Model"
             and asked.get("NameContains", "").lower() in model.name]  # fmt: skip
    found.sort(key=lambda model: model.name, reverse=asked.get("SortOrder") == "Descending")
    kept, more = page(asked, found)
    return {"HubContentSummaries": [_summary(here, model) for model in kept], **more}


@plays("DescribeHubContent")
def describe_hub_content(here: Region, asked: Params) -> Params:
    _check_hub(here, asked)
    model = next((each for each in MODELS if each.name == asked["HubContentName"]), None)
    version = asked.get("HubContentVersion")
    if model is None or asked["HubContentType"] != "Model" or version not in (None, model.version):
        # the words are not verified
        raise AwsFault("ResourceNotFound", f"Hub content {asked['HubContentName']} of version {version} does not exist.")
    text = json.dumps(document(here.spot.region, model))
    return {**_summary(here, model), "HubName": PUBLIC, "HubArn": _hub_arn(here), "HubContentDocument": text,
            "HubContentMarkdown": f"# {model.title}\n"}  # fmt: skip


def _check_hub(here: Region, asked: Params) -> None:
    if asked["HubName"] not in (PUBLIC, _hub_arn(here)):
        raise AwsFault("ResourceNotFound", f"Hub {asked['HubName']} does not exist.")


def _hub_arn(here: Region) -> str:
    return f"arn:{here.spot.partition}:sagemaker:{here.spot.region}:aws:hub/{PUBLIC}"


def _summary(here: Region, model: JumpStartModel) -> Params:
    arn = f"arn:{here.spot.partition}:sagemaker:{here.spot.region}:aws:hub-content/{PUBLIC}/Model/{model.name}/{model.version}"
    return {
        "HubContentName": model.name, "HubContentArn": arn, "HubContentVersion": model.version, "HubContentType": "Model",
        "DocumentSchemaVersion": "2.3.0", "HubContentDisplayName": model.title, "SupportStatus": model.status,
        "HubContentDescription": f"{model.title} of {model.provider}.", "HubContentSearchKeywords": model.keywords,
        "HubContentStatus": "Available", "CreationTime": MADE,
    }  # fmt: skip


def document(region: str, model: JumpStartModel) -> Params:
    """What HubContentDocument holds as JSON."""
    bucket = f"jumpstart-private-cache-prod-{region}" if model.is_gated else f"jumpstart-cache-prod-{region}"
    artifact = f"s3://{bucket}/{model.name}/artifacts/inference-prepack/v{model.version}/"
    eula = {"HostingEulaUri": f"s3://jumpstart-cache-prod-{region}/fmhMetadata/eula/{model.licence}Eula.txt"}
    return {
        "Url": f"https://example.com/{model.name}", "MinSdkVersion": "2.225.0", "Task": model.task, "Framework": "djl-lmi",
        "TrainingSupported": False, "IncrementalTrainingSupported": False, "License": model.licence, "Datatype": "text",
        "HostingEcrUri": f"763104351884.dkr.ecr.{region}.amazonaws.com/djl-inference:0.31.0-lmi13.0.0-cu124",
        "HostingArtifactUri": artifact, "HostingPrepackedArtifactUri": artifact, "HostingArtifactS3DataType": "S3Prefix",
        "HostingArtifactCompressionType": "None", "HostingUseScriptUri": False, "GatedBucket": model.is_gated,
        **(eula if model.is_gated else {}),
        "DefaultInferenceInstanceType": model.instance, "SupportedInferenceInstanceTypes": list(model.instances),
        "InferenceEnvironmentVariables": [
            {"Name": "SAGEMAKER_MODEL_SERVER_WORKERS", "Type": "text", "Default": "1", "Scope": "container",
             "RequiredForModelClass": True},
            {"Name": "OPTION_MAX_MODEL_LEN", "Type": "text", "Default": "8192", "Scope": "container",
             "RequiredForModelClass": True},
        ],
        "HostingResourceRequirements": {"MinMemoryMb": model.memory_mb, "NumAccelerators": model.accelerators},
        "InferenceVolumeSize": 256, "InferenceEnableNetworkIsolation": True, "ResourceNameBase": model.name[:20],
        "ModelDataDownloadTimeout": 1200, "ContainerStartupHealthCheckTimeout": 1200,
        "DynamicContainerDeploymentSupported": True, "Dependencies": [],
    }  # fmt: skip
