"""What a peer, or the broker's directory, answers: lies, redirects, private addresses; slow, huge, endless.

The vendor that asked sells nothing on the strength of it, calls nobody it should not, and goes on serving."""

import http.client
import statistics
import threading
import time

import pytest

import client
import market as markets
import peer as peers
import stack as stacks

MOST_S = 8  # about what acquire() may take: a call to the broker, one to a vendor


@pytest.fixture(scope="module")
def market():
    with markets.Market(vendors=2, peers=4) as made:
        yield made


@pytest.fixture
def one(market):
    return market.sites[0]


def held_by(market, peer):
    coin = market.coin()
    assert peer.acquire(coin, 20).status == 200
    peer.sell(coin, 20)
    coin.spent = 20
    return coin


def refused(market, site, coin, peer):
    """The customer gets 503 within bounded time and pays nothing; custody stays where it was."""
    began = time.monotonic()
    answer = market.pay(site, coin, seconds=0, timeout=30)
    assert stacks.within(began, MOST_S), "took %.1f s" % (time.monotonic() - began)
    assert answer.status == 503 and answer.problem == "internal-payment-error", answer
    assert int(answer.get("Retry-After")) > 0 and not answer.receipt
    assert market.holder(coin) == peer.origin
    return answer


# --- answers that are lies -------------------------------------------------

def mallory():
    return client.Key()


LIES = {
    "wrong signature": lambda peer, coin: {"key": mallory()},
    "aud is another vendor": lambda peer, coin: {"aud": "http://127.0.0.1:1"},
    "aud is the broker": lambda peer, coin: {"aud": peer.broker.issuer},
    "iss is another vendor": lambda peer, coin: {"iss": "http://127.0.0.1:1"},
    "another epoch": lambda peer, coin: {"epoch": 2},
    "epoch zero": lambda peer, coin: {"epoch": 0},
    "a request's typ": lambda peer, coin: {"typ": "netpay-request+jwt"},
    "a custody's typ": lambda peer, coin: {"typ": "netpay-custody+jwt"},
    "another coin": lambda peer, coin: {"coin": client.Chain(3).coin},
    "index as text": lambda peer, coin: {"index": 20, "payword": coin.chain.word(20), "epoch": "1"},
    "no payword": lambda peer, coin: {"payword": None},
    "a payword from elsewhere": lambda peer, coin: {"payword": client.b64u(b"z" * 32)},
    "lease long over": lambda peer, coin: {"exp": int(peer.clock()) - 900},
    "signed in an hour": lambda peer, coin: {"iat": int(peer.clock()) + 3600},
}


@pytest.mark.parametrize("lie", sorted(LIES))
def test_lying_index(market, one, lie):
    peer = market.make_peer()
    coin = held_by(market, peer)
    peer.answer = peer.lying(coin, **LIES[lie](peer, coin))
    refused(market, one, coin, peer)
    assert len(peer.calls) == 1
    market.sound(coin)


def test_what_a_liar_held_up_is_had_when_it_tells_the_truth(market, one):
    peer = market.make_peer()
    coin = held_by(market, peer)
    peer.answer = peer.lying(coin, key=mallory())
    refused(market, one, coin, peer)
    peer.answer = peer.honest
    market.buys(one, coin, 1, seconds=30)
    market.books(coin, {one: 20, peer: 0})


GARBAGE = {
    "empty": b"", "not JSON": b"<html>", "an array": b"[]", "a deep one": b"[" * 4000 + b"]" * 4000,
    "bad UTF-8": b'{"index":"\xff\xfe"}', "twice": b'{"index":"a","index":"b","touchstone":"x"}',
    "no token": b'{"touchstone":"x"}', "a token of nothing": b'{"touchstone":"x","index":"a.b.c"}',
    "a long token": b'{"touchstone":"x","index":"' + b"A" * 20000 + b'"}',
}


@pytest.mark.parametrize("kind", sorted(GARBAGE))
def test_garbage(market, one, kind):
    peer = market.make_peer()
    coin = held_by(market, peer)
    peer.answer = peer.raw(GARBAGE[kind])
    refused(market, one, coin, peer)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect(market, one, status):
    """Nobody is called but who a broker's certificate names."""
    peer, trap = market.make_peer(), market.make_peer(enrol=False)
    coin = held_by(market, peer)
    trap.answer = peer.answer
    peer.answer = peer.redirect(trap.origin + peers.HANDOFF, status)
    refused(market, one, coin, peer)
    assert trap.connections == 0


def foreign(market, now, **changes):
    """A certificate for who is no vendor of this broker: by default one of another broker."""
    nobody = market.make_peer(enrol=False)
    made = dict({"signer": client.Key(), "issuer": "https://other.example", "sub": nobody.origin, "key": nobody.key,
                 "now": now}, **changes)
    return nobody, peers.certificate(**made)


CERTIFICATES = {
    "another broker": lambda market: {},
    "another broker in this one's name": lambda market: {"issuer": market.broker.issuer},
    "expired": lambda market: {"signer": peers.broker_key(market.broker), "issuer": market.broker.issuer,
                               "iat": int(market.clock.now()) - 9000, "exp": int(market.clock.now()) - 100},
    "not yet": lambda market: {"signer": peers.broker_key(market.broker), "issuer": market.broker.issuer,
                               "iat": int(market.clock.now()) + 9000},
    "another origin": lambda market: {"signer": peers.broker_key(market.broker), "issuer": market.broker.issuer,
                                      "sub": "http://127.0.0.1:1"},
}


@pytest.mark.parametrize("kind", sorted(CERTIFICATES))
def test_410_with_a_bad_certificate(market, one, kind):
    """A holder says that it gave the coin to somebody whose certificate is none."""
    peer = market.make_peer()
    coin = held_by(market, peer)
    nobody, bad = foreign(market, market.clock.now(), **CERTIFICATES[kind](market))
    peer.answer = lambda call: peers.Reply(410, {"index": peer.index(coin, nobody.origin), "certificate": bad})
    refused(market, one, coin, peer)
    assert nobody.connections == 0


@pytest.mark.parametrize("kind", sorted(CERTIFICATES))
def test_asking_with_a_bad_certificate(market, one, kind):
    """Whoever asks an honest vendor for a coin needs a certificate of the coin's broker."""
    coin = market.coin()
    market.buys(one, coin, 2)
    nobody, bad = foreign(market, market.clock.now(), **CERTIFICATES[kind](market))
    nobody.caller = client.VendorCaller(nobody.origin, nobody.key, market.broker.api(), market.clock.now)
    answer = nobody.ask_site(coin, one, 41, certificate=bad)
    assert answer.status == 403, answer
    market.buys(one, coin, 1)
    market.books(coin, {one: 60})


# --- a directory that lies -------------------------------------------------

@pytest.fixture(scope="module")
def fooled():
    """A market whose vendors reach their broker through a directory that lies at will."""
    directory = peers.Directory(stacks.Ports.take())
    with markets.Market(vendors=1, directory=directory) as made:
        made.directory = directory
        yield made
    directory.stop()


@pytest.fixture
def directory(fooled):
    yield fooled.directory
    fooled.directory.lies.clear()


HOLDERS = dict(CERTIFICATES, **{
    "handed over elsewhere": lambda market: {"signer": peers.broker_key(market.broker), "issuer": market.broker.issuer,
                                             "handoff": "http://127.0.0.1:1" + peers.HANDOFF},
    "a user in the address": lambda market: {"signer": peers.broker_key(market.broker), "issuer": market.broker.issuer,
                                             "handoff": "http://127.0.0.1@127.0.0.1:1/"},
    "a file": lambda market: {"signer": peers.broker_key(market.broker), "issuer": market.broker.issuer,
                              "handoff": "file:///etc/passwd"},
    "a private address": lambda market: {"signer": peers.broker_key(market.broker), "issuer": market.broker.issuer,
                                         "sub": "https://10.1.2.3", "handoff": "https://10.1.2.3" + peers.HANDOFF},
    "the cloud's own address": lambda market: {"signer": peers.broker_key(market.broker),
                                               "issuer": market.broker.issuer, "sub": "https://169.254.169.254",
                                               "handoff": "https://169.254.169.254/latest/"},
})


@pytest.mark.parametrize("kind", sorted(HOLDERS))
def test_directory_names_a_false_holder(fooled, directory, kind):
    """409 with the certificate of somebody else: not called; the next honest answer gets the customer her page."""
    site, peer = fooled.sites[0], fooled.make_peer()
    coin = held_by(fooled, peer)
    nobody, bad = foreign(fooled, fooled.clock.now(), **HOLDERS[kind](fooled))

    def lie(method, path, status, document):
        if path.endswith("/custody/acquire") and status == 409:
            return status, dict(document, holder=bad)

    directory.lies.append(lie)
    began = time.monotonic()
    refused(fooled, site, coin, peer)
    assert stacks.within(began, 3), "an address was tried"
    assert nobody.connections == 0 and peer.calls == []
    directory.lies.clear()
    fooled.buys(site, coin, 1, seconds=20)
    fooled.books(coin, {site: 20, peer: 0})


def test_directory_names_another_genuine_vendor(fooled, directory):
    """It has the coin not, and says so; the customer waits for the true answer."""
    site, peer, other = fooled.sites[0], fooled.make_peer(), fooled.make_peer()
    coin = held_by(fooled, peer)
    directory.lies.append(lambda method, path, status, document: (status, dict(document, holder=other.certificate))
                          if path.endswith("/custody/acquire") and status == 409 else None)
    refused(fooled, site, coin, peer)
    directory.lies.clear()
    fooled.buys(site, coin, 1, seconds=20)
    fooled.books(coin, {site: 20})


def test_directory_grants_what_the_broker_did_not(fooled, directory):
    """A custody under a key that is not the broker's, for another vendor, of another coin: not one is believed."""
    site, peer = fooled.sites[0], fooled.make_peer()
    other = fooled.make_peer()
    genuine = fooled.coin()
    assert other.acquire(genuine, 20).status == 200
    for_other = fooled.rows("SELECT custody FROM epochs e JOIN coins c ON c.id = e.coin WHERE c.coin = ?",
                            genuine.id)[0][0]
    coin = held_by(fooled, peer)
    now = int(fooled.clock.now())
    forged = client.Key().sign("netpay-custody+jwt", {
        "iss": fooled.broker.issuer, "sub": site.origin, "coin": coin.id, "epoch": 2, "index": 20,
        "payword": coin.chain.word(20), "iat": now, "exp": now + 3600})
    for custody in (forged, for_other):
        directory.lies.append(lambda method, path, status, document:
                              (200, {"touchstone": coin.touchstone, "custody": custody})
                              if path.endswith("/custody/acquire") else None)
        answer = fooled.pay(site, coin, seconds=0)
        assert answer.status in (402, 503) and not answer.receipt, answer
        directory.lies.clear()
        time.sleep(1.1)
    fooled.buys(site, coin, 1, seconds=20)
    fooled.books(coin, {site: 20})


def test_directory_lists_what_is_none(fooled, directory):
    """A list of bad certificates under good names: none is used, the good one beside them is; it is in the log."""
    site, peer = fooled.sites[0], fooled.make_peer()
    coin = held_by(fooled, peer)
    trap = fooled.make_peer(enrol=False)
    now = fooled.clock.now()
    key = peers.broker_key(fooled.broker)
    bad = [peers.certificate(client.Key(), fooled.broker.issuer, trap.origin, trap.key, now=now),
           peers.certificate(client.Key(), "https://other.example", trap.origin, trap.key, now=now),
           peers.certificate(key, fooled.broker.issuer, trap.origin, trap.key, now=now, iat=int(now) - 900,
                             exp=int(now) - 1),
           peers.certificate(key, fooled.broker.issuer, trap.origin, trap.key, now=now,
                             handoff="http://127.0.0.1:1/"), "a.b.c", ""]
    directory.lies.append(lambda method, path, status, document:
                          (200, {"certificates": bad + document["certificates"] + bad})
                          if method == "GET" and path.endswith("/vendors") else None)
    asked = len([s for s in directory.served if s[1].endswith("/vendors")])
    fooled.pass_time(301)
    stacks.wait_for(lambda: len([s for s in directory.served if s[1].endswith("/vendors")]) > asked, 30,
                    "the list is fetched again")
    time.sleep(0.5)
    answer = fooled.pay_direct(site, coin, trap, 20, seconds=20)
    assert answer.status == 200, answer
    assert trap.connections == 0
    fooled.books(coin, {site: 20})
    text = open(site.server.error_log).read()
    assert "certificate" in text and fooled.broker.issuer in text


@pytest.mark.parametrize("kind", ["no object", "no list", "numbers", "an error"])
def test_directory_without_a_list(fooled, directory, kind):
    """The vendor goes on with the copy it has."""
    site, peer = fooled.sites[0], fooled.make_peer()
    coin = held_by(fooled, peer)
    answers = {"no object": (200, "nonsense"), "no list": (200, {}), "numbers": (200, {"certificates": [1, 2, {}]}),
               "an error": (500, {"type": "urn:netpay:problem:internal", "status": 500})}
    directory.lies.append(lambda method, path, status, document: answers[kind]
                          if method == "GET" and path.endswith("/vendors") else None)
    asked = len([s for s in directory.served if s[1].endswith("/vendors")])
    fooled.pass_time(301)
    stacks.wait_for(lambda: len([s for s in directory.served if s[1].endswith("/vendors")]) > asked, 30,
                    "the list is fetched again")
    fooled.buys(site, coin, 1, seconds=20)
    fooled.books(coin, {site: 20})


# --- addresses within the vendor's own network -----------------------------

def test_public_vendor_calls_no_private_address():
    """A vendor with a public origin is given the genuine certificate of a vendor whose name is its own host: not a
    connection is made there, unless the operator allows it."""
    with markets.Market(vendors=0) as net:
        def vendor(name, **directives):
            site = net.vendor(name, start=False, origin="https://%s.example" % name, directives=directives)
            site.url = lambda path="/": "http://127.0.0.1:%d%s" % (site.port, path)
            net.stack.run(site.server)
            return site

        shy, bold = vendor("shy"), vendor("bold", NetPayPrivatePeers="on")
        peer = net.make_peer()
        coin = held_by(net, peer)
        answer = refused(net, shy, coin, peer)
        assert answer.status == 503 and peer.connections == 0
        net.buys(bold, coin, 1, seconds=20)
        assert peer.connections > 0
        net.confirmed(coin, bold)


# --- slow, huge, endless ---------------------------------------------------

SLOW = ["silent", "drip", "drip_head", "huge", "endless", "hang_up"]


@pytest.mark.parametrize("how", SLOW)
def test_slow_huge_or_endless_answer(market, one, how):
    peer = market.make_peer()
    coin = held_by(market, peer)
    peer.answer = getattr(peer, how)
    refused(market, one, coin, peer)


def test_httpd_serves_others_while_peers_are_slow(market):
    """Forty customers with coins at peers that never answer: free pages and other people's paid pages come as
    promptly as before."""
    two = market.sites[1]
    own = market.coin()
    market.buys(two, own, 1)
    slow = [market.make_peer() for _ in range(len(SLOW) - 1)]
    for peer, how in zip(slow, SLOW):
        peer.answer = getattr(peer, how)
    coins = [held_by(market, slow[i % len(slow)]) for i in range(40)]
    challenge = client.http_request("GET", two.url("/articles/1.html")).challenge("session")
    answers = []

    def customer(coin):
        answers.append(client.pay(two.url("/articles/2.html"), coin, index=40, challenge=challenge, timeout=60))

    threads = [threading.Thread(target=customer, args=(coin,)) for coin in coins]
    for thread in threads:
        thread.start()
    free, paid = [], []
    while any(thread.is_alive() for thread in threads):
        began = time.monotonic()
        assert client.http_request("GET", two.url("/free/index.html")).status == 200
        free.append(time.monotonic() - began)
        began = time.monotonic()
        answer = client.pay(two.url("/articles/%d.html" % (1 + len(paid) % 30)), own, index=own.spent + 20,
                            challenge=challenge)
        assert answer.status == 200, answer
        paid.append(time.monotonic() - began)
        if own.spent + 20 > 1000:
            own = market.coin()
            market.buys(two, own, 1)
    for thread in threads:
        thread.join()
    assert [a.status for a in answers] == [503] * 40, [a.status for a in answers]
    patience = stacks.patience()
    assert len(free) > 10 and max(free + paid) < 1.5 * patience, (max(free), max(paid))
    assert statistics.median(free) < 0.2 * patience and statistics.median(paid) < 0.3 * patience


def test_endless_request_to_the_handoff_endpoint(market, one):
    """The endpoint reads no more than it needs."""
    link = http.client.HTTPConnection("127.0.0.1", one.port, timeout=20)
    big = client.exchange(link, "POST", peers.HANDOFF, {"Content-Type": "application/json"}, b"[" * 100000)
    assert big.status in (400, 413), big
    for body in (b"", b"{}", b"[]", b"\xff", b'{"request":1}', b'{"request":"a.b.c","certificate":"d.e.f"}'):
        answer = client.http_request("POST", one.url(peers.HANDOFF), {"Content-Type": "application/json"}, body)
        assert answer.status in (400, 403), (body, answer)
        assert answer.problem.startswith("urn:netpay:problem:"), answer
    assert client.http_request("GET", one.url(peers.HANDOFF)).status in (404, 405)
    assert client.http_request("GET", one.url("/free/index.html")).status == 200


# --- the broker asks a hostile holder for a coin that its owner returns ----

@pytest.mark.parametrize("how", ["silent", "huge", "refuse", "redirect", "wrong signature", "lower"])
def test_owner_returns_a_coin_that_a_hostile_vendor_holds(market, how):
    """The owner waits for the lease to end at most, and gets what is unspent; the broker stays responsive."""
    peer, trap = market.make_peer(), market.make_peer(enrol=False)
    wallet = market.stack.wallet("1.00")
    coin = wallet.buy(n=1000)
    assert peer.acquire(coin, 20).status == 200
    peer.sell(coin, 20)
    assert peer.redeem(coin, 0, 20) == []
    peer.answer = {"silent": peer.silent, "huge": peer.huge, "refuse": peer.always(403),
                   "redirect": peer.redirect(trap.origin + peers.HANDOFF),
                   "wrong signature": peer.lying(coin, key=mallory()),
                   "lower": peer.lying(coin, index=0)}[how]
    began = time.monotonic()
    answer = wallet.broker.raw("POST", wallet.broker.api + "/coins/%s/return" % coin.id,
                               {"index": 20, "payword": coin.chain.word(20)}, wallet.token)
    assert stacks.within(began, MOST_S)
    assert trap.connections == 0
    if how == "lower":  # it signed away what it was credited
        assert answer.status == 200, answer
        assert market.status(peer) == "suspended" and market.balance(peer) == 0
        assert wallet.balance() == 1000000
        return market.sound(coin, peer)
    assert answer.status == 202, answer
    assert wallet.balance() == 0
    market.end_lease()
    again = stacks.wait_for(lambda: (lambda a: a if a.status == 200 else None)(wallet.broker.raw(
        "POST", wallet.broker.api + "/coins/%s/return" % coin.id, {}, wallet.token)), 30, "the refund")
    assert wallet.balance() == 980000, again
    assert peer.redeem(coin, 20, 40) == ["not-held"]
    market.sound(coin)
