"""The built-in resources, one a line: plural, kind, namespaced, short names, subresources; verbs where not all."""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulators.kubernetes.kinds import ALL_VERBS, Resource

CREATE = ("create",)
NO_COLLECTION = tuple(verb for verb in ALL_VERBS if verb != "deletecollection")

TABLE = {
    "v1": """
        bindings Binding ns - - create
        componentstatuses ComponentStatus - cs - get,list
        configmaps ConfigMap ns cm -
        endpoints Endpoints ns ep -
        events Event ns ev -
        limitranges LimitRange ns limits -
        namespaces Namespace - ns finalize,status no-collection
        nodes Node - no proxy,status
        persistentvolumeclaims PersistentVolumeClaim ns pvc status
        persistentvolumes PersistentVolume - pv status
        pods Pod ns po attach,binding,ephemeralcontainers,eviction,exec,log,portforward,proxy,resize,status
        podtemplates PodTemplate ns - -
        replicationcontrollers ReplicationController ns rc scale,status
        resourcequotas ResourceQuota ns quota status
        secrets Secret ns - -
        serviceaccounts ServiceAccount ns sa token
        services Service ns svc proxy,status
    """,
    "apps/v1": """
        controllerrevisions ControllerRevision ns - -
        daemonsets DaemonSet ns ds status
        deployments Deployment ns deploy scale,status
        replicasets ReplicaSet ns rs scale,status
        statefulsets StatefulSet ns sts scale,status
    """,
    "batch/v1": """
        cronjobs CronJob ns cj status
        jobs Job ns - status
    """,
    "autoscaling/v2": """
        horizontalpodautoscalers HorizontalPodAutoscaler ns hpa status
    """,
    "policy/v1": """
        poddisruptionbudgets PodDisruptionBudget ns pdb status
    """,
    "coordination.k8s.io/v1": """
        leases Lease ns - -
    """,
    "discovery.k8s.io/v1": """
        endpointslices EndpointSlice ns - -
    """,
    "events.k8s.io/v1": """
        events Event ns ev -
    """,
    "networking.k8s.io/v1": """
        ingressclasses IngressClass - - -
        ingresses Ingress ns ing status
        networkpolicies NetworkPolicy ns netpol -
    """,
    "scheduling.k8s.io/v1": """
        priorityclasses PriorityClass - pc -
    """,
    "storage.k8s.io/v1": """
        csidrivers CSIDriver - - -
        storageclasses StorageClass - sc -
    """,
    "rbac.authorization.k8s.io/v1": """
        clusterrolebindings ClusterRoleBinding - - -
        clusterroles ClusterRole - - -
        rolebindings RoleBinding ns - -
        roles Role ns - -
    """,
    "authentication.k8s.io/v1": """
        selfsubjectreviews SelfSubjectReview - - - create
        tokenreviews TokenReview - - - create
    """,
    "authorization.k8s.io/v1": """
        localsubjectaccessreviews LocalSubjectAccessReview ns - - create
        selfsubjectaccessreviews SelfSubjectAccessReview - - - create
        selfsubjectrulesreviews SelfSubjectRulesReview - - - create
        subjectaccessreviews SubjectAccessReview - - - create
    """,
    "apiextensions.k8s.io/v1": """
        customresourcedefinitions CustomResourceDefinition - crd,crds status
    """,
    "apiregistration.k8s.io/v1": """
        apiservices APIService - - status
    """,
    "admissionregistration.k8s.io/v1": """
        mutatingwebhookconfigurations MutatingWebhookConfiguration - - -
        validatingwebhookconfigurations ValidatingWebhookConfiguration - - -
    """,
}

IN_ALL = {
    "pods", "replicationcontrollers", "services", "daemonsets", "deployments", "replicasets", "statefulsets",
    "cronjobs", "jobs", "horizontalpodautoscalers",
}  # fmt: skip
EXTENSIONS = {"customresourcedefinitions": ("api-extensions",), "apiservices": ("api-extensions",)}
SINGULARS = {"endpoints": "endpoints"}


def builtin_resources() -> Iterator[Resource]:
    for api_version, rows in TABLE.items():
        group, _, version = api_version.rpartition("/")
        for row in rows.strip().splitlines():
            yield _resource(group, version, row.split())


def _resource(group: str, version: str, row: list[str]) -> Resource:
    plural, kind, scope, short, subresources, *verbs = row
    return Resource(
        group=group, version=version, plural=plural, singular=SINGULARS.get(plural, kind.lower()), kind=kind,
        namespaced=scope == "ns", versions=(version,), storage_version=version, short_names=_words(short),
        subresources=frozenset(_words(subresources)), verbs=_verbs(verbs),
        categories=("all",) if plural in IN_ALL else EXTENSIONS.get(plural, ()),
        stored_as=("", "events") if plural == "events" else None,
    )  # fmt: skip


def _words(text: str) -> tuple[str, ...]:
    return () if text == "-" else tuple(text.split(","))


def _verbs(named: list[str]) -> tuple[str, ...]:
    if named == ["no-collection"]:
        return NO_COLLECTION
    return tuple(named[0].split(",")) if named else ALL_VERBS
