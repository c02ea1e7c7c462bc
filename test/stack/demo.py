"""The demonstration: a page is sold, from an empty store to a redeemed payment.

Run by ./quickstart, which says what the options mean."""

import argparse
import fcntl
import glob
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time

import client
import stack as stacks

SITE = os.path.join(stacks.TOP, "conf", "site")
FREE = "/notices/weather.html"
PAID = ["/articles/ferry.html", "/articles/bakers.html", "/features/lighthouse.html", "/articles/library.html",
        "/features/tides.html"]

GATE = """
  <Location "/articles/">
    AuthType NetPay
    AuthName "{realm}"
    Require netpay
    NetPayPrice 0.02 usd
  </Location>
  <Location "/features/">
    AuthType NetPay
    AuthName "{realm}"
    Require netpay
    NetPayPrice 0.05 usd
  </Location>
  <Location "/metrics">
    SetHandler netpay-metrics
  </Location>
"""


class DemoError(Exception):
    pass


def say(text=""):
    print(text, flush=True)


def title(number, text):
    say("\n\033[1m%s %s\033[0m" % (number, text) if sys.stdout.isatty() else "\n%s %s" % (number, text))


def money(micro):
    return "$%d.%04d" % (micro // 1000000, micro % 1000000 // 100)


# --- ports -----------------------------------------------------------------

def owner_of(port):
    """`program (pid)` that listens on the loopback port, as far as this user may see."""
    wanted = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = open(table).readlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                wanted.add("socket:[%s]" % fields[9])
    for link in glob.glob("/proc/[0-9]*/fd/*"):
        try:
            if os.readlink(link) in wanted:
                pid = link.split("/")[2]
                command = open("/proc/%s/cmdline" % pid).read().replace("\0", " ").strip()
                return "%s (process %s)" % (command[:60], pid)
        except OSError:
            continue
    return None


def check_ports(base):
    for port, what in ((base, "the vendor"), (base + 1, "the broker"), (base + 2, "memcached")):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                owner = owner_of(port)
                raise DemoError("port %d, wanted for %s, cannot be had (%s)%s.\n"
                                "Stop that program, or choose other ports: ./quickstart --port-base %d"
                                % (port, what, error.strerror.lower(),
                                   ": it belongs to " + owner if owner else "", base + 1000)) from None


# --- the state directory ---------------------------------------------------

def others_may_enter(directory):
    """Whether another user (httpd's children) can go down to the directory."""
    while True:
        if os.path.isdir(directory) and not os.stat(directory).st_mode & stat.S_IXOTH:
            return False
        if directory == "/":
            return True
        directory = os.path.dirname(directory)


def state_directory():
    """An empty directory of this run's own, locked while it runs: (path, lock)."""
    place = os.path.join(stacks.BUILD, "quickstart-state")
    if stacks.ROOT and not others_may_enter(stacks.BUILD):
        place = os.path.join(tempfile.gettempdir(), "netpay-quickstart")
        say("httpd's children (user %s) cannot read below %s: the state is kept in %s."
            % (stacks.HTTPD_USER, stacks.BUILD, place))
    os.makedirs(place, exist_ok=True)
    if os.stat(place).st_uid != os.geteuid():
        raise DemoError("%s belongs to another user: remove it, or run as that user" % place)
    lock = open(os.path.join(place, "lock"), "a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        # With other ports a second demonstration may run beside the first.
        place = tempfile.mkdtemp(prefix="quickstart-state-", dir=os.path.dirname(place))
        lock = open(os.path.join(place, "lock"), "a+")
    for name in os.listdir(place):
        path = os.path.join(place, name)
        if name != "lock":
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    return place, lock


# --- starting --------------------------------------------------------------

def start(place, base):
    """memcached, broker and vendor, each said aloud; the Stack that owns them."""
    s = stacks.Stack(memcached=False, broker=False, vendor=False, directory=place)
    try:
        s.memcached = s.run(stacks.Memcached(os.path.join(place, "memcached"), port=base + 2))
        say("memcached        %s" % s.memcached.address)
        s.broker = s.run(stacks.Broker(os.path.join(place, "broker"), port=base + 1))
        say("netpay-brokerd   %s  (signing key, store and ledger made new)" % s.broker.issuer)
        s.vendor = stacks.Vendor(os.path.join(place, "vendor"), broker=s.broker, memcached=s.memcached, name="post",
                                 port=base, pages={}, realm="The Harbour Post", gate=GATE)
        shutil.copytree(SITE, s.vendor.docroot)
        for directory, _, files in os.walk(s.vendor.docroot):
            os.chmod(directory, 0o755)
            for name in files:
                os.chmod(os.path.join(directory, name), 0o644)
        s.run(s.vendor)
        say("httpd            %s  (vendor registered, approved and certified by the broker)" % s.vendor.origin)
        return s
    except BaseException:
        s.close(check=False)
        raise


# --- the walk --------------------------------------------------------------

class Walk:
    def __init__(self, s):
        self.s, self.v = s, s.vendor
        self.store = os.path.join(s.dir, "wallet")

    def wallet(self, *args):
        """Runs the e-wallet, showing the command and what it says on stderr; its stdout."""
        say("   $ netpay " + " ".join(args))
        done = self.s.netpay(*args, store=self.store, check=False)
        for line in done.stderr.decode().splitlines():
            say("     " + line)
        if done.returncode:
            raise DemoError("netpay %s: exit %d\n%s" % (args[0], done.returncode, done.stdout.decode()))
        return done.stdout

    def show(self, text):
        for line in text.decode().splitlines():
            say("     " + line)

    def unpaid(self):
        title("1.", "A page that costs two cents, asked for without paying")
        url = self.v.url(PAID[0])
        say("   $ curl -i " + url)
        answer = client.http_request("GET", url)
        if answer.status != 402:
            raise DemoError("expected 402, got %r" % answer)
        say("     HTTP/1.1 402 Payment Required")
        for name in ("WWW-Authenticate", "Cache-Control", "Content-Type"):
            for value in answer.all(name):
                say("     %s: %s" % (name, value if len(value) < 110 else value[:107] + "..."))
        say("     " + json.dumps(answer.json())[:300])
        say("   A free page beside it needs nothing: %s → %d"
            % (FREE, client.http_request("GET", self.v.url(FREE)).status))

    def money_in(self):
        title("2.", "An account at the broker, a voucher of 100 dollars, a coin of 10 dollars")
        self.show(self.wallet("account", "create", "--broker", self.s.broker.issuer))
        voucher = self.s.broker.mint("100.00")
        self.show(self.wallet("topup", voucher))
        self.show(self.wallet("buy", "--unit", "1000", "--n", "10000"))
        say("   The coin is a chain of 10000 paywords, 0.1 cent each, made by the wallet: the broker")
        say("   signed its root and never saw a payword.")

    def pages(self):
        title("3.", "Three pages bought by the e-wallet")
        for path in PAID[:3]:
            out = os.path.join(self.s.dir, os.path.basename(path))
            self.wallet("get", "--yes", "--max-price", "0.05", "-o", out, self.v.url(path))
            text = open(out).read()
            say("     → %d bytes: %s" % (len(text), text.split("<title>")[1].split("</title>")[0]))
        self.check_taken(90)

    def again(self):
        title("4.", "The first page again within the grace time: the same payment, charged nothing")
        before = self.taken()
        out = os.path.join(self.s.dir, "again.html")
        said = self.wallet("get", "--yes", "--max-price", "0.05", "-o", out, self.v.url(PAID[0]))
        if open(out).read() != open(os.path.join(self.s.dir, os.path.basename(PAID[0]))).read():
            raise DemoError("the page was not served again: %r" % said)
        say("   Units the vendor has taken: %d before, %d after." % (before, self.taken()))
        self.check_taken(before)

    def taken(self):
        """Units the vendor has taken, by its metrics."""
        return int(sum(v for k, v in self.v.metrics().items() if k.startswith("netpay_units_total")))

    def check_taken(self, units):
        if self.taken() != units:
            raise DemoError("the vendor counts %d units, expected %d" % (self.taken(), units))

    def balances(self):
        title("5.", "Where the money is")
        self.show(self.wallet("balance"))
        say("   vendor: %s taken (%d units), not yet redeemed" % (money(self.taken() * 1000), self.taken()))
        say("   $ netpay-brokerd --config %s check" % self.s.broker.config)
        self.show(self.s.broker.check().encode())

    def redeem(self, *more):
        """Runs netpay-redeem aloud; (exit status, its summary)."""
        say("   $ netpay-redeem --till %s --key %s %s" % (self.v.till, self.v.key_file, " ".join(more)))
        status, summary, said = self.v.redeem(*more, check=False)
        for line in said.splitlines():
            say("     " + line)
        if isinstance(summary, dict):
            say("     exit %d: claims %s, accepted %s, credited by receipt %s, still to send %s"
                % (status, summary["claims"], summary["accepted"], json.dumps(summary["credited"]),
                   summary["pending"]))
        return status

    def credit(self):
        """What the broker owes the vendor, in micro-units."""
        rows = [json.loads(line) for line in self.s.broker.admin("vendor", "list", "--json").splitlines()]
        mine = [r for r in rows if r["origin"] == self.v.origin][0]
        return sum(int(mine[kind].get("uusd", 0)) for kind in ("pending", "payable"))

    def expect_credit(self, amount):
        say("   the broker's ledger now owes the vendor %s" % money(self.credit()))
        if self.credit() != amount:
            raise DemoError("the vendor is credited %d, expected %d" % (self.credit(), amount))

    def redemption(self):
        title("6.", "Redemption: the vendor sends its claims to the broker")
        say("   First with a broker that does not answer: the batch is written down and stays to be sent.")
        self.s.broker.send(signal.SIGSTOP)
        try:
            self.redeem("--timeout", "1")
        finally:
            self.s.broker.send(signal.SIGCONT)
        outbox = os.path.join(self.v.till, "outbox")
        kept = os.path.join(self.s.dir, "batch")
        shutil.copytree(outbox, kept)
        if not os.listdir(kept):
            raise DemoError("no batch was written to " + outbox)
        say("   The broker is back:")
        if self.redeem() != 0:
            raise DemoError("the redemption failed")
        self.expect_credit(90000)
        title("7.", "The same batch sent again is credited once")
        say("   As if the machine had lost power before the receipt was kept, the batch is put back:")
        for name in os.listdir(kept):
            copied = shutil.copy2(os.path.join(kept, name), os.path.join(outbox, name))
            os.chown(copied, os.stat(outbox).st_uid, os.stat(outbox).st_gid)
        if self.redeem() != 0:
            raise DemoError("the same batch was refused")
        self.expect_credit(90000)
        say("   The broker gave the same receipt again and credited nothing more.")
        self.show(self.s.broker.check().encode())

    def run(self):
        self.unpaid()
        self.money_in()
        self.pages()
        self.again()
        self.balances()
        self.redemption()


# --- afterwards ------------------------------------------------------------

def next_commands(s):
    v = s.vendor
    wallet = "NETPAY_STORE=%s %s" % (os.path.join(s.dir, "wallet"), stacks.wallet_program())
    title("", "Everything stays up until you press Ctrl-C")
    say("""
   site      %s/            (open it in a browser)
   prices    %s/.well-known/netpay
   metrics   %s/metrics
   broker    %s/.well-known/netpay
   state     %s

   Next commands:
     curl -i %s
     %s get --yes %s
     %s balance
     %s --config %s voucher mint --amount 5.00
     tail %s
""" % (v.origin, v.origin, v.origin, s.broker.issuer, s.dir, v.url(PAID[1]), wallet, v.url(PAID[4]), wallet,
       stacks.broker_program(), s.broker.config, v.payment_log))


def write_env(s, name):
    values = {
        "BROKER_URL": s.broker.issuer,
        "VENDOR_URL": s.vendor.origin,
        "FREE_URL": s.vendor.url(FREE),
        "PAID_URLS": " ".join(s.vendor.url(p) for p in PAID),
        "VOUCHER": s.broker.mint("100.00"),
        "PIDS": " ".join(str(p.pid) for p in (s.memcached, s.broker, s.vendor)),
    }
    fresh = name + ".%d" % os.getpid()
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
        for key, value in values.items():
            f.write("%s=%s\n" % (key, value))
    os.replace(fresh, name)  # whoever waits for it sees it whole
    return values


def stay_up(s):
    """Until interrupted; says when a server ends, returns 1 when all have."""
    up = list(s.started)
    while up:
        time.sleep(0.5)
        for process in list(up):
            if not process.running():
                say("%s ended (status %s)" % (process.name, process.child.returncode))
                up.remove(process)
    return 1


def arguments():
    parser = argparse.ArgumentParser(prog="quickstart")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--once", action="store_true", help="walk through, then stop")
    group.add_argument("--env", metavar="FILE", help="write FILE once ready; no walk")
    parser.add_argument("--port-base", type=int, default=8402, metavar="N", help="ports N, N+1, N+2")
    chosen = parser.parse_args()
    if not 1 <= chosen.port_base <= 65533:
        parser.error("--port-base %d: use 1024 to 65533" % chosen.port_base)
    return chosen


def interrupted(*_):
    raise KeyboardInterrupt


def main():
    chosen = arguments()
    # SIGINT too: a shell starts what it puts in the background with SIGINT ignored.
    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGHUP, interrupted)
    s = None
    try:
        check_ports(chosen.port_base)
        place, lock = state_directory()
        if chosen.env and os.path.exists(chosen.env):
            os.unlink(chosen.env)
        s = start(place, chosen.port_base)
        if chosen.env:
            write_env(s, os.path.abspath(chosen.env))
            say("ready: %s" % chosen.env)
        else:
            Walk(s).run()
        if chosen.once:
            say("\nDone: a page was sold, redeemed and credited once.")
            return 0
        next_commands(s)
        return stay_up(s)
    except KeyboardInterrupt:
        say("\nStopping.")
        return 0
    except (DemoError, stacks.StackError, client.ApiError, OSError, subprocess.SubprocessError) as error:
        print("quickstart: %s" % error, file=sys.stderr)
        return 1
    finally:
        if s:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            s.close(check=False)
        if chosen.env and os.path.exists(chosen.env) and s:
            os.unlink(chosen.env)


if __name__ == "__main__":
    sys.exit(main())
