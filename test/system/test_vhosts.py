"""Several vendors, brokers and prices in one server."""

import pytest

import client
import stack as stacks

pytestmark = pytest.mark.sanitizers

PRICE = '<Location "/articles/">\n AuthType NetPay\n AuthName "{realm}"\n Require netpay\n NetPayPrice %s usd\n' \
        '</Location>\n'


@pytest.fixture(scope="module")
def two():
    """One httpd: `news` sells for broker one, `radio` for broker two at another price."""
    with stacks.Stack(start=False, gate=PRICE % "0.02") as made:
        second = made.run(stacks.Broker(made.dir + "/broker2"))
        radio = made.vendor.add_site("radio", broker=second, memcached=made.memcached, gate=PRICE % "0.07",
                                     realm="the radio")
        made.run(made.vendor)
        yield made, second, radio


def buy(broker, n=1000):
    wallet = client.Wallet(broker.issuer)
    wallet.topup(broker.mint("1.00"))
    return wallet.buy(n=n)


def test_each_sells_for_its_own(two):
    made, second, radio = two
    first_coin, second_coin = buy(made.broker), buy(second)
    assert client.pay(made.vendor.url("/articles/1.html"), first_coin).receipt["spent"] == 20
    assert client.pay(radio.url("/articles/1.html"), second_coin).receipt["spent"] == 70


def test_coins_do_not_cross(two):
    made, second, radio = two
    coin = buy(made.broker)
    challenge = client.http_request("GET", radio.url("/articles/1.html")).challenge("session")
    answer = client.pay(radio.url("/articles/1.html"), coin, index=70, challenge=challenge)
    assert answer.status == 402 and answer.json()["reason"] in ("broker", "touchstone")


def test_challenges_do_not_cross(two):
    made, _, radio = two
    coin = buy(made.broker)
    challenge = client.http_request("GET", radio.url("/articles/1.html")).challenge("session")
    answer = client.pay(made.vendor.url("/articles/1.html"), coin, index=20, challenge=challenge)
    assert answer.status == 402 and answer.problem == "invalid-challenge"


def test_discovery_is_each_vendors_own(two):
    made, second, radio = two
    about = {site.name: client.http_request("GET", site.url("/.well-known/netpay")).json()
             for site in (made.vendor.site, radio)}
    assert about["news"]["brokers"] == [made.broker.issuer] and about["radio"]["brokers"] == [second.issuer]
    assert about["radio"]["realm"] == "the radio" and about["radio"]["vendor"] == radio.origin


def test_each_redeems_its_own_till(two):
    made, second, radio = two
    coin = buy(second)
    assert client.pay(radio.url("/articles/2.html"), coin).status == 200
    for site, broker in ((made.vendor.site, made.broker), (radio, second)):
        status, _, said = site.redeem()
        assert status == 0, said
        broker.check()


def test_host_header_does_not_choose_the_vendor(two):
    """The vendor's configured origin counts, not what a client calls it."""
    made, _, _ = two
    coin = buy(made.broker)
    url = made.vendor.url("/articles/3.html")
    answer = client.http_request("GET", url, {"Host": "evil.example"})
    assert answer.status == 402
    assert client.terms(answer.challenge("session"))["recipient"] == made.vendor.origin
    charge = answer.challenge("charge")
    assert client.pay(url, coin, index=20, challenge=charge).status == 200
