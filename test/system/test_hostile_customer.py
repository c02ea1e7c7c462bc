"""Customers who would spend a unit twice, at vendors that are honest."""

import os
import shutil
import threading

import pytest

import client
import market as markets
import stack as stacks
from market import PRICE

ORDER = ('<Location "/cgi-bin/">\n  AuthType NetPay\n  AuthName "{realm}"\n  Require netpay\n'
         '  NetPayPrice 0.02 usd\n</Location>\n'
         'ScriptAlias "/cgi-bin/" "{dir}/cgi/"\n<Directory "{dir}/cgi">\n  Require all granted\n</Directory>\n')


@pytest.fixture(scope="module")
def market():
    with markets.Market(vendors=2) as made:
        yield made


# --- one coin at sixteen vendors -------------------------------------------

def test_races_one_coin_at_sixteen_vendors():
    """Sixteen threads show the same paywords to sixteen vendors in the same instant, round after round."""
    with markets.Market(vendors=16, hosts=4) as fair:
        coin, rounds = fair.coin(n=1000), 4
        challenges = [client.http_request("GET", site.url("/articles/1.html")).challenge("session")
                      for site in fair.sites]
        sold, odd, guard = [], [], threading.Lock()
        barrier = threading.Barrier(len(fair.sites), timeout=90)

        def customer(number, site):
            for round_ in range(rounds):
                barrier.wait()
                ticket = PRICE * (1 + round_)
                answer = fair.pay(site, coin, page=1 + round_, index=ticket, challenge=challenges[number],
                                  seconds=20, timeout=30)
                problem = answer.json() if answer.status == 402 else {}
                with guard:
                    if answer.status == 200:
                        sold.append((number, ticket))
                    elif answer.status != 503 and problem.get("reason") not in ("already-spent", "lease-over") and \
                            answer.problem != "payment-insufficient":
                        odd.append((number, ticket, answer))

        threads = [threading.Thread(target=customer, args=pair) for pair in enumerate(fair.sites)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert odd == []
        assert sold and len(sold) == len(set(sold))
        assert len(sold) * PRICE <= PRICE * rounds, sold  # no more than was revealed
        expected = {site: PRICE * len([1 for number, _ in sold if number == at])
                    for at, site in enumerate(fair.sites)}
        fair.books(coin, expected, seconds=30)
        # The coin is as good as ever: who holds it sells the next page, wherever the customer goes.
        coin.spent = PRICE * rounds
        fair.buys(fair.sites[7], coin, 1, seconds=30)
        fair.buys(fair.sites[11], coin, 1, seconds=30)


# --- what was spent, once more ---------------------------------------------

def test_shows_spent_paywords_at_another_vendor(market):
    """Straight after the hand-over, and to the one that handed over."""
    one, two = market.sites
    coin = market.coin()
    market.buys(one, coin, 3)
    for ticket in (20, 40, 60):
        answer = market.pay(two, coin, page=9, index=ticket)
        assert answer.status == 402 and answer.json()["reason"] == "already-spent", answer
    market.buys(two, coin, 1)
    for ticket in (60, 80):
        answer = market.pay(one, coin, page=10, index=ticket)
        assert answer.status == 402 and answer.json()["reason"] in ("already-spent", "lease-over"), answer
    market.buys(one, coin, 1)
    market.books(coin, {one: 80, two: 20})


def test_goes_back_to_an_old_wallet_backup(market, tmp_path):
    """A copy of the store from before three payments buys nothing that was bought before; and who restored it in
    good faith goes on after accepting the difference."""
    one, two = market.sites
    store, backup = str(tmp_path / "wallet"), str(tmp_path / "backup")

    def netpay(*args, **more):
        return market.stack.netpay(*args, store=store, **more)

    netpay("account", "create", "--broker", market.broker.issuer)
    netpay("topup", "-", stdin=market.broker.mint("1.00").encode())
    netpay("buy", "--unit", "1000", "--n", "1000")

    def get(site, page):
        return netpay("get", "--max-price", "0.05", site.url("/articles/%d.html" % page), check=False)

    def taken():
        return sum(server.units_taken() for server in market.servers)

    def check_taken(units):
        stacks.wait_for(lambda: taken() - before >= units, what="%d units are counted" % units)
        assert taken() - before == units

    before = taken()
    assert get(one, 1).returncode == 0
    shutil.copytree(store, backup)
    for page in (2, 3):
        assert get(one, page).returncode == 0
    done = get(two, 4)
    assert done.returncode == 0, done.stderr
    check_taken(80)
    shutil.rmtree(store)
    shutil.copytree(backup, store)
    for site, page in ((two, 5), (one, 6)):  # 60 units behind: more than was accepted for a page
        done = get(site, page)
        assert done.returncode in (7, 10, 6), (done.returncode, done.stderr)
        assert b"PAID-ARTICLE" not in done.stdout
    check_taken(80)
    name, = market.rows("SELECT coin FROM coins ORDER BY id DESC LIMIT 1")[0]
    netpay("write-off", name, "--yes")
    done = get(two, 7)
    assert done.returncode == 0 and b"PAID-ARTICLE-7" in done.stdout, done.stderr
    check_taken(100)
    coin = client.Coin(client.Chain(1), "")
    coin.chain.coin = name
    market.books(coin, {one: 60, two: 40})


def test_waits_for_the_lease_to_end_and_spends_the_same_again(market):
    """The vendor renews what it sells, so the broker knows how far the coin is spent when the lease ends."""
    one, two = market.sites
    coin = market.coin()
    market.buys(one, coin, 3)

    def known():
        return market.rows("SELECT e.known FROM epochs e JOIN coins c ON c.id = e.coin WHERE c.coin = ? "
                           "ORDER BY e.epoch DESC", coin.id)[0][0]

    market.pass_time(markets.LEASE_S * 4 // 5)
    stacks.wait_for(lambda: known() == 60, 30, "the lease is renewed")
    one.server.send(19)  # stopped: its host is gone
    try:
        market.end_lease()
        for ticket in (20, 40, 60):
            answer = market.pay(two, coin, page=9, index=ticket, seconds=3)
            assert answer.status == 402, answer
            assert answer.json()["reason"] in ("already-spent", "lease-over"), answer
        market.buys(two, coin, 1)
    finally:
        one.server.send(18)
    market.books(coin, {one: 60, two: 20})


def test_waits_for_the_lease_of_a_vendor_that_redeemed(market):
    """What was credited is known, too."""
    one, two = market.sites
    coin = market.coin()
    market.buys(one, coin, 2)
    assert one.redeem()[0] == 0
    market.end_lease()
    for ticket in (20, 40):
        answer = market.pay(two, coin, page=9, index=ticket)
        assert answer.status == 402 and answer.json()["reason"] in ("already-spent", "lease-over"), answer
    market.buys(two, coin, 1)
    market.books(coin, {one: 40, two: 20})


def test_waits_for_the_lease_at_the_same_vendor(market):
    """It regains the coin, and its count does not fall."""
    one, two = market.sites
    coin = market.coin()
    market.buys(one, coin, 3)
    market.end_lease()
    for ticket in (20, 40, 60):
        answer = market.pay(one, coin, page=9, index=ticket)
        assert answer.status == 402 and answer.json()["reason"] in ("already-spent", "lease-over"), answer
    market.buys(one, coin, 1)
    market.books(coin, {one: 80, two: 0})


# --- a paid POST, again ----------------------------------------------------

@pytest.fixture(scope="module")
def shop():
    """One vendor with a script that counts how often it ran."""
    with stacks.Stack(start=False, modules=["cgid"], extra=ORDER) as made:
        vendor = made.vendor
        vendor.head = "ScriptSock %s/cgid.sock\n" % vendor.dir
        cgi = os.path.join(vendor.site.dir, "cgi")
        os.makedirs(cgi, mode=0o755)
        os.chmod(vendor.site.dir, 0o755)
        counted = os.path.join(cgi, "orders")
        open(counted, "w").close()
        os.chmod(counted, 0o666)
        script = os.path.join(cgi, "order")
        with open(script, "w") as f:
            f.write("#!/bin/sh\ncat >/dev/null\necho ordered >> '%s'\n"
                    "printf 'Content-Type: text/plain\\n\\nORDERED\\n'\n" % counted)
        os.chmod(script, 0o755)
        made.run(vendor)
        made.orders = lambda: len(open(counted).readlines())
        yield made


def test_replays_a_paid_post(shop):
    """The same credential again: the script does not run twice, nothing is charged, from one or from many at once."""
    url, coin = shop.vendor.url("/cgi-bin/order"), shop.coin()
    challenge = client.http_request("GET", url).challenge("session")

    def order(ticket):
        return client.pay(url, coin, index=ticket, challenge=challenge, method="POST", body="book=1")

    first = order(20)
    assert first.status == 200 and first.receipt["spent"] == 20 and shop.orders() == 1
    for _ in range(4):
        again = order(20)
        assert again.status == 402 and again.json()["reason"] == "already-spent", again
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(order(40))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(a.status for a in answers) == [200] + [402] * 11, answers
    assert shop.orders() == 2
    assert shop.vendor.redeem()[0] == 0
    shop.broker.check()


def test_replays_a_paid_post_at_another_vendor(market):
    """A credential names the challenge of one vendor; at another it is not even looked at for money."""
    one, two = market.sites
    coin = market.coin()
    challenge = client.http_request("GET", one.url("/articles/1.html")).challenge("session")
    assert client.pay(one.url("/articles/1.html"), coin, index=20, challenge=challenge).status == 200
    answer = client.pay(two.url("/articles/1.html"), coin, index=20, challenge=challenge, method="POST", body="x")
    assert answer.status == 402 and answer.problem == "invalid-challenge", answer
    assert market.holder(coin) == one.origin
    market.books(coin, {one: 20, two: 0})
