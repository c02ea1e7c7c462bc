"""A small NetPay client for the tests, written from doc/protocol.md alone.

It shares no code with the C++ parts: where both agree, the contract is what
they agree on. It plays the customer (wallet), the vendor's calls to a broker,
and, for tests that need tokens nobody would issue, the signer of any token.
"""

import base64
import hashlib
import hmac
import http.client
import json
import secrets
import ssl
import time
import urllib.parse

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

PROBLEMS = "https://paymentauth.org/problems/"


# --- encodings -------------------------------------------------------------

def b64u(data):
    if isinstance(data, str):
        data = data.encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64u(text):
    """Strict: no padding, no foreign characters, no stray bits."""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if b64u(data) != text:
        raise ValueError("not canonical base64url")
    return data


def jcs(value):
    """RFC 8785 for what NetPay signs: ASCII names, strings, integers."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


# --- keys and tokens -------------------------------------------------------

class Key:
    """An Ed25519 key that signs NetPay tokens."""

    def __init__(self, private=None):
        self.private = private or ed25519.Ed25519PrivateKey.generate()

    @classmethod
    def from_d(cls, d):
        return cls(ed25519.Ed25519PrivateKey.from_private_bytes(unb64u(d)))

    @classmethod
    def from_pem(cls, pem):
        return cls(serialization.load_pem_private_key(pem, None))

    def pem(self):
        return self.private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                          serialization.NoEncryption())

    def jwk(self):
        raw = self.private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return {"crv": "Ed25519", "kty": "OKP", "x": b64u(raw)}

    @property
    def kid(self):
        return b64u(hashlib.sha256(jcs(self.jwk())).digest())

    def jwks(self):
        return {"keys": [dict(self.jwk(), kid=self.kid, use="sig", alg="EdDSA")]}

    def sign(self, typ, payload, **header):
        head = dict({"alg": "EdDSA", "kid": self.kid, "typ": typ}, **header)
        signed = b64u(jcs(head)) + "." + b64u(jcs(payload))
        return signed + "." + b64u(self.private.sign(signed.encode()))


def verify(token, typ, jwk):
    """The payload of a token signed by the key of that JWK; raises if it is not."""
    head, payload, signature = token.split(".")
    header = json.loads(unb64u(head))
    assert header["alg"] == "EdDSA" and header["typ"] == typ, header
    key = ed25519.Ed25519PublicKey.from_public_bytes(unb64u(jwk["x"]))
    key.verify(unb64u(signature), (head + "." + payload).encode())
    return json.loads(unb64u(payload))


def peek(token):
    return json.loads(unb64u(token.split(".")[1]))


# --- the payword chain -----------------------------------------------------

class Chain:
    """W_0 … W_n with W_{i-1} = SHA-256(salt ‖ u32be(i) ‖ W_i)."""

    def __init__(self, n, salt=None, seed=None):
        self.n = n
        self.salt = salt if salt is not None else secrets.token_bytes(16)
        self.words = [b""] * (n + 1)
        self.words[n] = seed if seed is not None else secrets.token_bytes(32)
        for i in range(n, 0, -1):
            self.words[i - 1] = hashlib.sha256(self.salt + i.to_bytes(4, "big") + self.words[i]).digest()
        self.root = self.words[0]
        self.coin = b64u(hashlib.sha256(b"netpay/coin/1" + self.salt + self.root).digest()[:16])

    def word(self, i):
        return b64u(self.words[i])


class Coin:
    """A bought coin: the chain, its touchstone, and the wallet's own count."""

    def __init__(self, chain, touchstone, unit=1000, currency="uusd"):
        self.chain, self.touchstone, self.unit, self.currency = chain, touchstone, unit, currency
        self.spent = 0

    @property
    def id(self):
        return self.chain.coin

    def units(self, amount):
        return -(-int(amount) // self.unit)


# --- HTTP ------------------------------------------------------------------

class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def all(self, name):
        return [v for k, v in self.headers if k.lower() == name.lower()]

    def get(self, name, default=None):
        found = self.all(name)
        return found[0] if found else default

    def json(self):
        return json.loads(self.body)

    @property
    def problem(self):
        """The last part of a Payment problem's type, or of any problem type."""
        kind = self.json().get("type", "")
        return kind[len(PROBLEMS):] if kind.startswith(PROBLEMS) else kind

    @property
    def receipt(self):
        field = self.get("Payment-Receipt")
        return json.loads(unb64u(field)) if field else None

    @property
    def challenges(self):
        found = []
        for field in self.all("WWW-Authenticate"):
            found += parse_challenges(field)
        return found

    def challenge(self, intent):
        for c in self.challenges:
            if c["intent"] == intent:
                return c
        raise AssertionError("no %s challenge in %r" % (intent, self))

    def __repr__(self):
        return "<%s %r %r>" % (self.status, self.headers, self.body[:400])


def http_request(method, url, headers=None, body=None, timeout=20, context=None, connect=None):
    """One request on its own connection. The request-target goes out as it stands in the URL.

    headers: dict or list of pairs. connect: (host, port) to dial in place of the URL's."""
    parts = urllib.parse.urlsplit(url)
    target = url.split(parts.netloc, 1)[1].split("#", 1)[0] or "/"
    host, port = connect or (parts.hostname, parts.port)
    if parts.scheme == "https":
        link = http.client.HTTPSConnection(host, port, timeout=timeout,
                                           context=context or ssl._create_unverified_context())
    else:
        link = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        return exchange(link, method, target, headers, body, parts.netloc)
    finally:
        link.close()


def exchange(link, method, target, headers=None, body=None, host=None):
    """One request on a connection that stays the caller's."""
    pairs = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
    names = {k.lower() for k, _ in pairs}
    link.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
    if "host" not in names:
        link.putheader("Host", host or link.host)
    if isinstance(body, str):
        body = body.encode()
    if body is not None and "content-length" not in names and "transfer-encoding" not in names:
        link.putheader("Content-Length", str(len(body)))
    for k, v in pairs:
        link.putheader(k, v)
    link.endheaders(body)
    answer = link.getresponse()
    return Response(answer.status, answer.getheaders(), answer.read())


# --- challenges and credentials -------------------------------------------

def parse_challenges(field):
    """The Payment challenges in one WWW-Authenticate field value, as dicts."""
    found, i = [], 0

    def token(at):
        end = at
        while end < len(field) and (field[end].isalnum() or field[end] in "!#$%&'*+-.^_`|~/"):
            end += 1
        return field[at:end], end

    def spaces(at, extra=""):
        while at < len(field) and field[at] in " \t" + extra:
            at += 1
        return at

    current = None
    while i < len(field):
        i = spaces(i, ",")
        name, i = token(i)
        if not name:
            break
        after = spaces(i)
        if after < len(field) and field[after] == "=" and current is not None:
            i = spaces(after + 1)
            if i < len(field) and field[i] == '"':
                i, value = i + 1, ""
                while i < len(field) and field[i] != '"':
                    if field[i] == "\\":
                        i += 1
                    value += field[i]
                    i += 1
                i += 1
            else:
                value, i = token(i)
            current[name.lower()] = value
        else:
            current = {}
            found.append((name.lower(), current))
    return [c for scheme, c in found if scheme == "payment" and "id" in c]


def challenge_id(c, secret):
    slots = [c.get(k, "") for k in ("realm", "method", "intent", "request", "expires", "digest", "opaque")]
    if "header" in c:
        slots.append(c["header"])
    return b64u(hmac.new(secret, "|".join(slots).encode(), hashlib.sha256).digest())


def terms(challenge):
    return json.loads(unb64u(challenge["request"]))


def binding(method, uri):
    return b64u(hashlib.sha256((method + " " + uri).encode()).digest()[:16])


def encode_credential(document):
    if not isinstance(document, (bytes, str)):
        document = jcs(document)
    return "Payment " + b64u(document)


def payload_of(coin, index, touchstone=True, **more):
    payload = {"coin": coin.id, "index": index, "payword": coin.chain.word(index)}
    if touchstone:
        payload["touchstone"] = coin.touchstone
    payload.update(more)
    return payload


def credential(challenge, coin, index, touchstone=True, **more):
    return encode_credential({"challenge": challenge, "payload": payload_of(coin, index, touchstone, **more)})


def pay(url, coin, index=None, challenge=None, intent="session", method="GET", headers=None, touchstone=True,
        body=None, timeout=20, context=None, connect=None, **more):
    """Pays for one resource. Without an index, asks the price first and pays exactly that.

    The coin's own count rises when the answer carries a receipt and the payment was not a replay."""
    pairs = list(headers.items()) if isinstance(headers, dict) else list(headers or [])
    asked = None
    if challenge is None:
        asked = http_request(method, url, pairs, body, timeout, context, connect)
        if asked.status != 402:
            return asked
        challenge = asked.challenge(intent)
    if index is None:
        index = coin.spent + coin.units(terms(challenge)["amount"])
    field = challenge.get("header", "Authorization")
    pairs.append((field, credential(challenge, coin, index, touchstone, **more)))
    answer = http_request(method, url, pairs, body, timeout, context, connect)
    if answer.receipt:
        coin.spent = max(coin.spent, answer.receipt["spent"])
    return answer


class Reader:
    """A customer with one coin who goes from vendor to vendor: her own count, and where she was last.

    tell: whether she names the vendor she comes from (`holder`, `held`)."""

    def __init__(self, coin, tell=True):
        self.coin, self.tell = coin, tell
        self.holder, self.held = None, 0
        self.challenges = {}

    def challenge(self, url):
        """A session challenge of that vendor, asked for once."""
        vendor = "/".join(url.split("/", 3)[:3])
        if vendor not in self.challenges:
            self.challenges[vendor] = http_request("GET", url).challenge("session")
        return vendor, self.challenges[vendor]

    def read(self, url, index=None, tries=1, wait_s=0.2, **more):
        """Pays for a page; a 503 is asked again up to `tries` times, as the contract says."""
        vendor, challenge = self.challenge(url)
        if self.tell and self.holder and self.holder != vendor:
            more.setdefault("holder", self.holder)
            more.setdefault("held", self.held)
        if index is None:
            index = self.coin.spent + self.coin.units(terms(challenge)["amount"])
        for left in range(tries, 0, -1):
            answer = pay(url, self.coin, index=index, challenge=challenge, **more)
            if answer.status != 503 or left == 1:
                break
            time.sleep(wait_s)
        if answer.receipt:
            self.holder, self.held = vendor, answer.receipt["spent"]
        return answer


# --- the broker's API ------------------------------------------------------

class ApiError(Exception):
    def __init__(self, answer):
        super().__init__("%d %s" % (answer.status, answer.body[:400]))
        self.answer, self.status = answer, answer.status


class BrokerApi:
    def __init__(self, issuer, context=None):
        self.issuer, self.context = issuer, context
        found = self.call("GET", issuer + "/.well-known/netpay")
        self.api, self.jwks_uri, self.about = found["api"], found["jwks_uri"], found

    def raw(self, method, url, body=None, token=None, headers=None):
        pairs = dict(headers or {})
        if token:
            pairs["Authorization"] = "Bearer " + token
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if body is not None:
            pairs.setdefault("Content-Type", "application/json")
        return http_request(method, url, pairs, body, context=self.context)

    def call(self, method, url, body=None, token=None, headers=None):
        answer = self.raw(method, url, body, token, headers)
        if answer.status >= 300:
            raise ApiError(answer)
        return json.loads(answer.body)

    def post(self, path, body, token=None, headers=None):
        return self.call("POST", self.api + path, body, token, headers)

    def get(self, path, token=None):
        return self.call("GET", self.api + path, token=token)

    def keys(self):
        return {k["kid"]: k for k in self.call("GET", self.jwks_uri)["keys"]}


class Wallet:
    """An account at a broker and what it buys."""

    def __init__(self, issuer, context=None):
        self.broker = BrokerApi(issuer, context)
        made = self.broker.post("/accounts", {})
        self.account, self.token = made["account"], made["token"]

    def topup(self, voucher):
        return self.broker.post("/accounts/me/topups", {"voucher": voucher}, self.token)

    def balance(self, currency="uusd"):
        return self.me()["balance"].get(currency, 0)

    def me(self):
        return self.broker.get("/accounts/me", self.token)

    def buy(self, n=1000, unit=1000, currency="uusd", chain=None, headers=None):
        chain = chain or Chain(n)
        got = self.broker.post("/coins", {"currency": currency, "unit": unit, "n": chain.n,
                                          "salt": b64u(chain.salt), "root": b64u(chain.root)}, self.token, headers)
        return Coin(chain, got["touchstone"], unit, currency)


class VendorCaller:
    """A vendor's signed calls to a broker. clock: its own."""

    def __init__(self, origin, key, broker, clock=time.time):
        self.origin, self.key, self.broker, self.clock = origin, key, broker, clock

    def request(self, call, aud=None, iat=None, jti=None, **members):
        payload = dict(members, iss=self.origin, aud=aud or self.broker.issuer, call=call,
                       iat=int(self.clock()) if iat is None else iat, jti=jti or secrets.token_urlsafe(12))
        return self.key.sign("netpay-request+jwt", payload)

    def register(self, token, handoff=None):
        request = self.request("vendors", origin=self.origin, jwk=self.key.jwk(),
                               handoff=handoff or self.origin + "/.well-known/netpay/handoff")
        return self.broker.raw("POST", self.broker.api + "/vendors", {"request": request}, token)

    def custody(self, call, **members):
        return self.broker.raw("POST", self.broker.api + "/custody/" + call,
                               {"request": self.request("custody/" + call, **members)})

    def acquire(self, coin, index):
        return self.custody("acquire", coin=coin.id, index=index, payword=coin.chain.word(index))

    def redeem(self, body, batch=None, digest=None, iat=None, headers=None):
        """body: the NDJSON lines as bytes, or a list of claims."""
        if not isinstance(body, bytes):
            body = b"".join(jcs(claim) + b"\n" for claim in body)
        digest = digest or "sha-256=:%s:" % base64.b64encode(hashlib.sha256(body).digest()).decode()
        token = self.key.sign("netpay-batch+jwt", {
            "iss": self.origin, "aud": self.broker.issuer, "batch": batch or secrets.token_urlsafe(12),
            "digest": digest, "iat": int(self.clock()) if iat is None else iat})
        pairs = dict({"Content-Type": "application/x-ndjson", "NetPay-Batch": token}, **(headers or {}))
        return self.broker.raw("POST", self.broker.api + "/redemptions", body, headers=pairs)


def claim(coin, start, to):
    return {"coin": coin.id, "from": start, "to": to, "payword": coin.chain.word(to)}
