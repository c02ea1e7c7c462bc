"""Vendors that cheat with custody: they sell what they gave away, give what is not theirs, or sit on it.

Units of the coins here are worth 1000 micro-units; a page costs 20 units."""

import time

import pytest

import client
import market as markets
import peer as peers
import stack as stacks

UNIT = 1000


@pytest.fixture(scope="module")
def market():
    with markets.Market(vendors=2, peers=12) as made:
        yield made


@pytest.fixture
def one(market):
    return market.sites[0]


@pytest.fixture
def two(market):
    return market.sites[1]


def holds(market, peer, sold, n=1000):
    """A coin of which the peer has custody and says it sold so much; the customer counts the same."""
    coin = market.coin(n=n)
    assert peer.acquire(coin, max(sold, 1)).status == 200
    peer.sell(coin, sold)
    coin.spent = sold
    return coin


def test_honest_peer_hands_over(market, one):
    """The peer of these tests is one that vendors deal with, when it keeps the rules; nothing is held against it."""
    peer = market.make_peer()
    coin = holds(market, peer, 20)
    market.buys(one, coin, 2)
    market.confirmed(coin, one)
    asked = peer.calls[-1].request
    assert asked["aud"] == peer.origin and asked["iss"] == one.origin
    assert asked["payword"] == coin.chain.word(asked["index"]) and asked["index"] <= 20  # nothing it could gain by
    assert peer.redeem(coin, 0, 20) == []
    token = peer.take_from(coin, one, 61)
    assert client.peek(token)["index"] == 60
    market.books(coin, {peer: 20, one: 40})


# --- selling what was given away -------------------------------------------

def test_hands_over_and_goes_on_selling(market, one):
    """What it claims above the index it signed is nobody's but the next vendor's."""
    peer = market.make_peer()
    coin = holds(market, peer, 20)
    market.buys(one, coin, 1)
    market.confirmed(coin, one)
    assert peer.redeem(coin, 0, 20) == []
    assert peer.redeem(coin, 20, 60) == ["not-held"]
    assert peer.redeem(coin, 0, 60) != []
    assert peer.renew(coin, 60).json()["custody"] == []
    market.buys(one, coin, 1)
    market.books(coin, {peer: 20, one: 40})
    lost = [d for d in market.evidence(coin)[0]["disputes"] if d["vendor"] == peer.origin]
    assert lost, "the losing claim is on file"


def test_hands_over_and_claims_the_rest_before_the_report(market, one):
    """It has 60 credited of which it signed 20: the rest is taken back, and its own signature convicts it."""
    peer = market.make_peer()
    coin = holds(market, peer, 20)
    assert peer.redeem(coin, 0, 60) == []
    assert market.balance(peer) == 60 * UNIT
    market.buys(one, coin, 2)
    market.confirmed(coin, one)
    market.suspended(peer)
    assert market.frauds(peer) == ["below-claims"]
    assert market.balance(peer) == 20 * UNIT
    market.books(coin, {peer: 20, one: 40}, culprit=peer)


def test_hands_over_below_what_it_sold(market, one):
    """Who signs a lower index gives the difference away: to the customer, not at the next vendor's cost."""
    peer = market.make_peer()
    coin = holds(market, peer, 60)
    peer.coins[coin.id].spent = 20
    coin.spent = 20  # the customer notices
    market.buys(one, coin, 3)
    market.confirmed(coin, one)
    assert peer.redeem(coin, 0, 60) == ["not-held"]
    assert peer.redeem(coin, 0, 20) == []
    market.books(coin, {peer: 20, one: 60})


def test_hands_over_above_what_it_sold_with_a_false_payword(market, one):
    """It cannot sign further than it was shown: the receiver hashes the payword of the index."""
    peer = market.make_peer()
    coin = holds(market, peer, 20)
    for index, payword in ((500, coin.chain.word(40)), (40, client.b64u(b"x" * 32)), (1001, coin.chain.word(1000))):
        peer.answer = lambda call: peers.Reply(200, {"touchstone": coin.touchstone, "index": peer.key.sign(
            "netpay-index+jwt", dict(client.peek(peer.index(coin, call.asker, 20)), index=index, payword=payword))})
        assert market.pay(one, coin, seconds=0).status == 503
    assert market.holder(coin) == peer.origin and market.status(peer) == "approved"
    peer.answer = peer.honest
    market.buys(one, coin, 1, seconds=30)
    assert peer.redeem(coin, 0, 20) == []
    market.books(coin, {peer: 20, one: 20})


def test_hands_over_above_what_it_sold_by_what_was_revealed(market, one):
    """A customer who showed more than a price too much to a thief loses that, and the next vendor nothing."""
    peer = market.make_peer()
    coin = holds(market, peer, 20)  # she has paid 20, and showed W_40 for a page that she never got
    peer.coins[coin.id].spent = 40
    answer = market.pay(one, coin, seconds=5)
    assert answer.status == 402 and answer.json()["reason"] == "already-spent" and answer.json()["spent"] == 40
    coin.spent = 40
    market.buys(one, coin, 1)
    market.confirmed(coin, one)
    assert peer.redeem(coin, 0, 40) == []
    market.books(coin, {peer: 40, one: 20})


# --- one coin, two receivers -----------------------------------------------

def test_hands_the_coin_to_two_vendors(market, one, two):
    """The first index on file decides; the second receiver is paid from the culprit's balance."""
    peer = market.rich_peer(200, market.known_peer())
    coin = holds(market, peer, 20)
    peer.answer = peer.to_everyone
    market.buys(one, coin, 1)
    market.confirmed(coin, one)
    before, drops = market.balance(two), market.drops(two)
    coin.spent = 20
    with market.broker_away():  # so that it is sold before it is reported
        answer = market.pay_direct(two, coin, peer, 20, page=2)  # a customer in league with it
    assert answer.status == 200, answer
    market.suspended(peer)
    assert market.frauds(peer) == ["two-indices"]
    market.dropped(two, drops)
    again = market.pay(two, coin, page=3, index=60, seconds=3)
    if again.status == 200:  # it got the coin from its rightful holder meanwhile
        market.confirmed(coin, two)
    assert peer.redeem(coin, 0, 20) == []  # what it sold before it lied is its own
    market.books(coin, {peer: 20, one: 20, two: 20 if again.status == 200 else 0}, culprit=peer)
    got = [(to, culprit, lo, hi, due, paid) for to, culprit, lo, hi, due, paid in market.compensations(coin)]
    assert got == [(two.origin, peer.origin, 20, 40, 20 * UNIT, 20 * UNIT)], got
    assert market.balance(two) == before + 20 * UNIT + (20 * UNIT if again.status == 200 else 0)
    assert peer.acquire(market.coin(), 20).status == 403


def test_hands_the_coin_to_two_vendors_while_the_broker_is_down(market, one, two):
    """The second receiver sells no more than its limit before it knows, and is paid for all of that."""
    peer = market.rich_peer(400, market.known_peer())
    coin = holds(market, peer, 20)
    peer.answer = peer.to_everyone
    market.buys(one, coin, 1)
    market.confirmed(coin, one)
    before = market.balance(two)
    coin.spent = 20
    market.broker.stop()
    try:
        assert market.pay_direct(two, coin, peer, 20, page=1).status == 200
        sold, refused = market.sells_out(two, coin)
        assert sold + 1 == 10 and refused.status == 503, (sold, refused)  # the default of NetPayUnconfirmed
    finally:
        market.broker.start()
    market.suspended(peer, 60)
    assert market.frauds(peer) == ["two-indices"]

    def paid():
        two.redeem(check=False)
        return sum(paid for to, _, _, _, _, paid in market.compensations(coin) if to == two.origin) == 200 * UNIT

    stacks.wait_for(paid, 30, "two is compensated for ten pages")
    assert market.balance(two) == before + 200 * UNIT
    market.books(coin, {one: 20, two: 0}, culprit=peer)


def test_hands_the_coin_to_two_vendors_and_has_nothing(market, one, two):
    """Without a balance nobody is paid from it; the loss stays at the second receiver's limit."""
    peer = market.known_peer()
    coin = holds(market, peer, 20)
    peer.answer = peer.to_everyone
    market.buys(one, coin, 1)
    market.confirmed(coin, one)
    before = market.balance(two)
    coin.spent = 20
    with market.broker_away():
        assert market.pay_direct(two, coin, peer, 20, page=4).status == 200
    market.suspended(peer)
    market.books(coin, {one: 20, two: 0, peer: 0}, culprit=peer)
    assert market.balance(two) == before
    assert [(due, paid) for _, _, _, _, due, paid in market.compensations(coin)] == [(20 * UNIT, 0)]
    assert peer.redeem(coin, 0, 20) == []  # what it earns later goes where it owes
    stacks.wait_for(lambda: market.balance(two) == before + 20 * UNIT, 25, "two is paid from what the culprit earns")
    market.sound(coin, peer)


def test_two_indices_of_one_epoch_to_the_same_vendor(market, one):
    """Lower on the second asking: the first that the broker is shown decides, the pair convicts."""
    peer = market.make_peer()
    coin = holds(market, peer, 60)
    other = market.make_peer()
    high, low = peer.index(coin, other.origin, 60), peer.index(coin, other.origin, 20)
    assert other.report(coin, [high]).status == 200
    answer = other.report(coin, [low])
    assert answer.status == 409 and answer.json()["index"] == high, answer
    assert market.status(peer) == "suspended" and market.frauds(peer) == ["two-indices"]
    assert market.status(other) == "approved"
    assert other.report(coin, [high]).status == 200  # the same again gets the same
    assert peer.redeem(coin, 0, 60) == []
    market.books(coin, {peer: 60, other: 0}, culprit=peer)


# --- what it never held ----------------------------------------------------

@pytest.mark.parametrize("whose", ["nobody", "another"])
def test_hands_over_a_coin_it_never_held(market, one, two, whose):
    """One that nobody holds; one that another vendor holds."""
    peer = market.rich_peer(200, market.known_peer())
    coin = market.coin()
    if whose == "another":
        market.buys(one, coin, 1)
    coin.spent = 20
    peer.answer = peer.lying(coin, index=20, epoch=1)
    before, drops = market.balance(two), market.drops(two)
    with market.broker_away():
        assert market.pay_direct(two, coin, peer, 20, page=1).status == 200
    market.suspended(peer)
    assert market.frauds(peer) == ["never-held"]
    market.dropped(two, drops)
    if whose == "another":
        coin.spent = 20
        market.buys(one, coin, 1)
    expected = {one: 40 if whose == "another" else 0, two: 0, peer: 0}
    market.books(coin, expected, culprit=peer)
    # Not before every report that could clear the culprit would be here.
    assert market.balance(two) == before
    market.pass_time(610)
    stacks.wait_for(lambda: market.balance(two) == before + 20 * UNIT, 25, "two is paid from the culprit's balance")
    # The coin is where it was: its owner pays with it, and every unit is there.
    # She counts what she bought from the one that was deceived; that one sells her the next page.
    coin.spent = max(expected[one], 40)
    market.buys(two, coin, 1, seconds=20)
    market.books(coin, {**expected, two: 20}, culprit=peer)
    assert market.balance(two) == before + 40 * UNIT  # for what it was compensated it is not credited as well


def test_hands_over_after_it_redeemed_all_of_it(market, one):
    """It was credited the whole coin and signs that 20 units were spent: the rest is taken back."""
    peer = market.make_peer()
    coin = holds(market, peer, 20)
    assert peer.redeem(coin, 0, 1000) == []
    assert market.balance(peer) == 1000 * UNIT
    coin.spent = 20
    market.buys(one, coin, 3)
    market.confirmed(coin, one)
    market.suspended(peer)
    assert market.frauds(peer) == ["below-claims"]
    assert market.balance(peer) == 20 * UNIT
    assert peer.redeem(coin, 20, 1000) == ["not-held"]
    market.books(coin, {peer: 20, one: 60}, culprit=peer)


def test_hands_over_after_it_redeemed_all_and_was_honest_about_it(market, one):
    """A spent coin travels as one: there is nothing left to sell."""
    peer = market.make_peer()
    coin = market.coin(n=100)
    assert peer.acquire(coin, 100).status == 200
    peer.sell(coin, 100)
    assert peer.redeem(coin, 0, 100) == []
    answer = market.pay(one, coin, index=100, seconds=5)
    assert answer.status in (402, 503), answer
    market.books(coin, {peer: 100, one: 0})


# --- paywords learned by hand-over -----------------------------------------

def test_claims_with_paywords_learned_by_hand_over(market, one):
    """A receiver learns W of the index that its predecessor sold up to: not a unit of that is its own."""
    peer = market.make_peer()
    coin = market.coin()
    market.buys(one, coin, 3)
    token = peer.take_from(coin, one, 61)
    learned = client.peek(token)
    assert (learned["index"], learned["payword"]) == (60, coin.chain.word(60))
    for start in (0, 20, 59):
        assert peer.redeem(coin, start, 60) == ["not-held"]
    market.books(coin, {one: 60, peer: 0})


def test_asks_for_a_hand_over_without_a_payword(market, one):
    """At the holder: no payword, one at or below the start, a false one, another's request, another's certificate."""
    peer, other = market.make_peer(), market.make_peer()
    coin = market.coin()
    market.buys(one, coin, 2)
    assert peer.ask_site(coin, one, 0).status == 422
    assert peer.ask_site(coin, one, 41, payword=client.b64u(b"y" * 32)).status == 422
    assert peer.ask_site(coin, one, 41, payword=coin.chain.word(40)).status == 422
    assert peer.ask_site(coin, one, 41, epoch=7).status == 422
    assert peer.ask_site(coin, one, 41, certificate=other.certificate).status == 403
    assert peer.ask_site(coin, one, 41, key=other.key).status == 403
    assert peer.ask_site(coin, one, 41, certificate="").status in (400, 403)
    assert peer.ask(coin, one.origin + "/.well-known/netpay/handoff", "http://127.0.0.1:1", 41).status == 403
    market.buys(one, coin, 1)
    market.books(coin, {one: 60, peer: 0})


# --- sitting on it ---------------------------------------------------------

@pytest.mark.parametrize("how", ["403", "404", "410", "503", "silent", "gone"])
def test_sits_on_a_coin_and_refuses_to_release_it(market, one, how):
    """Its lease is not renewed while another waits; when it ends the customer has her coin again, and what the
    broker was not shown in time is lost to the one that sat on it."""
    peer = market.make_peer()
    coin = holds(market, peer, 40)
    assert peer.redeem(coin, 0, 20) == []
    if how == "silent":
        peer.answer = peer.silent
    elif how == "gone":
        peer.server.shutdown()
        peer.server.server_close()
    else:
        peer.answer = peer.always(int(how))
    began = time.monotonic()
    answer = market.pay(one, coin, index=60, seconds=0)
    assert answer.status == 503 and int(answer.get("Retry-After")) > 0, answer
    assert answer.problem == "internal-payment-error"
    assert stacks.within(began, 8)
    refused = peer.renew(coin, 20).json()
    assert refused["custody"] == [] and refused["refused"][0]["reason"] == "waiting", refused
    market.end_lease()
    market.buys(one, coin, 1, index=60, seconds=20)
    assert market.holder(coin) == one.origin
    assert peer.redeem(coin, 20, 40) == ["not-held"]
    market.books(coin, {peer: 20, one: 20})


def test_refuses_in_a_circle(market, one):
    """Two that name each other for ever: a bounded number of calls, then 503; the lease ends that, too."""
    first, second = market.make_peer(), market.make_peer()
    coin = holds(market, first, 20)
    second.hold(coin, {"epoch": 2, "index": 20, "exp": int(market.clock.now()) + 3600})

    def pointing(me, other):
        return lambda call: peers.Reply(410, {"index": me.index(coin, other.origin, 20),
                                              "certificate": other.certificate})

    first.answer, second.answer = pointing(first, second), pointing(second, first)
    answer = market.pay(one, coin, seconds=0, timeout=30)
    assert answer.status == 503, answer
    assert len(first.calls) + len(second.calls) <= 5
    market.end_lease()
    market.buys(one, coin, 1, seconds=20)
    market.books(coin, {one: 20})


# --- the chain of lost answers, with a liar in it --------------------------

def test_gave_it_to_one_and_says_it_gave_it_to_another(market, one, two):
    """410 with an index for a vendor that never got it: that one takes it over by it, as the rule says, and what
    the liar had signed before convicts it as soon as it is shown."""
    peer = market.rich_peer(400)
    coin = holds(market, peer, 20)
    third = market.make_peer()
    hidden = peer.index(coin, third.origin, 20)
    named = market.broker.admin("vendor", "certificate", two.origin).strip()
    peer.answer = lambda call: peers.Reply(410, {"index": peer.index(coin, two.origin, 20), "certificate": named})
    answer = market.pay(one, coin, seconds=10)
    assert answer.status == 200, answer
    market.confirmed(coin, one)
    assert [origin for _, origin, _, _, _ in market.epochs(coin)] == [peer.origin, two.origin, one.origin]
    assert market.status(peer) == "approved"
    assert third.report(coin, [hidden]).status == 409
    assert market.status(peer) == "suspended"
    market.books(coin, {one: 20, two: 0, third: 0}, culprit=peer)
