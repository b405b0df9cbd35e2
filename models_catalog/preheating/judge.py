"""What a look at a copy means. Pure: facts.md 5.4 says what a Dataset's phases mean, and when they say nothing."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from models_catalog.states import CopyCause, CopyState

from .seen import Dataset, Seen
from .view import CopyView


@dataclass(frozen=True)
class Verdict:
    """`loaded_round` is the last round that is known to lie in the claim."""

    state: CopyState
    cause: CopyCause = CopyCause.NONE
    message: str = ""
    claim: str = ""
    loaded_round: int = 0


def judge(copy: CopyView, seen: Seen) -> Verdict:
    """Of a copy that is to be there; one that is to go is gone when nothing of it is seen."""
    return _dataset(copy, seen) if copy.uses_dataset else _job(copy, seen)


def _dataset(copy: CopyView, seen: Seen) -> Verdict:
    found = seen.dataset
    if found is None:
        return Verdict(CopyState.PENDING, loaded_round=0)
    status = found.status
    if found.spec.data_sync_round < copy.round:
        return Verdict(CopyState.PENDING, claim=status.pvc_name, loaded_round=copy.loaded_round)
    if status.phase == "READY" and status.last_succeed_round in (None, copy.round):
        return _with_claim(copy, seen, status.pvc_name)
    why = _why_failed(copy, found)
    if why:
        return Verdict(CopyState.FAILED, CopyCause.LOADER if _ended(copy, found) else CopyCause.DATASET, why,
                       status.pvc_name, copy.loaded_round)
    return Verdict(CopyState.LOADING, claim=status.pvc_name, loaded_round=copy.loaded_round)


def _ended(copy: CopyView, found: Dataset) -> bool:
    """Whether this round's loader is through without success; there is no end time where it failed."""
    rounds = [each for each in found.status.sync_round_statuses or () if each.round == copy.round]
    return bool(rounds) and not found.status.in_processing and not rounds[-1].succeed


def _why_failed(copy: CopyView, found: Dataset) -> str:
    """A new Dataset reads FAILED before its first round, which is no failure: a round must have ended, or a step failed."""
    if found.status.phase != "FAILED" or found.status.in_processing:
        return ""
    refused = next((each for each in found.status.conditions or () if each.status == "False"), None)
    if _ended(copy, found):
        said = refused.message if refused else ""
        return _("The loader of round %(round)d failed. %(why)s") % {"round": copy.round, "why": said}
    if refused is not None:
        return _("The Dataset controller could not do its step “%(step)s”: %(why)s") % {
            "step": refused.type, "why": refused.message or refused.reason}
    return ""


def _with_claim(copy: CopyView, seen: Seen, name: str) -> Verdict:
    """A copy can be mounted only where its claim is in the same namespace. A Dataset may point at a claim that is not ours."""
    if not name:
        return Verdict(CopyState.LOADING, CopyCause.VOLUME, _("The Dataset is ready but names no volume claim yet."))
    if seen.claim is None and name == copy.name:
        return Verdict(CopyState.LOADING, CopyCause.VOLUME, _("The volume claim %(name)s is not there yet.") % {"name": name},
                       name)
    if seen.claim is not None and seen.claim.status.phase == "Lost":
        return _gone(name)
    return Verdict(CopyState.READY, claim=name, loaded_round=copy.round)


def _gone(name: str) -> Verdict:
    return Verdict(CopyState.FAILED, CopyCause.GONE, _(
        "The volume of claim %(name)s is gone, and what was loaded with it: retry to load it again.") % {"name": name}, name)


def _job(copy: CopyView, seen: Seen) -> Verdict:
    job, claim = seen.job(copy.job_name), seen.claim
    if copy.loaded_round == copy.round and (claim is None or claim.status.phase == "Lost"):
        return _gone(copy.name)
    if copy.loaded_round == copy.round or (job is not None and job.is_("Complete")):
        return Verdict(CopyState.READY, claim=copy.name, loaded_round=copy.round)
    if job is not None and job.is_("Failed"):
        return Verdict(CopyState.FAILED, CopyCause.LOADER, _("The loader failed in all its tries."), copy.name,
                       copy.loaded_round)
    if claim is None or job is None:
        return Verdict(CopyState.PENDING, loaded_round=copy.loaded_round)
    if claim.status.phase == "Pending":
        return Verdict(CopyState.LOADING, CopyCause.VOLUME, _("The volume claim %(name)s has no volume yet.") % {
            "name": copy.name}, copy.name, copy.loaded_round)
    return Verdict(CopyState.LOADING, claim=copy.name, loaded_round=copy.loaded_round)


