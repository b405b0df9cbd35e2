"""How to call an endpoint, in the words of four kinds of programs; and a new key for it, shown this once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.http import HttpResponse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST

from endpoints.models import Endpoint
from models_catalog.choices import Task
from portal.tenancy import services as tenancy
from portal.tenancy.errors import Conflict, Invalid
from portal.tenancy.roles import Scope, Verb

from ..lists.forms import OnceForm, make_once
from ..visit import Visit, page
from .rows import row_of

LANGUAGES: dict[str, str | Promise] = {
    "curl": "curl", "python": "Python", "javascript": "JavaScript", "langchain": "LangChain",
}
SECRET = "PORTAL_API_KEY"  # noqa: S105  The name of a variable.
QUESTION, PASSAGES = "Say hello.", ["A man is eating food.", "The sky is blue."]


@dataclass(frozen=True)
class Call:
    """What a call looks like: `path` under the portal's address, and the body's fields beside the model."""

    path: str
    body: dict[str, Any]


CHAT = Call("/chat/completions", {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": 40})
CALLS: dict[str, Call] = {
    Task.EMBEDDING: Call("/embeddings", {"input": PASSAGES}),
    Task.RERANK: Call("/rerank", {"query": "food", "documents": PASSAGES}),
}


def base_url() -> str:
    return f"{settings.PORTAL_URL}/v1"


def task_of(row: Endpoint) -> str:
    return str(row.wanted.spec.get("task") or Task.CHAT) if row.wanted else str(Task.CHAT)


def snippet(row: Endpoint, language: str, key: str = "") -> str:
    """A program that works as it stands. Without `key` it takes the key from the environment. Pure."""
    make = {"python": _python, "javascript": _javascript, "langchain": _langchain}.get(language, _curl)
    return make(row.public_name, task_of(row), key)


def _curl(model: str, task: str, key: str) -> str:
    call = CALLS.get(task, CHAT)
    body = json.dumps({"model": model, **call.body}, ensure_ascii=False)
    return (f"curl {base_url()}{call.path} \\\n  -H \"Authorization: Bearer {key or f'${SECRET}'}\" \\\n"
            f"  -H \"Content-Type: application/json\" \\\n  -d '{body}'")


def _python(model: str, task: str, key: str) -> str:
    if task == Task.RERANK:
        return _python_plain(model, key)
    head = ("import os\n\n" if not key else "") + "from openai import OpenAI\n\n"
    client = f"client = OpenAI(\n    base_url={_text(base_url())},\n    api_key={_python_key(key)},\n)\n"
    if task == Task.EMBEDDING:
        return (f"{head}{client}answer = client.embeddings.create(\n    model={_text(model)},\n"
                f"    input={_text(PASSAGES)},\n)\n"
                "print(len(answer.data), \"vectors of\", len(answer.data[0].embedding))")
    return (f"{head}{client}answer = client.chat.completions.create(\n    model={_text(model)},\n"
            f"    messages=[{{\"role\": \"user\", \"content\": {_text(QUESTION)}}}],\n    stream=True,\n)\n"
            "for chunk in answer:\n    if chunk.choices:\n"
            "        print(chunk.choices[0].delta.content or \"\", end=\"\", flush=True)")


def _python_plain(model: str, key: str) -> str:
    call = CALLS[Task.RERANK]
    return ("import json\n" + ("import os\n" if not key else "") + "import urllib.request\n\n"
            f"request = urllib.request.Request(\n    {_text(base_url() + call.path)},\n"
            f"    json.dumps({_text({'model': model, **call.body})}).encode(),\n"
            f"    {{\"Authorization\": \"Bearer \" + {_python_key(key)}, \"Content-Type\": \"application/json\"}},\n)\n"
            "with urllib.request.urlopen(request) as answer:\n    print(json.load(answer)[\"results\"])")


def _javascript(model: str, task: str, key: str) -> str:
    if task == Task.RERANK:
        call = CALLS[Task.RERANK]
        return (f"const answer = await fetch({_text(base_url() + call.path)}, {{\n  method: \"POST\",\n"
                f"  headers: {{ Authorization: `Bearer ${{{_script_key(key)}}}`, \"Content-Type\": \"application/json\" }},\n"
                f"  body: JSON.stringify({_text({'model': model, **call.body})}),\n}});\n"
                "console.log((await answer.json()).results);")
    client = (f"import OpenAI from \"openai\";\n\nconst client = new OpenAI({{\n  baseURL: {_text(base_url())},\n"
              f"  apiKey: {_script_key(key)},\n}});\n")
    if task == Task.EMBEDDING:
        return (f"{client}const answer = await client.embeddings.create({{\n  model: {_text(model)},\n"
                f"  input: {_text(PASSAGES)},\n}});\nconsole.log(answer.data.length);")
    return (f"{client}const answer = await client.chat.completions.create({{\n  model: {_text(model)},\n"
            f"  messages: [{{ role: \"user\", content: {_text(QUESTION)} }}],\n  stream: true,\n}});\n"
            "for await (const chunk of answer) {\n  process.stdout.write(chunk.choices[0]?.delta?.content ?? \"\");\n}")


def _langchain(model: str, task: str, key: str) -> str:
    if task == Task.RERANK:
        return _python_plain(model, key)
    head = "import os\n\n" if not key else ""
    common = f"    base_url={_text(base_url())},\n    api_key={_python_key(key)},\n    model={_text(model)},\n"
    if task == Task.EMBEDDING:
        return (f"{head}from langchain_openai import OpenAIEmbeddings\n\nembeddings = OpenAIEmbeddings(\n{common}"
                f"    check_embedding_ctx_length=False,\n)\nprint(len(embeddings.embed_query({_text(PASSAGES[0])})))")
    return (f"{head}from langchain_openai import ChatOpenAI\n\nchat = ChatOpenAI(\n{common})\n"
            f"for chunk in chat.stream({_text(QUESTION)}):\n    print(chunk.content, end=\"\", flush=True)")


def _text(value: Any) -> str:
    """As Python and JavaScript both write it."""
    return json.dumps(value, ensure_ascii=False)


def _python_key(key: str) -> str:
    return _text(key) if key else f'os.environ["{SECRET}"]'


def _script_key(key: str) -> str:
    return _text(key) if key else f"process.env.{SECRET}"


def call_context(visit: Visit, row: Endpoint, *, key: str = "") -> dict[str, Any]:
    asked = visit.request.POST.get("call") or visit.request.GET.get("call", "")
    language = asked if asked in LANGUAGES else "python"
    return {"row": row, "programs": LANGUAGES, "language": language, "code": snippet(row, language, key), "new_key": key,
            "variable": SECRET, "once": str(uuid4()), "may_make_key": visit.may(Verb.USE)}


@require_POST
@sensitive_variables("text")
@page
def new_key(visit: Visit, uid: UUID) -> HttpResponse:
    """A key that calls this endpoint and nothing else, filled into the code; the answer is the only place where it is."""
    row = row_of(visit, uid)
    visit.actor.require(Verb.USE, row.workspace)
    form, made = OnceForm(visit.request.POST), [""]
    if not form.is_valid():
        raise Invalid(str(form.errors["once"][0]), field="once")

    def make() -> str:
        key, made[0] = tenancy.create_key(
            visit.actor, row.workspace, name=_("%(name)s, from its page") % {"name": row.name}, scopes=[Scope.INFERENCE],
            model_names=[row.public_name])
        return str(key.uid)

    _uid, is_new = make_once(visit, form, make)
    if not is_new:
        raise Conflict(_("This page has made its key already, and it was shown then. Load the page again to make another."))
    template = "web/endpoints/call.html" if visit.is_partial else "web/endpoints/call_page.html"
    response = visit.render(template, area="endpoints", **call_context(visit, row, key=made[0]))
    response["Referrer-Policy"] = "no-referrer"
    return response
