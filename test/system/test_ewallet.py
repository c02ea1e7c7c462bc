"""E-wallets kept at the sites, with the real broker and real httpds: what a reader pays and how often she is asked, and
what those get who have her cookies, her browser's other tabs, or none of it."""

import concurrent.futures
import json
import os
import signal
import urllib.parse

import pytest

import client
import stack as stacks
from surfer import Surfer

WALLET = "/.well-known/netpay/wallet"
CLICKED = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-User": "?1"}
GATE = ('<Location "/articles/">\n AuthType NetPay\n AuthName "{realm}"\n Require netpay\n NetPayPrice 0.02 usd\n'
        ' NetPayWallets server cookie\n</Location>\n'
        '<Location "/premium/">\n AuthType NetPay\n AuthName "{realm}"\n Require netpay\n NetPayPrice 0.10 usd\n</Location>\n'
        '<Location "/metrics">\n SetHandler netpay-metrics\n</Location>\n')


@pytest.fixture(scope="module")
def town():
    """A broker and two newspapers; hosts of their own, as cookies know no ports."""
    with stacks.Stack(vendor=False, memcached=False) as made:
        one = made.add_vendor(host="127.0.0.2", gate=GATE, directives=dict(stacks.PATIENT, NetPayPrivatePeers="on"))
        away = 'Redirect 302 "/away/" "%s/articles/"\n' % one.origin
        made.add_vendor(host="127.0.0.3", gate=GATE + away, directives=dict(stacks.PATIENT, NetPayPrivatePeers="on"))
        yield made


def charged(vendor, path=None):
    return [p for p in vendor.payments() if p["charged"] and path in (None, p["uri"])]


def spent(reader):
    """Of the coin that paid the page it is on, by the till."""
    return json.loads(client.unb64u(reader.headers["payment-receipt"]))["spent"]


def page(number):
    return "/articles/%d.html" % number


def paid(reader, number):
    return reader.status == 200 and "PAID-ARTICLE-%d " % number in reader.body


def books_balance(town):
    for vendor in town.vendors:
        vendor.redeem()
    town.broker.check()
    status, found = town.audit()
    assert status == 0, found


def test_two_newspapers_with_one_account(town):
    """Sign up, confirm once, read; one click at the next site; run out, add money, go on; nothing is paid twice."""
    one, two = town.vendors
    reader = Surfer()
    reader.sign_up(town.broker, "1.00")
    reader.get_wallet(one.url(page(1)), per_page="1.00", per_day="5.00")
    assert paid(reader, 1) and reader.trips == 3
    for number in (2, 3):
        assert paid(reader.click(page(number)), number) and reader.trips == 1
    # The next newspaper: one click, nothing to confirm.
    reader.open(two.url(page(1)))
    assert reader.status == 402
    assert paid(reader.press("Pay "), 1) and reader.trips == 4 and spent(reader) == 80
    for number in (2, 3):
        assert paid(reader.click(page(number)), number)
    stacks.wait_for(lambda: (len(charged(one)), len(charged(two))) == (3, 3), what="six payments in the logs")
    # At the first it is gone, and comes back by one click.
    reader.open(one.url(page(4)))
    assert reader.status == 402 and "not at this site now" in reader.page.text
    assert reader.wallet(one)[0] is None
    assert paid(reader.press("Bring my e-wallet here and read"), 4)
    # Her dollar is spent: 100 cents at 2 a page.
    for number in range(5, 31):
        assert paid(reader.click(page(number)), number), number
    for number in (1, 2, 3):
        assert reader.click("/premium/%d.html" % number).status == 200
    assert spent(reader) == 33 * 20 + 3 * 100
    # A broker too busy to answer leaves the site without knowing that: then the page is offered, and asked for again.
    stacks.wait_for(lambda: reader.click("/premium/4.html") and "does not suffice" in reader.page.text, what="the e-wallet is empty")
    assert reader.status == 402
    reader.press("Add money and read")
    assert "Add money" in reader.page.text and urllib.parse.urlsplit(reader.url).path in ("/authorize", "/topup")
    reader.top_up(town.broker, "1.00")
    reader.open(one.url("/premium/4.html"))
    # The first where another process of httpd, which does not know yet that it does not suffice, has taken the request.
    for button in ("Read for", "Add money and read", "Confirm and read"):
        if button in reader.page.text:
            reader.press(button)
    assert reader.status == 200 and "PAID-PREMIUM-4" in reader.body and spent(reader) == 100
    # Read again: free, also what the first coin paid.
    for number, what in ((1, 33 * 20 + 3 * 100), (4, 100)):
        assert reader.click("/premium/%d.html" % number).status == 200 and spent(reader) == what
    books_balance(town)


def test_asked_for_every_page(town):
    one = town.vendors[0]
    reader = Surfer()
    reader.sign_up(town.broker, "1.00")
    reader.get_wallet(one.url(page(1)), automatic=None)
    assert paid(reader, 1)
    reader.click(page(2))
    assert reader.status == 402 and "Read for 2 ¢" in reader.page.text and "98" in reader.page.text
    assert paid(reader.press("Read for"), 2) and reader.trips == 2
    assert paid(reader.open(one.url(page(2))), 2)  # again: free, and without a click
    # An order is for one page: at another, nothing.
    reader.click(page(3))
    values = reader.values("Read for")
    reader.press("Read for")
    assert paid(reader, 3) and spent(reader) == 60
    answer = reader.fetch("POST", one.url(page(4)), {"Origin": one.origin, "Content-Type": "application/x-www-form-urlencoded"},
                          urllib.parse.urlencode(values))
    assert answer.status == 402


@pytest.mark.parametrize("fields", [
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-User": "?1"},
    {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe", "Sec-Fetch-User": "?1"},
    {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},  # a refresh, a script
    {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
    {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
    {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-User": "?1"},
    {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Purpose": "prefetch;prerender"},
    {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-User": "?1",
     "Purpose": "prefetch"},
    dict(CLICKED, **{"Cache-Control": "max-age=0"}),  # a reload, which may be long after
    dict(CLICKED, **{"Cache-Control": "no-cache", "Pragma": "no-cache"}),
    dict(CLICKED, Pragma="no-cache"),
    {},
])
def test_nothing_is_paid_that_nobody_asked_for(town, fields):
    one = town.vendors[0]
    reader = Surfer()
    reader.sign_up(town.broker, "1.00")
    reader.get_wallet(one.url(page(1)))
    for method in ("GET", "HEAD"):
        assert reader.fetch(method, one.url(page(20)), fields).status == 402
    # And where she did, a HEAD does not pay either.
    assert reader.fetch("HEAD", one.url(page(20)), CLICKED).status == 402
    # An address typed is not paid unasked, as it may be another's that leads here.
    assert reader.open(one.url(page(20))).status == 402
    assert paid(reader.click(page(20)), 20) and spent(reader) == 40


def test_what_is_typed_is_asked_for(town):
    """Also where it is another site's, which sends her on to a page that she never named."""
    one, two = town.vendors
    reader = Surfer()
    reader.sign_up(town.broker, "1.00")
    reader.get_wallet(one.url(page(1)))
    away = two.url("/away/2.html")
    assert reader.open(one.url(page(2))).status == 402
    assert reader.open(away).url == one.url(page(2)) and reader.trips == 2 and reader.status == 402
    assert reader.follow(away).url == one.url(page(2)) and reader.status == 402
    assert "Read for 2 ¢" in reader.page.text
    assert paid(reader.press("Read for"), 2) and paid(reader.open(away), 2)
    assert spent(reader) == 40, "two pages, of which she was asked for the second"
    # From this site by way of another is by way of another.
    reader.click(page(1))
    assert reader.click(two.url("/away/3.html")).status == 402 and reader.url == one.url(page(3))
    assert paid(reader.press("Read for"), 3) and spent(reader) == 60


def test_nobody_is_signed_in_to_a_strangers_wallet(town):
    """Login CSRF: the way back works in the browser that began it, once, with its own state."""
    one = town.vendors[0]
    attacker, victim = Surfer(), Surfer()
    attacker.sign_up(town.broker, "1.00")
    attacker.open(one.url(page(1)))
    begun = attacker.fetch("POST", one.url(page(1)), {"Origin": one.origin, "Content-Type": "application/x-www-form-urlencoded"},
                           urllib.parse.urlencode(attacker.values("Pay ")))
    assert begun.status == 303 and begun.get("Location").startswith(town.broker.issuer + "/authorize?")
    asked = attacker.open(begun.get("Location"))
    agreed = attacker.fetch("POST", asked.url, {"Origin": town.broker.issuer, "Content-Type": "application/x-www-form-urlencoded"},
                            urllib.parse.urlencode(dict(attacker.values("Confirm and read"), per_day="0.06")))
    callback = agreed.get("Location")
    assert agreed.status == 303 and callback.startswith(one.url(WALLET + "/callback?code="))
    answer = victim.fetch("GET", callback)
    assert answer.status == 303 and answer.get("Location") == one.url(WALLET + "?late=1")
    assert not answer.get("Set-Cookie") and not victim.jar(one.origin)
    told = victim.copy().open(callback)
    assert told.status == 200 and "Nothing was charged" in told.page.text and "no e-wallet" in told.page.text
    assert "Nothing was charged" not in victim.copy().open(one.url(WALLET + "?late=2")).page.text
    # A login of her own does not help: the state is another.
    victim.open(one.url(page(1)))
    victim.fetch("POST", one.url(page(1)), {"Origin": one.origin, "Content-Type": "application/x-www-form-urlencoded"},
                 urllib.parse.urlencode(victim.values("Pay ")))
    victim.fetch("GET", callback)
    assert victim.wallet(one)[0] is None
    # It was not used up by that, and works once.
    twin = attacker.copy()
    assert paid(attacker.open(callback), 1)
    twin.open(callback)
    assert twin.status == 402 and twin.wallet(one)[0] is None
    for number in (2, 3):
        assert paid(attacker.click(page(number)), number)
    assert attacker.click(page(4)).status == 402  # her day's limit
    # What is no code does not reach the broker, which says why it refuses one.
    for code, why in (("K", "Open the page and try again"), (client.b64u(b"x" * 32), "used before")):
        late = Surfer()
        late.open(one.url(page(1)))
        begun = late.fetch("POST", one.url(page(1)), {"Origin": one.origin, "Content-Type": "application/x-www-form-urlencoded"},
                           urllib.parse.urlencode(late.values("Pay ")))
        state = urllib.parse.parse_qs(urllib.parse.urlsplit(begun.get("Location")).query)["state"][0]
        late.open(one.url(WALLET + "/callback?" + urllib.parse.urlencode(
            {"code": code, "state": state, "iss": town.broker.issuer})))
        assert late.status == 409 and why in late.page.text and "othing was charged" in late.page.text
        assert late.click("Back to the page").url == one.url(page(1)) and late.status == 402


def test_who_signs_out_is_out(town):
    one = town.vendors[0]
    reader = Surfer()
    reader.sign_up(town.broker, "1.00")
    reader.get_wallet(one.url(page(1)))
    thief = reader.copy()
    reader.open(one.url(WALLET))
    assert "$0.98" in reader.page.text or "98 ¢" in reader.page.text
    # By another site's form: no.
    values, jar = reader.values("Sign out"), dict(reader.jar(one.origin))
    answer = reader.fetch("POST", one.url(WALLET + "/leave"),
                          {"Origin": "https://evil.example", "Content-Type": "application/x-www-form-urlencoded"},
                          urllib.parse.urlencode(values))
    assert answer.status == 403 and reader.jar(one.origin) == jar
    reader.press("Sign out")
    assert reader.status == 200 and reader.wallet(one)[0] is None and "no e-wallet" in reader.page.text
    thief.follow(one.url(page(2)))
    assert thief.status == 402 and thief.wallet(one)[0] is None
    # The coin is hers still: one click brings it back.
    reader.open(one.url(page(2)))
    assert paid(reader.press("Pay "), 2) and spent(reader) == 40


def test_the_days_limit_holds_at_all_sites_together(town):
    one, two = town.vendors
    reader = Surfer()
    reader.sign_up(town.broker, "5.00")
    reader.get_wallet(one.url(page(1)), per_day="0.10", per_page="0.05")
    for number in range(2, 6):
        assert paid(reader.click(page(number)), number)
    for number in range(6, 12):
        reader.click(page(number))
        assert reader.status == 402 and "Raise today's limit" in reader.page.text
    # Another site, and a thief with all her cookies of sites: nothing either without her word.
    thief = reader.copy()
    thief.jars.pop("127.0.0.1")  # without the broker's session
    reader.open(two.url(page(6)))
    reader.press("Pay ")
    assert urllib.parse.urlsplit(reader.url).path == "/authorize"
    assert thief.follow(one.url(page(7))).status == 402
    # Her word is for that page.
    reader.press("Confirm and read")
    assert paid(reader, 6) and spent(reader) == 120
    assert reader.click(page(7)).status == 402


def test_tabs(town):
    """Ten pages at once pay ten times, ten tabs of one page once; also while the coin goes to another site."""
    one, two = town.vendors
    reader = Surfer()
    reader.sign_up(town.broker, "2.00")
    reader.get_wallet(one.url("/premium/1.html"), per_page="0.50", per_day="5.00")

    def tab(url):
        browser = reader.copy()
        return browser.follow(url).status

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(tab, [one.url(page(i)) for i in range(11, 21)] + [one.url(page(21))] * 10))
    assert answers == [200] * 20
    assert paid(reader.click(page(21)), 21) and spent(reader) == 100 + 11 * 20
    # The coin leaves while tabs are reading: every page that came was paid for, by one till.
    mover = reader.copy()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        tabs = [pool.submit(tab, one.url(page(i))) for i in range(1, 9)]
        moved = pool.submit(lambda: mover.open(two.url(page(22))).press("Pay "))
        tabs += [pool.submit(tab, one.url(page(i))) for i in range(22, 30)]
        answers = [t.result() for t in tabs]
        moved.result()
    # Where tabs kept the coin busy at every moment it was not let go, and she reads on as she would.
    stacks.wait_for(lambda: paid(mover, 22) or paid(mover.follow(two.url(page(22))), 22), what="the page at the next newspaper")
    assert set(answers) <= {200, 402, 503}
    assert spent(mover) <= 100 + 20 * (11 + answers.count(200) + 1)
    assert paid(mover.click(page(30)), 30)
    assert spent(mover) == 100 + 20 * (11 + answers.count(200) + 2)
    books_balance(town)


def test_a_page_that_fails_costs_nothing(town):
    one = town.vendors[0]
    reader = Surfer()
    reader.sign_up(town.broker, "1.00")
    reader.get_wallet(one.url(page(1)))
    assert reader.click("/articles/none.html").status == 404
    one.write("articles/none.html", "<!DOCTYPE html><title>x</title>written meanwhile")
    assert reader.click("/articles/none.html").status == 200
    assert spent(reader) == 40
    os.unlink(os.path.join(one.docroot, "articles/none.html"))


def test_httpd_and_broker_may_die(town):
    one = town.vendors[0]
    reader, late = Surfer(), Surfer()
    reader.sign_up(town.broker, "3.00")
    reader.get_wallet(one.url(page(1)), per_day="0.06")
    for pid in one.children():
        os.kill(pid, signal.SIGKILL)
    stacks.wait_for(lambda: len(one.children()) >= 2, what="new children")
    assert paid(reader.open(one.url(page(1))), 1)
    assert paid(reader.click(page(2)), 2) and spent(reader) == 40
    late.sign_up(town.broker, "1.00")
    late.open(one.url(page(3)))
    late.press("Pay ")
    agreed = late.fetch("POST", late.url, {"Origin": town.broker.issuer, "Content-Type": "application/x-www-form-urlencoded"},
                        urllib.parse.urlencode(late.values("Confirm and read")))
    town.broker.stop()
    try:
        assert paid(reader.click(page(3)), 3)    # granted already
        reader.click(page(4))
        assert reader.status == 402              # no error, and nothing is lost
        assert reader.wallet(one)[0]
        answer = late.fetch("GET", agreed.get("Location"))
        assert answer.status == 503 and answer.get("Retry-After")
    finally:
        town.broker.start()
    # The same address does it, once the broker is asked again; each of httpd's processes finds that out by itself.
    stacks.wait_for(lambda: late.fetch("GET", agreed.get("Location")).status == 303, what="the way back")
    stacks.wait_for(lambda: paid(late.open(one.url(page(3))), 3), what="the page")
    assert spent(late) == 20
    books_balance(town)


def test_secrets_stay_where_they_belong(town):
    one = town.vendors[0]
    reader = Surfer()
    reader.sign_up(town.broker, "1.00")
    reader.get_wallet(one.url(page(1)))
    reader.click(page(2))
    _, sid = reader.wallet(one)
    records = open(os.path.join(one.till, "ewallets/records.mdb"), "rb").read()
    assert sid.encode() not in records and client.unb64u(sid) not in records
    logs = [one.error_log, one.access_log, one.payment_log, town.broker.log_file]
    for name in logs:
        assert sid not in open(name, errors="replace").read(), name
    assert oct(os.stat(os.path.join(one.till, "ewallets/records.mdb")).st_mode & 0o777) == "0o600"
    # A page that was paid for is nobody else's.
    assert "private" in reader.headers["cache-control"] and "no-cache" in reader.headers["cache-control"]
