"""What the page's script says: whole sentences, so that each can be translated. {names} are filled in by the script."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .kinds import Kind
from .offers import Offers


def title_of(kind: Kind, found: Offers) -> str:
    """What the page says first: whether there is anybody to talk to."""
    ready = found.ready
    if len(ready) == 1:
        return _("%(model)s answers now") % {"model": ready[0].name}
    if ready:
        return ngettext("%(count)d model answers now", "%(count)d models answer now", len(ready)) % {"count": len(ready)}
    return {
        "chat": _("No chat model answers yet"), "embeddings": _("No embedding model answers yet"),
        "rerank": _("No rerank model answers yet"), "score": _("No model for scores answers yet"),
    }[kind.name]


def words() -> dict[str, str]:
    return {**_states(), **_refusals(), **_limits(), **_doings()}


def _states() -> dict[str, str]:
    return {
        "idle": _("Ready"), "waiting": _("Waiting for the first token"), "writing": _("Writing"), "done": _("Done"),
        "stopped": _("Stopped"), "refused": _("Refused"), "cut": _("Cut off"),
        "told_done": _("{model} is done: {tokens} tokens in {seconds}."),
        "told_stopped": _("{model} was stopped."), "told_refused": _("{model} did not answer: {reason}"),
        "too_long": _("It stopped at the longest answer that you allowed, {tokens} tokens."),
        "thinking": _("What it thought first"), "no_images": _("This model takes no images; it got the text only."),
        "by": _("{model}: {tokens} tokens in {seconds}"),
        "route": _("{name} (route)"), "not_ready": _("{name}: {state}"),
        "out_in": _("out, {tokens} in"), "about_out": _("out so far"), "most": _("{money} at most"),
        "no_price": _("no price"),
    }


def _refusals() -> dict[str, str]:
    return {
        "signed_out": _("You are signed out. Sign in again, then send once more."), "sign_in": _("Sign in"),
        "load": _("Load the page again"), "key_refused": _("The portal gave this page no key. Load the page again."),
        "wrong_key": _("The gateway does not take this page's key. Send again to get a new one."),
        "no_right": _("Your role does not allow you to call models here. Ask an owner of the workspace for more."),
        "model_gone": _("There is no model “{model}” any more. Choose another one."),
        "model_waits": _("“{model}” is not ready: its endpoint does not answer yet, or no longer."),
        "away": _("The portal is busy or restarting. Send again in a moment."),
        "network": _("The portal can't be reached. Look at your connection, then send again."),
        "engine_gone": _("The model's engine did not answer. Its endpoint says more; or send again."),
        "was_cut": _("The answer was cut off: the model's engine stopped in the middle. What came is kept. Send again for a "
                     "whole one."),
        "too_big": _("This is too much for one call: 4 MiB at most. Leave out an image or clear the talk."),
        "engine_refused": _("The model's engine refused: {reason}"),
        "failed": _("The call failed with status {status}: {reason}"),
        "try_again": _("Try again"), "look": _("Look at the endpoints"), "see_limits": _("Look at the limits"),
        "reference": _("Request {id}"),
    }


def _limits() -> dict[str, str]:
    """Whose limit, how much of what, and when again."""
    return {
        "limit_workspace": _("The limit of the workspace is reached."), "limit_member": _("Your own limit is reached."),
        "limit_key": _("The limit of this page's key is reached."), "limit_model": _("The limit of this model is reached."),
        "limit_other": _("The engine takes no more calls now."),
        "of_requests_per_minute": _("{used} of {limit} requests a minute are used."),
        "of_tokens_per_minute": _("{used} of {limit} tokens a minute are used."),
        "of_concurrent_requests": _("{used} of {limit} requests at a time are running."),
        "of_tokens_per_month": _("{used} of {limit} tokens a month are used."),
        "of_money_per_month": _("{used} of {limit} in money a month are used."),
        "again_at": _("It takes calls again at {time}."), "again_on": _("It takes calls again on {time}."),
    }


def _doings() -> dict[str, str]:
    return {
        "remove_model": _("Remove {model}"), "copy": _("Copy"), "copied": _("Copied"), "undo": _("Undo"),
        "cleared": _("The talk is cleared."), "copied_all": _("The talk is copied."),
        "your_message": _("Your message"), "to_one": _("Your message to {model}"), "to_all": _("Your message to all models"),
        "remove_image": _("Remove image {number}"), "bad_image": _("“{name}” is no image that the browser can read."),
        "most_images": _("Four images at most go with one message."), "ends_at": _("ends {time}"),
        "find_none": _("No model has this in its name."),
        "choose_model": _("Choose a model that answers."), "few_texts": _("Write two to ten texts, each in a line of its own."),
        "no_documents": _("Write a query, and at least one document, each in a line of its own."),
        "many_documents": _("Fifty documents at most."), "closest": _("Closest: {first} and {second}, {value}."),
        "best": _("Best: document {number}, {score}."), "strange": _("The model's answer has another form than expected."),
        "text": _("Text"), "document_number": _("Document {number}"),
    }
