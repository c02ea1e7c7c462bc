"""Coins go back: from a vendor that holds them, from one that is away, from nobody after they expired; by the
wallet, by the API and by the page. With a real broker, real httpd and the real wallet."""

import concurrent.futures
import html.parser
import json
import os
import socket
import threading
import time
import urllib.parse

import pytest

import client
import stack as stacks
from market import LEASE_S, MARGIN_S, PRICE, Market

DAY = 86400


@pytest.fixture(scope="module")
def market():
    with Market(vendors=2, broker_options={"coin-days": "10", "certificate-days": "400"}) as made:
        yield made


class Buyer:
    """An account with one coin, whose owner returns it by the API."""

    def __init__(self, market, n=1000):
        self.market, self.wallet = market, market.stack.wallet("%d.%06d" % divmod(n * 1000, 1000000))
        self.coin = self.wallet.buy(n=n)

    def give_back(self, body=None):
        broker = self.wallet.broker
        return broker.raw("POST", "%s/coins/%s/return" % (broker.api, self.coin.id), body, self.wallet.token)

    def balance(self):
        return int(self.wallet.balance())


def give_back_in(market, buyer, seconds=25):
    """Asks until the coin is refunded; the answer."""
    return stacks.wait_for(lambda: (lambda a: a if a.status == 200 else None)(buyer.give_back()), seconds, "the refund")


# --- the holder is there ------------------------------------------------------

def test_wallet_returns_a_coin_that_a_vendor_holds(market, tmp_path):
    site, store = market.sites[0], str(tmp_path / "wallet")

    def netpay(*args, **more):
        return market.stack.netpay(*args, store=store, **more)

    netpay("account", "create", "--broker", market.broker.issuer)
    netpay("topup", "-", stdin=market.broker.mint("10.00").encode())
    netpay("buy", "--unit", "1000", "--n", "1000")
    for page in (1, 2):
        assert b"PAID-ARTICLE-%d" % page in netpay("get", "--max-price", "0.05", site.url("/articles/%d.html" % page)).stdout
    coin = json.loads(netpay("coins", "--json").stdout)["coins"][0]["coin"]
    before = site.credit()
    done = json.loads(netpay("return", coin, "--json").stdout)
    assert done["done"] is True and done["refunded"]["amount"] == 1000000 - 2 * 20000
    assert b"9.96 USD" in netpay("balance").stdout
    status, out, err = site.redeem()
    assert status == 0, err
    assert site.credit() - before == 40000
    # The vendor sells nothing for it any more, and the wallet spends it no more.
    refused = netpay("get", "--max-price", "0.05", site.url("/articles/3.html"), check=False)
    assert refused.returncode == 6 and b"PAID" not in refused.stdout
    market.broker.check()


def test_vendor_sells_nothing_after_it_let_go(market):
    site, buyer = market.sites[0], Buyer(market)
    market.buys(site, buyer.coin)
    answer = buyer.give_back()
    assert answer.status == 200 and answer.json() == {"refunded": 980000, "currency": "uusd"}
    assert buyer.give_back().json() == answer.json()
    assert buyer.balance() == 980000
    sold, refusal = market.sells_out(site, buyer.coin)
    assert sold == 0 and refusal.status in (402, 503)
    other, refusal = market.sells_out(market.sites[1], buyer.coin)
    assert other == 0 and refusal.status in (402, 503)
    site.redeem()
    assert market.credits(buyer.coin) == [(site.origin, 1, 0, PRICE)]
    market.broker.check()


def test_coin_that_went_from_vendor_to_vendor(market):
    one, two = market.sites
    buyer = Buyer(market)
    market.buys(one, buyer.coin, 2)
    market.buys(two, buyer.coin, 1, holder=one.origin, held=buyer.coin.spent)
    answer = stacks.wait_for(lambda: (lambda a: a if a.status == 200 else None)(buyer.give_back()), 40, "the refund")
    assert answer.json()["refunded"] == 1000000 - 3 * 20000
    for site in (one, two):
        site.redeem()
    assert [(v, hi - lo) for v, _, lo, hi in market.credits(buyer.coin)] == [(one.origin, 40), (two.origin, 20)]
    market.broker.check()


def test_return_races_with_payments(market):
    """What is paid is the vendor's, what is not is the customer's, and nothing is both."""
    site, buyer = market.sites[0], Buyer(market)
    market.buys(site, buyer.coin)
    paid = []

    def read():
        while buyer.coin.spent + PRICE <= 1000:
            index = buyer.coin.spent + PRICE
            answer = client.pay(site.url("/articles/%d.html" % (1 + len(paid) % 30)), buyer.coin, index=index)
            if answer.status == 200:
                paid.append(index)
            elif answer.status != 503 or len(paid) > 40:
                return

    reader = threading.Thread(target=read)
    reader.start()
    stacks.wait_for(lambda: len(paid) >= 2, 20, "pages are sold")
    answer = give_back_in(market, buyer)
    reader.join(30)
    assert not reader.is_alive()
    assert answer.json()["refunded"] == 1000000 - 1000 * buyer.coin.spent
    site.redeem()
    assert market.credits(buyer.coin) == [(site.origin, 1, 0, buyer.coin.spent)]
    market.broker.check()


# --- the holder is away -------------------------------------------------------

def test_vendor_is_down_and_comes_back(market):
    server, site = market.servers[1], market.sites[1]
    buyer = Buyer(market)
    market.buys(site, buyer.coin)
    server.stop()
    try:
        began = time.monotonic()
        answer = buyer.give_back()
        assert stacks.within(began, 5)
        assert answer.status == 202 and answer.json()["state"] == "returning"
        assert 0 < answer.json()["due"] - market.clock.now() <= LEASE_S + MARGIN_S + 1
        assert buyer.balance() == 0
    finally:
        server.start()
    market.pass_time(100)
    stacks.wait_for(lambda: buyer.balance() == 980000, 25, "the broker asks again by itself")
    site.redeem()
    assert market.credits(buyer.coin) == [(site.origin, 1, 0, PRICE)]
    market.broker.check()


def test_vendor_never_comes_back(market):
    dead = market.make_peer()
    buyer = Buyer(market)
    assert dead.acquire(buyer.coin, 10).status == 200
    assert dead.redeem(buyer.coin, 0, 10) == []
    dead.stop()
    assert buyer.give_back().status == 202
    market.pass_time(LEASE_S - 5)
    assert buyer.give_back().status == 202
    market.pass_time(MARGIN_S + 60)
    stacks.wait_for(lambda: buyer.balance() == 990000, 25, "the lease has ended")
    assert buyer.give_back().json()["refunded"] == 990000
    market.broker.check()


def test_vendors_that_hang_do_not_stop_the_broker(tmp_path):
    """Eight returns of coins whose holder answers nothing; everybody else is served meanwhile."""
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen(64)
        origin = "http://127.0.0.1:%d" % hole.getsockname()[1]
        with stacks.Stack(memcached=False, vendor=False, broker_options={"threads": "4"}) as stack:
            key = client.Key()
            stack.broker.enrol(origin, key)
            wallet = stack.wallet("8.00")
            caller = client.VendorCaller(origin, key, wallet.broker)
            coins = [wallet.buy(n=1000) for _ in range(8)]
            for coin in coins:
                assert caller.acquire(coin, 1).status == 200
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                answers = [pool.submit(wallet.broker.raw, "POST", "%s/coins/%s/return" % (wallet.broker.api, coin.id),
                                       None, wallet.token) for coin in coins]
                time.sleep(0.3)
                slowest = 0
                for _ in range(10):
                    began = time.monotonic()
                    assert client.http_request("GET", stack.broker.address + "/.well-known/netpay").status == 200
                    slowest = max(slowest, time.monotonic() - began)
                assert slowest < stacks.patience(), slowest
                assert [a.result().status for a in answers] == [202] * 8
            stack.broker.check()


# --- nobody returned it -------------------------------------------------------

def test_expired_coins_are_refunded(tmp_path):
    with Market(vendors=1, broker_options={"coin-days": "10", "certificate-days": "400"}) as market:
        site, buyer, idle = market.sites[0], Buyer(market), Buyer(market)
        market.buys(site, buyer.coin)
        assert site.redeem()[0] == 0
        market.pass_time(LEASE_S + MARGIN_S + 5)
        market.pass_time(10 * DAY + 90 * DAY - LEASE_S - MARGIN_S - 200)
        time.sleep(11)  # a tick
        assert buyer.balance() == 0 and idle.balance() == 0
        market.pass_time(400)
        stacks.wait_for(lambda: buyer.balance() == 980000 and idle.balance() == 1000000, 25, "the refunds")
        assert buyer.give_back().json()["refunded"] == 980000
        market.broker.check()


# --- the page -----------------------------------------------------------------

class Form(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.inputs, self.form, self.text = [], {}, None, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "form":
            self.form = dict(attrs)
        if tag == "input":
            self.inputs[dict(attrs)["name"]] = dict(attrs)

    def handle_data(self, data):
        self.text.append(data)


def post_form(broker, **fields):
    return client.http_request("POST", broker.address + "/return", {"Content-Type": "application/x-www-form-urlencoded"},
                               urllib.parse.urlencode(fields))


def test_page(market):
    page = client.http_request("GET", market.broker.address + "/return")
    assert page.status == 200 and page.get("Content-Type") == "text/html; charset=utf-8"
    assert page.get("Cache-Control") == "no-store" and page.get("Referrer-Policy") == "no-referrer"
    policy = page.get("Content-Security-Policy")
    assert "default-src 'none'" in policy and "form-action 'self'" in policy and "unsafe" not in policy
    form = Form(page.body.decode())
    assert "script" not in form.tags and set(form.inputs) == {"token", "coin"}
    assert form.form["method"] == "post" and form.form["action"] == "/return"
    buyer = Buyer(market)
    market.buys(market.sites[0], buyer.coin)
    done = post_form(market.broker, token=buyer.wallet.token, coin=buyer.coin.id)
    assert done.status == 200 and "98 ¢" in done.body.decode()
    assert buyer.wallet.token.encode() not in done.body
    assert buyer.balance() == 980000
    market.broker.check()


def test_page_takes_no_nonsense(market):
    buyer = Buyer(market)
    for fields in ({"token": "<script>alert(1)</script>", "coin": "<b>"}, {"token": buyer.wallet.token, "coin": "<i>x"},
                   {"token": "", "coin": ""}, {"token": buyer.wallet.token}):
        answer = post_form(market.broker, **fields)
        assert answer.status in (400, 403, 404)
        assert answer.get("Content-Type") == "text/html; charset=utf-8"
        assert b"<script" not in answer.body and b"<i>" not in answer.body and b"<b>" not in answer.body
    address = market.broker.address + "/return"
    assert client.http_request("POST", address, {"Content-Type": "application/json"}, "{}").status == 415
    assert client.http_request("POST", address, {"Content-Type": "application/x-www-form-urlencoded"}, "a" * 4000).status == 413
    assert client.http_request("PUT", address).status == 405
    assert buyer.wallet.token not in market.broker.log_text()


def test_page_is_rate_limited(tmp_path):
    with stacks.Stack(memcached=False, vendor=False, broker_options={"rate": "POST /return:0.01:3"}) as stack:
        statuses = [post_form(stack.broker, token="x", coin="y").status for _ in range(5)]
        assert statuses == [403] * 3 + [429] * 2


# --- publishers and operators ---------------------------------------------------

def test_publisher_registers_and_changes_the_key(tmp_path):
    with stacks.Stack(memcached=False, vendor=False) as stack:
        origin = "http://127.0.0.1:4711"
        keys = [client.Key(), client.Key()]
        files = [str(tmp_path / name) for name in ("one.pem", "two.pem")]
        for key, name in zip(keys, files):
            with open(name, "wb") as f:
                f.write(key.pem())
            os.chmod(name, 0o600)

        def certificate():
            token = stack.netpay("vendor", "certificate", "--origin", origin).stdout.decode().strip()
            return client.peek(token)

        stack.netpay("account", "create", "--broker", stack.broker.issuer)
        said = json.loads(stack.netpay("vendor", "register", "--origin", origin, "--key", files[0], "--json").stdout)
        assert (said["status"], said["kid"]) == ("pending", keys[0].kid)
        assert said["handoff"] == origin + "/.well-known/netpay/handoff"
        assert stack.netpay("vendor", "certificate", "--origin", origin, check=False).returncode == 8
        stack.broker.admin("vendor", "approve", origin, "--kid=" + keys[0].kid)
        assert certificate()["cnf"]["jwk"] == keys[0].jwk()
        stack.netpay("vendor", "register", "--origin", origin, "--key", files[1])
        assert stack.broker.admin("vendor", "approve", origin, check=False).returncode == 1
        stack.broker.admin("vendor", "approve", origin, "--kid=" + keys[1].kid)
        assert certificate()["cnf"]["jwk"] == keys[1].jwk()
        # Both are listed, the newer first, and both sign.
        api = stack.broker.api()
        listed = api.get("/vendors")["certificates"]
        assert sorted(client.peek(t)["cnf"]["jwk"]["x"] for t in listed) == sorted(k.jwk()["x"] for k in keys)
        wallet = stack.wallet("2.00")
        for key in keys:
            assert client.VendorCaller(origin, key, api).acquire(wallet.buy(n=1000), 1).status == 200
        for bad in (["--origin", "https://NEWS.example"], ["--key", "/dev/null"], ["--handoff", "https://evil.example/h"]):
            args = {"--origin": origin, "--key": files[0]}
            args.update(dict([bad]))
            assert stack.netpay("vendor", "register", *sum(args.items(), ()), check=False).returncode == 2


def test_evidence_and_payout(market):
    site, buyer = market.sites[0], Buyer(market)
    market.buys(site, buyer.coin)
    assert buyer.give_back().status == 200
    assert site.redeem()[0] == 0
    text = market.broker.admin("evidence", buyer.coin.id)
    assert buyer.coin.chain.word(PRICE) in text and buyer.coin.chain.word(PRICE + 1) not in text
    assert buyer.wallet.account not in text
    name = os.path.join(market.stack.dir, "evidence.json")
    with open(name, "w") as f:
        f.write(text)
    said = market.stack.netpay("verify-evidence", name).stdout.decode()
    assert site.origin in said
    row = [r for r in map(json.loads, market.broker.admin("vendor", "list", "--json").splitlines()) if r["origin"] == site.origin][0]
    assert row["payable"]["uusd"] >= 20000
    paid = json.loads(market.broker.admin("vendor", "payout", site.origin, "--json"))["paid"]
    assert paid == row["payable"]
    row = [r for r in map(json.loads, market.broker.admin("vendor", "list", "--json").splitlines()) if r["origin"] == site.origin][0]
    assert row["payable"] == {} and row["paid"] == paid and row["owes"] == {}
    assert market.broker.admin("fraud", "list", "--json") == ""
    market.broker.check()
    for nobodys in ("nonsense", "-" + 21 * "A"):  # a coin's name may look like an option
        done = market.broker.admin("evidence", nobodys, check=False)
        assert done.returncode == 1 and "Not a coin of this broker" in done.stderr
