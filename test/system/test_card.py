"""Money by card: from the member's click over the provider's page to the signed event, and back again. With a real
broker and a provider on loopback that speaks the form Stripe documents."""

import concurrent.futures
import json
import subprocess
import time
import urllib.parse

import pytest

import cardshop
import client
import stack as stacks
from visitor import Visitor


@pytest.fixture(scope="module")
def cards(tmp_path_factory):
    with cardshop.CardShop() as made:
        directory = tmp_path_factory.mktemp("card")
        with stacks.Stack(memcached=False, vendor=False,
                          broker_options={**made.options(directory), "currency": ["uusd", "ueur", "ujpy"],
                                          "card-amount": ["5.00", "20.00", "10.00:ueur", "500:ujpy"]}) as stack:
            made.broker, made.stack = stack.broker, stack
            made.endpoint = stack.broker.issuer + "/webhooks/card"
            yield made
            stack.broker.check()
            status, audit = stack.audit()
            assert status == 0 and audit["verdict"] == "clean", audit


@pytest.fixture
def member(cards):
    visitor = Visitor(cards.broker.issuer)
    visitor.sign_up()
    return visitor


def begin(cards, member, amount="5000000:uusd"):
    """The session that the member is sent to."""
    member.open("/topup").press("Pay by card", amount=amount)
    assert member.status == 200, member.page.text
    assert member.page.links["Continue to the card payment"] == cards.last["url"]
    return cards.last


def balance(member):
    text = member.open("/topup").page.text
    return text[text.index("Your balance: ") + 14:].split(" With a card")[0]


def test_a_member_pays_by_card(cards, member):
    session = begin(cards, member)
    assert "$0" not in balance(member) and "begun; not confirmed" in member.page.text
    page = client.http_request("GET", session["url"])
    assert page.status == 200 and b"500 usd" in page.body
    paid = client.http_request("POST", session["url"])
    assert paid.status == 303 and cards.answers[-1].status == 200
    where = dict(paid.headers)["Location"]
    assert where == cards.broker.issuer + "/topup?paid=1"
    member.open(urllib.parse.urlsplit(where).path + "?paid=1")
    assert "Your balance: " in member.page.text and "$5.00" in balance(member) and " paid" in member.page.text
    assert "Paid by card" in member.open("/history").page.text
    fields, headers = cards.calls[-1]
    assert headers["Authorization"] == "Bearer " + cards.key
    assert headers["Idempotency-Key"] == fields["client_reference_id"]
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"


def test_the_address_one_comes_back_to_credits_nothing(cards, member):
    begin(cards, member)
    before = balance(member)
    member.open("/topup?paid=1")
    assert member.status == 200 and balance(member) == before


def test_the_way_on_is_kept_and_the_provider_is_not_told(cards, member):
    member.open("/topup?next=%2Fcoins%3Fx%3D1").press("Pay by card", amount="20000000:uusd")
    assert "coins" not in str(cards.calls[-1])
    assert member.open("/topup?paid=1").page.links["Go on"] == "/coins?x=1"
    member.cookies = {name: value + ("A" if "onward" in name else "") for name, value in member.cookies.items()}
    assert "Go on" not in member.open("/topup?paid=1").page.links


@pytest.mark.parametrize("amount,minor,iso,shown", [
    ("20000000:uusd", 2000, "usd", "$20.00"), ("10000000:ueur", 1000, "eur", "€10.00"), ("500000000:ujpy", 500, "jpy", "500.00 JPY")])
def test_amounts_and_currencies(cards, member, amount, minor, iso, shown):
    session = begin(cards, member, amount)
    assert (session["amount_total"], session["currency"]) == (minor, iso)
    assert cards.pay(session["id"]).status == 200
    assert shown in balance(member)


def test_amounts_that_are_not_offered(cards, member):
    calls = len(cards.calls)
    for amount in ("", "1:uusd", "5000000:ueur", "-1", "5000000"):
        member.open("/topup").press("Pay by card", amount=amount)
        assert member.status == 422 and "cannot be paid by card" in member.page.text
    assert len(cards.calls) == calls


def test_an_event_counts_once_however_often_it_comes(cards, member):
    session = begin(cards, member)
    cards.pay(session["id"])
    event = cards.events[-1]
    with concurrent.futures.ThreadPoolExecutor(5) as at_once:
        assert {a.status for a in at_once.map(lambda _: cards.send(event), range(10))} == {200}
    assert "$5.00" in balance(member)


def test_signatures(cards, member):
    session = begin(cards, member)
    event = cards.event("checkout.session.completed", {**session, "payment_status": "paid", "payment_intent": "pi_x"})
    now = int(time.time())
    signed = cardshop.sign
    for bad in (lambda b: "", lambda b: signed(b, "whsec_other"), lambda b: signed(b, cards.secret, now - 400),
                lambda b: signed(b, cards.secret, now + 400), lambda b: signed(b + b" ", cards.secret),
                lambda b: signed(b, cards.secret).replace("v1=", "v0="), lambda b: signed(b, cards.secret).split(",")[1]):
        answer = cards.send(event, bad)
        assert answer.status == 400 and answer.json()["type"] == "urn:netpay:problem:event-signature"
    assert "$5.00" not in balance(member)
    other = signed(json.dumps(event, indent=2).encode(), "whsec_replaced", now).split("v1=")[1]
    two = cards.send(event, lambda b: signed(b, cards.secret, now).replace("v1=", "v1=%s,v1=" % other))
    assert two.status == 200 and "$5.00" in balance(member)


def test_what_was_not_asked_for_is_not_credited(cards, member):
    session = begin(cards, member)
    for change in ({"amount_total": 50000}, {"amount_total": 1}, {"currency": "eur"}, {"currency": "jpy"}):
        answer = cards.send(cards.event("checkout.session.completed",
                                        {**session, "payment_status": "paid", "payment_intent": "pi_x", **change}))
        assert answer.status == 422, change
    assert "$5" not in balance(member)


def test_a_payment_that_takes_days(cards, member):
    session = begin(cards, member)
    cards.async_payment = True
    try:
        assert cards.pay(session["id"]).status == 200
    finally:
        cards.async_payment = False
    assert "$5.00" not in balance(member)
    assert cards.succeed(session["id"]).status == 200
    assert "$5.00" in balance(member)


def test_a_session_that_expires(cards, member):
    assert cards.expire(begin(cards, member)["id"]).status == 200
    assert "not paid" in member.open("/topup").page.text


def test_refunds(cards, member):
    session = begin(cards, member)["id"]
    early = cards.refunded(session, 200)
    assert cards.send(early).status == 409  # it comes again
    cards.pay(session)
    assert cards.send(early).status == 200 and "$3.00" in balance(member)
    assert "$2.00 of it refunded" in member.page.text
    assert cards.send(early).status == 200 and "$3.00" in balance(member)
    assert cards.refund(session, 500).status == 200 and "refunded" in member.open("/topup").page.text
    assert cards.refund(session, 300).status == 200
    assert "$" not in balance(member)
    assert cards.refund(session, 600).status == 422


def test_a_refund_of_what_was_spent(cards, member):
    session = begin(cards, member)["id"]
    cards.pay(session)
    member.open("/coins").press("Buy", terms="uusd.1000.1000")
    assert cards.refund(session, 500).status == 200
    assert "$" not in balance(member)
    cards.broker.check()
    status, audit = cards.stack.audit()
    assert status == 0 and int(audit["money"]["uusd"]["lost"]) == 1000000


def test_a_refund_that_fails(cards, member):
    session = begin(cards, member)["id"]
    failed = [cards.refund_failed(session, "re_" + session, 500, kind, at=30) for kind in ("charge.refund.updated", "refund.updated", "refund.failed")]
    assert cards.send(failed[0]).json()["type"] == "urn:netpay:problem:refund-unknown"
    cards.pay(session)
    member.open("/coins").press("Buy", terms="uusd.1000.1000")
    assert cards.send(failed[0]).status == 409  # its refund has not been told of
    first = cards.refunded(session, 500)
    assert cards.send(first).status == 200 and "$" not in balance(member)
    for event in failed + failed:
        assert cards.send(event).status == 200 and "$4.00" in balance(member)
    assert " paid" in member.page.text and "refunded" not in member.page.text
    assert "Refund to the card failed" in member.open("/history").page.text
    assert cards.send(first).status == 200 and cards.refund(session, 500, at=-60).status == 200 and "$4.00" in balance(member)
    # The operator tries again; the provider's sum begins anew.
    assert cards.refund(session, 200, at=60).status == 200 and "$2.00" in balance(member)
    assert cards.refund(session, 500, at=61).status == 200 and "$" not in balance(member)
    assert cards.send(cards.refund_failed(session, "re_again" + session, 300, status="canceled", kind="refund.updated", begun=61, at=62)).status == 200
    assert "$2.00" in balance(member) and "$2.00 of it refunded" in member.page.text
    cards.broker.check()


def test_a_provider_that_is_away(cards, member):
    for cards.fail in ((500, {}), (402, {"error": {"type": "card_error"}}), (200, {"url": "javascript:alert(1)"}), (200, [])):
        member.open("/topup").press("Pay by card")
        assert member.status == 502 and "Nothing was charged" in member.page.text
    cards.fail = None
    log = cards.broker.log_text()
    assert "card_provider_failed" in log
    assert cards.key not in log and cards.secret not in log
    begin(cards, member)


def test_forms_of_others_begin_nothing(cards, member):
    calls = len(cards.calls)
    member.open("/topup").press("Pay by card", headers={"Origin": "https://evil.example"})
    assert member.status == 403
    assert client.http_request("POST", cards.broker.issuer + "/topup", body="provider=card&amount=5000000:uusd",
                               headers={"Content-Type": "application/x-www-form-urlencoded"}).status == 303
    assert len(cards.calls) == calls


def test_configuration(cards, tmp_path):
    good = {**cards.broker.options, "store": str(tmp_path / "x.db"), "keys": str(tmp_path / "keys")}

    def said(**changes):
        broker = stacks.Broker(str(tmp_path / "broker"), options={**good, **{k.replace("_", "-"): v for k, v in changes.items()}})
        broker.write_config()
        done = subprocess.run([stacks.broker_program(), "--config", broker.config, "keys", "list"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        return done.returncode, done.stderr

    for changes, word in (({"card_key": None}, "card-webhook-secret without card-key"),
                          ({"card_webhook_secret": None}, "card-key without card-webhook-secret"),
                          ({"card_amount": None}, "card-key without card-amount"), ({"site": "no"}, "site=no"),
                          ({"card_amount": "0"}, "card-amount is"), ({"card_amount": "5.001"}, "smallest coins of USD"),
                          ({"card_amount": "5.50:ujpy"}, "smallest coins of JPY"), ({"card_amount": "5:uchf"}, "uusd, ueur, ujpy"),
                          ({"card_api": "http://pay.example"}, "card-api is an origin"),
                          ({"card_api": "https://pay.example/v1"}, "card-api is an origin")):
        status, text = said(**changes)
        assert status == 2 and word in text, (changes, text)
