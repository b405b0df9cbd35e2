"""`AwsSimulator`: AWS to test against, on a port of this machine."""

from __future__ import annotations

from typing import Any, Self

from tests.simulators.aws import mirror
from tests.simulators.aws.app import App
from tests.simulators.aws.autoscaling import Autoscaling
from tests.simulators.aws.clock import Clock
from tests.simulators.aws.eks import Eks, EksCluster
from tests.simulators.aws.faults import Faults
from tests.simulators.aws.identities import ACCOUNT, Identities, Keys
from tests.simulators.aws.listener import Server
from tests.simulators.aws.logs import Logs
from tests.simulators.aws.machine import Machine
from tests.simulators.aws.messages import Recorded
from tests.simulators.aws.moto_server import Moto
from tests.simulators.aws.pricing import Pricing
from tests.simulators.aws.runtime import Runtime
from tests.simulators.aws.sagemaker import SageMaker
from tests.simulators.aws.sagemaker.endpoints import log_group
from tests.simulators.aws.sagemaker.hyperpod import HyperPod, make_cluster
from tests.simulators.aws.sagemaker.state import Region
from tests.simulators.aws.sts import Sts
from tests.simulators.aws.world import Durations, Spot, World
from tests.simulators.kubernetes.server import Simulator

REGION = "us-east-1"
HOME = Spot(ACCOUNT, REGION)


class AwsSimulator:
    """Serves from `start` (or `with`) to `close`; `reset` makes it new."""

    def __init__(self, port: int = 0) -> None:
        self.world, self.identities, self.faults, self.moto = World(), Identities(), Faults(), Moto()
        self.logs, self.pricing = Logs(self.world.clock), Pricing()
        self.sagemaker = SageMaker(self.world, self._log)
        self.app = App(self.identities, self.faults, self.moto.forward)
        self.machine = Machine(self.identities)
        self.app.metadata = self.machine.answer
        self.eks = Eks(self.identities, self.world.clock)
        self.runtime = Runtime(self.sagemaker, self.moto)
        self.autoscaling = Autoscaling(self.sagemaker, self.moto.forward)
        self.app.players |= {
            "sts": Sts(self.identities).answer, "sagemaker": self.sagemaker.answer, "eks": self.eks.answer,
            "sagemaker-runtime": self.runtime.answer, "application-autoscaling": self.autoscaling.answer,
            "logs": self.logs.answer, "pricing": self.pricing.answer,
        }  # fmt: skip
        self._clients: list[Any] = []
        self._server = Server(self.app.answer, self.world.clock.now, port)
        self.identities.sts_hosts.add(self.url.removeprefix("http://"))

    def _log(self, spot: Spot, group: str, line: str) -> None:
        self.logs.write(spot, group, line)

    # --- life

    def start(self) -> Self:
        self._server.start()
        return self

    def close(self) -> None:
        while self._clients:
            self._clients.pop().close()
        self._server.close()
        self.moto.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def reset(self) -> None:
        """Forgets everything; the default keys are new too."""
        while self._clients:
            self._clients.pop().close()
        self.runtime.reset()
        with self.world.lock:
            self.world.clock.reset()
            self.world.durations = Durations()
            self.world.misuses.clear()
            self.faults.reset()
            self.identities.reset()
            self.sagemaker.reset()
            self.eks.reset()
            for service in (self.autoscaling, self.logs, self.pricing, self.machine):
                service.reset()
            self.app.requests.clear()
            self.app.broken.clear()
            self.moto.reset()

    # --- how to reach it

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def keys(self) -> Keys:
        """Of a user who may do everything, in the default account."""
        return self.identities.default

    def client(self, service: str, keys: Keys | None = None, region: str = REGION, **config: Any) -> Any:
        """A boto3 client of it, which asks once; closed by `reset`."""
        client = make_client(self.url, service, keys or self.keys, region, **config)
        self._clients.append(client)
        return client

    # --- what tests ask of it

    @property
    def clock(self) -> Clock:
        return self.world.clock

    @property
    def durations(self) -> Durations:
        return self.world.durations

    @property
    def requests(self) -> list[Recorded]:
        """Every request so far, oldest first."""
        return list(self.app.requests)

    def calls(self, *names: str) -> list[Recorded]:
        """The requests of these names ("sagemaker:CreateEndpoint"), or all of them."""
        return [seen for seen in self.requests if not names or seen.name in names]

    # --- what is there already

    def put_metric(self, name: str, value: float, endpoint: str, variant: str = "all", region: str = REGION) -> None:
        """A value of AWS/SageMaker now, as CloudWatch (moto) then answers it."""
        dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]
        data = {"MetricName": name, "Value": value, "Dimensions": dimensions}
        client = make_client(self.moto.url, "cloudwatch", self.keys, region)
        client.put_metric_data(Namespace="AWS/SageMaker", MetricData=[data])
        client.close()

    def log(self, endpoint: str, *lines: str, spot: Spot = HOME) -> None:
        """Lines that the container of an endpoint writes."""
        for line in lines:
            self.logs.write(spot, log_group(endpoint), line)

    def add_hyperpod(
        self, name: str = "pod", *, kube: Simulator | None = None, groups: dict[str, tuple[str, int]] | None = None,
        eks_name: str = "", status: str = "InService", spot: Spot = HOME, **options: Any,
    ) -> HyperPod:  # fmt: skip
        """A HyperPod cluster that EKS orchestrates. groups: instance type and count by name. options: as
        `describe_cluster` names them (TieredStorageConfig, NodeRecovery, NodeProvisioningMode, AutoScaling).

        With `kube`, that Kubernetes cluster is the EKS one: its nodes named hyperpod-… are instances here, nodes that come
        and go here do so there, and it takes tokens of this AWS.
        """
        eks = self.add_eks(eks_name or f"{name}-eks", kube=kube, spot=spot)
        asked = [{"InstanceGroupName": group, "InstanceType": kind, "InstanceCount": count, "ThreadsPerCore": 1,
                  "ExecutionRole": f"arn:aws:iam::{spot.account}:role/hyperpod",
                  "LifeCycleConfig": {"SourceS3Uri": "s3://sagemaker-lifecycle/", "OnCreate": "on_create.sh"}}
                 for group, (kind, count) in (groups or {}).items()]  # fmt: skip
        with self.world.lock:
            described = {"NodeRecovery": "Automatic", **options, "Orchestrator": {"Eks": {"ClusterArn": eks.arn}}}
            cluster = make_cluster(self.sagemaker.here(spot), name, asked, described, status)
            mirror.fill(cluster, kube, self.clock.now())
            return cluster

    def add_eks(self, name: str, *, kube: Simulator | None = None, spot: Spot = HOME) -> EksCluster:
        """Without `kube` its address is one where nobody listens."""
        url, ca_pem = (kube.url, kube.ca_pem) if kube is not None else ("https://127.0.0.1:9", "no certificate")
        return self.eks.add(spot, name, url, ca_pem, kube)

    @property
    def broken(self) -> list[str]:
        return list(self.app.broken)

    def here(self, region: str = REGION, account: str = ACCOUNT, partition: str = "aws") -> Region:
        """What an account has of SageMaker in a region, at present."""
        return self.sagemaker.here(Spot(account, region, partition))


def make_client(url: str, service: str, keys: Keys, region: str = REGION, **config: Any) -> Any:
    import boto3  # takes a while, and the simulator itself needs none of it
    from botocore.config import Config

    settings = {"retries": {"total_max_attempts": 1, "mode": "standard"}, "connect_timeout": 5, "read_timeout": 30, **config}
    session = boto3.Session(keys.access_key_id, keys.secret_access_key, keys.session_token or None, region)
    return session.client(service, endpoint_url=url, config=Config(**settings))
