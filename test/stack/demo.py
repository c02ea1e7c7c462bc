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

UNREAD = ["/articles/library.html", "/articles/chess.html"]  # two cents each, for the journey
NAMES = ["The Harbour Post", "The Valley Courier", "The Lakeside Gazette", "The Hill Observer", "The Island Times"]
MOST_VENDORS = 16

GATE = """
  <Location "/articles/">
    AuthType NetPay
    AuthName "{realm}"
    Require netpay
    NetPayPrice 0.02 usd
    NetPayTeaserFrom file
  </Location>
  <Location "/features/">
    AuthType NetPay
    AuthName "{realm}"
    Require netpay
    NetPayPrice 0.05 usd
    NetPayTeaserFrom file
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


def vendor_port(base, number):
    """Vendor 1 has the base, the others follow the broker's and memcached's."""
    return base if number == 1 else base + 1 + number


def name_of(number):
    """Vendor 1 … N's newspaper."""
    name = NAMES[(number - 1) % len(NAMES)]
    return name if number <= len(NAMES) else "%s %d" % (name, number)


def check_ports(base, vendors):
    wanted = [(base, "the vendor"), (base + 1, "the broker"), (base + 2, "memcached")]
    wanted += [(vendor_port(base, number), "vendor %d" % number) for number in range(2, vendors + 1)]
    for port, what in wanted:
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

def copy_site(vendor, name):
    """The sample site as that newspaper's own."""
    shutil.copytree(SITE, vendor.docroot)
    for directory, _, files in os.walk(vendor.docroot):
        os.chmod(directory, 0o755)
        for file in files:
            path = os.path.join(directory, file)
            os.chmod(path, 0o644)
            if file.endswith(".html") and name != NAMES[0]:
                text = open(path).read()
                with open(path, "w") as out:
                    out.write(text.replace(NAMES[0], name))


def start(place, base, vendors):
    """memcached, broker and vendors, each said aloud; the Stack that owns them."""
    s = stacks.Stack(memcached=False, broker=False, vendor=False, directory=place)
    try:
        s.memcached = s.run(stacks.Memcached(os.path.join(place, "memcached"), port=base + 2))
        say("memcached        %s" % s.memcached.address)
        s.broker = s.run(stacks.Broker(os.path.join(place, "broker"), port=base + 1))
        say("netpay-brokerd   %s  (signing key, store and ledger made new)" % s.broker.issuer)
        for number in range(1, vendors + 1):
            name = name_of(number)
            vendor = s.add_vendor(start=False, port=vendor_port(base, number), pages={}, realm=name, gate=GATE,
                                  name="post" if number == 1 else "post%d" % number)
            copy_site(vendor, name)
            s.run(vendor)
            say("httpd            %s  (%s: registered, approved and certified by the broker)" % (vendor.origin, name))
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
        before = self.v.units_taken()
        out = os.path.join(self.s.dir, "again.html")
        said = self.wallet("get", "--yes", "--max-price", "0.05", "-o", out, self.v.url(PAID[0]))
        if open(out).read() != open(os.path.join(self.s.dir, os.path.basename(PAID[0]))).read():
            raise DemoError("the page was not served again: %r" % said)
        say("   Units the vendor has taken: %d before, %d after." % (before, self.v.units_taken()))
        self.check_taken(before)

    def journey(self):
        """The coin goes from vendor to vendor and home again, and every one is paid for what it sold."""
        title("8.", "The same coin at %d other vendors, then at the first again" % (len(self.s.vendors) - 1))
        say("   The wallet names the vendor it comes from; the next one takes the coin over from there,")
        say("   within the reader's request. Nobody asks the broker, which is told afterwards.")
        before = [v.credit() for v in self.s.vendors]
        for vendor in self.s.vendors[1:] + self.s.vendors[:1]:
            for path in UNREAD:
                out = os.path.join(self.s.dir, "journey.html")
                begun = time.monotonic()
                self.wallet("get", "--yes", "--max-price", "0.05", "-o", out, vendor.url(path))
                say("     → %s: %s, %.0f ms" % (vendor.site.realm, open(out).read().split("<title>")[1].split("</title>")[0],
                                               1000 * (time.monotonic() - begun)))
        say("   Every vendor redeems what it sold:")
        for vendor, had in zip(self.s.vendors, before):
            stacks.wait_for(lambda v=vendor: v.metrics().get('netpay_unreported{vendor="%s"}' % v.origin) == 0, 30,
                            "%s has told the broker of the coin" % vendor.origin)
            if vendor.redeem(check=False)[0] != 0:
                raise DemoError("%s could not redeem" % vendor.origin)
            gained = vendor.credit() - had
            say("     %-22s %s credited" % (vendor.site.realm, money(gained)))
            if gained != 40000:
                raise DemoError("%s is credited %d, expected 40000" % (vendor.origin, gained))
        self.show(self.s.broker.check().encode())

    def check_taken(self, units):
        try:
            self.v.check_taken(units)
        except AssertionError as error:
            raise DemoError("the vendor counts %d units, expected %d" % (self.v.units_taken(), units)) from error

    def balances(self):
        title("5.", "Where the money is")
        self.show(self.wallet("balance"))
        say("   vendor: %s taken (%d units), not yet redeemed" % (money(self.v.units_taken() * 1000), self.v.units_taken()))
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

    def expect_credit(self, amount):
        say("   the broker's ledger now owes the vendor %s" % money(self.v.credit()))
        if self.v.credit() != amount:
            raise DemoError("the vendor is credited %d, expected %d" % (self.v.credit(), amount))

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
        if len(self.s.vendors) > 1:
            self.journey()


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
   accounts  %s/             (the broker's site: sign up, add money, buy coins)
   state     %s

   Next commands:
     curl -i %s
     %s get --yes %s
     %s balance
     %s --config %s voucher mint --amount 5.00
     tail %s
""" % (v.origin, v.origin, v.origin, s.broker.issuer, s.broker.issuer, s.dir, v.url(PAID[1]), wallet,
       v.url(PAID[4]), wallet, stacks.broker_program(), s.broker.config, v.payment_log))
    for vendor in s.vendors[1:]:
        say("   %s: %s/" % (vendor.site.realm, vendor.origin))


def write_env(s, name):
    values = {
        "BROKER_URL": s.broker.issuer,
        "VENDOR_URL": s.vendor.origin,
        "FREE_URL": s.vendor.url(FREE),
        "PAID_URLS": " ".join(s.vendor.url(p) for p in PAID),
        "VOUCHER": s.broker.mint("100.00"),
        "PIDS": " ".join(str(p.pid) for p in [s.memcached, s.broker] + s.vendors),
        "BROKER_PID": str(s.broker.pid),
        "MEMCACHED_PID": str(s.memcached.pid),
    }
    for number, vendor in enumerate(s.vendors, 1):
        values["VENDOR_%d_URL" % number] = vendor.origin
        values["PAID_%d_URLS" % number] = " ".join(vendor.url(p) for p in PAID)
        values["VENDOR_%d_PID" % number] = str(vendor.pid)
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
    parser.add_argument("--port-base", type=int, default=8402, metavar="N", help="ports N, N+1, N+2 …")
    parser.add_argument("--vendors", type=int, default=1, metavar="N", help="vendors to start, 1 to %d" % MOST_VENDORS)
    chosen = parser.parse_args()
    if not 1 <= chosen.vendors <= MOST_VENDORS:
        parser.error("--vendors %d: use 1 to %d" % (chosen.vendors, MOST_VENDORS))
    if not 1 <= chosen.port_base <= 65534 - chosen.vendors:
        parser.error("--port-base %d: use 1024 to %d" % (chosen.port_base, 65534 - chosen.vendors))
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
        check_ports(chosen.port_base, chosen.vendors)
        place, lock = state_directory()
        if chosen.env and os.path.exists(chosen.env):
            os.unlink(chosen.env)
        s = start(place, chosen.port_base, chosen.vendors)
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
