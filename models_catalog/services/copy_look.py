"""One look at one copy, with the step that it calls for: send what is not there, hear the loader, take away what is to go."""

from __future__ import annotations

import logging
from typing import Any

import msgspec
from django.db import DatabaseError
from django.utils import timezone
from django.utils.translation import gettext as _

from clusters.drivers.kinds import DATASET, JOB, NETWORK_POLICY, PVC, SECRET, SERVICE_ACCOUNT, Kind
from clusters.drivers.kube import Kube
from clusters.drivers.kube_errors import KubeError, Problem
from clusters.services.namespaces import (
    NameTaken,
    ensure_namespace,
    ensure_shared_namespace,
    forget_namespace,
    forget_shared_namespace,
)
from portal.tenancy.errors import Unavailable
from portal.tenancy.fields import SecretUnreadable
from portal.tenancy.text import clean

from ..models import ModelCopy
from ..preheating.judge import Verdict, judge
from ..preheating.progress import Progress, last_line, progress_in
from ..preheating.render import render
from ..preheating.seen import Found, Meta, Pod
from ..preheating.view import CopyView, pull_secret_name, secret_name
from ..states import CopyCause, CopyMethod, CopyState
from .copies import view_of
from .copy_write import forget, look_later, write

log = logging.getLogger(__name__)
LOG_LINES = 60
_CAUSES = {
    Problem.FORBIDDEN: CopyCause.FORBIDDEN, Problem.NO_KIND: CopyCause.NO_KIND, Problem.INVALID: CopyCause.REFUSED,
    Problem.CONFLICT: CopyCause.NAME_TAKEN, Problem.EXISTS: CopyCause.NAME_TAKEN,
}


class Look:
    """One look at one copy, with the step that it calls for."""

    def __init__(self, kube: Kube, row: ModelCopy, found: Found, *, may_read: bool) -> None:
        self.kube, self.row, self.found, self.may_read = kube, row, found, may_read
        self.seen = found.of(str(row.uid))
        self.reads = 0

    def take(self) -> int:
        """Step, judge, write; how many logs were read."""
        try:
            if self.row.state == CopyState.REMOVING:
                self._remove()
            else:
                self._keep()
        except NameTaken as error:
            self._refused(CopyCause.NAME_TAKEN, str(error))
        except SecretUnreadable:
            self._refused(CopyCause.SECRET, _("The token of the artifact or the login of the image's registry can't be read: "
                                              "enter it again."))
        except KubeError as error:
            self._failed(error)
        except (DatabaseError, Unavailable):
            raise  # The next sweep comes again; nothing can be written now.
        except Exception:  # A bug with one copy must not stop the others.
            log.exception("a copy can't be looked at", extra={"copy": str(self.row.uid)})
            look_later(self.row)
        return self.reads

    # Towards the wish.

    def _keep(self) -> None:
        view = view_of(self.row)
        verdict = judge(view, self.seen)
        sent = self._send(view) if verdict.state == CopyState.PENDING else 0
        progress: Progress | None = None
        if sent:
            verdict = Verdict(CopyState.PENDING, claim=verdict.claim, loaded_round=verdict.loaded_round)
        elif verdict.state in (CopyState.PENDING, CopyState.LOADING, CopyState.FAILED):
            verdict, progress = self._told(view, verdict)
        write(self.row, verdict, sent_round=sent or self.row.sent_round, progress=progress)

    def _send(self, view: CopyView) -> int:
        """Send what is not there; the round that the cluster then has."""
        self._ensure_namespace()
        there = self._there()
        for manifest in render(view):
            kind, name = manifest["kind"], manifest["metadata"]["name"]
            is_known = (kind, name) in there
            if is_known and kind in (PVC.kind, JOB.kind):
                continue  # their specs can't be changed
            if not is_known:
                self._require_free(manifest)
            self.kube.apply(manifest)
        for job in self.seen.jobs:
            if not view.uses_dataset and job.metadata.name != view.job_name:
                self.kube.delete(JOB, view.namespace, job.metadata.name, uid=job.metadata.uid)
        return view.round

    def _there(self) -> set[tuple[str, str]]:
        seen = self.seen
        pairs = [(DATASET, seen.dataset), (PVC, seen.claim), *((JOB, job) for job in seen.jobs)]
        return {(kind.kind, each.metadata.name) for kind, each in pairs if each is not None}

    def _require_free(self, manifest: dict[str, Any]) -> None:
        """Raises NameTaken for an object of this name that is not this copy's. A Secret of another is not looked into."""
        kind = {each.kind: each for each in (DATASET, PVC, JOB, SECRET, SERVICE_ACCOUNT, NETWORK_POLICY)}[manifest["kind"]]
        name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
        other = self.kube.get(kind, namespace, name)
        if other is not None and msgspec.convert(other["metadata"], Meta).copy != str(self.row.uid):
            raise NameTaken(_("There is a %(kind)s %(name)s in namespace %(namespace)s that is not this portal's. It is left "
                              "alone: delete it there to let the portal make the copy.") % {
                                  "kind": kind.kind, "name": name, "namespace": namespace})

    def _ensure_namespace(self) -> None:
        if self.row.workspace is None:
            ensure_shared_namespace(self.kube, self.row.cluster)
        else:
            ensure_namespace(self.kube, self.row.cluster, self.row.workspace, restricted=True)

    # What the loader says.

    def _told(self, view: CopyView, verdict: Verdict) -> tuple[Verdict, Progress | None]:
        """The verdict with the loader's own words, and its figures."""
        pod = self.found.pods.get((view.namespace, view.job_name))
        if pod is None:
            row, is_known = self.row, (CopyState.FAILED, CopyCause.LOADER)
            if (verdict.state, verdict.cause) == (row.state, row.cause) == is_known:
                return _with(verdict, verdict.cause, row.message), None  # with the words of the loader, read before
            return self._late(verdict), None
        if not pod.wrote:
            why = clean(pod.hindrance, 600)
            if why:
                verdict = _with(verdict, CopyCause.POD, _("The loader's pod does not run yet. %(why)s") % {"why": why})
            return self._late(verdict), None
        text = self._log(pod)
        if verdict.state == CopyState.FAILED:
            said = f"{verdict.message} {clean(last_line(text), 400)}".strip()
            return _with(verdict, CopyCause.LOADER, said), progress_in(text)
        return self._late(verdict), progress_in(text)

    def _log(self, pod: Pod) -> str:
        if not self.may_read:
            return ""
        self.reads += 1
        try:
            return self.kube.read_log(pod.metadata.namespace, pod.metadata.name, pod.container, lines=LOG_LINES)
        except KubeError as error:
            if error.is_of_the_cluster:
                raise
            return ""  # the container is just starting, or its log is gone: the copy goes on without figures

    def _late(self, verdict: Verdict) -> Verdict:
        allowed = self.row.allowed
        if verdict.message or verdict.state != self.row.state or allowed is None:
            return verdict
        if timezone.now() < self.row.state_since + allowed:
            return verdict
        return _with(verdict, CopyCause.DEADLINE, _(
            "This takes longer than expected. Look at the loader's pod and the volume claim in namespace %(namespace)s.") % {
                "namespace": self.row.namespace})

    # Away.

    def _remove(self) -> None:
        """Ask for the end of all that is there; the row goes when nothing is left."""
        row = self.row
        for kind, name in self._leftovers():
            self.kube.delete(kind, row.namespace, name)
        if self.seen.is_empty:
            forget(row)
        else:
            write(row, Verdict(CopyState.REMOVING, claim=row.claim, loaded_round=row.loaded_round))

    def _leftovers(self) -> list[tuple[Kind, str]]:
        """What still has to be asked to go. Secrets, accounts and policies are not listed: they are asked by their names."""
        seen, row = self.seen, self.row
        listed = [(DATASET, seen.dataset), *((JOB, job) for job in seen.jobs)]
        claim = [(PVC, seen.claim)] if row.method == CopyMethod.JOB else []  # a Dataset takes its own along
        left = [(kind, each.metadata.name) for kind, each in (*listed, *claim)
                if each is not None and each.metadata.deletion_timestamp is None]
        return left + [(kind, name) for kind, name in _unlisted(row) if self._is_ours(kind, name)]

    def _is_ours(self, kind: Kind, name: str) -> bool:
        found = self.kube.get(kind, self.row.namespace, name)
        return found is not None and msgspec.convert(found["metadata"], Meta).copy == str(self.row.uid)

    # Refusals.

    def _failed(self, error: KubeError) -> None:
        """Of the cluster: say nothing of the copy. Of the copy: keep the cluster's own words."""
        row = self.row
        if error.problem in (Problem.NOT_FOUND, Problem.ENDING):
            forget_shared_namespace(row.cluster)
            if row.workspace is not None:
                forget_namespace(row.cluster, row.workspace)
        if error.is_of_the_cluster or error.problem in (Problem.NOT_FOUND, Problem.ENDING):
            look_later(row)
        else:
            self._refused(_CAUSES.get(error.problem, CopyCause.ERROR), error.message)

    def _refused(self, cause: CopyCause, message: str) -> None:
        row = self.row
        state = CopyState.REMOVING if row.state == CopyState.REMOVING else CopyState.FAILED
        write(row, Verdict(state, cause, message, row.claim, row.loaded_round), refused=True)


def _with(verdict: Verdict, cause: CopyCause, message: str) -> Verdict:
    return Verdict(verdict.state, cause, message, verdict.claim, verdict.loaded_round)


def _unlisted(row: ModelCopy) -> list[tuple[Kind, str]]:
    if row.method == CopyMethod.REFERENCE:
        return []
    own = [(SERVICE_ACCOUNT, row.name), (NETWORK_POLICY, row.name), (SECRET, pull_secret_name(row.name))]
    return [(SECRET, secret_name(row.name)), *(own if row.method == CopyMethod.JOB else ())]
