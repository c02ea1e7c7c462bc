"""Vendors that attack the 410 rule: they enclose indices that friends of theirs signed, so that an honest vendor
takes a coin over that nobody gave it, signs it on, and looks like the thief.

Units of the coins here are worth 1000 micro-units; a page costs 20 units."""

import pytest

import client
import market as markets
import stack as stacks

UNIT = 1000


@pytest.fixture(scope="module")
def market():
    with markets.Market(vendors=2, peers=11) as made:
        yield made


@pytest.fixture
def one(market):
    return market.sites[0]


@pytest.fixture
def friends(market):
    return market.known_peer(), market.known_peer()


def ask(friends, coin, site, epoch, before=()):
    """The second asks for the coin, enclosing what the first signed for an epoch it never held."""
    liar, caller = friends
    beside = {"touchstone": coin.touchstone, "releaser": liar.certificate}
    if before:
        beside["before"] = list(before)
    return caller.ask_site(coin, site, 21, enclosed=liar.index(coin, site.origin, 20, epoch=epoch), beside=beside)


def earns(market, site):
    """Something that could be taken from it."""
    coin = market.coin()
    market.buys(site, coin, 5)
    site.redeem()
    return market.balance(site)


def test_nothing_is_signed_on(market, one, friends):
    """The vendor asks the broker first; the liar is suspended, and the vendor holds the coin when it is due to."""
    coin = market.coin()
    before = earns(market, one)
    assert ask(friends, coin, one, 9).status == 404
    market.suspended(friends[0])
    assert market.frauds(one) == [] and market.status(one) == "approved"
    coin.spent = 20  # the owner, in league with them, had shown so much
    market.buys(one, coin, 2)
    market.books(coin, {one: 40}, culprit=friends[0])
    assert market.balance(one) == before + 40 * UNIT


@pytest.mark.parametrize("beside", ["nothing", "an index signed to its signer", "garbage"])
def test_signed_on_while_the_broker_was_away(market, one, friends, beside):
    """It cannot know. When the broker is back it tells by whose word it acted, whatever was enclosed besides."""
    liar, caller = friends
    coin = market.coin()
    before = earns(market, one)
    enclosed = {"nothing": [], "an index signed to its signer": [liar.index(coin, liar.origin, 20, epoch=8)],
                "garbage": ["e30.e30.AAAA"]}[beside]
    with market.broker_away():
        answer = ask(friends, coin, one, 9, enclosed)
        assert answer.status == 200
    # Told by the accomplice at once, and by the vendor when it comes to it.
    assert caller.report(coin, [answer.json()["index"]]).status == 409
    stacks.wait_for(lambda: market.frauds(one) == [] and market.status(one) == "approved", 40, "the vendor is cleared")
    market.suspended(liar)
    assert caller.redeem(coin, 20, 1000) == ["not-held"]
    market.pass_time(610)
    stacks.wait_for(lambda: market.status(one) == "approved", 25, "it stays approved")
    assert market.balance(one) == before and market.balance(caller) == 0
    coin.spent = 20
    market.buys(one, coin, 1, seconds=20)


def test_many_frauds_hide_no_gift(market, one, friends):
    """After so many proofs the broker keeps what it needs to see that the vendor was deceived."""
    liar, caller = friends
    coin = market.coin()
    for epoch in range(10, 40):
        assert caller.report(coin, [liar.index(coin, caller.origin, 20, epoch=epoch)]).status == 409
    with market.broker_away():
        answer = ask(friends, coin, one, 50)
        assert answer.status == 200
    assert caller.report(coin, [answer.json()["index"]]).status == 409
    stacks.wait_for(lambda: market.frauds(one) == [] and market.status(one) == "approved", 40, "the vendor is cleared")


def test_deceived_once_it_sells_nothing_on_credit(market, one):
    """Each new index would open the limit of unconfirmed pages anew."""
    peer = market.rich_peer(200, market.known_peer())
    coin = market.coin()
    sold = 0
    for turn in range(3):
        peer.answer = peer.lying(coin, index=20 + 200 * turn, epoch=10 + 10 * turn)
        coin.spent = 20 + 200 * turn
        drops = market.drops(one)
        with market.broker_away():
            sold += market.sells_out(one, coin, holder=peer.origin, held=20 + 200 * turn)[0]
        # Once it is suspended the vendor may have heard so, and take nothing from it any more.
        if turn == 0:
            market.dropped(one, drops, 60)
    assert 0 < sold <= 10
