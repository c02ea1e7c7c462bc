"""A vendor that cheats the broker alone: false claims, claims too late, coins it never saw."""

import pytest

import client
import market as markets
from market import PRICE


@pytest.fixture(scope="module")
def market():
    with markets.Market(vendors=1) as made:
        yield made


@pytest.fixture
def site(market):
    return market.sites[0]


def test_claims_ranges_it_never_held(market, site):
    """Units that another holds, units before its own custody, a coin nobody holds, one it never heard of."""
    coin, thief = market.coin(), market.make_peer()
    market.buys(site, coin, 3)
    assert thief.redeem(coin, 0, 60) == ["not-held"]
    assert thief.redeem(coin, 20, 40) == ["not-held"]
    assert thief.redeem(coin, 60, 1000) == ["not-held"]
    unheld = market.coin()
    assert thief.redeem(unheld, 0, 20) == ["not-held"]
    assert thief.redeem(client.Coin(client.Chain(30), ""), 0, 20) == ["unknown-coin"]
    own = market.coin()
    assert thief.acquire(own, 20).status == 200
    assert thief.redeem(own, 0, 20) == []
    assert thief.redeem(own, 10, 30) == ["overlap"]
    market.books(coin, {site: 60, thief: 0})
    market.books(own, {thief: 20})


def test_replays_anothers_claim(market, site):
    """The lines of another's batch under its own name; then that batch itself, as overheard."""
    coin, thief = market.coin(), market.make_peer()
    market.buys(site, coin, 2)
    line = client.jcs(client.claim(coin, 0, 40)) + b"\n"
    assert [r["reason"] for r in thief.caller.redeem(line).json()["rejected"]] == ["not-held"]
    before = market.balance(site)
    honest = site.caller()
    first = honest.redeem(line, batch="overheard")
    assert first.json()["rejected"] == [] and market.balance(site) == before + 40 * 1000
    assert [r["reason"] for r in thief.caller.redeem(line).json()["rejected"]] in (["overlap"], ["not-held"])
    again = honest.redeem(line, batch="overheard")
    assert again.status == 200 and again.body == first.body
    stolen = client.VendorCaller(site.origin, thief.key, market.broker.api(), market.clock.now)
    assert stolen.redeem(line, batch="another").status in (401, 403)
    renamed = client.VendorCaller(thief.origin, honest.key, market.broker.api(), market.clock.now)
    assert renamed.redeem(line, batch="another").status in (401, 403)
    assert market.balance(site) == before + 40 * 1000 and market.balance(thief) == 0
    market.books(coin, {site: 40, thief: 0})  # netpay-redeem claims it as well: credited once
    assert market.balance(site) == before + 40 * 1000


def test_grabs_coins_it_was_never_shown_a_payword_of(market, site):
    """At the broker, and at a vendor that holds one: without a payword above the coin's start nothing is had."""
    fresh, held, thief = market.coin(), market.coin(), market.make_peer()
    market.buys(site, held, 2)
    guess = client.b64u(b"\x07" * 32)
    for coin in (fresh, held):
        for index, payword in ((0, coin.chain.word(0)), (1, guess), (20, guess), (1000, guess)):
            answer = thief.caller.custody("acquire", coin=coin.id, index=index, payword=payword)
            assert answer.status == 422, answer
            assert "holder" not in answer.json(), answer
    assert market.epochs(fresh) == [] and market.holder(held) == site.origin
    assert market.pay(site, fresh).status == 200
    market.buys(site, held, 1)
    market.books(held, {site: 60, thief: 0})
    market.books(fresh, {site: 20, thief: 0})


def test_grabs_a_coin_with_a_payword_from_before(market, site):
    """After the lease the next epoch starts where the coin is known to be spent: an old payword is not enough."""
    coin, thief = market.coin(), market.make_peer()
    market.buys(site, coin, 3)
    assert site.redeem()[0] == 0
    market.end_lease()
    for index in (1, 20, 59, 60):
        assert thief.acquire(coin, index).status == 422
    market.buys(site, coin, 1)  # the vendor gets it again, at the customer's next page
    market.books(coin, {site: 80, thief: 0})


def test_claims_after_its_lease(market, site):
    """It sold 60 units and redeemed 20. The coin went to the next vendor from what the broker was shown."""
    coin, late = market.coin(), market.make_peer()
    assert late.acquire(coin, 20).status == 200
    assert late.redeem(coin, 0, 20) == []
    market.end_lease()
    coin.spent = 60
    market.buys(site, coin, 1)
    assert late.redeem(coin, 20, 60) == ["not-held"]
    assert late.redeem(coin, 0, 60) != []
    assert late.renew(coin, 60).json()["custody"] == []
    market.books(coin, {late: 20, site: 20})


def test_claims_after_its_lease_while_nobody_has_the_coin(market):
    """What was sold in time is still paid for: the units are nobody else's yet."""
    coin, late = market.coin(), market.make_peer()
    assert late.acquire(coin, 20).status == 200
    market.end_lease()
    assert late.redeem(coin, 0, 60) == []
    market.books(coin, {late: 60})


def test_renews_what_is_not_its_own(market, site):
    """Another's coin, an epoch that is none, an index without its payword."""
    coin, thief = market.coin(), market.make_peer()
    market.buys(site, coin, 2)

    def renew(**changes):
        item = dict({"coin": coin.id, "epoch": 1, "index": 40, "payword": coin.chain.word(40)}, **changes)
        return thief.caller.custody("renew", coins=[item]).json()["custody"]

    assert renew() == [] and renew(epoch=2) == [] and renew(payword=client.b64u(b"x" * 32)) == []
    market.buys(site, coin, 1)
    market.books(coin, {site: 60, thief: 0})


def test_replayed_calls_of_a_vendor(market, site):
    """A signed call overheard on the wire is good once, for its receiver and its purpose."""
    coin = market.coin()
    honest = site.caller()
    token = honest.request("custody/acquire", coin=coin.id, index=20, payword=coin.chain.word(20))

    def post(call):
        return honest.broker.raw("POST", honest.broker.api + "/custody/" + call, {"request": token})

    assert post("renew").status == 403
    assert post("acquire").status == 200
    assert post("acquire").status == 403
    old = honest.request("custody/acquire", iat=int(market.clock.now()) - 90, coin=coin.id, index=20,
                         payword=coin.chain.word(20))
    assert honest.broker.raw("POST", honest.broker.api + "/custody/acquire", {"request": old}).status == 403
    market.buys(site, coin, 1)
    market.books(coin, {site: PRICE})
