"""A page is sold: the paid flow on every MPM (PROTOCOL.md sections 5 and 6)."""

import os
import re
import time

import pytest

import client
import stack as stacks

pytestmark = pytest.mark.sanitizers


@pytest.fixture(scope="module", params=["prefork", "worker", "event"])
def site(request):
    with stacks.Stack(mpm=request.param) as made:
        yield made


def get(site, path, **more):
    return client.http_request("GET", site.vendor.url(path), **more)


def check_402(answer, problem, site):
    assert answer.status == 402, answer
    assert answer.problem == problem
    assert answer.get("Cache-Control") == "no-store"
    assert answer.get("Content-Type").startswith("application/problem+json")
    assert answer.get("Payment-Receipt") is None
    vary = {v.strip().lower() for field in answer.all("Vary") for v in field.split(",")}
    assert {"accept", "authorization", "accept-payment", "payment-authorization"} <= vary
    assert [c["intent"] for c in answer.challenges] == ["session", "charge"]
    for c in answer.challenges:
        assert c["method"] == "netpay" and c["realm"] == site.vendor.realm
        assert c["id"] == client.challenge_id(c, site.vendor.secret) or c["id"] == client.challenge_id(
            c, client.b64u(site.vendor.secret).encode())
    assert answer.json()["status"] == 402 and answer.json()["title"] and answer.json()["detail"]


def test_free_page(site):
    answer = get(site, "/index.html")
    assert answer.status == 200 and b"free front page" in answer.body
    assert not answer.challenges and answer.get("Payment-Receipt") is None


def test_unpaid_answer(site):
    answer = get(site, "/articles/1.html")
    check_402(answer, "payment-required", site)
    assert b"PAID-ARTICLE" not in answer.body
    terms = client.terms(answer.challenge("session"))
    assert terms == {"amount": "20000", "currency": "uusd", "recipient": site.vendor.origin,
                     "methodDetails": {"brokers": [site.broker.issuer]}}
    for c in answer.challenges:
        assert client.unb64u(c["request"]) == client.jcs(client.terms(c))
        when = time.strptime(c["expires"], "%Y-%m-%dT%H:%M:%SZ")
        assert when.tm_min % 5 == 0 and when.tm_sec == 0
    charge = answer.challenge("charge")
    assert client.jcs({"b": client.binding("GET", site.vendor.url("/articles/1.html"))}) == \
        client.unb64u(charge["opaque"]) or "n" in client.unb64u(charge["opaque"]).decode()
    assert "opaque" not in answer.challenge("session")


def test_html_for_browsers(site):
    answer = get(site, "/articles/1.html", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert answer.status == 402 and answer.get("Content-Type").startswith("text/html")
    assert answer.get("Cache-Control") == "no-store" and len(answer.challenges) == 2
    assert b"PAID-ARTICLE" not in answer.body


def test_accept_payment(site):
    def offered(value):
        return [c["intent"] for c in get(site, "/articles/1.html", headers={"Accept-Payment": value}).challenges]

    assert offered("netpay/charge") == ["charge"]
    assert offered("netpay/session") == ["session"]
    assert offered("netpay/charge, netpay/session;q=0.5") == ["charge", "session"]
    assert offered("other/charge") == ["session", "charge"]


def test_three_pages(site):
    coin = site.coin()
    first = client.pay(site.vendor.url("/articles/1.html"), coin)
    assert first.status == 200 and b"PAID-ARTICLE-1 " in first.body
    assert re.search("private", first.get("Cache-Control")) and "no-cache" in first.get("Cache-Control")
    receipt = first.receipt
    assert receipt["method"] == "netpay" and receipt["status"] == "success"
    assert receipt["reference"] == coin.id + ":20"
    assert receipt["amount"] in ("20000", 20000) and receipt["currency"] == "uusd"
    assert (receipt["spent"], receipt["revealed"]) == (20, 20)

    challenge = get(site, "/articles/1.html").challenge("session")
    for page in (2, 3):  # from the second page on, one round trip and no touchstone
        answer = client.pay(site.vendor.url("/articles/%d.html" % page), coin, index=20 * page, challenge=challenge,
                            touchstone=False)
        assert answer.status == 200 and answer.receipt["spent"] == 20 * page
    assert client.pay(site.vendor.url("/premium/1.html"), coin).receipt["spent"] == 110


def test_charge_intent(site):
    coin = site.coin(n=100)
    url = site.vendor.url("/articles/4.html?x=1&y=%2f")
    challenge = client.http_request("GET", url).challenge("charge")
    assert client.pay(url, coin, index=20, challenge=challenge).status == 200
    other = client.pay(site.vendor.url("/articles/5.html"), coin, index=40, challenge=challenge)
    check_402(other, "invalid-challenge", site)
    assert client.pay(site.vendor.url("/articles/5.html"), coin).receipt["spent"] == 40


def test_replay_within_grace(site):
    coin = site.coin(n=100)
    url = site.vendor.url("/articles/6.html")
    challenge = client.http_request("GET", url).challenge("session")
    first = client.pay(url, coin, index=20, challenge=challenge)
    for _ in range(3):
        again = client.pay(url, coin, index=20, challenge=challenge)
        assert again.status == 200 and again.body == first.body
        assert again.receipt["amount"] in ("20000", 20000)
        assert (again.receipt["spent"], again.receipt["revealed"]) == (20, 20)
    fourth = client.pay(url, coin, index=20, challenge=challenge)
    check_402(fourth, "verification-failed", site)
    assert fourth.json()["reason"] == "already-spent"
    assert (fourth.json()["spent"], fourth.json()["revealed"]) == (20, 20)


def test_same_credential_elsewhere(site):
    coin = site.coin(n=100)
    challenge = get(site, "/articles/7.html").challenge("session")
    assert client.pay(site.vendor.url("/articles/7.html"), coin, index=20, challenge=challenge).status == 200
    other = client.pay(site.vendor.url("/articles/8.html"), coin, index=20, challenge=challenge)
    check_402(other, "verification-failed", site)
    assert other.json()["reason"] == "already-spent"


def test_insufficient_then_enough(site):
    coin = site.coin(n=100)
    url = site.vendor.url("/articles/9.html")
    challenge = client.http_request("GET", url).challenge("session")
    short = client.pay(url, coin, index=15, challenge=challenge)
    check_402(short, "payment-insufficient", site)
    problem = short.json()
    assert (problem["coin"], problem["spent"], problem["revealed"], problem["needed"]) == (coin.id, 0, 15, 20)
    enough = client.pay(url, coin, index=20, challenge=challenge)
    assert enough.status == 200 and enough.receipt["spent"] == 20


def test_lump_is_spent_page_by_page(site):
    coin = site.coin(n=100)
    challenge = get(site, "/articles/1.html").challenge("session")
    assert client.pay(site.vendor.url("/articles/10.html"), coin, index=60, challenge=challenge).receipt["spent"] == 20
    answer = client.pay(site.vendor.url("/articles/11.html"), coin, index=40, challenge=challenge)
    assert (answer.receipt["spent"], answer.receipt["revealed"]) == (40, 60)
    answer = client.pay(site.vendor.url("/articles/12.html"), coin, index=59, challenge=challenge)
    assert (answer.receipt["spent"], answer.receipt["revealed"]) == (60, 60)


def test_max_protects_the_payer(site):
    coin = site.coin(n=100)
    url = site.vendor.url("/premium/2.html")
    challenge = client.http_request("GET", url).challenge("session")
    dear = client.pay(url, coin, index=50, challenge=challenge, max="49999")
    check_402(dear, "payment-insufficient", site)
    assert client.pay(url, coin, index=50, challenge=challenge, max="50000").status == 200


def test_max_with_a_coin_nobody_vouches_for(site):
    coin = site.coin()
    url = site.vendor.url("/articles/1.html")
    answer = client.pay(url, coin, index=20, max="19999", touchstone=False)
    check_402(answer, "verification-failed", site)
    assert answer.json()["reason"] == "touchstone"
    answer = client.pay(url, coin, index=20, max="19999")
    check_402(answer, "payment-insufficient", site)
    assert answer.json()["needed"] == 20


def test_head_costs_nothing(site):
    coin = site.coin(n=100)
    url = site.vendor.url("/articles/13.html")
    unpaid = client.http_request("HEAD", url)
    assert unpaid.status == 402 and unpaid.body == b"" and len(unpaid.challenges) == 2
    challenge = client.http_request("GET", url).challenge("session")
    head = client.pay(url, coin, index=20, challenge=challenge, method="HEAD")
    assert head.status == 402 and head.receipt is None
    assert client.pay(url, coin, index=20, challenge=challenge).receipt["spent"] == 20


def test_not_charged_without_2xx(site):
    coin = site.coin(n=200)
    paid = client.pay(site.vendor.url("/articles/14.html"), coin)
    modified = paid.get("Last-Modified")
    url = site.vendor.url("/articles/14.html")
    challenge = get(site, "/articles/14.html").challenge("session")

    not_modified = client.pay(url, coin, index=40, challenge=challenge, headers={"If-Modified-Since": modified})
    assert not_modified.status == 304 and not_modified.receipt is None
    range_wrong = client.pay(url, coin, index=40, challenge=challenge, headers={"Range": "bytes=900000-"})
    assert range_wrong.status == 416 and range_wrong.receipt is None
    missing = client.pay(site.vendor.url("/articles/none.html"), coin, index=40, challenge=challenge)
    assert missing.status == 404 and missing.receipt is None
    part = client.pay(url, coin, index=40, challenge=challenge, headers={"Range": "bytes=0-9"})
    assert part.status == 206 and len(part.body) == 10 and part.receipt["spent"] == 40


def test_out_of_order(site):
    coin = site.coin(n=200)
    challenge = get(site, "/articles/1.html").challenge("session")
    for index, page in ((60, 15), (20, 16), (40, 17)):
        assert client.pay(site.vendor.url("/articles/%d.html" % page), coin, index=index, challenge=challenge).status \
            == 200
    assert client.pay(site.vendor.url("/articles/18.html"), coin).receipt["spent"] == 80


def test_payment_log(site):
    coin = site.coin(n=100)
    answer = client.pay(site.vendor.url("/articles/19.html"), coin)
    assert answer.status == 200

    def mine():
        return [p for p in site.vendor.payments() if coin.id[:8] in str(p)]

    found = stacks.wait_for(mine, what="a line in the payment log")
    text = open(site.vendor.payment_log).read()
    assert coin.chain.word(20) not in text and coin.chain.word(20)[:12] not in text
    assert found[-1]


def test_notes_for_the_access_log(site):
    coin = site.coin(n=100)
    client.pay(site.vendor.url("/articles/20.html"), coin)
    lines = stacks.wait_for(lambda: site.vendor.requests("/articles/20.html", 200), what="an access log line")
    assert coin.id[:8] in lines[-1][3] and coin.id not in lines[-1][3]
    assert "20000" in lines[-1][3] or "0.02" in lines[-1][3]


def test_metrics(site):
    before = site.vendor.metrics()
    coin = site.coin(n=100)
    client.pay(site.vendor.url("/articles/21.html"), coin)
    client.pay(site.vendor.url("/articles/22.html"), coin)

    def grown_by_both():  # a request is counted once its answer has left
        grown = {k: v - before.get(k, 0) for k, v in site.vendor.metrics().items() if v != before.get(k, 0)}
        return grown if sum(v for k, v in grown.items() if k.startswith("netpay_units_total")) == 40 else None

    grown = stacks.wait_for(grown_by_both, what="both payments in the metrics")
    assert any(k.startswith("netpay_requests_total") and "paid" in k and v == 2 for k, v in grown.items()), grown


def test_discovery(site):
    answer = get(site, "/.well-known/netpay")
    assert answer.status == 200 and answer.get("Cache-Control") == "no-store"
    found = answer.json()
    assert found["vendor"] == site.vendor.origin and found["brokers"] == [site.broker.issuer]
    assert found["realm"] == site.vendor.realm and found["handoff"].startswith(site.vendor.origin)
    assert {p["amount"] for p in found["prices"]} >= {"20000", "50000"}
    challenge = client.parse_challenges(found["challenge"])[0]
    assert challenge["intent"] == "session"
    coin = site.coin(n=100)
    answer = client.pay(site.vendor.url("/articles/23.html"), coin, index=20, challenge=challenge)
    assert answer.status == 200, answer  # the first page of all in one round trip


def test_nothing_secret_is_written(site):
    """No payword, seed, credential, token or challenge secret in any file the servers wrote."""
    coin = site.coin(n=100)
    url = site.vendor.url("/articles/24.html")
    challenge = client.http_request("GET", url).challenge("session")
    field = client.credential(challenge, coin, 20)
    assert client.http_request("GET", url, {"Authorization": field}).status == 200
    client.http_request("GET", url, {"Authorization": field[:-8] + "AAAAAAAA"})
    text = ""
    for top in (site.vendor.dir, site.broker.dir):
        for name in (n for n in os.listdir(top) if n.endswith((".log", ".conf"))):
            text += open(os.path.join(top, name), errors="replace").read()
    text += open(site.vendor.payment_log).read()
    for secret in (coin.chain.word(20), coin.chain.word(100), field[8:60], client.b64u(site.vendor.secret)):
        assert secret not in text
