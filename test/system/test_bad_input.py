"""Every malformed credential gets the problem the contract names, and charges nothing."""

import json
import socket

import pytest

import client

pytestmark = pytest.mark.sanitizers

PAGE = "/articles/1.html"


@pytest.fixture(scope="module")
def good(stack):
    """A coin the vendor knows, a challenge, and a credential document that would be paid."""
    coin = stack.coin(n=10000)
    url = stack.vendor.url(PAGE)
    assert client.pay(url, coin).status == 200
    return coin, client.http_request("GET", url).challenge("session")


def send(stack, field, path=PAGE, more=()):
    return client.http_request("GET", stack.vendor.url(path), [("Authorization", field)] + list(more))


def document(good, index=None, **changes):
    coin, challenge = good
    payload = client.payload_of(coin, index or coin.spent + 20, touchstone=False)
    made = {"challenge": dict(challenge), "payload": payload}
    for name, value in changes.items():
        part, _, member = name.partition("__")
        if value is None:
            made[part].pop(member)
        else:
            made[part][member] = value
    return made


def check(stack, good, answer, problem, reason=None, status=402):
    assert answer.status == status, answer
    assert answer.problem == problem, answer
    if reason:
        assert answer.json()["reason"] == reason
    if status == 402:
        assert answer.challenges and answer.get("Cache-Control") == "no-store"
    assert answer.get("Payment-Receipt") is None
    # The coin is as it was: the next page costs its price and no more.
    coin, challenge = good
    paid = client.pay(stack.vendor.url("/articles/2.html"), coin, index=coin.spent + 20, challenge=challenge,
                      touchstone=False)
    assert paid.status == 200, paid
    assert paid.receipt["spent"] == coin.spent


def raw(text):
    return "Payment " + client.b64u(text)


def duplicate(text, member):
    """The JSON with one member twice."""
    parsed = json.loads(text)
    return text.replace(b'"%s":' % member.encode(), b'"%s":%s,"%s":' % (
        member.encode(), json.dumps(parsed["payload"].get(member, 1)).encode(), member.encode()), 1)


MALFORMED = {
    "empty": lambda g: "Payment ",
    "scheme alone": lambda g: "Payment",
    "not base64url": lambda g: "Payment !!!!",
    "padded": lambda g: client.encode_credential(document(g)) + "==",
    "standard alphabet": lambda g: "Payment ab+/",
    "stray bits": lambda g: "Payment e31",
    "not JSON": lambda g: raw("hello"),
    "truncated JSON": lambda g: raw(client.jcs(document(g))[:-5]),
    "trailing text": lambda g: raw(client.jcs(document(g)) + b"{}"),
    "an array": lambda g: raw("[]"),
    "a number": lambda g: raw("1"),
    "null": lambda g: raw("null"),
    "invalid UTF-8": lambda g: raw(b'{"challenge":"\xff\xfe"}'),
    "no challenge": lambda g: client.encode_credential({"payload": document(g)["payload"]}),
    "challenge is a string": lambda g: client.encode_credential(dict(document(g), challenge="x")),
    "no id": lambda g: client.encode_credential(document(g, challenge__id=None)),
    "id is a number": lambda g: client.encode_credential(document(g, challenge__id=7)),
    "no realm": lambda g: client.encode_credential(document(g, challenge__realm=None)),
    "no request": lambda g: client.encode_credential(document(g, challenge__request=None)),
    "deep": lambda g: raw(b'{"challenge":' + b"[" * 2000 + b"]" * 2000 + b"}"),
    "too long": lambda g: raw(b"{" + b" " * 5600 + b"}"),
    "longer than httpd's own limit": lambda g: raw(b"{" + b" " * 9000 + b"}"),
    "duplicate member": lambda g: raw(duplicate(client.jcs(document(g)), "coin")),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_credential(stack, good, name):
    check(stack, good, send(stack, MALFORMED[name](good)), "malformed-credential")


INVALID_PAYLOAD = {
    "payload is a string": lambda g: {"challenge": g[1], "payload": "x"},
    "no coin": lambda g: document(g, payload__coin=None),
    "no index": lambda g: document(g, payload__index=None),
    "no payword": lambda g: document(g, payload__payword=None),
    "coin is a number": lambda g: document(g, payload__coin=5),
    "coin too short": lambda g: document(g, payload__coin="AAAA"),
    "coin padded": lambda g: document(g, payload__coin="A" * 22 + "=="),
    "index is a string": lambda g: document(g, payload__index="20"),
    "index is true": lambda g: document(g, payload__index=True),
    "index is negative": lambda g: document(g, payload__index=-1),
    "payword too short": lambda g: document(g, payload__payword=client.b64u(b"x" * 31)),
    "payword too long": lambda g: document(g, payload__payword=client.b64u(b"x" * 33)),
    "payword is a list": lambda g: document(g, payload__payword=[]),
    "touchstone is a number": lambda g: document(g, payload__touchstone=1),
    "max is a float": lambda g: document(g, payload__max=1.5),
}


@pytest.mark.parametrize("name", INVALID_PAYLOAD)
def test_invalid_payload(stack, good, name):
    check(stack, good, send(stack, client.encode_credential(INVALID_PAYLOAD[name](good))), "invalid-payload")


def test_no_payload_at_all(stack, good):
    answer = send(stack, client.encode_credential({"challenge": good[1]}))
    check(stack, good, answer, answer.problem)
    assert answer.problem in ("malformed-credential", "invalid-payload")


def test_number_no_double_can_hold(stack, good):
    text = client.jcs(document(good, payload__index=987654321)).replace(b"987654321", b"1e400")
    answer = send(stack, raw(text))
    check(stack, good, answer, answer.problem)
    assert answer.problem in ("malformed-credential", "invalid-payload")


@pytest.mark.parametrize("token", ["1.0", "1e0", "99999999999999999999999"])
def test_index_must_be_an_integer_token(stack, good, token):
    text = client.jcs(document(good, payload__index=987654321)).replace(b"987654321", token.encode())
    check(stack, good, send(stack, raw(text)), "invalid-payload")


VERIFICATION = {
    "wrong payword": (lambda g: document(g, payload__payword=client.b64u(b"x" * 32)), "forged"),
    "payword of another index": (lambda g: document(g, payload__payword=g[0].chain.word(g[0].spent + 21)), "forged"),
    "index zero": (lambda g: document(g, payload__index=0), "forged"),
    "index beyond n": (lambda g: document(g, payload__index=10001), "forged"),
    "index huge": (lambda g: document(g, payload__index=2 ** 52), "forged"),
    "unknown coin without touchstone": (lambda g: document(g, payload__coin="A" * 22), "touchstone"),
    "touchstone of another coin": (
        lambda g: document(g, payload__coin="A" * 22, payload__touchstone=g[0].touchstone), "touchstone"),
    "touchstone is nonsense": (
        lambda g: document(g, payload__coin="A" * 22, payload__touchstone="a.b.c"), "touchstone"),
}


@pytest.mark.parametrize("name", VERIFICATION)
def test_verification_failed(stack, good, name):
    make, reason = VERIFICATION[name]
    check(stack, good, send(stack, client.encode_credential(make(good))), "verification-failed", reason)


CHALLENGE = {
    "another id": {"challenge__id": client.b64u(b"x" * 32)},
    "id too short": {"challenge__id": "AAAA"},
    "another realm": {"challenge__realm": "elsewhere"},
    "another intent": {"challenge__intent": "charge"},
    "another expiry": {"challenge__expires": "2099-01-01T00:00:00Z"},
    "expires left out": {"challenge__expires": None},
    "a digest": {"challenge__digest": "sha-256=:AAAA:"},
    "a pipe": {"challenge__realm": "news|netpay"},
    "another request": {"challenge__request": client.b64u(client.jcs({
        "amount": "1", "currency": "uusd", "recipient": "x", "methodDetails": {"brokers": []}}))},
}


@pytest.mark.parametrize("name", CHALLENGE)
def test_invalid_challenge(stack, good, name):
    answer = send(stack, client.encode_credential(document(good, **CHALLENGE[name])))
    check(stack, good, answer, "invalid-challenge")


def signed(stack, good, **changes):
    """The challenge changed and its id made anew with the vendor's own secret."""
    challenge = dict(good[1], **{k: v for k, v in changes.items() if v is not None})
    for secret in (stack.vendor.secret, client.b64u(stack.vendor.secret).encode()):
        if client.challenge_id(good[1], secret) == good[1]["id"]:
            challenge["id"] = client.challenge_id(challenge, secret)
            return challenge
    raise AssertionError("the challenge's id does not verify with the vendor's secret")


@pytest.mark.parametrize("changes, problem, status", [
    ({"expires": "2020-01-01T00:00:00Z"}, "payment-expired", 402),
    ({"realm": "elsewhere"}, "invalid-challenge", 402),
    ({"header": "Payment-Authorization"}, "invalid-challenge", 402),
    ({"intent": "subscription"}, "invalid-challenge", 402),
    ({"method": "tempo"}, "method-unsupported", 400),
])
def test_genuine_id_of_something_else(stack, good, changes, problem, status):
    made = document(good)
    made["challenge"] = signed(stack, good, **changes)
    check(stack, good, send(stack, client.encode_credential(made)), problem, status=status)


def test_recipient_must_be_this_vendor(stack, good):
    request = dict(client.terms(good[1]), recipient="https://other.example")
    made = document(good)
    made["challenge"] = signed(stack, good, request=client.b64u(client.jcs(request)))
    check(stack, good, send(stack, client.encode_credential(made)), "invalid-challenge")


def test_price_is_the_resources_own(stack, good):
    """A session challenge of a dear page pays a cheap one at its own price."""
    challenge = client.http_request("GET", stack.vendor.url("/premium/1.html")).challenge("session")
    coin = good[0]
    answer = client.pay(stack.vendor.url("/articles/3.html"), coin, index=coin.spent + 20, challenge=challenge)
    assert answer.status == 200 and answer.receipt["amount"] in ("20000", 20000)


def test_two_credentials(stack, good):
    field = client.encode_credential(document(good))
    answer = send(stack, field, more=[("Authorization", field)])
    check(stack, good, answer, answer.problem, status=400)
    answer = client.http_request("GET", stack.vendor.url(PAGE), {"Authorization": field + ", " + field})
    assert answer.status in (400, 402) and answer.receipt is None


def test_other_schemes_are_no_credential(stack, good):
    for field in ("Basic dXNlcjpwYXNz", "Bearer abc", "Paymental x"):
        check(stack, good, send(stack, field), "payment-required")


def test_scheme_name_is_case_insensitive(stack, good):
    coin = good[0]
    field = client.encode_credential(document(good)).replace("Payment", "pAYMENT", 1)
    answer = send(stack, field)
    assert answer.status == 200
    coin.spent = answer.receipt["spent"]


def test_unknown_members_are_ignored(stack, good):
    made = document(good, payload__future={"a": [1, 2]})
    made["source"] = "did:example:someone"
    made["challenge"]["description"] = "words"
    answer = send(stack, client.encode_credential(made))
    assert answer.status == 200, answer
    good[0].spent = answer.receipt["spent"]


def test_four_kilobytes_are_accepted(stack, good):
    made = document(good, payload__padding="x" * 2800)
    field = client.encode_credential(made)
    assert len(field) >= 4096
    answer = send(stack, field)
    assert answer.status == 200, answer
    good[0].spent = answer.receipt["spent"]


def test_header_field_with_nul_or_newline(stack, good):
    port = stack.vendor.port
    for field in (b"Payment abc\x00def", b"Payment abc\r\n def"):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
            link.sendall(b"GET /articles/1.html HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: "
                         + field + b"\r\n\r\n")
            got = b""
            while True:
                part = link.recv(65536)
                if not part:
                    break
                got += part
        status = int(got.split(b" ", 2)[1])
        assert status in (400, 402)


@pytest.mark.parametrize("target", ["/articles/../articles/1.html", "//articles/1.html", "/articles//1.html",
                                    "/%61rticles/1.html", "/articles/%31.html", "/ARTICLES/1.html",
                                    "/articles/1.html/", "/articles/1.html/extra", "/free/../articles/1.html",
                                    "/articles;x/1.html", "/articles/1.html%00"])
def test_no_other_spelling_is_free(stack, target):
    answer = client.http_request("GET", stack.vendor.origin + target)
    assert b"PAID-ARTICLE" not in answer.body and answer.status in (301, 400, 402, 403, 404), answer
