"""E-wallets kept in the reader's cookie: they pay as those on the server do, and a cookie that is bent, old, stolen, of
another site or of a key that is gone buys nothing twice, or nothing."""

import os

import pytest

import client
import stack as stacks
from surfer import Surfer
from test_ewallet import paid, page, spent

GATE = ('<Location "/articles/">\n AuthType NetPay\n AuthName "{realm}"\n Require netpay\n NetPayPrice 0.02 usd\n'
        ' NetPayWallets cookie server\n</Location>\n'
        '<Location "/premium/">\n AuthType NetPay\n AuthName "{realm}"\n Require netpay\n NetPayPrice 0.05 usd\n</Location>\n')


@pytest.fixture(scope="module")
def town():
    with stacks.Stack(vendor=False, memcached=False) as made:
        for host in ("127.0.0.2", "127.0.0.3"):
            site = made.add_vendor(start=False, host=host, gate=GATE, directives=dict(stacks.PATIENT, NetPayPrivatePeers="on"))
            set_keys(site, "first")
            made.run(site)
        yield made


def set_keys(site, *names):
    """NetPayWalletSecret: the current one, and the one before."""
    files = []
    for name in names:
        files.append(os.path.join(site.dir, name + ".secret"))
        if not os.path.exists(files[-1]):
            with open(os.open(files[-1], os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
                f.write((name * 32)[:43])
    site.directives["NetPayWalletSecret"] = " ".join("file:" + f for f in files)


def take_keys(site, *names):
    """set_keys() while it runs; returns when no process has the old ones."""
    set_keys(site, *names)
    site.reload_all()


def reader_of(town, **limits):
    reader = Surfer()
    reader.sign_up(town.broker, "2.00")
    reader.get_wallet(town.vendors[0].url(page(1)), "cookie", **limits)
    assert paid(reader, 1)
    return reader


def with_value(site, value):
    other = Surfer()
    other.jar(site.origin)["__Host-netpay-wallet-%d" % site.port] = value
    return other


def test_two_newspapers(town):
    one, two = town.vendors
    reader = reader_of(town, per_day="1.00")
    name, value = reader.wallet(one)
    assert value.startswith("c.") and len(name + value) < 4000
    for number in (2, 3, 2):
        assert paid(reader.click(page(number)), number) and reader.trips == 1
    assert spent(reader) == 60
    reader.open(two.url(page(1)))
    assert paid(reader.press("Keep the e-wallet"), 1) and reader.trips == 4 and spent(reader) == 80
    assert paid(reader.click(page(2)), 2)
    reader.open(one.url(page(4)))
    assert reader.status == 402 and reader.wallet(one)[0] is None
    assert paid(reader.press("Bring my e-wallet here and read"), 4) and spent(reader) == 120
    # Nothing of it lies at the sites.
    for site in (one, two):
        records = open(os.path.join(site.till, "ewallets/records.mdb"), "rb").read()
        assert value[2:60].encode() not in records
    town.broker.check()
    status, found = town.audit()
    assert status == 0, found


def test_bent_and_cut(town):
    one, two = town.vendors
    reader = reader_of(town)
    name, good = reader.wallet(one)
    for at in [*range(2, 40, 3), *range(40, len(good), 97), len(good) - 1]:
        bent = with_value(one, good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1:])
        bent.follow(one.url(page(2)))
        assert bent.status == 402 and "e-wallet" in bent.page.text and bent.wallet(one)[0] is None, at
    for length in (0, 1, 2, 3, 40, len(good) // 2, len(good) - 1):
        assert with_value(one, good[:length]).follow(one.url(page(2))).status == 402
    for value in ("c.", "c." + good, good + good, good[2:], "\"" + good, good + "; " + name + "=" + good):
        assert with_value(one, value).follow(one.url(page(2))).status == 402
    # At another vendor, under its own name for it.
    assert with_value(two, good).follow(two.url(page(2))).status == 402
    assert paid(reader.click(page(2)), 2) and spent(reader) == 40


def test_an_old_copy_buys_nothing_twice(town):
    """Rolled back after five pages, and in a second browser: both spend the same units, each once."""
    one = town.vendors[0]
    reader = reader_of(town, per_day="0.20", per_page="0.05")
    copy = reader.copy()
    for number in range(2, 6):
        assert paid(reader.click(page(number)), number)
    assert paid(copy.follow(one.url(page(6))), 6) and spent(copy) == 120
    assert paid(copy.follow(one.url(page(5))), 5) and spent(copy) == 120   # read already
    for number in range(7, 11):
        assert paid(reader.click(page(number)), number)
    assert spent(reader) == 200
    # The day's limit is one for all copies.
    for browser in (reader, copy, reader.copy()):
        browser.follow(one.url(page(11)))
        assert browser.status == 402 and "Raise today's limit" in browser.page.text


def test_stolen_and_signed_out(town):
    """Signing out at the site ends every copy there, at once, and what the broker grants."""
    one = town.vendors[0]
    reader = reader_of(town, per_day="0.06")
    thief = reader.copy()
    thief.jars.pop("127.0.0.1")
    reader.open(one.url("/.well-known/netpay/wallet")).press("Sign out")
    assert reader.wallet(one)[0] is None
    pages = [thief.follow(one.url(page(number))).status for number in range(2, 9)]
    assert pages == [402] * 7
    assert thief.wallet(one)[0] is None


def test_keys_roll_over(town):
    one = town.vendors[0]
    reader, idle = reader_of(town), reader_of(town)
    before = reader.wallet(one)[1]
    try:
        take_keys(one, "second", "first")
        assert paid(reader.follow(one.url(page(2))), 2)
        assert reader.wallet(one)[1] != before        # sealed anew
        take_keys(one, "second")
        assert paid(reader.follow(one.url(page(3))), 3) and spent(reader) == 60
        idle.follow(one.url(page(2)))                   # too late: one click brings it back
        assert idle.status == 402 and idle.wallet(one)[0] is None
        assert paid(idle.press("Pay "), 2) and spent(idle) == 40
    finally:
        take_keys(one, "first")


def test_only_where_it_is_offered(town):
    """By default e-wallets are kept on the server alone."""
    one = town.vendors[0]
    reader = Surfer()
    reader.sign_up(town.broker, "1.00")
    reader.open(one.url("/premium/1.html"))
    assert reader.status == 402 and "Keep the e-wallet" not in reader.page.text
    values = dict(reader.values("Pay "), netpay="cookie")
    answer = reader.fetch("POST", one.url("/premium/1.html"), {"Origin": one.origin, "Content-Type": "application/x-www-form-urlencoded"},
                          client.urllib.parse.urlencode(values))
    assert answer.status == 402 and not answer.get("Location")
    # One that was got elsewhere on the site is left alone there.
    holder = reader_of(town)
    holder.open(one.url("/premium/1.html"))
    assert holder.status == 402 and holder.wallet(one)[0]
    assert paid(holder.follow(one.url(page(2))), 2)
