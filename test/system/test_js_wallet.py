"""The JavaScript package (browser/netpay) against vectors, the real broker, vendor and the `netpay` wallet."""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest

import stack as stacks

BROWSER = os.path.join(stacks.TOP, "browser")
OFFLINE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH")
LEAVE = shutil.ignore_patterns("node_modules", "dist")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A copy of browser/ with its packages, as the lock file has them, and the extension built."""
    if not shutil.which("npm") or not shutil.which("node"):
        pytest.skip("node and npm are not installed")
    directory = str(tmp_path_factory.mktemp("js") / "browser")
    shutil.copytree(BROWSER, directory, ignore=LEAVE)
    done = subprocess.run(["npm", "ci", "--ignore-scripts"], cwd=directory, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=300)
    if done.returncode and any(code in done.stdout for code in OFFLINE):
        pytest.skip("the package registry is out of reach: " + done.stdout[-400:])
    assert done.returncode == 0, done.stdout
    return directory


class Purse:
    """A purse in a directory, driven by browser/netpay/test/stack.mjs."""

    def __init__(self, built, directory):
        self.program = ["node", os.path.join(built, "netpay", "test", "stack.mjs"), str(directory)]
        self.env = dict(os.environ, NO_PROXY="127.0.0.1", NODE_NO_WARNINGS="1")

    def run(self, *args):
        done = subprocess.run(self.program + list(args), env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def popen(self, *args):
        return subprocess.Popen(self.program + list(args), env=self.env, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)

    def coins(self):
        return self.run("show")["coins"]

    def spent(self):
        return sum(c["spent"] for c in self.coins())

    def states(self):
        return [p["state"] for p in self.run("show")["history"]]


@pytest.fixture
def purse(built, stack, tmp_path):
    purse = Purse(built, tmp_path / "purse")
    assert purse.run("setup", stack.broker.issuer, stack.broker.mint("20.00"), "10000000") == {"uusd": 10000000}
    return purse


def test_the_package_and_the_extension_by_node(built):
    env = dict(os.environ, NETPAY_VECTORS=os.path.join(stacks.TOP, "test", "vectors"), NODE_NO_WARNINGS="1")
    done = subprocess.run(["npm", "test"], cwd=built, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-8000:]


def test_the_extension_is_built_for_both_browsers(built):
    done = subprocess.run(["npm", "run", "build"], cwd=built, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    for browser, worker in (("chromium", "service_worker"), ("firefox", "scripts")):
        place = os.path.join(built, "dist", browser)
        manifest = json.load(open(os.path.join(place, "manifest.json")))
        assert manifest["manifest_version"] == 3 and worker in manifest["background"]
        for name in ("background.js", "links.js", "popup.html", "popup.js", "options.html", "options.js", "style.css"):
            assert os.path.getsize(os.path.join(place, name)) > 0
        for name in os.listdir(place):
            if name.endswith((".html", ".css")):  # nothing of another's is loaded, and no script stands in a page
                text = open(os.path.join(place, name)).read()
                assert "http:" not in text and "https:" not in text.replace("https://broker.example", ""), name


def test_pages_are_bought(stack, purse):
    before = stack.vendor.units_taken()
    pages = [stack.vendor.url("/articles/%d.html" % i) for i in (1, 2, 3)]
    seen = purse.run("get", *pages, stack.vendor.url("/index.html"))
    for i, page in enumerate(seen[:3], 1):
        assert page["status"] == 200 and "PAID-ARTICLE-%d" % i in page["text"] and page["payment"]["amount"] == 20000
    assert seen[3]["status"] == 200 and seen[3]["payment"] is None
    stack.vendor.check_taken(60, before)
    assert purse.spent() == 60
    again = purse.run("get", pages[0])[0]
    assert again["status"] == 200 and again["payment"]["reread"] and again["payment"]["amount"] == 0
    stack.vendor.check_taken(60, before)
    assert purse.states() == ["paid"] * 3


def test_dearer_missing_and_unpaid(stack, purse):
    before = stack.vendor.units_taken()
    seen = purse.run("get", *[stack.vendor.url(p) for p in ("/articles/4.html", "/premium/1.html", "/articles/none.html")])
    assert [s["status"] for s in seen] == [200, 200, 404]
    assert seen[1]["payment"]["amount"] == 50000
    stack.vendor.check_taken(70, before)
    assert purse.spent() == 70
    assert purse.run("head", stack.vendor.url("/articles/5.html"))["status"] == 402
    refused = purse.run("unasked", stack.vendor.url("/articles/5.html"))[0]
    assert refused["error"] == "not-accepted"
    stack.vendor.check_taken(70, before)


def test_limits_and_one_round_trip(stack, purse):
    purse.run("limit", stack.vendor.origin, "20000", "60000")
    urls = [stack.vendor.url("/articles/%d.html" % i) for i in range(6, 10)]
    seen = [purse.run("unasked", url)[0] for url in urls]
    assert [s.get("status") for s in seen] == [200, 200, 200, None]
    assert seen[3]["error"] == "not-accepted" and "limit" in seen[3]["message"]
    for page in ("/articles/7.html", "/articles/8.html"):  # a warm page costs the same round trips as a free one
        assert stack.vendor.statuses(page) == [200]


def test_many_at_once(stack, purse):
    before = stack.vendor.units_taken()
    seen = purse.run("together", *[stack.vendor.url("/articles/%d.html" % i) for i in range(10, 18)])
    assert [s["status"] for s in seen] == [200] * 8
    stack.vendor.check_taken(160, before)
    assert purse.spent() == 160


def test_killed_anywhere(stack, purse):
    before = stack.vendor.units_taken()
    for i in range(8):
        p = purse.popen("get", *[stack.vendor.url("/articles/%d.html" % (1 + (3 * i + k) % 30)) for k in range(3)])
        time.sleep(0.12 + 0.03 * i)
        p.send_signal(signal.SIGKILL)
        p.wait()
    for payment in purse.run("show")["history"]:
        if payment["state"] == "unknown":
            purse.run("get", payment["url"])
    assert set(purse.states()) <= {"paid", "void"}
    stack.vendor.check_taken(purse.spent(), before)
    stack.broker.check()


def test_mppx_pays_from_the_purse(stack, purse):
    before = stack.vendor.units_taken()
    seen = purse.run("mppx", *[stack.vendor.url(p) for p in ("/articles/18.html", "/premium/2.html", "/index.html", "/articles/none.html")])
    assert [s.get("status") for s in seen] == [200, 200, 200, 404], seen
    assert [s["receipt"] for s in seen] == [True, True, False, False]
    stack.vendor.check_taken(70, before)
    assert purse.spent() == 70
    assert sorted(purse.states()) == ["paid", "paid", "void"]


def test_coins_move_to_the_netpay_wallet_and_back(stack, purse, tmp_path):
    store = str(tmp_path / "wallet")
    before = stack.vendor.units_taken()
    purse.run("get", stack.vendor.url("/articles/19.html"))
    there, back = str(tmp_path / "there"), str(tmp_path / "back")
    moved = purse.run("export", there, "move")
    stack.netpay("import", there, store=store)
    assert purse.run("get", stack.vendor.url("/articles/20.html"))[0]["error"] == "no-money"
    done = stack.netpay("get", "--max-price", "0.05", stack.vendor.url("/articles/20.html"), store=store)
    assert b"PAID-ARTICLE-20" in done.stdout
    stack.netpay("export", "--move", back, store=store)
    assert purse.run("import", back)["coins"] == len(moved)
    assert purse.run("get", stack.vendor.url("/articles/21.html"))[0]["status"] == 200
    stack.vendor.check_taken(60, before)
    assert purse.spent() == 60
    returned = purse.run("return", stack.broker.issuer)
    assert len(returned) == len(moved)
    stack.broker.check()
