"""The corpus: what is sent on one connection, which answers come, whether it is closed, how many calls reach the engine."""

from __future__ import annotations

from dataclasses import dataclass, replace

KEY = b"@" * 63  # a good key takes its place, and is as long
BODY = b'{"model":"m","messages":[]}'
LINE = b"POST /v1/chat/completions HTTP/1.1"
MAYBE = -1
ANY = frozenset({400, 431})  # which of the two says that a head is no head depends on who finds out first


@dataclass(frozen=True)
class Case:
    """`answers` are the statuses in order; 0 stands for the end of the connection without an answer."""

    sent: bytes
    answers: tuple[int | frozenset[int], ...]
    calls: int = 0  # MAYBE where the answer does not wait for the engine's
    closes: bool = True
    ends: bool = False  # whether the caller closes its side after sending
    shapes: frozenset[str] = frozenset({"protocol", "application"})


def head(extra: bytes = b"", line: bytes = LINE, key: bytes = KEY) -> bytes:
    return (line + b"\r\nhost: x\r\nauthorization: Bearer " + key + b"\r\ncontent-type: application/json\r\n" + extra
            + b"\r\n")


def length(body: bytes) -> bytes:
    return b"content-length: %d\r\n" % len(body)


def post(body: bytes = BODY, extra: bytes = b"", line: bytes = LINE, key: bytes = KEY) -> bytes:
    return head(length(body) + extra, line, key) + body


def chunks(body: bytes, extra: bytes = b"") -> bytes:
    """A request whose body is written as it is given here, sizes and all."""
    return head(b"transfer-encoding: chunked\r\n" + extra) + body


GOOD = post()
CHUNKED = b"transfer-encoding: chunked\r\n"
CHUNK = b"%x\r\n%b\r\n" % (len(BODY), BODY)
LAST = b"0\r\n\r\n"
TAIL = GOOD  # what somebody would like to slip in behind a request


def refused(sent: bytes, *, then: bytes = b"") -> Case:
    """No HTTP: one 400, the connection is closed, and nothing behind it is looked at."""
    return Case(sent + then, (400,))


def answered(sent: bytes) -> Case:
    return Case(sent, (200,), calls=1, closes=False)


def politely(status: int, sent: bytes, *, closes: bool = False) -> Case:
    """Good HTTP with a request that is refused; the connection may go on."""
    return Case(sent, (status,), closes=closes)


LENGTHS = {
    "length and chunks": refused(head(length(BODY) + CHUNKED) + LAST, then=TAIL),
    "chunks and length": refused(head(CHUNKED + length(BODY)) + LAST, then=TAIL),
    "length 0 and chunks": refused(head(b"content-length: 0\r\n" + CHUNKED) + CHUNK + LAST),
    "two lengths": refused(head(length(BODY) + b"content-length: 3\r\n") + BODY),
    "two equal lengths": refused(head(length(BODY) * 2) + BODY),
    "a list of lengths": refused(head(b"content-length: 27, 27\r\n") + BODY),
    "a signed length": refused(head(b"content-length: +27\r\n") + BODY),
    "a negative length": refused(head(b"content-length: -1\r\n") + BODY),
    "a length in hex": refused(head(b"content-length: 0x1b\r\n") + BODY),
    "a length with a space inside": refused(head(b"content-length: 2 7\r\n") + BODY),
    "a length beyond 64 bits": refused(head(b"content-length: 18446744073709551643\r\n") + BODY),
    "an empty length": refused(head(b"content-length:\r\n") + BODY),
    "an unknown coding": refused(head(b"transfer-encoding: xchunked\r\n") + BODY),
    "chunked not last": refused(head(b"transfer-encoding: chunked, identity\r\n") + CHUNK + LAST),
    "identity": refused(head(b"transfer-encoding: identity\r\n") + BODY),
    "chunked behind a vertical tab": refused(head(b"transfer-encoding: \x0bchunked\r\n") + CHUNK + LAST),
    "chunks in HTTP/1.0": Case(head(CHUNKED, LINE.replace(b"1.1", b"1.0")) + CHUNK + LAST + TAIL, (200,), calls=1),
}

HEADERS = {
    "a folded header": refused(head(length(BODY) + b"x-a: b\r\n c\r\n") + BODY),
    "a folded length": refused(head(b"content-length:\r\n 27\r\n") + BODY),
    "a fold before the first header": refused(LINE + b"\r\n host: x\r\n\r\n", then=TAIL),
    "a space before the colon": refused(head(b"content-length : 27\r\n") + BODY),
    "a space in a name": refused(head(length(BODY) + b"x a: b\r\n") + BODY),
    "a bracket in a name": refused(head(length(BODY) + b"x(a): b\r\n") + BODY),
    "letters beyond ASCII in a name": refused(head(length(BODY) + "x-ä: b\r\n".encode()) + BODY),
    "no name": refused(head(length(BODY) + b": b\r\n") + BODY),
    "no colon": refused(head(length(BODY) + b"nonsense\r\n") + BODY),
    "a bare line feed": refused(head(length(BODY) + b"x-a: b\nx-c: d\r\n") + BODY),
    "line feeds only": refused(GOOD.replace(b"\r\n", b"\n")),
    "a bare carriage return": refused(head(length(BODY) + b"x-a: b\rx-c: d\r\n") + BODY),
    "a length behind a bare carriage return": refused(head(b"x-a: b\rcontent-length: 27\r\n") + BODY),
    "a NUL in a value": refused(head(length(BODY) + b"x-a: b\x00c\r\n") + BODY),
    "a NUL in a name": refused(head(length(BODY) + b"x-\x00a: c\r\n") + BODY),
    "a control character in a value": refused(head(length(BODY) + b"x-a: \x01\r\n") + BODY),
    "a delete character in a value": refused(head(length(BODY) + b"x-a: \x7f\r\n") + BODY),
    "a long header": Case(head(length(BODY) + b"x-a: " + b"b" * 100_000 + b"\r\n") + BODY, (ANY,)),
    "many headers": Case(head(length(BODY) + b"".join(b"x-%d: a\r\n" % n for n in range(10_000))) + BODY, (ANY,)),
    "a header that never ends": Case(head(b"x-a: " + b"b" * 2_000_000)[:-2], (ANY,), shapes=frozenset({"protocol"})),
    "a key of 50,000 characters": politely(401, post(key=b"k" * 50_000)),
    "two keys": politely(400, post(extra=b"authorization: Bearer other\r\n")),
    "the key once more elsewhere": politely(400, post(extra=b"x-api-key: other\r\n")),
    "our own authorization named as hop-by-hop": answered(post(extra=b"connection: keep-alive, authorization\r\n")),
    "no host": answered(GOOD.replace(b"host: x\r\n", b"")),
}

CHUNKS = {
    "in order": answered(chunks(CHUNK + LAST)),
    "zeros before a size, and capitals": answered(chunks(CHUNK.replace(b"1b", b"0001B") + LAST)),
    "an extension": answered(chunks(CHUNK.replace(b"1b", b"1b;a=b") + LAST)),
    "a field behind the last": answered(chunks(CHUNK + b"0\r\nx-a: b\r\n\r\n")),
    "a length behind the last": refused(chunks(CHUNK + b"0\r\ncontent-length: 5\r\n\r\n"), then=TAIL),
    "a key behind the last": Case(chunks(CHUNK + b"0\r\nauthorization: Bearer " + KEY + b"\r\n\r\n").replace(
        b"authorization: Bearer " + KEY + b"\r\n", b"", 1), (401,), closes=False, shapes=frozenset({"protocol"})),
    "a size of letters": refused(chunks(b"zz\r\n" + BODY + b"\r\n" + LAST)),
    "an empty size": refused(chunks(b"\r\n" + BODY + b"\r\n" + LAST)),
    "a negative size": refused(chunks(b"-1\r\n" + BODY + b"\r\n" + LAST)),
    "a signed size": refused(chunks(CHUNK.replace(b"1b", b"+1b") + LAST)),
    "a size with 0x": refused(chunks(CHUNK.replace(b"1b", b"0x1b") + LAST)),
    "a size beyond 64 bits": refused(chunks(b"fffffffffffffffff\r\n" + BODY)),
    "a space before a size": refused(chunks(b" " + CHUNK + LAST)),
    "a size that is too small": refused(chunks(CHUNK.replace(b"1b", b"1a") + LAST)),
    "a size that is too large": refused(chunks(CHUNK.replace(b"1b", b"1c") + LAST)),
    "a bare line feed behind a size": refused(chunks(CHUNK.replace(b"1b\r\n", b"1b\n") + LAST)),
    "a bare line feed in an extension": refused(chunks(CHUNK.replace(b"1b\r\n", b"1b;a\n\r\n") + LAST)),
    "a NUL in an extension": refused(chunks(CHUNK.replace(b"1b\r\n", b"1b;\x00\r\n") + LAST)),
    "a bare line feed behind the data": refused(chunks(CHUNK[:-2] + b"\n" + LAST)),
}

TARGETS = {
    "an absolute target": answered(post(line=b"POST http://elsewhere/v1/chat/completions HTTP/1.1")),
    "an absolute target, no key": politely(401, post(key=b"x", line=b"POST http://x/v1/chat/completions HTTP/1.1")),
    "a target with a fragment": answered(post(line=LINE.replace(b" HTTP", b"#x HTTP"))),
    "a target with a space": refused(post(line=LINE.replace(b" HTTP", b" x HTTP"))),
    "a target with a NUL": refused(post(line=LINE.replace(b" HTTP", b"\x00 HTTP"))),
    "a target with a line feed": refused(post(line=LINE.replace(b"/chat", b"/\nchat"))),
    "a target without a slash": refused(post(line=LINE.replace(b"/v1", b"v1"))),
    "a tab for a space": refused(post(line=LINE.replace(b" ", b"\t"))),
    "no target": refused(post(line=b"POST HTTP/1.1")),
    "a target of 100,000 characters": Case(post(line=LINE.replace(b" HTTP", b"?" + b"x" * 100_000 + b" HTTP")),
                                           (frozenset({400, 414, 431}),)),
    "a connect": Case(post(b"", line=b"CONNECT elsewhere:443 HTTP/1.1", extra=b""), (frozenset({400, 404, 405}),),
                      closes=True),
    "an unknown method": refused(post(line=LINE.replace(b"POST", b"SMUGGLE"))),
    "a method in small letters": refused(post(line=LINE.replace(b"POST", b"post"))),
    "HTTP/2.0 in words": Case(post(line=LINE.replace(b"1.1", b"2.0")), (200,), calls=1),
    "HTTP/9.9": refused(post(line=LINE.replace(b"1.1", b"9.9"))),
    "HTTP/0.9": Case(b"GET /v1/models\r\n\r\n" + TAIL, (401,)),
    "the preface of HTTP/2": refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "a greeting of TLS": refused(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 500),
    "a greeting of SSH": refused(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "empty lines before": answered(b"\r\n\r\n" + GOOD),
}

BODIES = {
    "deep": politely(400, post(b'{"model":"m","a":' + b"[" * 10_000 + b"]" * 10_000 + b"}")),
    "a key twice": politely(400, post(b'{"model":"m","model":"n"}')),
    "a key twice, once escaped": politely(400, post(b'{"model":"m","\\u006dodel":"n"}')),
    "NaN": politely(400, post(b'{"model":"m","temperature":NaN}')),
    "a huge integer": politely(400, post(b'{"model":"m","seed":' + b"9" * 5000 + b"}")),
    "a lone surrogate": politely(400, post(b'{"model":"m","a":"\\ud800"}')),
    "not UTF-8": politely(400, post(b'{"model":"\xff"}')),
    "two values": politely(400, post(BODY + BODY)),
    "too long": politely(413, head(b"content-length: 5000000\r\n") + b"x", closes=True),
    "long beyond counting": politely(413, head(b"content-length: 9000000000000000000\r\n") + b"x", closes=True),
    "compressed": politely(415, post(extra=b"content-encoding: gzip\r\n")),
    "a text": politely(415, GOOD.replace(b"application/json", b"text/plain")),
    "none": politely(400, head()),
    # It comes before the answer, and ends the call as a hang-up does.
    "garbage behind": Case(GOOD + b"\x00\x01garbage\r\n\r\n", (400,), calls=MAYBE),
    "more than its length says": Case(head(b"content-length: 27\r\n") + BODY + b" ", (400,), calls=MAYBE),
    "a line of spaces behind": Case(GOOD + b"   \r\n\r\n", (400,), calls=MAYBE),
    "less than its length says, then the end": Case(head(b"content-length: 28\r\n") + BODY, (), ends=True),
    "a head cut in the middle": Case(GOOD[:60], (), ends=True),
    "a chunk cut in the middle": Case(chunks(CHUNK[:10]), (), ends=True),
}

SEVERAL = {
    "two requests": Case(GOOD + GOOD, (200, 200), calls=2, closes=False),
    "twenty requests": Case(GOOD * 20, (200,) * 20, calls=20, closes=False),
    "one behind a refused body": Case(post(b"{") + GOOD, (400, 200), calls=1, closes=False),
    "one behind a refused head": refused(head(length(BODY) + b"x-a\r\n") + BODY, then=TAIL),
    "one behind the last": Case(post(extra=b"connection: close\r\n") + GOOD, (200,), calls=1),
    "one hidden in a body of GET": Case(head(length(GOOD), b"GET /v1/models HTTP/1.1") + GOOD, (200,), closes=False),
    "one hidden in a body of HEAD": Case(head(length(GOOD), LINE.replace(b"POST", b"HEAD")) + GOOD, (405,), closes=False),
    "one hidden in a body for nobody": Case(post(GOOD, key=b"x"), (401,), closes=False),
    "one hidden in chunks for nobody": Case(head(CHUNKED, key=b"x") + b"%x\r\n%b\r\n" % (len(GOOD), GOOD) + LAST, (401,),
                                            closes=False),
    "asked for HTTP/2": Case(
        post(extra=b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n") + GOOD,
        (200, 200), calls=2, closes=False, shapes=frozenset({"protocol"})),
    "asked for HTTP/2, with chunks": Case(chunks(CHUNK + LAST, b"connection: upgrade\r\nupgrade: h2c\r\n"), (200,), calls=1,
                                          closes=False, shapes=frozenset({"protocol"})),
    "asked for HTTP/2, length and chunks": Case(
        head(length(BODY) + CHUNKED + b"connection: upgrade\r\nupgrade: h2c\r\n") + LAST + TAIL, (400,)),
    "one hidden behind a WebSocket": Case(
        head(b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
             b"sec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n", b"GET /v1/chat/completions HTTP/1.1") + GOOD,
        (frozenset({400, 403, 404, 405}),)),
    "asked to go on": Case(post(extra=b"expect: 100-continue\r\n"), (100, 200), calls=1, closes=False),
    "asked to go on with too much": Case(head(b"content-length: 5000000\r\nexpect: 100-continue\r\n"), (413,)),
    "an unknown expectation": answered(post(extra=b"expect: the-spanish-inquisition\r\n")),
    "HTTP/1.0": Case(post(line=LINE.replace(b"1.1", b"1.0")), (200,), calls=1),
    "HTTP/1.0 that would stay": Case(
        post(line=LINE.replace(b"1.1", b"1.0"), extra=b"connection: keep-alive\r\n") + TAIL, (200,), calls=1),
}

CASES = {
    f"{group}: {name}": replace(case)
    for group, cases in (("lengths", LENGTHS), ("headers", HEADERS), ("chunks", CHUNKS), ("targets", TARGETS),
                         ("bodies", BODIES), ("several", SEVERAL))
    for name, case in cases.items()
}
