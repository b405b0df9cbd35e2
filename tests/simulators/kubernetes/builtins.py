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
    "apiregistration.k8s.io/v1": """
        apiservices APIService - - status
    """,
    "apps/v1": """
        controllerrevisions ControllerRevision ns - -
        daemonsets DaemonSet ns ds status
        deployments Deployment ns deploy scale,status
        replicasets ReplicaSet ns rs scale,status
        statefulsets StatefulSet ns sts scale,status
    """,
    "events.k8s.io/v1": """
        events Event ns ev -
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
    "autoscaling/v2": """
        horizontalpodautoscalers HorizontalPodAutoscaler ns hpa status
    """,
    "autoscaling/v1": """
        horizontalpodautoscalers HorizontalPodAutoscaler ns hpa status
    """,
    "batch/v1": """
        cronjobs CronJob ns cj status
        jobs Job ns - status
    """,
    "certificates.k8s.io/v1": """
        certificatesigningrequests CertificateSigningRequest - csr approval,status
    """,
    "networking.k8s.io/v1": """
        ingressclasses IngressClass - - -
        ingresses Ingress ns ing status
        ipaddresses IPAddress - ip -
        networkpolicies NetworkPolicy ns netpol -
        servicecidrs ServiceCIDR - - status
    """,
    "policy/v1": """
        poddisruptionbudgets PodDisruptionBudget ns pdb status
    """,
    "rbac.authorization.k8s.io/v1": """
        clusterrolebindings ClusterRoleBinding - - -
        clusterroles ClusterRole - - -
        rolebindings RoleBinding ns - -
        roles Role ns - -
    """,
    "storage.k8s.io/v1": """
        csidrivers CSIDriver - - -
        csinodes CSINode - - -
        csistoragecapacities CSIStorageCapacity ns - -
        storageclasses StorageClass - sc -
        volumeattachments VolumeAttachment - - status
        volumeattributesclasses VolumeAttributesClass - vac -
    """,
    "admissionregistration.k8s.io/v1": """
        mutatingadmissionpolicies MutatingAdmissionPolicy - - -
        mutatingadmissionpolicybindings MutatingAdmissionPolicyBinding - - -
        mutatingwebhookconfigurations MutatingWebhookConfiguration - - -
        validatingadmissionpolicies ValidatingAdmissionPolicy - - status
        validatingadmissionpolicybindings ValidatingAdmissionPolicyBinding - - -
        validatingwebhookconfigurations ValidatingWebhookConfiguration - - -
    """,
    "apiextensions.k8s.io/v1": """
        customresourcedefinitions CustomResourceDefinition - crd,crds status
    """,
    "scheduling.k8s.io/v1": """
        priorityclasses PriorityClass - pc -
    """,
    "coordination.k8s.io/v1": """
        leases Lease ns - -
    """,
    "node.k8s.io/v1": """
        runtimeclasses RuntimeClass - - -
    """,
    "discovery.k8s.io/v1": """
        endpointslices EndpointSlice ns - -
    """,
    "resource.k8s.io/v1": """
        deviceclasses DeviceClass - - -
        resourceclaims ResourceClaim ns - status
        resourceclaimtemplates ResourceClaimTemplate ns - -
        resourceslices ResourceSlice - - -
    """,
    "flowcontrol.apiserver.k8s.io/v1": """
        flowschemas FlowSchema - - status
        prioritylevelconfigurations PriorityLevelConfiguration - - status
    """,
}
"""In the order in which discovery lists the groups."""

IN_ALL = {
    "pods", "replicationcontrollers", "services", "daemonsets", "deployments", "replicasets", "statefulsets",
    "cronjobs", "jobs", "horizontalpodautoscalers",
}  # fmt: skip
EXTENSIONS = ("apiextensions.k8s.io", "apiregistration.k8s.io", "admissionregistration.k8s.io")
SINGULARS = {"endpoints": "endpoints"}
STORED = {"autoscaling": "v2"}
"""The version that is stored, where a group has more than one."""


def builtin_resources() -> Iterator[Resource]:
    for api_version, rows in TABLE.items():
        group, _, version = api_version.rpartition("/")
        for row in rows.strip().splitlines():
            yield _resource(group, version, row.split())


def _resource(group: str, version: str, row: list[str]) -> Resource:
    plural, kind, scope, short, subresources, *verbs = row
    return Resource(
        group=group, version=version, plural=plural, singular=SINGULARS.get(plural, kind.lower()), kind=kind,
        namespaced=scope == "ns", versions=(version,), storage_version=STORED.get(group, version), short_names=_words(short),
        subresources=frozenset(_words(subresources)), verbs=_verbs(verbs),
        categories=("all",) if plural in IN_ALL else ("api-extensions",) if group in EXTENSIONS else (),
        stored_as=("", "events") if plural == "events" else None,
    )  # fmt: skip


def _words(text: str) -> tuple[str, ...]:
    return () if text == "-" else tuple(text.split(","))


def _verbs(named: list[str]) -> tuple[str, ...]:
    if named == ["no-collection"]:
        return NO_COLLECTION
    return tuple(named[0].split(",")) if named else ALL_VERBS
