"""Kubeconfigs that people paste: honest ones, and every trick of threats T11-T16."""

from __future__ import annotations

import json
import time
import tracemalloc
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from clusters.credential import Credential, checked, expiry_of
from clusters.kubeconfig import MOST_BYTES, read_kubeconfig
from portal.tenancy.errors import Invalid, PortalError, TooLarge
from tests.clusters.pems import NOW, b64, jwt, pair

SERVER = "https://10.0.0.1:6443"
CA = pair()[0]
TOKEN = "0123456789.abcdef"


def config(user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None, **top: Any) -> dict[str, Any]:
    """A plain kubeconfig with a token; a value of None in `top` takes the key away."""
    whole = {
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "k", "cluster": {"server": SERVER, "certificate-authority-data": b64(CA), **(cluster or {})}}],
        "users": [{"name": "u", "user": {"token": TOKEN} if user is None else user}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "x"}}], **top}
    return {key: value for key, value in whole.items() if value is not None}


def text_of(value: Any) -> str:
    return yaml.safe_dump(value)


def refusal(text: str | bytes) -> PortalError:
    with pytest.raises(PortalError) as refused:
        read_kubeconfig(text)
    assert refused.value.field == "kubeconfig"
    return refused.value


def test_address_ca_and_token_are_taken() -> None:
    assert read_kubeconfig(text_of(config())) == (Credential(SERVER, CA, TOKEN), [])


def test_json_a_byte_order_mark_and_ignored_keys_do_not_matter() -> None:
    extended = config(cluster={"extensions": [{"name": "x"}], "disable-compression": True, "insecure-skip-tls-verify": False},
                      preferences={"colors": True}, extensions=[])
    expected = read_kubeconfig(text_of(config()))
    assert read_kubeconfig(json.dumps(extended)) == expected
    assert read_kubeconfig(b"\xef\xbb\xbf" + text_of(extended).encode()) == expected


def test_a_client_certificate_with_its_key_is_taken() -> None:
    certificate, key = pair()
    user = {"client-certificate-data": b64(certificate), "client-key-data": b64(key)}
    found, warnings = read_kubeconfig(text_of(config(user)))
    assert (found.client_certificate, found.client_key, found.token, warnings) == (certificate, key, "", [])


def test_the_only_context_needs_no_name_and_among_many_the_current_one_is_read() -> None:
    assert read_kubeconfig(text_of(config(**{"current-context": None})))[0].token == TOKEN
    others = config()
    others["users"].insert(0, {"name": "v", "user": {"exec": {"command": "touch"}}})
    others["contexts"].insert(0, {"name": "d", "context": {"cluster": "k", "user": "v"}})
    assert read_kubeconfig(text_of(others))[0].token == TOKEN
    others["current-context"] = "d"
    assert "users[0].user.exec is not allowed" in refusal(text_of(others)).message


def test_a_secret_is_in_no_repr() -> None:
    found, _warnings = read_kubeconfig(text_of(config()))
    assert TOKEN not in repr(found)
    assert "PRIVATE" not in repr(Credential(SERVER, client_key=pair()[1]))


PASTE = "paste a token or a client certificate"
USERS = {
    "exec": ({"command": "aws", "args": ["eks"]}, PASTE), "auth-provider": ({"config": {"cmd-path": "gcloud"}}, PASTE),
    "username": ("admin", PASTE), "password": ("secret", PASTE), "as": ("system:admin", PASTE), "as-uid": ("1", PASTE),
    "as-groups": (["system:masters"], PASTE), "as-user-extra": ({"a": ["b"]}, PASTE), "tokenFile": ("/t", "inline"),
    "client-certificate": ("/etc/passwd", "inline"), "client-key": ("/etc/shadow", "inline"),
    "impersonate": ("x", "does not know"), "cmd": ("x", "does not know"), "EXEC": ("x", "does not know"),
}
CLUSTERS = {
    "certificate-authority": ("/etc/passwd", "inline"), "proxy-url": ("http://10.9.9.9", "directly"),
    "tls-server-name": ("evil", "directly"), "insecure-skip-tls-verify": (True, "directly"), "unix-socket": ("/s", "not know"),
}


@pytest.mark.parametrize("key", USERS)
def test_each_key_of_a_user_that_is_not_allowed_is_named(key: str) -> None:
    value, why = USERS[key]
    error = refusal(text_of(config({"token": TOKEN, key: value})))
    assert f"users[0].user.{key} is not allowed; " in error.message
    assert why in error.message
    assert error.status == 422


@pytest.mark.parametrize("key", CLUSTERS)
def test_each_key_of_a_cluster_that_is_not_allowed_is_named(key: str) -> None:
    value, why = CLUSTERS[key]
    error = refusal(text_of(config(cluster={key: value})))
    assert f"clusters[0].cluster.{key} is not allowed; " in error.message
    assert why in error.message


def test_all_keys_that_are_not_allowed_are_named_at_once() -> None:
    said = refusal(text_of(config({"exec": {}, "password": "x"}))).message
    assert "users[0].user.exec" in said
    assert "users[0].user.password" in said


def test_a_command_of_a_kubeconfig_never_runs_and_its_files_are_never_read(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "touch", "args": [str(marker)]}}
    refusal(text_of(config(user)))
    assert not marker.exists()


SERVERS = ["http://10.0.0.1:6443", "https://169.254.169.254", "https://10.0.0.1:22", "https://u@10.0.0.1", "10.0.0.1", "",
           "https://10.0.0.1/?x", "https://[::ffff:10.0.0.1]"]


@pytest.mark.parametrize("server", SERVERS)
def test_an_address_that_is_not_allowed_is_refused(server: str) -> None:
    assert refusal(text_of(config(cluster={"server": server}))).message == "clusters[0].cluster.server: address not allowed"


SHAPES = {
    "empty": ("", "no kubeconfig"), "list": ("[]", "no kubeconfig"), "word": ("hello", "no kubeconfig"),
    "other kind": ("kind: Pod", "no kubeconfig"), "no clusters": (text_of(config(clusters=None)), "clusters is not a list"),
    "users is a map": (text_of(config(users={"u": 1})), "users is not a list"),
    "a user is a word": (text_of(config(users=["u"])), "users is not a list"),
    "contexts is null": ("current-context: c\ncontexts:\nclusters: []\nusers: []", "contexts is not a list"),
    "unknown context": (text_of(config(**{"current-context": "d"})), "not exactly one context “d”"),
    "no contexts": (text_of(config(contexts=[], **{"current-context": ""})), "the file has 0"),
    "two contexts": (text_of(config(contexts=[{"name": "a"}, {"name": "b"}], **{"current-context": None})), "the file has 2"),
    "user twice": (text_of(config(users=[{"name": "u", "user": {"token": token}} for token in "ab"])), "user “u”"),
    "context without user": (text_of(config(contexts=[{"name": "c", "context": {"cluster": "k"}}])), "names no user"),
    "unknown cluster": (text_of(config(contexts=[{"name": "c", "context": {"cluster": "q", "user": "u"}}])), "cluster “q”"),
    "user is null": (text_of(config(users=[{"name": "u", "user": None}])), "user “u”"),
    "nothing to show": (text_of(config({})), "users[0].user.token: Give a token"),
    "token is a number": (text_of(config({"token": 5})), "users[0].user.token is not text"),
    "token is a list": (text_of(config({"token": ["x"]})), "users[0].user.token is not text"),
    "aliases": ("a: &a [x]\nb: *a", "YAML aliases are not allowed"), "tags": ("a: !!python/object:os.x y", "YAML tags"),
    "twice": ("kind: Config\nkind: Config", "stands twice"), "not YAML": ("a: [", "not YAML"),
    "two documents": (text_of(config()) + "---\na: b", "Only one YAML"), "control": ("a: \x07", "not YAML"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_file_of_another_shape_is_refused_with_the_reason(name: str) -> None:
    text, why = SHAPES[name]
    with pytest.raises(Invalid) as refused:
        read_kubeconfig(text)
    assert why in refused.value.message


@pytest.mark.parametrize("raw", ["kind: Config".encode("utf-16"), b"\x89PNG\r\n\x1a\n\x00", b"\xff\xfe", "k: \udc80"])
def test_what_is_not_utf8_is_refused(raw: str | bytes) -> None:
    assert refusal(raw).message == "This is not UTF-8 text."


def test_a_file_over_the_limit_is_too_large() -> None:
    with pytest.raises(TooLarge) as refused:
        read_kubeconfig("x" * (MOST_BYTES + 1))
    assert (refused.value.status, refused.value.field) == (413, "kubeconfig")
    assert isinstance(refusal("ü" * (MOST_BYTES // 2 + 1)), TooLarge)


def test_thousands_of_contexts_are_read_quickly_in_little_memory() -> None:
    many = config(contexts=[{"name": f"c{n}", "context": {"cluster": "k", "user": "u"}} for n in range(4500)])
    text = text_of({**many, "current-context": "c4499"})
    assert len(text) > MOST_BYTES * 0.7
    began = time.process_time()
    read_kubeconfig(text)
    assert time.process_time() - began < 2.0
    tracemalloc.start()
    read_kubeconfig(text)
    assert tracemalloc.get_traced_memory()[1] < 20 * 1024**2
    tracemalloc.stop()


OLD, NEW, LOCKED = pair(begins=-9, ends=-1), pair(begins=2), pair(passphrase="x")
GOOD, OTHER = pair(), pair(ends=300)
CREDENTIALS = [
    (Credential(SERVER), "token", "Give a token, or a client certificate"),
    (Credential(SERVER, token="a", client_certificate=GOOD[0]), "token", "not both"),
    (Credential(SERVER, token="a b"), "token", "no token"),
    (Credential(SERVER, token="ä"), "token", "no token"),
    (Credential(SERVER, token="a\nb"), "token", "no token"),
    (Credential(SERVER, token="a" * 20_000), "token", "no token"),
    (Credential(SERVER, token=b64(jwt(sub="x"))), "token", "still in base64"),
    (Credential(SERVER, token=jwt(exp=NOW.timestamp() - 5)), "token", "This token expired on"),
    (Credential(SERVER, "no pem", "t"), "ca", "no certificate in PEM form"),
    (Credential(SERVER, CA[:200], "t"), "ca", "no certificate in PEM form"),
    (Credential(SERVER, CA * 400, "t"), "ca", "no certificate in PEM form"),
    (Credential(SERVER, GOOD[1], "t"), "ca", "holds a private key"),
    (Credential(SERVER, OLD[0], "t"), "ca", "CA certificate has expired"),
    (Credential(SERVER, client_certificate=GOOD[0]), "client_key", "Give the key"),
    (Credential(SERVER, client_key=GOOD[1]), "client_certificate", "no certificate in PEM form"),
    (Credential(SERVER, client_certificate=GOOD[0], client_key="x"), "client_key", "no private key in PEM form"),
    (Credential(SERVER, client_certificate=GOOD[0], client_key=GOOD[0]), "client_key", "no private key in PEM form"),
    (Credential(SERVER, client_certificate=GOOD[0], client_key=OTHER[1]), "client_key", "does not belong to"),
    (Credential(SERVER, client_certificate=LOCKED[0], client_key=LOCKED[1]), "client_key", "passphrase"),
    (Credential(SERVER, client_certificate=OLD[0], client_key=OLD[1]), "client_certificate", "expired on"),
    (Credential(SERVER, client_certificate=NEW[0], client_key=NEW[1]), "client_certificate", "valid only from"),
    (Credential(SERVER, client_certificate=GOOD[0] + GOOD[1], client_key=GOOD[1]), "client_certificate", "a private key"),
    (Credential("http://10.0.0.1", token="t"), "server", "address not allowed"),
]


@pytest.mark.parametrize(("given", "field", "why"), CREDENTIALS, ids=[f"{field}: {why}" for _, field, why in CREDENTIALS])
def test_a_bad_credential_is_refused_at_its_field(given: Credential, field: str, why: str) -> None:
    with pytest.raises(Invalid) as refused:
        checked(given, NOW)
    assert refused.value.field == field
    assert why in refused.value.message


def test_the_path_of_a_bad_value_is_named() -> None:
    user = {"client-certificate-data": b64(GOOD[0]), "client-key-data": b64(OTHER[1])}
    assert refusal(text_of(config(user))).message.startswith("users[0].user.client-key-data: This key does not belong")
    assert refusal(text_of(config({"client-certificate-data": "%%%"}))).message == (
        "users[0].user.client-certificate-data is not a PEM text in base64.")
    assert "certificate-authority-data" in refusal(text_of(config(cluster={"certificate-authority-data": b64("x")}))).message


@pytest.mark.parametrize(("given", "warns"), [
    (Credential(SERVER, token=jwt(exp=(NOW + timedelta(hours=1)).timestamp())), "This token expires on"),
    (Credential(SERVER, token=jwt(exp=(NOW + timedelta(days=90)).timestamp())), ""),
    (Credential(SERVER, token=jwt(sub="system:serviceaccount:a:b")), ""), (Credential(SERVER, token="opaque"), ""),
    (Credential(SERVER, client_certificate=pair(ends=3)[0], client_key=pair(ends=3)[1]), "The client certificate expires on"),
])
def test_a_credential_that_ends_soon_is_taken_with_a_warning(given: Credential, warns: str) -> None:
    _found, warnings = checked(given, NOW)
    assert [warns in warning for warning in warnings] == ([True] if warns else [])


@pytest.mark.parametrize("token", ["a.b.c", f"a.{b64('[]')}.c", f"a.{b64('{}')}.c", jwt(exp="soon"), jwt(exp=10**30),
                                   jwt(exp=None), "a.%%%.c", f"a.{b64('[' * 9000)}.c"])
def test_a_token_that_says_no_date_is_not_read_further(token: str) -> None:
    assert expiry_of(token) is None


def test_pem_texts_get_one_spelling() -> None:
    found, _warnings = checked(Credential(f" {SERVER}/ ", f"\r\n  {CA.strip()}\r\n\r\n".replace("\n", "\r\n"), f" {TOKEN}\n"))
    assert found == Credential(SERVER, CA, TOKEN)
