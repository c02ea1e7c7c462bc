"""mppx, an independent client of the Payment scheme, buys pages (test/peers/mppx)."""

import json
import os
import shutil
import subprocess

import pytest

import stack as stacks

PEER = os.path.join(stacks.TOP, "test", "peers", "mppx")
OFFLINE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH")


@pytest.fixture(scope="module")
def mppx(tmp_path_factory):
    """A directory with buy.mjs and its packages, as the lock file has them."""
    if not shutil.which("npm") or not shutil.which("node"):
        pytest.skip("node and npm are not installed")
    directory = str(tmp_path_factory.mktemp("mppx"))
    for name in os.listdir(PEER):
        if name != "node_modules":
            shutil.copy(os.path.join(PEER, name), directory)
    done = subprocess.run(["npm", "ci"], cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=300)
    if done.returncode and any(code in done.stdout for code in OFFLINE):
        pytest.skip("the package registry is out of reach: " + done.stdout[-400:])
    assert done.returncode == 0, done.stdout
    return directory


def test_mppx_buys_pages(mppx, stack):
    paid = [stack.vendor.url("/articles/%d.html" % i) for i in (1, 2, 3)]
    env = dict(os.environ, BROKER_URL=stack.broker.issuer, VOUCHER=stack.broker.mint("100.00"), PAID_URLS=" ".join(paid),
               FREE_URL=stack.vendor.url("/index.html"), NO_PROXY="127.0.0.1")
    done = subprocess.run(["node", "buy.mjs"], cwd=mppx, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=120)
    assert done.returncode == 0, done.stderr + stack.vendor.last_lines()
    report = json.loads(done.stdout)
    assert [b["intent"] for b in report["bought"]] == ["session", "charge", "session"]
    for bought in report["bought"]:
        assert bought["receipt"]["currency"] == "uusd"
        assert bought["units"] * 1000 >= int(bought["receipt"]["amount"]) > 0
    assert report["spent"] == sum(b["units"] for b in report["bought"])
