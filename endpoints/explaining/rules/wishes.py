"""What concerns the place, the wish and the objects around the pods."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from endpoints.states import Cause

from ..clues import Source
from ..findings import rule

P, E, C = Source.PLACE, Source.EVENT, Source.CONDITION

PLACE = (
    rule("unreachable", Cause.UNREACHABLE, 99, P, Cause.UNREACHABLE,
         _("The place can't be reached, so nothing newer is known: %(said)s"),
         _("Open the place's page and test its connection. What runs there goes on running.")),
    rule("credential", Cause.AUTH, 99, P, Cause.AUTH, _("The place refuses the portal's credential: %(said)s"),
         _("Give the place a valid credential on its page; then the portal goes on by itself.")),
    rule("tls", Cause.TLS, 99, P, Cause.TLS, _("The place's certificate is not trusted: %(said)s"),
         _("Enter the certificate authority of the cluster on the place's page, after making sure that it is the cluster.")),
    rule("forbidden", Cause.FORBIDDEN, 97, P, Cause.FORBIDDEN, _("The portal lacks a right in the place: %(said)s"),
         _("Grant the named right to the portal's account in the cluster; the test on the place's page lists all of them.")),
    rule("kind_missing", Cause.NO_KIND, 96, P, Cause.NO_KIND, _("The cluster lacks a kind of object: %(said)s"),
         _("Install the named controller with its CRD in the cluster, or choose settings that do without it.")),
    rule("name_taken", Cause.NAME_TAKEN, 96, P, Cause.NAME_TAKEN, _("Somebody else's object has the name: %(said)s"),
         _("Delete or rename that object in the cluster if it is not needed, or deploy under another name.")),
    rule("conflict", Cause.CONFLICT, 94, P, Cause.CONFLICT, _("Another program owns a field that the portal sets: %(said)s"),
         _("Decide on the plan page whose value counts: accept the other one, or take the field over.")),
    rule("contested", Cause.CONTESTED, 92, P, Cause.CONTESTED, _("Somebody changes it back each time: %(said)s"),
         _("Find the named program and stop it, or accept its value as the new truth on the endpoint's page.")),
    rule("invalid", Cause.INVALID, 95, P, Cause.INVALID, _("The place refuses the objects as invalid: %(said)s"),
         _("Correct the named field in the profile or the endpoint, then press Update.")),
    rule("refused", Cause.REFUSED, 95, P, Cause.REFUSED, _("The order can't be carried out: %(said)s"),
         _("Change what the message names, then press Retry.")),
    rule("quota_of_account", Cause.QUOTA, 94, P, Cause.QUOTA,
         _("The AWS account's quota “%(limit)s” is %(most)s, which is too few."),
         _("Ask AWS for more in Service Quotas, or choose another instance type, then press Retry."),
         text=r"service limit '(?P<limit>[^']{1,120})' is (?P<most>\d+)"),
    rule("quota_of_wish", Cause.QUOTA, 94, P, Cause.QUOTA, _("A quota does not allow it: %(said)s"),
         _("Ask for a larger quota, stop another endpoint of the workspace, or choose fewer replicas.")),
    rule("no_room", Cause.NO_ROOM, 80, P, Cause.NO_ROOM, _("No machine has room for a replica now: %(said)s"),
         _("Free one, add one, or choose a profile that needs less; it starts by itself when there is room.")),
    rule("weights_missing", Cause.NOT_LOADED, 84, P, Cause.NOT_LOADED,
         _("The weights are not in the cluster yet: %(said)s"),
         _("Look at the copy of the weights on the artifact's page and retry it, or let the engine load them itself.")),
    rule("fault_of_ours", Cause.ERROR, 70, P, Cause.ERROR, _("The portal itself met an error: %(said)s"),
         _("Press Retry. If it comes again, give the message and the time to whoever runs the portal.")),
    rule("namespace_ending", Cause.ENDING, 97, (P, C, E), r"Phase=Terminating.*|FailedCreate|Terminating",
         _("The namespace is being deleted, so nothing new can be made in it."),
         _("Wait until the namespace is gone: the portal makes it anew. If it hangs, look for a finalizer that blocks it."),
         text=r"terminat|being deleted|^$", kinds=("Namespace", "StatefulSet", "LeaderWorkerSet", "")),
    rule("policy", Cause.POLICY, 95, P, Cause.POLICY, _("A rule of the cluster refuses the objects: %(said)s"),
         _("Change what the rule names, or ask the cluster's operators about it, then press Retry.")),
)

CREATING = (
    rule("quota", Cause.QUOTA, 93, E, "FailedCreate",
         _("The namespace's quota %(quota)s does not allow another pod: %(requested)s asked for, %(used)s used, "
           "%(limited)s allowed."),
         _("Raise the quota %(quota)s, stop another endpoint of the workspace, or choose fewer replicas."),
         text=r"exceeded quota: (?P<quota>[\w.-]+), requested: (?P<requested>.+?), used: (?P<used>.+?), "
              r"limited: (?P<limited>[^,\s]+(?:,[^,\s]+)*)"),
    rule("quota_needs_limits", Cause.QUOTA, 93, E, "FailedCreate",
         _("The namespace's quota %(quota)s wants pods that say %(must)s."),
         _("Set these amounts in the profile, then press Update."),
         text=r"failed quota: (?P<quota>[\w.-]+): must specify (?P<must>[^\"]+)"),
    rule("pod_security", Cause.POLICY, 93, E, "FailedCreate",
         _("The namespace's Pod Security level %(level)s refuses the pod: %(why)s"),
         _("Choose an image that runs without these rights, or have the level of the namespace lowered for this engine."),
         text=r"violates PodSecurity \"(?P<level>[^\"]+)\": (?P<why>.+)"),
    rule("limit_range", Cause.QUOTA, 93, E, "FailedCreate",
         _("The namespace's LimitRange refuses the pod: %(why)s"),
         _("Choose a profile within these bounds, or have the LimitRange changed."),
         text=r"forbidden: (?:\[)?(?P<why>(?:maximum|minimum) \S+ usage per .+|\S+ max limit to request ratio .+)"),
    rule("webhook", Cause.POLICY, 92, E, "FailedCreate",
         _("The admission webhook %(hook)s of the cluster refuses the pod: %(why)s"),
         _("Change what the webhook names, or ask the cluster's operators about its rule."),
         text=r"admission webhook \"(?P<hook>[^\"]+)\" denied the request: (?P<why>.+)"),
    rule("webhook_away", Cause.ERROR, 92, E, "FailedCreate",
         _("The admission webhook %(hook)s of the cluster does not answer, so no pod can be made."),
         _("Ask the cluster's operators to bring the webhook back; the pods come by themselves then."),
         text=r"failed calling webhook \"(?P<hook>[^\"]+)\""),
    rule("class_missing", Cause.INVALID, 92, E, "FailedCreate",
         _("The cluster has no %(what)s of this name: %(name)s."),
         _("Choose a name that the cluster has in the profile's placement, or have this one made."),
         text=r"no (?P<what>PriorityClass) with name (?P<name>[\w.-]+) was found"),
    rule("runtime_missing", Cause.INVALID, 92, E, "FailedCreate|FailedCreatePodSandBox",
         _("The cluster has no runtime class %(name)s."),
         _("Choose a runtime class that the cluster has in the profile's placement, or have this one made."),
         text=r"RuntimeClass \"(?P<name>[^\"]+)\" not found|no runtime for \"(?P<other>[^\"]+)\" is configured"),
    rule("account_missing", Cause.ERROR, 90, E, "FailedCreate",
         _("The service account of the pods is not there: %(said)s"),
         _("Press Retry, so that the portal makes it again."), text=r"serviceaccount \"?[\w.-]+\"? not found|error looking up "
                                                                    r"service account"),
    rule("create_failed", Cause.REFUSED, 72, E, "FailedCreate", _("The cluster does not make the pods: %(said)s"),
         _("Change what the message names; the cluster tries again by itself.")),
)

AROUND = (
    rule("scaled_object", Cause.AUTOSCALER, 50, C, r"Ready=False.*",
         _("The autoscaler does not work: %(said)s"),
         _("Correct the trigger that the message names (address, query or secret), then press Update."),
         kinds=("ScaledObject",)),
    rule("scaler_failed", Cause.AUTOSCALER, 48, E, r"KEDAScalerFailed|ScaledObjectCheckFailed|KEDAMetricSourceFailed",
         _("The autoscaler can't read its trigger: %(said)s"),
         _("Check address, query and secret of the trigger; until then the number of replicas stays."),
         kinds=("ScaledObject",)),
    rule("route_listener", Cause.ROUTE, 52, C, r"Accepted=False/(?P<reason>NotAllowedByListeners|NoMatchingListenerHostname|"
                                               r"NoMatchingParent)",
         _("The gateway does not take the route (%(reason)s): %(said)s"),
         _("Let a listener of the gateway allow routes from this namespace and host name, or choose another gateway."),
         kinds=("HTTPRoute",)),
    rule("route_refused", Cause.ROUTE, 51, C, r"(?:Accepted|ResolvedRefs)=False.*",
         _("The route is not in force: %(said)s"),
         _("Correct what the message names on the gateway; calls through the portal's own gateway work meanwhile."),
         kinds=("HTTPRoute",)),
    rule("gateway_down", Cause.ROUTE, 47, C, r"Programmed=False.*",
         _("The gateway has no address yet: %(said)s"),
         _("Look at the gateway's controller and its load balancer in the cluster."), kinds=("Gateway",)),
    rule("copy_failed", Cause.NOT_LOADED, 85, C, r"(?:Phase=FAILED|Failed=True|Ready=False).*",
         _("Loading the weights into the cluster failed: %(said)s"),
         _("Correct the address or the token of the artifact, then retry the copy on its page."),
         kinds=("Dataset", "Job")),
    rule("claim_provision", Cause.VOLUME, 82, E, "ProvisioningFailed",
         _("The volume can't be made: %(said)s"),
         _("Choose a storage class that the cluster has and a size that it allows, or ask its operators."),
         kinds=("PersistentVolumeClaim",)),
    rule("claim_pending", Cause.VOLUME, 74, C, "Phase=Pending.*",
         _("The volume claim %(object)s is not bound to a volume."),
         _("Check that its storage class is there and has room; the pod starts when the claim is bound."),
         kinds=("PersistentVolumeClaim",)),
    rule("claim_lost", Cause.VOLUME, 88, C, "Phase=Lost.*",
         _("The volume behind the claim %(object)s is gone."),
         _("Delete the claim, so that it is made and filled anew; what lay on it is lost."),
         kinds=("PersistentVolumeClaim",)),
)

WISHES = (*PLACE, *CREATING, *AROUND)
