"""The broker's site as a member uses it: an account by passphrase, money, coins bought, taken to a
wallet, spent, brought back and returned; and what strangers cannot do there."""

import os
import subprocess
import time

import pytest

import client
import stack as stacks
from visitor import Visitor


@pytest.fixture(scope="module")
def shop():
    with stacks.Stack() as made:
        yield made
        made.broker.check()


@pytest.fixture
def visitor(shop):
    return Visitor(shop.broker.issuer)


def wallet(directory, *args, text=None, check=True):
    done = subprocess.run([stacks.wallet_program(), *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          input=text, timeout=60, env={**os.environ, "NETPAY_STORE": str(directory)})
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def test_a_members_coin_goes_to_a_wallet_and_back(shop, visitor, tmp_path):
    passphrase = visitor.sign_up()
    assert len(passphrase.split()) == 7
    assert visitor.follow("I have written it down").path == "/topup"
    visitor.top_up(shop.broker.mint("5.00"))
    visitor.open("/coins").press("Buy", terms="uusd.1000.1000")
    assert visitor.path == "/coins?bought=1" and "The coin is yours." in visitor.page.text
    assert "In your account, not in coins: $4.00" in visitor.page.text
    assert "Kept here" in visitor.page.text

    # To the wallet, with the account; spent at the newspaper; what the site knows follows redemption.
    visitor.press("Download", account="1")
    assert visitor.headers["content-disposition"] == 'attachment; filename="netpay-coins.ndjson"'
    assert visitor.headers["cache-control"] == "no-store"
    export = tmp_path / "coins.ndjson"
    export.write_text(visitor.body)
    store = tmp_path / "wallet"
    wallet(store, "import", str(export))
    for page in ("1", "2", "3"):
        read = wallet(store, "get", "--max-price", "0.02", shop.vendor.url("/articles/%s.html" % page))
        assert "PAID-ARTICLE-" + page in read.stdout
    assert "4.00" in wallet(store, "balance").stdout
    visitor.open("/coins")
    assert "in your wallet, since " in visitor.page.text and "At " + shop.vendor.url("") in visitor.page.text
    again = visitor.request("POST", "/export", "csrf=%s" % visitor.page.forms[0].fields["csrf"])
    assert again.status == 422

    # Back to the site, by the same person in another browser.
    moved = tmp_path / "moved.ndjson"
    wallet(store, "export", "--move", "--no-accounts", str(moved))
    other = Visitor(shop.broker.issuer)
    assert other.sign_in(" ".join(passphrase.upper().split())).path == "/"
    other.open("/import").press("Import", export=moved.read_text())
    assert other.status == 200 and "One coin is kept here now." in other.page.text, other.page.text
    assert "Spent 6 ¢" in other.page.text and "Left 94 ¢" in other.page.text, other.page.text

    # Returned: the newspaper is asked for it, and what was spent there stays spent.
    other.press("Return coin")
    assert "94 ¢ went back to your account." in other.page.text, other.page.text
    assert "In your account, not in coins: $4.94" in other.page.text
    visitor.open("/coins")
    assert "Returned; 94 ¢ went back" in visitor.page.text
    shop.broker.check()


def test_a_session_is_needed_and_leads_back(visitor):
    visitor.open("/coins?bought=1")
    assert visitor.path == "/sign-in?next=%2Fcoins%3Fbought%3D1"
    for path in ("/", "/sign-up", "/sign-in"):
        visitor.open(path)
        assert visitor.status == 200 and "Sign up" in visitor.page.text
    passphrase = visitor.sign_up()
    visitor.open("/account").press("Sign out")
    assert visitor.path == "/" and visitor.open("/account").path.startswith("/sign-in")
    visitor.press("Sign in", passphrase=passphrase)
    assert visitor.path == "/account" and visitor.status == 200


def test_a_wrong_passphrase_costs_as_much_as_a_right_one(visitor):
    """Both cost the slow hash, which is most of the time; a check of something cheaper first would be a small part of it."""
    right = visitor.sign_up()
    taken = {right: [], " ".join(reversed(right.split())): []}
    for _ in range(7):
        for words, times in taken.items():
            v = Visitor(visitor.origin)
            v.open("/sign-in")
            began = time.monotonic()
            v.press("Sign in", passphrase=words)
            times.append(time.monotonic() - began)
    of_right, of_wrong = (min(times) for times in taken.values())
    assert 0.4 < of_wrong / of_right < 2.5, (of_wrong, of_right)


def test_pages_and_errors_are_for_people_and_have_a_policy(shop, visitor):
    visitor.sign_up()
    for path in ("/", "/account", "/coins", "/import", "/topup", "/sign-in"):
        visitor.open(path)
        assert visitor.status == 200, path
        policy = visitor.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-") and "unsafe" not in policy
        assert visitor.headers["x-frame-options"] == "DENY" and visitor.headers["x-content-type-options"] == "nosniff"
        assert visitor.headers["cache-control"] == "no-store"
        assert "<script" not in visitor.body and "src=" not in visitor.body
    visitor.open("/nowhere")
    assert visitor.status == 404 and "There is nothing here" in visitor.page.text and ".well-known" not in visitor.body
    assert visitor.page.links["NetPay"] == "/"
    assert visitor.open("/favicon.ico").status == 204
    program = client.http_request("GET", shop.broker.issuer + "/nowhere")
    assert program.status == 404 and program.json()["type"] == "urn:netpay:problem:not-found"


def test_foreign_forms_do_nothing(shop, visitor):
    visitor.sign_up()
    visitor.top_up(shop.broker.mint("5.00"))
    for origin in (None, "null", "https://evil.example", visitor.origin + "0", visitor.origin.replace("http:", "https:")):
        visitor.open("/coins").press("Buy", headers={"Origin": origin})
        assert visitor.status == 403, origin
    assert "You have none yet" in visitor.open("/coins").page.text


def broker_alone(directory, **options):
    return stacks.Stack(memcached=False, vendor=False, broker_options=options, directory=str(directory))


def test_the_site_can_be_left_out(tmp_path):
    with broker_alone(tmp_path / "plain", site="no") as made:
        assert client.http_request("GET", made.broker.issuer + "/sign-in").status == 404
        assert client.http_request("GET", made.broker.issuer + "/return").status == 200
        assert not os.path.exists(os.path.join(made.broker.options["keys"], "web.key"))


def test_guessing_is_slowed(tmp_path):
    with broker_alone(tmp_path / "slow", **{"rate-scale": "1"}) as made:
        thief = Visitor(made.broker.issuer)
        answers = []
        while 429 not in answers and len(answers) < 60:  # on a slow machine some come back meanwhile
            answers.append(thief.sign_in("abandon ability able about above absent absorb").status)
        assert set(answers[:10]) == {403} and answers[-1] == 429
        assert "Too many requests" in thief.page.text and int(thief.headers["retry-after"]) >= 1
        assert os.stat(os.path.join(made.broker.options["keys"], "web.key")).st_mode & 0o777 == 0o600
