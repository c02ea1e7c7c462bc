"""Pages bought by mistake are given back by who paid with a program: only by its ticket and payword, in time, each once, so
many of a coin and of all programs in a day; what is given back is spent again once."""

import json

import pytest

import client
import stack as stacks

BACK = "/.well-known/netpay/give-back"


@pytest.fixture(scope="module")
def kiosk():
    with stacks.Stack(directives={"NetPayGiveBack": "60 2 3"}) as made:
        yield made


def page(number):
    return "/articles/%d.html" % number


def buy(kiosk, coin, number, index):
    answer = client.pay(kiosk.vendor.url(page(number)), coin, index=index)
    assert answer.status == 200, answer
    return answer


def back(kiosk, paid_by, number, ticket, **changes):
    body = {"coin": paid_by.id, "index": ticket, "payword": paid_by.chain.word(ticket), "target": page(number)}
    body.update(changes)
    return client.http_request("POST", kiosk.vendor.url(BACK), headers={"Content-Type": "application/json"},
                               body=json.dumps({k: v for k, v in body.items() if v is not None}))


def reason(answer):
    assert answer.status == 409 and answer.get("Content-Type") == "application/problem+json", answer
    return answer.json()["reason"]


def test_given_back_and_spent_again(kiosk):
    coin = kiosk.coin(n=1000)
    receipt = buy(kiosk, coin, 1, 20).receipt
    assert receipt["give_back"] == 60 and receipt["spent"] == 20
    buy(kiosk, coin, 2, 40)
    # Nobody else's word, nor another ticket or page.
    for changes in ({"payword": coin.chain.word(21)}, {"index": 40}, {"index": 39, "payword": coin.chain.word(39)},
                    {"target": page(3)}, {"coin": kiosk.coin(n=100).id}):
        assert reason(back(kiosk, coin, 1, 20, **changes)) == "unknown"
    for changes in ({"payword": "x"}, {"index": 0}, {"index": "20"}, {"target": "articles"}, {"target": None}, {"coin": "x"}):
        assert back(kiosk, coin, 1, 20, **changes).status == 400
    assert client.http_request("POST", kiosk.vendor.url(BACK), body="{").status == 400
    assert client.http_request("GET", kiosk.vendor.url(BACK)).status == 405
    answer = back(kiosk, coin, 1, 20)
    assert answer.status == 200 and answer.get("Cache-Control") == "no-store", answer
    assert answer.json() == {"coin": coin.id, "spent": 20, "revealed": 40, "units": 20, "amount": "20000", "currency": "uusd"}
    assert reason(back(kiosk, coin, 1, 20)) == "again", "as to one that lost the answer"
    for changes in ({"payword": coin.chain.word(21)}, {"target": page(2)}, {"index": 21, "payword": coin.chain.word(21)}):
        assert reason(back(kiosk, coin, 1, 20, **changes)) == "unknown"
    # The ticket buys nothing more; the units do, and the same page is taken back once a day.
    used = client.pay(kiosk.vendor.url(page(1)), coin, index=20)
    assert used.status == 402 and used.json()["reason"] == "already-spent"
    assert buy(kiosk, coin, 1, 39).receipt["spent"] == 40
    assert reason(back(kiosk, coin, 1, 39)) == "once-a-day"
    # What was read again more than once is hers.
    buy(kiosk, coin, 3, 60)
    for _ in range(2):
        assert "give_back" not in buy(kiosk, coin, 3, 60).receipt
    assert reason(back(kiosk, coin, 3, 60)) == "opened"
    # Two of this coin, three of all programs.
    assert back(kiosk, coin, 2, 40).status == 200
    buy(kiosk, coin, 4, 59)
    assert reason(back(kiosk, coin, 4, 59)) == "too-many"
    other = kiosk.coin(n=1000)
    buy(kiosk, other, 1, 20), buy(kiosk, other, 2, 40)
    assert back(kiosk, other, 1, 20).status == 200
    assert reason(back(kiosk, other, 2, 40)) == "too-many"
    stacks.wait_for(lambda: [(p["units"], p["charged"], p["amount"]) for p in kiosk.vendor.payments() if p["verdict"] == "given-back"]
                    == [(20, False, "20000")] * 3, what="three in the log")
    kiosk.vendor.redeem()
    kiosk.broker.check()
    status, found = kiosk.audit()
    assert status == 0, found


def rich(stack, store):
    """A wallet with a coin of a dollar."""
    stack.netpay("account", "create", "--broker", stack.broker.issuer, store=store)
    stack.netpay("topup", "-", store=store, stdin=stack.broker.mint("10.00").encode())
    stack.netpay("buy", "--unit", "1000", "--n", "1000", store=store)


def test_by_the_netpay_program(tmp_path):
    # A stack of its own: what programs may give back in a day is counted for all of them together.
    with stacks.Stack(directives={"NetPayGiveBack": "60 3 10"}) as stack:
        store = str(tmp_path / "wallet")

        def netpay(*words):
            return stack.netpay(*words, store=store)

        def told(*words):
            return json.loads(netpay(*words, "--json").stdout)

        def get(number):
            return netpay("get", "--max-price", "0.05", stack.vendor.url(page(number)))

        def refused(number, words, status=10):
            done = stack.netpay("give-back", stack.vendor.url(page(number)), store=store, check=False)
            assert done.returncode == status and words in done.stderr.decode(), done

        rich(stack, store)
        refused(1, "nothing was bought at", 2)
        get(1), get(2)
        answer = told("give-back", stack.vendor.url(page(1)))
        assert answer["given_back"] == {"amount": 20000, "currency": "uusd", "text": "0.02 USD"}, answer
        coin, = told("coins")["coins"]
        assert coin["spent"] == 20 and told("balance", "--offline")["coins"][0]["amount"] == 980000
        assert [(p["state"], p.get("given_back", {}).get("amount")) for p in told("history")["payments"]] == [
            ("given-back", 20000), ("paid", None)]
        assert b"(given back)" in netpay("history").stdout
        refused(1, "given back already", 2)
        # What is hers again pays pages: the site and the wallet count alike.
        for number in (3, 4):
            assert b"PAID-ARTICLE-%d" % number in get(number).stdout
        assert told("coins")["coins"][0]["spent"] == 60
        # The same page is taken back once a day; one that was opened again more than once is hers.
        get(1)
        refused(1, "given back today already")
        get(4), get(4)
        refused(4, "opened again")
        assert b"0.02 USD are yours again" in netpay("give-back", stack.vendor.url(page(3))).stdout
        get(5)
        stack.vendor.redeem()
        refused(5, "booked already")
        # Four pages are paid, and the rest comes back when the coin does.
        stacks.wait_for(lambda: told("return", coin["coin"])["done"], what="the coin's return")
        assert told("balance")["accounts"][0]["amount"] == 10000000 - 4 * 20000
        stack.broker.check()
        status, found = stack.audit()
        assert status == 0, found


def test_the_netpay_program_where_nothing_is_taken_back(tmp_path, make_vendor, shared):
    vendor, store = make_vendor(), str(tmp_path / "wallet")
    rich(shared, store)
    shared.netpay("get", "--max-price", "0.05", vendor.url(page(1)), store=store)
    done = shared.netpay("give-back", vendor.url(page(1)), store=store, check=False)
    assert done.returncode == 10 and b"does not offer" in done.stderr, done


def test_booked_is_booked_and_by_default_nothing_is_taken_back(kiosk, make_vendor, shared):
    coin = kiosk.coin(n=1000)
    buy(kiosk, coin, 5, 20)
    kiosk.vendor.redeem()
    assert reason(back(kiosk, coin, 5, 20)) in ("booked", "too-many")
    vendor = make_vendor(directives={"NetPayGiveBack": "60 3"})
    coin = shared.coin(n=1000)
    answer = client.pay(vendor.url(page(1)), coin, index=20)
    assert answer.status == 200 and "give_back" not in answer.receipt
    refused = client.http_request("POST", vendor.url(BACK), body=json.dumps(
        {"coin": coin.id, "index": 20, "payword": coin.chain.word(20), "target": page(1)}))
    assert refused.status == 404 and refused.json()["type"] == "urn:netpay:problem:not-offered"


@pytest.mark.parametrize("value", ["60 3 10001", "60 3 x", "60 3 1 1"])
def test_wrong_directive(make_vendor, value):
    vendor = make_vendor(start=False, directives={"NetPayGiveBack": value})
    status, said = vendor.configtest()
    assert status != 0 and "NetPayGiveBack" in said and "line" in said, said
