"""What a reader takes back at her broker reaches the sites within five minutes, whoever has a copy of her cookie; and a
day's limit is one for a day, whatever was granted before. Broker and site show a clock of the test's."""

import pytest

from market import Market
from surfer import Surfer
from test_ewallet import GATE, page, paid, spent

FIVE_MINUTES = 301


@pytest.fixture(scope="module")
def market():
    made = Market(vendors=1, vendor_options={"host": "127.0.0.2", "gate": GATE})
    with made:
        yield made


def reader_of(market, kind, **limits):
    reader = Surfer()
    reader.sign_up(market.broker, "5.00")
    reader.get_wallet(market.sites[0].url(page(1)), kind, **limits)
    assert paid(reader, 1)
    return reader


def thief_of(reader):
    thief = reader.copy()
    thief.jars.pop("127.0.0.1")  # not the broker's session
    return thief


@pytest.mark.parametrize("kind", ["server", "cookie"])
@pytest.mark.parametrize("way", ["sign out everywhere", "revoke", "take it along"])
def test_a_copy_of_the_cookie_ends_when_she_says_so(market, kind, way):
    site = market.sites[0]
    reader = reader_of(market, kind)
    thief = thief_of(reader)
    market.pass_time(FIVE_MINUTES)
    assert paid(thief.follow(site.url(page(2))), 2)  # it stands: the broker says so
    if way == "revoke":
        reader.open(market.broker.issuer + "/limits").press("Revoke")
    elif way == "take it along":
        reader.open(market.broker.issuer + "/coins").press("Give back")
    else:
        reader.open(market.broker.issuer + "/account").press("Sign out everywhere")
    assert reader.status == 200, reader.page.text
    market.pass_time(FIVE_MINUTES)
    for number in (3, 4):
        thief.follow(site.url(page(number)))
        assert thief.status == 402 and thief.wallet(site)[0] is None
    reader.follow(site.url(page(3)))
    assert reader.status == 402 and reader.wallet(site)[0] is None


def test_limits_changed_at_the_broker_are_obeyed(market):
    site = market.sites[0]
    reader = reader_of(market, "cookie")
    assert paid(reader.click(page(2)), 2)
    other = reader.copy()
    other.open(market.broker.issuer + "/limits").press("Save", automatic=None)
    market.pass_time(FIVE_MINUTES)
    assert reader.click(page(3)).status == 402 and "Read for 2 ¢" in reader.page.text
    assert paid(reader.press("Read for"), 3) and spent(reader) == 60


@pytest.mark.parametrize("kind", ["server", "cookie"])
def test_a_reload_is_free_for_a_while_and_then_asks(market, kind):
    """Browsers say of a reload what they say of a link, but that it is to be fresh."""
    site, reload = market.sites[0], {"Cache-Control": "max-age=0"}
    reader = reader_of(market, kind)
    assert paid(reader.click(page(2)), 2) and spent(reader) == 40
    for _ in range(3):
        assert paid(reader.follow(site.url(page(2)), reload), 2) and spent(reader) == 40
    market.pass_time(FIVE_MINUTES)
    assert reader.follow(site.url(page(2)), reload).status == 402
    # Browsers mark the form in the same way, and what follows it: she has asked for that.
    assert paid(reader.press("Read for", reload), 2) and spent(reader) == 60
    assert paid(reader.click(page(3)), 3) and spent(reader) == 80


def test_a_day_at_a_site(market):
    """What was granted yesterday does not add to today's limit, unless she clicks."""
    site = market.sites[0]
    reader = reader_of(market, "server", per_day="0.06", per_page="0.05")
    old = reader.copy()
    now = market.clock.now()
    market.pass_time(86400 - now % 86400 + 10)
    for number in (2, 3, 4):
        assert paid(reader.follow(site.url(page(number))), number)
    for browser in (reader, old):
        assert browser.follow(site.url(page(5))).status == 402
    books(market)


def books(market):
    for site in market.sites:
        site.redeem()
    market.broker.check()
