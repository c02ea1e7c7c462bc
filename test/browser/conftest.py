"""Fixtures of the browser tests: servers, the browser's packages, and scenarios played by node (run.mjs)."""

import contextlib
import fcntl
import filecmp
import glob
import json
import os
import select
import shutil
import signal
import subprocess
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "stack"))

import cardshop  # noqa: E402
from clock import Clock  # noqa: E402
import demo  # noqa: E402
import stack as stacks  # noqa: E402
import visitor  # noqa: E402

OFFLINE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH")
ARTIFACTS = os.path.join(stacks.BUILD, "browser-artifacts")
HOSTS = ["127.0.0.2", "127.0.0.3"]  # the newspapers'; the broker has 127.0.0.1: cookies know no ports
SCENARIO_S = 900  # for one that hangs


@contextlib.contextmanager
def locked(directory):
    """Of the workers of a run one at a time is at it."""
    with open(directory + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def newest(directory):
    """When a file of it was changed last, but for packages and what is built."""
    found = 0.0
    for place, below, names in os.walk(directory):
        below[:] = [d for d in below if d not in ("node_modules", "dist")]
        found = max([found] + [os.stat(os.path.join(place, n)).st_mtime for n in names])
    return found


def with_packages(source, target):
    """A copy of `source` in which `npm ci` has been run; not again while the lock file stays the same."""
    for tool in ("npm", "node"):
        if not shutil.which(tool):
            pytest.skip("%s is not installed" % tool)
    os.makedirs(target, exist_ok=True)
    with locked(target):
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


class Player:
    """run.mjs, which plays one scenario after the other in one Chromium; started again after one that hangs."""

    def __init__(self, place):
        self.place, self.child = place, None

    def play(self, given):
        """The report; None if there is none within SCENARIO_S."""
        if self.child is None or self.child.poll() is not None:
            self.child = subprocess.Popen(["node", "run.mjs"], cwd=self.place, stdin=subprocess.PIPE,
                                          stdout=subprocess.PIPE, start_new_session=True)
        self.child.stdin.write(json.dumps(given).encode() + b"\n")
        self.child.stdin.flush()
        ready, _, _ = select.select([self.child.stdout], [], [], SCENARIO_S)
        line = self.child.stdout.readline() if ready else b""
        if not line:
            self.kill()
            return None
        return json.loads(line)

    def kill(self):
        os.killpg(self.child.pid, signal.SIGKILL)  # and its Chromium
        self.child.wait()

    def close(self):
        if self.child is None or self.child.poll() is not None:
            return
        self.child.stdin.close()
        try:
            self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()


@pytest.fixture(scope="session")
def player():
    """run.mjs and its scenarios in a directory with their packages."""
    if not os.access(os.environ.get("NETPAY_CHROMIUM", "/usr/bin/chromium"), os.X_OK):
        pytest.skip("Debian's chromium is not installed")
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    made = Player(with_packages(HERE, os.path.join(stacks.BUILD, "browser-tests" + worker)))
    yield made
    made.close()


@pytest.fixture(scope="session")
def extension():
    """The directory of the extension, built for Chromium."""
    place = with_packages(os.path.join(stacks.TOP, "browser"), os.path.join(stacks.BUILD, "browser-extension"))
    built = os.path.join(place, "dist", "built")
    with locked(place):  # what another worker's browser has loaded is not built again under it
        if not os.path.exists(built) or os.stat(built).st_mtime < newest(place):
            done = subprocess.run(["npm", "run", "build"], cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, timeout=120)
            assert done.returncode == 0, done.stdout
            open(built, "w").close()
    return os.path.join(place, "dist", "chromium")


# Both kinds of e-wallets of a plain browser.
WALLETS = """
  <Location "/">
    NetPayWallets server cookie
  </Location>
"""
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
GIVE_BACK = "300 2"  # of the first, where the module does not say otherwise
# The second has a paywall of its own making.
TEMPLATE = """
  <Location "/">
    NetPayPaywall %s
  </Location>
""" % os.path.join(HERE, "paywall.html")


@pytest.fixture(scope="module")
def world(request, tmp_path_factory):
    """A broker, a card provider and two newspapers with the sample site, each on an address of its own; where the module
    says CLOCK, with a clock that scenarios put forward, and where it says GIVE_BACK, with that at the first. At the end
    the broker's books must fit the newspapers' tills, to the last unit."""
    with cardshop.CardShop() as cards, stacks.Stack(broker=False, vendor=False) as made:
        made.clock = Clock(made.dir) if getattr(request.module, "CLOCK", False) else None
        env = made.clock.env if made.clock else {}
        broker = stacks.Broker(os.path.join(made.dir, "broker"), options=cards.options(tmp_path_factory.mktemp("card")))
        broker.env.update(env)
        made.broker = made.run(broker)
        cards.endpoint = made.broker.issuer + "/webhooks/card"
        made.cards = cards
        publisher = visitor.Visitor(made.broker.issuer)
        made.passphrase = publisher.sign_up()  # of the account that both newspapers are registered by
        publisher.open("/account").press("Make a token")
        made.broker.publisher = publisher.body.split('class="phrase">', 1)[1].split("<", 1)[0]
        told = "  NetPayGiveBack %s\n" % getattr(request.module, "GIVE_BACK", GIVE_BACK) + TOLD
        for number, (host, extra) in enumerate(zip(HOSTS, (told, TEMPLATE)), 1):
            name = demo.name_of(number)
            vendor = made.add_vendor(start=False, host=host, pages={}, realm=name, gate=demo.GATE,
                                     extra=WALLETS + extra, env=env, directives=stacks.PATIENT)
            demo.copy_site(vendor, name)
            made.run(vendor)
        yield made
        status, found = made.audit()
        assert status == 0, found


# In this order in the table.
WALLETS_SHOWN = ["server", "cookie", "extension", "command line"]
ACTS_SHOWN = ["free page", "first page", "next page, automatic", "next page, asked", "the same page again", "next site",
              "after running out"]


def table(rows):
    """Clicks / round trips: a line for each e-wallet, a column for what was done."""
    cells = {(row["wallet"], row["act"]): "%d / %d" % (row["clicks"], row["trips"]) for row in rows}
    strange = [key for key in cells if key[0] not in WALLETS_SHOWN or key[1] not in ACTS_SHOWN]
    assert not strange, strange
    lines = ["Clicks / round trips", "", "| | %s |" % " | ".join(ACTS_SHOWN), "|---" * (len(ACTS_SHOWN) + 1) + "|"]
    for wallet in WALLETS_SHOWN:
        lines.append("| %s | %s |" % (wallet, " | ".join(cells.get((wallet, act), "–") for act in ACTS_SHOWN)))
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
            "scenario": scenario,
            "artifacts": ARTIFACTS,
            "scratch": str(tmp_path),
            "origins": [world.broker.issuer, world.cards.url] + [v.origin for v in world.vendors],
            "passphrase": world.passphrase,
            "wallet": stacks.wallet_program(),
            "clock": world.clock.file if world.clock else None,
            "broker": {"issuer": world.broker.issuer,
                       "admin": [stacks.broker_program(), "--config", world.broker.config]},
            "news": [{"name": v.site.realm, "origin": v.origin, "docroot": v.docroot,
                      "payment_log": v.payment_log, "access_log": v.access_log, "key": v.key_file,
                      "redeemer": [stacks.redeem_program(), "--till", v.till, "--key", v.key_file]}
                     for v in world.vendors],
        }
        given.update(more)
        stacks.clear_of_midnight()
        report = player.play(given)
        pictures = os.path.join(ARTIFACTS, scenario)
        assert report, "%s did not end within %d s; pictures: %s" % (scenario, SCENARIO_S, pictures)
        assert "error" not in report, "%s\npictures: %s" % (report["error"], pictures)
        rows = os.path.join(pictures, "rows.json")  # other workers read it, whole
        with open(rows + ".new", "w") as out:
            json.dump(report["rows"], out)
        os.replace(rows + ".new", rows)
        return report

    return played
