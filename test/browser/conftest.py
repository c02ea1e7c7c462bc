"""Fixtures of the browser tests: servers, the browser's packages, and scenarios played by node (run.mjs)."""

import fcntl
import filecmp
import glob
import json
import os
import shutil
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "stack"))

import cardshop  # noqa: E402
import demo  # noqa: E402
import stack as stacks  # noqa: E402
import visitor  # noqa: E402

OFFLINE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH")
ARTIFACTS = os.path.join(stacks.BUILD, "browser-artifacts")
HOSTS = ["127.0.0.2", "127.0.0.3"]  # the newspapers'; the broker has 127.0.0.1: cookies know no ports
SCENARIO_S = 300


def with_packages(source, target):
    """A copy of `source` in which `npm ci` has been run; not again while the lock file stays the same."""
    for tool in ("npm", "node"):
        if not shutil.which(tool):
            pytest.skip("%s is not installed" % tool)
    os.makedirs(target, exist_ok=True)
    with open(os.path.join(os.path.dirname(target), os.path.basename(target) + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.copytree(source, target, dirs_exist_ok=True,
                        ignore=shutil.ignore_patterns("node_modules", "dist", "__pycache__"))
        wanted, stamp = os.path.join(target, "package-lock.json"), os.path.join(target, "installed.json")
        if not os.path.exists(stamp) or not filecmp.cmp(wanted, stamp, shallow=False):
            done = subprocess.run(["npm", "ci", "--ignore-scripts"], cwd=target, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, timeout=300)
            if done.returncode and any(code in done.stdout for code in OFFLINE):
                pytest.skip("the package registry is out of reach: " + done.stdout[-400:])
            assert done.returncode == 0, done.stdout
            shutil.copy(wanted, stamp)
    return target


@pytest.fixture(scope="session")
def player():
    """A directory with run.mjs, its scenarios and their packages."""
    if not os.access(os.environ.get("NETPAY_CHROMIUM", "/usr/bin/chromium"), os.X_OK):
        pytest.skip("Debian's chromium is not installed")
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    return with_packages(HERE, os.path.join(stacks.BUILD, "browser-tests" + worker))


@pytest.fixture(scope="session")
def extension():
    """The directory of the extension, built for Chromium."""
    place = with_packages(os.path.join(stacks.TOP, "browser"), os.path.join(stacks.BUILD, "browser-extension"))
    done = subprocess.run(["npm", "run", "build"], cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    return os.path.join(place, "dist", "chromium")


# What the first newspaper tells of its pages to who has not paid, and what nobody should be taken in by.
TOLD = """
  <Location "/articles/ferry.html">
    NetPayTitle "The night ferry sails again"
    NetPayTeaser "At ten past eleven on Friday the Tern let go of the north quay with forty-one passengers aboard."
  </Location>
  <Location "/hostile/">
    AuthType NetPay
    AuthName "{realm}"
    Require netpay
    NetPayPrice 0.02 usd
    NetPayTitle "<script>alert('x')</script>\\"&<h1>"
    NetPayTeaser "<img src=x onerror=alert(1)> {{pay}} </title>"
  </Location>
"""
# The second has a paywall of its own making.
TEMPLATE = """
  <Location "/">
    NetPayPaywall %s
  </Location>
""" % os.path.join(HERE, "paywall.html")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A broker, a card provider and two newspapers with the sample site, each on an address of its own."""
    with cardshop.CardShop() as cards, \
            stacks.Stack(vendor=False, broker_options=cards.options(tmp_path_factory.mktemp("card"))) as made:
        cards.endpoint = made.broker.issuer + "/webhooks/card"
        made.cards = cards
        publisher = visitor.Visitor(made.broker.issuer)
        made.passphrase = publisher.sign_up()  # of the account that both newspapers are registered by
        publisher.open("/account").press("Make a token")
        made.broker.publisher = publisher.body.split('class="phrase">', 1)[1].split("<", 1)[0]
        for number, (host, extra) in enumerate(zip(HOSTS, (TOLD, TEMPLATE)), 1):
            name = demo.name_of(number)
            vendor = made.add_vendor(start=False, host=host, pages={}, realm=name, gate=demo.GATE, extra=extra)
            demo.copy_site(vendor, name)
            made.run(vendor)
        yield made


def table(rows):
    """Clicks / round trips: a line for each e-wallet, a column for what was done."""
    acts = list(dict.fromkeys(row["act"] for row in rows))
    cells = {(row["wallet"], row["act"]): "%d / %d" % (row["clicks"], row["trips"]) for row in rows}
    lines = ["Clicks / round trips", "", "| | %s |" % " | ".join(acts), "|---" * (len(acts) + 1) + "|"]
    for wallet in dict.fromkeys(row["wallet"] for row in rows):
        lines.append("| %s | %s |" % (wallet, " | ".join(cells.get((wallet, act), "–") for act in acts)))
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def written():
    """At the end the table of clicks and round trips is written, of all scenarios that left rows; where pytest has
    several workers, the last to end has them all."""
    yield
    rows = []
    for name in sorted(glob.glob(os.path.join(ARTIFACTS, "*", "rows.json"))):
        with open(name) as file:
            rows.extend(json.load(file))
    if rows:
        with open(os.path.join(ARTIFACTS, "table.md"), "w") as out:
            out.write(table(rows))


@pytest.fixture
def play(player, world, written, tmp_path):
    """play(scenario, **more): plays scenarios/SCENARIO.mjs; `more` is added to what it is given. Its report."""

    def played(scenario, **more):
        given = {
            "artifacts": ARTIFACTS,
            "scratch": str(tmp_path),
            "origins": [world.broker.issuer, world.cards.url] + [v.origin for v in world.vendors],
            "passphrase": world.passphrase,
            "wallet": stacks.wallet_program(),
            "broker": {"issuer": world.broker.issuer,
                       "admin": [stacks.broker_program(), "--config", world.broker.config]},
            "news": [{"name": v.site.realm, "origin": v.origin, "docroot": v.docroot,
                      "payment_log": v.payment_log, "access_log": v.access_log, "key": v.key_file,
                      "redeemer": [stacks.redeem_program(), "--till", v.till, "--key", v.key_file]}
                     for v in world.vendors],
        }
        given.update(more)
        file = str(tmp_path / "env.json")
        with open(file, "w") as out:
            json.dump(given, out)
        done = subprocess.run(["node", "run.mjs", scenario, file], cwd=player, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=SCENARIO_S)
        assert done.returncode == 0, "%s\n%s\npictures: %s" % (done.stderr, done.stdout,
                                                               os.path.join(ARTIFACTS, scenario))
        report = json.loads(done.stdout.splitlines()[-1])
        with open(os.path.join(ARTIFACTS, scenario, "rows.json"), "w") as out:
            json.dump(report["rows"], out)
        return report

    return played
