"""The frozen vectors through a live server: touchstones, challenges and the spend machine.

The server's clock is set by libfaketime to the vectors' own times."""

import datetime
import json
import os
import time

import pytest

import client
import reference_broker
import stack as stacks
from clock import Clock

VECTORS = os.path.join(stacks.TOP, "test", "vectors")


def vectors(name):
    return json.load(open(os.path.join(VECTORS, name)))


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    with stacks.Stack(memcached=False, broker=False, vendor=False) as made:
        yield made


# --- challenges ------------------------------------------------------------

ARTICLE = '<Location "/articles/">\n AuthType NetPay\n AuthName "news"\n Require netpay\n NetPayPrice 0.02 usd\n' \
    '</Location>\n'


def vector_vendor(directory, name, clock, broker_line, secret, key=None):
    vendor = stacks.Vendor(os.path.join(directory.dir, name), mpm="event", env=clock.env, gate=ARTICLE, realm="news",
                           origin="https://news.example", key=key, directives={"NetPayBroker": broker_line},
                           pages={"articles/1.html": "PAID"})
    os.makedirs(vendor.site.dir)
    with open(os.open(vendor.secret_file, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
        f.write(secret)  # the bytes themselves are the secret
    vendor.url_on = lambda path: "http://127.0.0.1:%d%s" % (vendor.port, path)
    return directory.run(vendor)


def pinned(directory, jwks):
    name = os.path.join(directory.dir, "pinned.json")
    json.dump(jwks, open(name, "w"))
    return name


@pytest.fixture(scope="module")
def vector_server(directory):
    """A server with the vectors' secret, origin, realm, broker and clock of the challenge vectors."""
    touchstone, challenge = vectors("touchstone.json"), vectors("challenge.json")
    clock = Clock(directory.dir)
    keys = pinned(directory, touchstone["jwks"])
    # expires of the vectors is an hour from here, rounded up to five minutes
    expires = datetime.datetime.strptime(challenge["session"]["expires"], "%Y-%m-%dT%H:%M:%SZ")
    clock.issue_at = expires.replace(tzinfo=datetime.timezone.utc).timestamp() - 3600 - 100
    clock.set(clock.issue_at)
    # brokers of the vectors' challenges are out of reach: only their pinned keys count
    vendor = vector_vendor(directory, "vectors", clock, "https://broker.example keys=" + keys,
                           client.unb64u(challenge["secret"]))
    return vendor, clock


def test_challenges_are_the_vectors_bytes(vector_server):
    vendor, clock = vector_server
    v = vectors("challenge.json")
    clock.set(clock.issue_at)
    target = v["resource"]["uri"][len("https://news.example"):]
    answer = client.http_request("GET", vendor.url_on(target))
    assert answer.status == 402, answer
    assert answer.challenge("session") == v["session"]
    charge = answer.challenge("charge")
    opaque = json.loads(client.unb64u(charge["opaque"]))
    assert opaque["b"] == v["resource"]["binding"]
    if set(opaque) == {"b"}:
        assert charge == v["charge"]
    else:  # a random member n was added, which the contract allows
        assert charge["id"] == client.challenge_id(charge, client.unb64u(v["secret"]))


def test_credential_of_the_vectors(vector_server):
    """Its challenge verifies; what is refused is only that the coin is unknown and no touchstone came."""
    vendor, clock = vector_server
    v = vectors("challenge.json")
    clock.set(clock.issue_at)
    field = v["credential"]["authorization"]
    answer = client.http_request("GET", vendor.url_on("/articles/1.html"), {"Authorization": field})
    assert answer.status == 402 and answer.problem == "verification-failed", answer
    assert answer.json()["reason"] == "touchstone"
    charge = client.encode_credential({"challenge": v["charge"], "payload": v["credential"]["payload"]})
    answer = client.http_request("GET", vendor.url_on("/articles/1.html?x=1"), {"Authorization": charge})
    assert answer.problem == "verification-failed"
    answer = client.http_request("GET", vendor.url_on("/articles/1.html?x=2"), {"Authorization": charge})
    assert answer.problem == "invalid-challenge"
    clock.set(clock.issue_at + 7200)
    answer = client.http_request("GET", vendor.url_on("/articles/1.html"), {"Authorization": field})
    assert answer.problem == "payment-expired"


# --- touchstones -----------------------------------------------------------

def present(vendor, touchstone, coin):
    challenge = client.http_request("GET", vendor.url_on("/articles/1.html")).challenge("session")
    chain = vectors("payword.json")["chains"][1]
    words = client.Chain(chain["n"], client.unb64u(chain["salt"]), client.unb64u(chain["seed"]))
    payload = {"coin": coin, "index": 20, "payword": words.word(20), "touchstone": touchstone}
    return client.http_request("GET", vendor.url_on("/articles/1.html"), {
        "Authorization": client.encode_credential({"challenge": challenge, "payload": payload})})


def test_good_touchstone_is_believed(vector_server):
    """Its broker cannot be reached: that is 503, for the coin might be good."""
    vendor, clock = vector_server
    v = vectors("touchstone.json")
    clock.set(v["now"])
    answer = present(vendor, v["jws"], v["payload"]["coin"])
    assert answer.status == 503 and answer.problem == "internal-payment-error", answer


@pytest.mark.parametrize("number", range(len(vectors("touchstone.json")["bad"])),
                         ids=[b["why"].replace(" ", "-") for b in vectors("touchstone.json")["bad"]])
def test_bad_touchstone_is_refused(vector_server, number):
    vendor, clock = vector_server
    v = vectors("touchstone.json")
    clock.set(v["now"])
    bad = v["bad"][number]
    coin = v["payload"]["coin"]
    try:
        coin = client.peek(bad["jws"])["coin"]
    except Exception:  # the token is not one
        pass
    answer = present(vendor, bad["jws"], coin)
    assert answer.status == 402 and answer.problem == "verification-failed", answer
    expected = {"iss is another broker": ("broker", "touchstone"),
                "expired at the time of the check": ("expired", "touchstone")}.get(bad["why"], ("touchstone",))
    assert answer.json()["reason"] in expected


# --- the spend machine -----------------------------------------------------

SPEND = vectors("spend.json")
UNIT = 1000


@pytest.fixture(scope="module")
def machine(directory):
    """One server, a vendor for each case; the broker gives each the state its case begins from."""
    key = client.Key.from_d(vectors("touchstone.json")["private_d"])
    place = os.path.join(directory.dir, "spend")
    os.makedirs(place)
    os.chmod(place, 0o755)
    clock = Clock(place)
    broker = reference_broker.ReferenceBroker(key, stacks.Ports.take(), clock=clock.now)
    chain_of = vectors("payword.json")["chains"][1]
    chain = client.Chain(chain_of["n"], client.unb64u(chain_of["salt"]), client.unb64u(chain_of["seed"]))
    assert client.b64u(chain.root) == SPEND["root"]
    start = int(time.time()) // 3600 * 3600
    vendor = stacks.Vendor(os.path.join(place, "vendor"), env=clock.env, name="unused", gate="", pages={},
                           directives={"NetPayBroker": broker.issuer})
    sites = []
    for number, case in enumerate(SPEND["cases"]):
        gate = ('<Location "/k/">\n AuthType NetPay\n AuthName "{realm}"\n Require netpay\n'
                ' NetPayPriceExpr "%%{HTTP:X-Price} usd"\n NetPayGrace %d 3\n NetPayMaxHop %d\n</Location>\n'
                % (SPEND["grace"], case["start"].get("max_hop", 1000)))
        site = vendor.add_site("case%d" % number, gate=gate, pages={
            "k/%s.html" % key: "PAID" for key in {s["key"] for s in case["steps"]}},
            directives={"NetPayBroker": broker.issuer, "NetPayTill": "%s slots=64" % os.path.join(
                vendor.dir, "case%d" % number, "till")})
        sites.append(site)

        def custody(request, case=case, site=site):
            begin = case["start"]
            if request["iat"] > start + begin.get("lease", 10 ** 9):
                return None  # the lease is over, and the coin is not given again
            exp = start + begin["exp"] if "exp" in begin else start + 86400
            lease = start + begin["lease"] if "lease" in begin else start + 86400
            return (broker.touchstone(chain, UNIT, exp=exp, iat=start - 10),
                    broker.custody(site.origin, chain, begin["spent"], exp=lease, iat=start - 10))

        broker.custodies[site.origin] = custody
    directory.run(vendor)
    yield sites, clock, chain, broker, start
    broker.stop()


@pytest.mark.parametrize("number", range(len(SPEND["cases"])),
                         ids=[c["name"].replace(" ", "-") for c in SPEND["cases"]])
def test_spend_vectors(machine, number):
    import http.client
    sites, clock, chain, broker, start = machine
    site, case = sites[number], SPEND["cases"][number]
    begin = case["start"]
    exp = start + begin["exp"] if "exp" in begin else start + 86400
    touchstone = broker.touchstone(chain, UNIT, exp=exp, iat=start - 10)
    clock.set(start)
    link = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)
    challenge = client.exchange(link, "GET", "/k/%s.html" % case["steps"][0]["key"],
                                {"X-Price": "1"}).challenge("session")
    if "lease" in begin:  # the coin is taken while the lease lasts, by a payment that does not suffice
        payload = {"coin": chain.coin, "index": 1, "payword": chain.word(1), "touchstone": touchstone}
        answer = client.exchange(link, "GET", "/k/%s.html" % case["steps"][0]["key"], {
            "X-Price": "0.002",
            "Authorization": client.encode_credential({"challenge": challenge, "payload": payload})})
        assert answer.problem == "payment-insufficient", answer
    shown = None
    for at, step in enumerate(case["steps"]):
        if step["now"] != shown and (len(case["steps"]) < 20 or shown is None):
            clock.set(start + step["now"])
            shown = step["now"]
        payload = {"coin": chain.coin, "index": step["index"], "payword": step["payword"], "touchstone": touchstone}
        answer = client.exchange(link, "GET", "/k/%s.html" % step["key"], {
            "X-Price": "%d.%03d" % divmod(step["price"], 1000),
            "Authorization": client.encode_credential({"challenge": challenge, "payload": payload})})
        where = "%s, step %d: %r" % (case["name"], at + 1, answer)
        verdict = step["verdict"]
        if verdict in ("paid", "replayed"):
            assert answer.status == 200, where
            assert (answer.receipt["spent"], answer.receipt["revealed"]) == (step["spent"], step["revealed"]), where
            continue
        assert answer.status == 402, where
        problem = answer.json()
        if verdict == "insufficient":
            assert answer.problem == "payment-insufficient", where
            assert (problem["spent"], problem["revealed"]) == (step["spent"], step["revealed"]), where
            assert problem["needed"] == step.get("needed", problem["needed"]), where
        else:
            assert answer.problem == "verification-failed" and problem["reason"] == verdict, where
            if verdict == "already-spent":
                assert (problem["spent"], problem["revealed"]) == (step["spent"], step["revealed"]), where
    link.close()
