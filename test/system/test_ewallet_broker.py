"""E-wallets as the broker gives them to sites: a reader's browser at /authorize, and vendors that are
written here from doc/ewallets.md, with real custody, hand-over and redemption behind them."""

import concurrent.futures
import hashlib
import secrets
import urllib.parse

import pytest

import client
import peer as peers
import stack as stacks
from visitor import Page, Visitor

CALLBACK = "/.well-known/netpay/wallet/callback"
CLICKED = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document",
           "Sec-Fetch-User": "?1"}


@pytest.fixture(scope="module")
def shop():
    with stacks.Stack(memcached=False, vendor=False) as made:
        yield made
        made.broker.check()
        status, report = made.audit()
        assert status == 0, report


@pytest.fixture
def sites(shop):
    made = []

    def site():
        made.append(Site(shop.broker))
        return made[-1]
    yield site
    for one in made:
        one.stop()


@pytest.fixture
def reader(shop):
    visitor = Visitor(shop.broker.issuer)
    visitor.sign_up()
    visitor.top_up(shop.broker.mint("5.00"))
    return visitor


class Site(peers.Peer):
    """A vendor that serves one reader's e-wallet."""

    def begin(self, amount=20000, **changes):
        """The address it sends the reader to."""
        self.state, self.verifier = client.b64u(secrets.token_bytes(32)), client.b64u(secrets.token_bytes(32))
        query = {"response_type": "code", "client_id": self.origin, "redirect_uri": self.origin + CALLBACK,
                 "state": self.state, "code_challenge": client.b64u(hashlib.sha256(self.verifier.encode()).digest()),
                 "code_challenge_method": "S256", "scope": "server", "amount": str(amount), "currency": "uusd"}
        query.update(changes)
        return "/authorize?" + urllib.parse.urlencode(query)

    def came_back(self, answer):
        """What the broker sent the reader back with."""
        assert answer.status == 303, answer.body
        where, _, query = answer.get("Location").partition("?")
        fields = dict(urllib.parse.parse_qsl(query))
        assert where == self.origin + CALLBACK and fields["state"] == self.state
        assert fields["iss"] == self.broker.issuer
        return fields

    def confirm(self, visitor, amount=20000, **fields):
        """She opens the page and agrees; the code."""
        visitor.open(self.begin(amount))
        return self.press(visitor, **fields)["code"]

    def press(self, visitor, button="Confirm and read", headers=None, **fields):
        form = visitor.form(button)
        values = dict(form.fields, decision="yes" if button.startswith("Confirm") else "no", **fields)
        body = urllib.parse.urlencode({k: v for k, v in values.items() if v is not None})
        return self.came_back(visitor.request("POST", visitor.path, body, headers))

    def click(self, visitor, amount=20000, headers=None):
        """She is sent there by her own click; the answer."""
        return visitor.request("GET", self.begin(amount), headers=CLICKED if headers is None else headers)

    def ewallet(self, call, **members):
        return self.caller.broker.raw("POST", self.caller.broker.api + "/ewallet/" + call,
                                      {"request": self.caller.request("ewallet/" + call, **members)})

    def token(self, code, verifier=None):
        answer = self.ewallet("token", code=code, redirect_uri=self.origin + CALLBACK,
                              code_verifier=verifier or self.verifier)
        if answer.status == 200:
            self.keep(answer.json())
            self.grant = answer.json()["grant"]
        return answer

    def refresh(self, spent, price=20000):
        answer = self.ewallet("refresh", grant=self.grant, price=price, spent=spent)
        if answer.status == 200:
            self.keep(answer.json())
        return answer

    def keep(self, document):
        """The coin as far as it was granted: no payword beyond is to be had."""
        shown = document["coin"]
        terms = client.peek(shown["touchstone"])
        chain = client.Chain(shown["granted"], client.unb64u(terms["salt"]), client.unb64u(shown["payword"]))
        assert chain.coin == terms["coin"], "the payword is not of that coin"
        self.document, self.coin = document, client.Coin(chain, shown["touchstone"], terms["unit"])


def kind(answer):
    return answer.status, answer.json()["type"].rpartition(":")[2]


def test_from_nothing_to_a_page_and_on_to_the_next_site(shop, sites):
    a, b = sites(), sites()
    reader = Visitor(shop.broker.issuer)
    # Sent by the first newspaper: no account, no money; the way on is kept throughout.
    reader.open(a.begin())
    assert reader.path.startswith("/sign-in?next=")
    reader.follow("Sign up").press("Sign up")
    assert a.origin in reader.headers["content-security-policy"] or "phrase" in reader.body
    reader.follow("I have written it down")
    assert "; form-action 'self' " + a.origin + ";" in reader.headers["content-security-policy"]
    reader.press("Add money", voucher=shop.broker.mint("5.00"))
    assert reader.path.startswith("/authorize?") and "2 ¢" in reader.page.text, reader.page.text
    assert "$1.00 of your balance goes into the e-wallet" in reader.page.text
    assert "; form-action 'self' " + a.origin + ";" in reader.headers["content-security-policy"]
    code = a.press(reader)["code"]
    before = dict(reader.cookies)

    # The site gets a payword at the index it is granted, and sells by it.
    answer = a.token(code)
    assert answer.status == 200, answer.body
    assert answer.get("Cache-Control") == "no-store"
    assert {k: a.document[k] for k in ("currency", "per_page", "per_day", "automatic")} == {
        "currency": "uusd", "per_page": 50000, "per_day": 1000000, "automatic": True}
    assert a.document["coin"]["spent"] == 0 and "holder" not in a.document["coin"]
    assert a.acquire(a.coin, 20).status == 200
    a.sell(a.coin, 60)
    assert a.redeem(a.coin, 0, 60) == []

    # One click at the next one: no page of the broker's is shown. The coin goes from site to site.
    assert b.token(b.came_back(b.click(reader))["code"]).status == 200
    assert reader.cookies != before, "her session is renewed on the way"
    shown = b.document["coin"]
    assert (shown["spent"], shown["holder"], shown["held"]) == (60, a.origin, 1)
    assert a.refresh(60).status == 410
    assert b.take_from(b.coin, a, shown["granted"])
    b.sell(b.coin, 20)
    assert b.redeem(b.coin, 60, 80) == []
    assert b.refresh(80).status == 200 and "holder" not in b.document["coin"]

    # She sees where it is and takes it back: the site hands it over, what is left is hers.
    reader.open("/account")
    assert b.origin in reader.page.text and a.origin not in reader.page.text
    reader.open("/coins")
    assert "kept by " + b.origin in reader.page.text
    reader.press("Give back")
    assert "92 ¢ went back to your account." in reader.page.text, reader.page.text
    assert kind(b.refresh(80)) == (410, "grant-ended")
    assert "No site has your e-wallet." in reader.open("/account").page.text


def test_a_code_is_for_one_call(sites, reader):
    a, thief = sites(), sites()
    code = a.confirm(reader)
    assert kind(thief.token(code, a.verifier)) == (400, "invalid-grant")
    assert kind(a.token(code)) == (400, "invalid-grant")
    code = a.confirm(reader)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: a.token(code), range(8)))
    assert sorted(x.status for x in answers) == [200] + [400] * 7
    # Whoever was first: it is over, for one of them had stolen it.
    a.grant = next(x.json()["grant"] for x in answers if x.status == 200)
    assert kind(a.refresh(0)) == (410, "grant-ended")


def test_a_form_that_is_sent_ten_times_buys_one_coin(shop, sites, reader):
    a = sites()
    reader.open(a.begin())
    form = reader.form("Confirm and read")
    body = urllib.parse.urlencode(dict(form.fields, decision="yes"))
    cookie = {"Cookie": "; ".join("%s=%s" % c for c in reader.cookies.items())}  # before the session is renewed
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: reader.request("POST", reader.path, body, cookie), range(10)))
    assert {x.status for x in answers} == {303}
    reader.open("/coins")
    assert "In your account, not in coins: $4.00" in reader.page.text, reader.page.text


@pytest.mark.parametrize("name, value", [
    ("redirect_uri", "%s" + CALLBACK + "/"), ("redirect_uri", "%s1" + CALLBACK), ("redirect_uri", "%s/"),
    ("redirect_uri", "//evil.example" + CALLBACK), ("redirect_uri", ""), ("client_id", "%s/"),
    ("client_id", "https://evil.example"), ("state", "short"), ("state", "%s")])
def test_a_wrong_way_back_leads_nowhere(sites, reader, name, value):
    a = sites()
    address = a.begin(**{name: value.replace("%s", a.origin)})
    for visitor in (reader, Visitor(reader.origin)):
        answer = visitor.request("GET", address, headers=CLICKED)
        assert answer.status == 400 and answer.get("Location") is None, answer.body
        assert "text/html" in answer.get("Content-Type") and b'href="/"' in answer.body


def test_parameters_come_once(sites, reader):
    a = sites()
    for twice in ("&redirect_uri=https%3A%2F%2Fevil.example", "&client_id=https%3A%2F%2Fevil.example", "&amount=1"):
        answer = reader.request("GET", a.begin() + twice, headers=CLICKED)
        assert answer.status == 400 and answer.get("Location") is None


def test_only_her_own_click_is_taken_for_consent(sites, reader):
    a, b = sites(), sites()
    assert a.token(a.confirm(reader)).status == 200
    for changed in ({"Sec-Fetch-User": None}, {"Sec-Fetch-Dest": "iframe"}, {"Sec-Fetch-Mode": "no-cors"},
                    {"Sec-Purpose": "prefetch"}, {"Sec-Purpose": "prefetch;prerender"}, {"Purpose": "prefetch"}):
        answer = b.click(reader, headers=dict(CLICKED, **changed))
        assert answer.status == 200 and "Confirm and read" in answer.body.decode(), changed
    assert b.click(reader, amount=50001).status == 200
    assert b.click(reader).status == 303
    # And a form that another page sends is none of hers.
    reader.open(b.begin())
    body = urllib.parse.urlencode(dict(reader.form("Confirm").fields, decision="yes"))
    for origin in (None, "null", b.origin):
        assert reader.request("POST", reader.path, body, {"Origin": origin}).status == 403


def test_a_days_limit_holds_over_sites_and_coins(shop, sites, reader):
    three = [sites() for _ in range(3)]
    for _ in range(2):
        reader.open("/coins").press("Buy", terms="uusd.1000.1000")
    assert three[0].token(three[0].confirm(reader, per_day="0.30")).status == 200
    coins = {}
    for step in range(30):
        site = three[step % 3]
        answer = site.click(reader)
        if answer.status == 303:
            assert site.token(site.came_back(answer)["code"]).status in (200, 409)
        if hasattr(site, "grant"):
            site.refresh(site.document["coin"]["granted"])
            coins[site.coin.id] = max(coins.get(site.coin.id, 0), site.document["coin"]["granted"])
    assert sum(coins.values()) == 300
    page = Page(three[1].click(reader).body.decode())
    assert "What may be spent today is used up." in page.text
    # The one page that she confirms, and not one more.
    assert three[1].token(three[1].confirm(reader, per_day="0.30")).status == 200
    assert kind(three[1].refresh(three[1].document["coin"]["granted"])) == (409, "day-limit")
    # Or she raises it.
    assert three[1].token(three[1].confirm(reader, per_day="0.50")).status == 200
    assert three[1].refresh(three[1].document["coin"]["spent"]).status == 200


def test_limits_are_kept_and_revoked(sites, reader):
    a = sites()
    assert a.token(a.confirm(reader, automatic=None, everywhere=None, per_page="0.03", days="7")).status == 200
    assert a.document["automatic"] is False and a.document["per_page"] == 30000
    reader.open("/limits")
    assert a.origin in reader.page.text and "All sites together" in reader.page.text
    mine = next(f for f in reader.page.forms if f.fields.get("site") == a.origin)
    assert (mine.fields["per_page"], mine.fields["per_day"], mine.fields["days"]) == ("0.03", "1.00", "7")
    body = urllib.parse.urlencode(dict(mine.fields, do="revoke"))
    assert reader.request("POST", "/limits", body).status == 303
    assert kind(a.refresh(0)) == (410, "grant-ended")


def test_signing_out_everywhere_ends_e_wallets_and_a_restart_does_not(shop, sites, reader):
    a = sites()
    assert a.token(a.confirm(reader)).status == 200
    shop.broker.kill()
    shop.broker.start()
    assert a.refresh(0).status == 200
    reader.open("/account").press("Sign out everywhere")
    assert reader.status == 200 and "within five minutes" in reader.page.text
    assert kind(a.refresh(0)) == (410, "grant-ended")
    assert a.ewallet("leave", grant=a.grant).status == 200


def test_vendors_are_heard_at_a_bounded_rate(tmp_path):
    with stacks.Stack(memcached=False, vendor=False, broker_options={"rate-scale": "1"}, directory=str(tmp_path / "slow")) as made:
        api = made.broker.api()
        def calls(name, times):
            return [api.raw("POST", api.api + "/ewallet/" + name, {"request": "x"}).status for _ in range(times)]
        assert set(calls("token", 100)) == {400}, "strangers' codes do not shut a site's readers out"
        # On a slow machine some of the allowance comes back while they are sent.
        assert any(429 in calls("refresh", 100) for _ in range(30))
