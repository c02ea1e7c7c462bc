"""The broker's pages for those who sell: registering a site by its key, the certificate, takings by day, batches with
the reasons for what was rejected, and what is owed; and the reader's history of the same money."""

import re

import pytest

import client
import stack as stacks
from visitor import Visitor


@pytest.fixture(scope="module")
def shop():
    with stacks.Stack(memcached=False, vendor=False) as made:
        yield made
        made.broker.check()
        status, audit = made.audit()
        assert status == 0, audit


@pytest.fixture
def owner(shop):
    visitor = Visitor(shop.broker.issuer)
    visitor.passphrase = visitor.sign_up()
    return visitor


class Newspaper:
    """A site whose key lies in a file, and its owner's registration by the wallet program."""

    def __init__(self, shop, directory, port):
        self.shop, self.key = shop, client.Key()
        self.origin = "http://127.0.0.1:%d" % port
        self.file = str(directory / "vendor.pem")
        with open(self.file, "wb") as f:
            f.write(self.key.pem())
        self.wallet = str(directory / "wallet")

    def signed(self, broker=None):
        return self.shop.netpay("vendor", "register", "--print", "--broker", broker or self.shop.broker.issuer,
                                "--origin", self.origin, "--key", self.file, store=self.wallet).stdout.decode().strip()


def register(owner, request):
    return owner.open("/vendor/register").press("Register", request=request)


def rows(visitor, heading):
    """The cells of the table under a heading."""
    part = visitor.body.split(">%s</h2>" % heading, 1)[1].split("</section>", 1)[0]
    body = part.split("<tbody", 1)[1] if "<tbody" in part else ""
    cells = lambda row: re.findall(r"<td[^>]*>(.*?)</td>", row, re.S)
    return [[" ".join(re.sub(r"<[^>]*>", "", cell).split()) for cell in cells(row)] for row in body.split("<tr")[1:]]


def test_a_site_from_registration_to_payout(shop, owner, tmp_path):
    paper = Newspaper(shop, tmp_path, stacks.Ports.take())
    assert "This account has registered no site." in owner.open("/vendor").page.text
    register(owner, paper.signed())
    assert owner.status == 202 and paper.key.kid in owner.page.text
    owner.follow("To your sites")
    assert rows(owner, "Your sites") == [[paper.origin, "waits for the broker&#39;s operator", "none"]]
    assert owner.open("/vendor/site?origin=" + paper.origin).status == 404

    shop.broker.admin("vendor", "approve", paper.origin)
    owner.open("/vendor").follow(paper.origin)
    assert owner.status == 200 and "approved" in owner.page.text
    assert "(89 days)" in owner.page.text or "(90 days)" in owner.page.text
    assert "This site has sent no batch yet." in owner.page.text
    again = register(owner, paper.signed())
    assert again.status == 200 and "is approved with this key already" in owner.page.text

    # A reader's coin is sold there, claimed, and claimed again.
    caller = client.VendorCaller(paper.origin, paper.key, shop.broker.api())
    wallet = shop.wallet("5.00")
    coin = wallet.buy(n=1000)
    assert caller.acquire(coin, 1).status == 200
    answer = caller.redeem([client.claim(coin, 0, 40)], batch="first")
    assert answer.status == 200 and answer.json()["rejected"] == []
    bad = [client.claim(coin, 0, 40), {**client.claim(coin, 900, 1000), "to": 2000},
           {**client.claim(coin, 40, 41), "payword": "A" * 43}]
    assert len(caller.redeem(bad, batch="second").json()["rejected"]) == 3

    owner.open("/vendor").follow(paper.origin)
    assert rows(owner, "What is owed") == [["USD", "4 ¢", "0 ¢", "0 ¢", "0 ¢"]]
    takings = rows(owner, "Takings by day")
    assert [r[1:] for r in takings] == [["4 ¢", "0 ¢"]]
    batches = {r[1]: r[2:] for r in rows(owner, "Redemptions")}
    assert batches == {"first": ["1", "4 ¢", "0", ""], "second": ["0", "", "3", "1 range, 1 overlap, 1 forged"]}

    shop.broker.admin("vendor", "suspend", paper.origin)
    assert "suspended by the broker" in owner.open("/vendor").page.text


def test_only_the_owner_sees_a_site(shop, owner, tmp_path):
    paper = Newspaper(shop, tmp_path, stacks.Ports.take())
    register(owner, paper.signed())
    shop.broker.admin("vendor", "approve", paper.origin)
    stranger = Visitor(shop.broker.issuer)
    stranger.sign_up()
    address = "/vendor/site?origin=" + paper.origin
    assert stranger.open(address).status == 404 and "not one of your sites" in stranger.page.text
    assert owner.open(address).status == 200
    for address in ("/vendor/site", "/vendor/site?origin=%3Cscript%3E", "/vendor/site?origin=https://nowhere.example"):
        assert owner.open(address).status == 404 and "<script" not in owner.body
    # Asking for another's origin with a key of one's own waits for the operator, and shows nothing.
    other = Newspaper(shop, tmp_path, 1)
    other.origin = paper.origin
    with open(other.file, "wb") as f:
        f.write(other.key.pem())
    register(stranger, other.signed())
    assert stranger.status == 202 and stranger.open("/vendor/site?origin=" + paper.origin).status == 404
    assert Visitor(shop.broker.issuer).open("/vendor").path.startswith("/sign-in")


def test_registrations_that_are_refused(shop, owner, tmp_path):
    paper = Newspaper(shop, tmp_path, stacks.Ports.take())
    for text, status in (("", 400), ("nonsense", 400), ("a.b.c", 400), (paper.signed("https://other.example"), 403)):
        register(owner, text)
        assert owner.status == status and "was not registered" in owner.page.text and "does not verify" in owner.page.text, (text, owner.status)
    token = paper.signed()
    assert register(owner, "\n".join([token[:60], token[60:]])).status == 202
    assert register(owner, token).status == 403 and "is good once" in owner.page.text
    owner.open("/vendor/register").press("Register", request=paper.signed(), headers={"Origin": "https://evil.example"})
    assert owner.status == 403


def test_the_readers_history(shop, tmp_path):
    reader = Visitor(shop.broker.issuer)
    reader.sign_up()
    assert "No site has claimed anything yet." in reader.open("/history").page.text
    reader.top_up(shop.broker.mint("5.00"))
    reader.open("/coins").press("Buy", terms="uusd.1000.1000")
    reader.open("/history?by=day")
    moved = [r[1:] for r in rows(reader, "Your balance")]
    assert moved == [["Coin bought", "-$1.00"], ["Voucher", "$5.00"]]
    for address in ("/history?by=site", "/history?by=day", "/history?by=%3Cb%3E", "/history"):
        assert reader.open(address).status == 200 and "<b>" not in reader.body
