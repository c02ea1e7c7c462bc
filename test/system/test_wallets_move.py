"""Money goes round: from a site's e-wallet to the `netpay` program, to a purse in JavaScript, back to the broker and to a
site again, spent a little in each, and none of it is lost or spent twice."""

import os
import signal

import pytest

import stack as stacks
from surfer import Surfer
from test_js_wallet import Purse, built  # noqa: F401  (a fixture)

GATE = ('<Location "/articles/">\n AuthType NetPay\n AuthName "{realm}"\n Require netpay\n NetPayPrice 0.02 usd\n'
        ' NetPayWallets server cookie\n</Location>\n')


@pytest.fixture(scope="module")
def town():
    with stacks.Stack(vendor=False, memcached=False) as made:
        for host in ("127.0.0.2", "127.0.0.3"):
            made.add_vendor(host=host, gate=GATE, directives=dict(stacks.PATIENT, NetPayPrivatePeers="on"))
        yield made


def page(number):
    return "/articles/%d.html" % number


def take_out(town, reader, path):
    """What the broker's site gives for another wallet, as a file."""
    reader.open(town.broker.issuer + "/coins").press("Download")
    assert reader.status == 200, reader.page.text
    path.write_text(reader.body)
    return str(path)


@pytest.mark.parametrize("kind", ["server", "cookie"])
def test_round_all_wallets(town, built, tmp_path, kind):  # noqa: F811
    one, two = town.vendors
    reader, store, purse = Surfer(), str(tmp_path / "wallet"), Purse(built, tmp_path / "purse")
    reader.sign_up(town.broker, "1.00")
    reader.get_wallet(one.url(page(1)), kind, per_page="1.00", per_day="5.00")
    for number in (2, 3):
        assert reader.follow(one.url(page(number))).status == 200
    # The site has sold three pages and told nobody yet; the program has to know it.
    town.netpay("import", take_out(town, reader, tmp_path / "out"), store=store)
    assert reader.follow(one.url(page(4))).status == 402, "it is not at the site any more"
    for number, site in ((4, one), (5, one), (4, two)):
        assert b"PAID-ARTICLE-%d " % number in town.netpay("get", "--max-price", "0.02", site.url(page(number)), store=store).stdout
    there, back = str(tmp_path / "there"), str(tmp_path / "back")
    town.netpay("export", "--move", there, store=store)
    assert purse.run("import", there)["coins"] == 1
    for number, site in ((5, two), (6, one)):
        assert purse.run("get", site.url(page(number)))[0]["status"] == 200
    purse.run("export", back, "move")
    reader.open(town.broker.issuer + "/import").press("Import", export=open(back).read())
    assert reader.status == 200 and "Left 84 ¢" in reader.page.text, reader.page.text
    # To a site again, which gets it from the one that the purse read last.
    reader.open(two.url(page(7))).press("Pay ")
    assert reader.status == 200 and "PAID-ARTICLE-7 " in reader.body
    assert reader.follow(two.url(page(8))).status == 200
    reader.open(town.broker.issuer + "/coins").press("Give back coin")
    assert "80 ¢ went back to your account." in reader.page.text, reader.page.text
    for site in (one, two):
        site.redeem()
    town.broker.check()
    status, found = town.audit()
    assert status == 0, found


def test_a_coin_that_a_site_does_not_let_go_is_not_exported(town, tmp_path):
    one = town.vendors[0]
    reader = Surfer()
    reader.sign_up(town.broker, "1.00")
    reader.get_wallet(one.url(page(1)), per_page="1.00", per_day="5.00")
    stopped = [one.server.pid] + one.server.children()
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        reader.open(town.broker.issuer + "/coins").press("Download")
        assert reader.status == 409 and "Nothing was exported" in reader.page.text
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    one.server.wait_ready()
    # Whether the site heard the broker's call late or never: asked again it lets the coin go, and nothing is lost.
    take_out(town, reader, tmp_path / "out")
    assert reader.follow(one.url(page(2))).status == 402
    town.netpay("import", str(tmp_path / "out"), store=str(tmp_path / "wallet"))
    assert b"PAID-ARTICLE-2 " in town.netpay("get", "--max-price", "0.02", one.url(page(2)), store=str(tmp_path / "wallet")).stdout
