"""A vendor's life: registration, approval, a new key beside the old one, suspension, a clock that is wrong, and a
host that is gone."""

import json
import os
import time

import pytest

import client
import market as markets
import peer as peers
import stack as stacks
from clock import Clock


@pytest.fixture(scope="module")
def market():
    with markets.Market(vendors=2) as made:
        yield made


def listed(market):
    """origin → keys of its certificates, newest first, as the broker's list has them; each verified."""
    keys = market.broker.api().keys()
    found = {}
    for token in market.broker.api().get("/vendors")["certificates"]:
        kid = json.loads(client.unb64u(token.split(".")[0]))["kid"]
        payload = client.verify(token, "netpay-vendor+jwt", keys[kid])
        found.setdefault(payload["sub"], []).append(payload["cnf"]["jwk"]["x"])
    return found


def register(market, origin, key):
    wallet = market.stack.wallet()
    answer = client.VendorCaller(origin, key, wallet.broker, market.clock.now).register(wallet.token)
    assert answer.status == 202, answer


def test_registration_and_approval(market):
    """What is registered counts for nothing until the operator has approved it."""
    peer = market.make_peer(enrol=False)
    peer.caller = client.VendorCaller(peer.origin, peer.key, market.broker.api(), market.clock.now)
    coin = market.coin()
    assert peer.acquire(coin, 20).status == 403
    register(market, peer.origin, peer.key)
    assert peer.acquire(coin, 20).status == 403 and peer.origin not in listed(market)
    market.broker.admin("vendor", "approve", peer.origin)
    assert listed(market)[peer.origin] == [peer.key.jwk()["x"]]
    assert peer.acquire(coin, 20).status == 200
    assert peer.redeem(coin, 0, 20) == []
    market.books(coin, {peer: 20})


def test_nobody_registers_for_another(market):
    """A registration is signed by the key it names; one for a vendor that is approved replaces nothing by itself."""
    peer, thief = market.make_peer(), client.Key()
    register(market, peer.origin, thief)
    assert listed(market)[peer.origin] == [peer.key.jwk()["x"]]
    done = market.broker.admin("vendor", "approve", peer.origin, check=False)
    assert done.returncode != 0  # the operator has to say which key
    stolen = client.VendorCaller(peer.origin, thief, market.broker.api(), market.clock.now)
    assert stolen.acquire(market.coin(), 20).status == 403
    wallet = market.stack.wallet()
    lying = client.VendorCaller(peer.origin, peer.key, wallet.broker, market.clock.now)
    token = lying.request("vendors", origin=peer.origin, jwk=thief.jwk(), handoff=peer.origin + peers.HANDOFF)
    answer = wallet.broker.raw("POST", wallet.broker.api + "/vendors", {"request": token}, wallet.token)
    assert answer.status in (400, 403)


def test_both_keys_are_good_during_a_rollover(market):
    """Calls, signed indices and batches by either key; real vendors take over by either."""
    one = market.sites[0]
    peer = market.make_peer()
    old, new = peer.key, client.Key()
    market.list_refreshed(one, peer.certificate)
    first, second, third = market.coin(), market.coin(), market.coin()
    for coin in (first, second):
        assert peer.acquire(coin, 20).status == 200
        peer.sell(coin, 20)
        coin.spent = 20
    register(market, peer.origin, new)
    market.broker.admin("vendor", "approve", peer.origin, "--kid=" + new.kid)
    assert listed(market)[peer.origin] == [new.jwk()["x"], old.jwk()["x"]]
    assert peer.redeem(first, 0, 10) == []
    peer.key, peer.caller.key = new, new
    assert peer.redeem(first, 10, 20) == []
    assert peer.acquire(third, 20).status == 200
    peer.key = old
    market.buys(one, first, 1, seconds=20)   # its index is signed by the old key
    peer.key = new
    market.buys(one, second, 1, seconds=20)  # and this one by the new
    market.confirmed(first, one)
    market.confirmed(second, one)
    market.books(first, {peer: 20, one: 20})
    market.books(second, {peer: 0, one: 20})
    assert market.status(peer) == "approved"


def test_httpd_vendor_changes_its_key(market):
    """It goes on with the coins it holds, hands them over and redeems them, signing with the new key."""
    two, site = market.sites[1], market.vendor("rolling")
    coin, later = market.coin(), market.coin()
    market.buys(site, coin, 2)
    new = client.Key()
    register(market, site.origin, new)
    market.broker.admin("vendor", "approve", site.origin, "--kid=" + new.kid)
    with open(site.certificate_file, "w") as f:
        f.write(market.broker.admin("vendor", "certificate", site.origin))
    with open(site.key_file, "wb") as f:
        f.write(new.pem())
    site.key = new
    site.server.restart()
    market.buys(site, coin, 1)
    market.buys(site, later, 1)
    market.buys(two, coin, 1)
    market.confirmed(coin, two)
    market.buys(site, coin, 1)
    market.books(coin, {site: 80, two: 20})
    market.books(later, {site: 20})


def test_suspended_vendor(market):
    """No new custody; what it holds it may sell, hand over and redeem while the lease lasts."""
    two, site = market.sites[1], market.vendor("suspended")
    coin, other = market.coin(), market.coin()
    market.buys(site, coin, 2)
    market.buys(site, other, 1)
    market.broker.admin("vendor", "suspend", site.origin)
    assert site.origin not in listed(market)
    fresh = market.coin()
    answer = market.pay(site, fresh, seconds=0)
    assert answer.status in (402, 503) and not answer.receipt, answer
    assert market.epochs(fresh) == []
    market.buys(site, coin, 1)
    market.buys(two, coin, 1)  # by hand-over
    market.confirmed(coin, two)
    held = client.VendorCaller(site.origin, site.key, market.broker.api(), market.clock.now)
    assert held.acquire(fresh, 20).status == 403
    market.books(coin, {site: 60, two: 20})
    market.books(other, {site: 20})
    market.broker.admin("vendor", "approve", site.origin)
    assert site.origin in listed(market)
    market.buys(site, fresh, 1, seconds=40)
    market.books(fresh, {site: 20})


# --- a clock that is wrong -------------------------------------------------

def own_clock(market, name):
    place = os.path.join(market.stack.dir, name + "-clock")
    os.makedirs(place)
    os.chmod(place, 0o755)
    made = Clock(place)
    made.run_ahead(market.clock.ahead)
    return made


def gauge(site, name):
    return [v for k, v in site.server.metrics().items() if k.startswith(name)]


@pytest.mark.parametrize("skew", [50, -50])
def test_clock_within_the_tolerance_is_harmless(market, skew):
    """Up to 60 s, on either side: it acquires, takes over, hands over, renews nothing it should not, and redeems."""
    one = market.sites[0]
    name = "skew%+d" % skew
    clock = own_clock(market, name)
    clock.run_ahead(market.clock.ahead + skew)
    site = market.vendor(name, clock=clock)
    coin, fresh = market.coin(), market.coin()
    market.buys(one, coin, 1)
    market.buys(site, coin, 1)
    market.confirmed(coin, site)
    market.buys(one, coin, 1)
    market.confirmed(coin, one)
    market.buys(site, fresh, 1)
    assert all(v == 1 for v in gauge(site, "netpay_clock_good"))
    market.books(coin, {one: 40, site: 20})
    market.books(fresh, {site: 20})
    site.server.stop()


@pytest.mark.parametrize("skew, recovers", [(150, False), (-150, True)])
def test_clock_beyond_the_tolerance_fails_closed(market, skew, recovers):
    """It takes nothing over and gives nothing away, says so in log and metrics, and is well again by itself."""
    one = market.sites[0]
    name = "off%+d" % skew
    clock = own_clock(market, name)
    site = market.vendor(name, clock=clock)
    held, coin = market.coin(), market.coin()
    market.buys(site, held, 1)
    market.buys(one, coin, 1)
    assert all(v == 1 for v in gauge(site, "netpay_clock_good"))
    clock.run_ahead(market.clock.ahead + skew)
    assert market.pay(site, market.coin(), seconds=0).status == 503  # its call is refused, and the answer has the time
    stacks.wait_for(lambda: any(v == 0 for v in gauge(site, "netpay_clock_good")), 30, "the metric")
    stacks.wait_for(lambda: any(abs(v - skew) <= 5 for v in gauge(site, "netpay_clock_skew_seconds")), 30, "the skew")
    text = open(site.server.error_log).read()
    assert "clock" in text and "error" in text
    answer = market.pay(site, coin, seconds=0)
    assert answer.status == 503 and market.holder(coin) == one.origin, answer
    answer = market.pay(one, held, seconds=0)
    assert answer.status == 503 and market.holder(held) == site.origin, answer
    clock.run_ahead(market.clock.ahead)
    if not recovers:  # it takes half a minute until it asks again: once is enough
        site.server.stop()
        return
    market.buys(site, coin, 1, seconds=60)
    market.buys(one, held, 1, seconds=40)
    market.confirmed(coin, site)
    market.confirmed(held, one)
    market.books(coin, {one: 20, site: 20})
    market.books(held, {site: 20, one: 20})
    site.server.stop()


# --- a host that is gone ---------------------------------------------------

def test_vendor_whose_host_is_gone(market):
    """The customer is told to come again until the lease ends, at most; then the next vendor sells her the page, from
    the highest index that the broker was shown. What the dead one did not redeem in time is lost to it alone."""
    two, site = market.sites[1], market.vendor("gone")
    coin = market.coin()
    market.buys(site, coin, 1)
    assert site.redeem()[0] == 0
    market.buys(site, coin, 2)
    site.server.kill()
    began = time.monotonic()
    answer = market.pay(two, coin, seconds=0)
    assert answer.status == 503 and int(answer.get("Retry-After")) > 0
    assert stacks.within(began, 5)
    market.pass_time(markets.LEASE_S - 60)
    assert market.pay(two, coin, seconds=0).status == 503
    market.pass_time(60 + markets.MARGIN_S + 5)
    market.buys(two, coin, 1, seconds=20)
    assert market.epochs(coin)[-1][2] == 20  # where it was redeemed to
    status, said, _ = site.redeem(check=False)  # the host comes back, too late
    assert "not-held" in str(said), said
    market.books(coin, {site: 20, two: 20})


def test_vendor_whose_host_comes_back_in_time(market):
    """A restart within the lease loses nothing."""
    two, site = market.sites[1], market.vendor("back")
    coin = market.coin()
    market.buys(site, coin, 2)
    site.server.kill()
    assert market.pay(two, coin, seconds=0).status == 503
    site.server.start()
    market.buys(two, coin, 1, seconds=40)
    market.confirmed(coin, two)
    market.books(coin, {site: 40, two: 20})
