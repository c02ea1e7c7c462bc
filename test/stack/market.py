"""Honest vendors, a broker, one clock, and the books: what the tests of hostile parties stand on.

    with Market(vendors=2) as market:
        one, two = market.sites
        coin = market.coin()
        market.pay(one, coin)
        market.books(coin, {one: 20})       # redeems, proves the ledger and the evidence

Every vendor is an httpd of its own (or, where many are wanted, a virtual host of one of a few), with its own
key and till. Broker and vendors show the time of market.clock.
"""

import contextlib
import glob
import json
import os
import signal
import sqlite3
import tempfile
import time

import client
import peer as peers
import stack as stacks
from clock import Clock

LEASE_S = 3600
MARGIN_S = 600  # after a lease, before the broker ends its epoch
PRICE = 20      # units of a page under /articles/


class Market:
    def __init__(self, vendors=2, hosts=None, broker_options=None, peers=0, vendor_options=None, directory=None):
        self.stack = stacks.Stack(broker=False, vendor=False)
        self.peers, self.closing = [], []
        try:
            self.clock = Clock(self.stack.dir)
            self.broker = stacks.Broker(os.path.join(self.stack.dir, "broker"),
                                        options=dict({"lease": str(LEASE_S)}, **(broker_options or {})),
                                        issuer=directory.issuer if directory else None)
            if directory:
                directory.broker = self.broker
            self.broker.env.update(self.clock.env)
            self.broker.clock = self.clock.now
            self.stack.broker = self.stack.run(self.broker)
            self.spare = [self.make_peer() for _ in range(peers)]  # in the vendors' first copy of the list
            self.servers, self.sites = [], []
            hosts = hosts or vendors
            for number in range(vendors):
                if number < hosts:
                    server = stacks.Vendor(os.path.join(self.stack.dir, "vendor%d" % number), broker=self.broker,
                                           memcached=self.stack.memcached, name="site%d" % number,
                                           env=self.clock.env, **(vendor_options or {}))
                    self.servers.append(server)
                    self.sites.append(server.site)
                else:
                    self.sites.append(self.servers[number % hosts].add_site(
                        "site%d" % number, broker=self.broker, memcached=self.stack.memcached))
            for server in self.servers:
                self.stack.run(server)
        except BaseException:
            self.close(check=False)
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        if kind is not None:
            for process in self.stack.started:
                print(process.last_lines(40))
        self.close(check=kind is None)

    def audited(self):
        """The auditor finds no fault in the broker's store, nor in the till of any honest vendor against it."""
        status, said = self.stack.audit(tills=[site.till for site in self.sites])
        assert status == 0, [f for f in said["findings"] if f["kind"] == "fault"]

    def close(self, check=True):
        if check and self.broker.running():
            self.audited()
        for one in self.peers:
            one.stop()
        self.stack.close(check)

    # --- parties -----------------------------------------------------------

    def vendor(self, name, clock=None, start=True, **options):
        """Another honest vendor in an httpd of its own; its Site."""
        made = stacks.Vendor(os.path.join(self.stack.dir, name), broker=self.broker, name=name,
                             memcached=self.stack.memcached, env=(clock or self.clock).env, **options)
        self.servers.append(made)
        if start:
            self.stack.run(made)
        return made.site

    def make_peer(self, **options):
        made = peers.Peer(self.broker, **options)
        self.peers.append(made)
        return made

    def known_peer(self):
        """One that the vendors' copies of the broker's list name since their start."""
        return self.spare.pop()

    def coin(self, n=1000):
        return self.stack.coin(n=n)

    def rich_peer(self, units=200, peer=None):
        """A peer with that much on its balance, fairly earned."""
        made = peer or self.make_peer()
        coin = self.coin()
        assert made.acquire(coin, units).status == 200
        assert made.redeem(coin, 0, units) == []
        return made

    # --- customers ---------------------------------------------------------

    def pay(self, site, coin, page=None, seconds=10, path="/articles/%d.html", **more):
        """Pays for a page; asks again while the answer is 503, as the contract says."""
        end = time.monotonic() + seconds * stacks.patience()
        while True:
            answer = client.pay(site.url(path % (page or 1 + coin.spent // PRICE % 30)), coin, **more)
            if answer.status != 503 or time.monotonic() > end:
                return answer
            time.sleep(0.1)

    def pay_direct(self, site, coin, holder, held, **more):
        """The payment names who has the coin: the vendor goes there and asks no broker."""
        return self.pay(site, coin, holder=holder.origin, held=held, **more)

    @contextlib.contextmanager
    def broker_away(self):
        """The broker answers nobody for a while."""
        self.broker.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.broker.send(signal.SIGCONT)

    def sells_out(self, site, coin, most=30, **more):
        """Pages that the vendor sells of the coin until it does not: how many, and the answer that was none."""
        sold = 0
        while sold < most:
            answer = self.pay(site, coin, seconds=0, **more)
            if answer.status != 200:
                return sold, answer
            sold += 1
        raise AssertionError("%d pages were sold" % sold)

    def buys(self, site, coin, pages=1, **more):
        for _ in range(pages):
            answer = self.pay(site, coin, **more)
            assert answer.status == 200, answer
        return answer

    # --- time --------------------------------------------------------------

    def pass_time(self, seconds):
        self.clock.advance(seconds, self.broker)

    def end_lease(self):
        """Every lease given so far is over, and the broker's margin too."""
        self.pass_time(LEASE_S + MARGIN_S + 5)

    def list_refreshed(self, site, certificate, seconds=30):
        """Time passes until the vendor has fetched the broker's list again and knows that certificate."""
        self.pass_time(301)
        stacks.wait_for(lambda: any(certificate in open(name).read()
                                    for name in glob.glob(os.path.join(site.till, "brokers", "*"))
                                    if os.path.isfile(name)), seconds, "the broker's list is fetched again")

    # --- the books ---------------------------------------------------------

    @contextlib.contextmanager
    def store(self):
        link = sqlite3.connect("file:%s?mode=ro" % self.broker.options["store"], uri=True, timeout=20)
        try:
            yield link
        finally:
            link.close()

    def rows(self, sql, *arguments):
        with self.store() as link:
            return link.execute(sql, arguments).fetchall()

    def credits(self, coin):
        """[(vendor's origin, epoch, lo, hi)]: who was credited what of the coin."""
        return self.rows("SELECT v.origin, k.epoch, k.lo, k.hi FROM credits k JOIN coins c ON c.id = k.coin "
                         "JOIN epochs e ON e.coin = k.coin AND e.epoch = k.epoch JOIN vendors v ON v.id = e.vendor "
                         "WHERE c.coin = ? ORDER BY k.lo", coin.id)

    def epochs(self, coin):
        """[(epoch, vendor's origin, start, released, status)]"""
        return self.rows("SELECT e.epoch, v.origin, e.start, e.released, e.status FROM epochs e "
                         "JOIN coins c ON c.id = e.coin JOIN vendors v ON v.id = e.vendor "
                         "WHERE c.coin = ? ORDER BY e.epoch", coin.id)

    def holder(self, coin):
        return self.epochs(coin)[-1][1]

    def status(self, party):
        return self.rows("SELECT status FROM vendors WHERE origin = ?", party.origin)[0][0]

    def balance(self, party):
        """What a vendor has at the broker, pending and payable."""
        rows = [json.loads(line) for line in self.broker.admin("vendor", "list", "--json").splitlines() if line]
        row = [r for r in rows if r["origin"] == party.origin][0]
        return sum(sum(row[k].values()) if isinstance(row[k], dict) else int(row[k])
                   for k in ("pending", "payable") if k in row)

    def frauds(self, party):
        """Kinds of fraud that are proven of a vendor."""
        return sorted(kind for kind, in self.rows(
            "SELECT f.kind FROM frauds f JOIN vendors v ON v.id = f.vendor WHERE v.origin = ? AND f.cleared = 0",
            party.origin))

    def compensations(self, coin):
        """[(to, from, lo, hi, due, paid)]"""
        return self.rows("SELECT v.origin, u.origin, m.lo, m.hi, m.due, m.paid FROM compensations m "
                         "JOIN coins c ON c.id = m.coin JOIN vendors v ON v.id = m.vendor "
                         "JOIN vendors u ON u.id = m.culprit WHERE c.coin = ? ORDER BY m.lo", coin.id)

    def suspended(self, party, seconds=15):
        stacks.wait_for(lambda: self.status(party) == "suspended", seconds, "%s is suspended" % party.origin)

    def drops(self, site):
        """Coins that an honest vendor has dropped because the broker decided for another."""
        return sum(v for k, v in site.server.metrics().items() if k.startswith("netpay_dropped_total"))

    def dropped(self, site, before, seconds=15):
        stacks.wait_for(lambda: self.drops(site) > before, seconds, "%s drops a coin" % site.origin)

    def confirmed(self, coin, party, seconds=15):
        """Waits until the broker has the coin at that party."""
        stacks.wait_for(lambda: self.epochs(coin) and self.holder(coin) == party.origin, seconds,
                        "the broker is told that %s holds the coin" % party.origin)

    def evidence(self, coin):
        """The coin's evidence as the broker exports it, and what `netpay verify-evidence` says of it:
        (document, exit status, text)."""
        text = self.broker.admin("evidence", "--", coin.id)
        with tempfile.NamedTemporaryFile("w", suffix=".json", dir=self.stack.dir) as file:
            file.write(text)
            file.flush()
            done = self.stack.netpay("verify-evidence", file.name, check=False)
        return json.loads(text), done.returncode, (done.stdout + done.stderr).decode()

    def sound(self, coin, culprit=None):
        """No unit is credited twice, none outside its epoch; the ledger holds; the evidence verifies without
        the broker and names the culprit, or nobody."""
        self.broker.check()
        last = 0
        spans = {epoch: (start, released) for epoch, _, start, released, _ in self.epochs(coin)}
        for origin, epoch, lo, hi in self.credits(coin):
            start, released = spans[epoch]
            assert lo >= last and lo >= start and (released < 0 or hi <= released), (self.credits(coin), spans)
            last = hi
        document, status, said = self.evidence(coin)
        assert status == 0, said
        named = {finding["vendor"] for finding in document["findings"]}
        assert named == ({culprit.origin} if culprit else set()), (document["findings"], said)
        if culprit:
            assert culprit.origin in said, said
        # Nobody can gain by the evidence: it has no payword that is not claimed, released or known anyhow.
        top = max([0] + [hi for _, _, _, hi in self.credits(coin)] + [released for _, released in spans.values()] +
                  [known for known, in self.rows("SELECT known FROM epochs e JOIN coins c ON c.id = e.coin "
                                                 "WHERE c.coin = ?", coin.id)])
        assert all(p["index"] <= top for p in document["paywords"]), (top, document["paywords"])

    def books(self, coin, expected, culprit=None, seconds=20):
        """Redeems at the honest vendors that `expected` names until each was credited so many units of the coin;
        nobody else anything. A vendor that claims what it lost is told so by netpay-redeem's status: that is not
        judged here."""
        got = None

        def credited():
            nonlocal got
            for party in expected:
                if not isinstance(party, peers.Peer):
                    party.redeem(check=False)
            got = {party: sum(hi - lo for origin, _, lo, hi in self.credits(coin) if origin == party.origin)
                   for party in expected}
            return got == expected

        try:
            stacks.wait_for(credited, seconds, "the credits")
        except AssertionError:
            raise AssertionError("credited %r, expected %r; %r %r" % (
                [got[p] for p in expected], list(expected.values()), self.credits(coin), self.epochs(coin)))
        assert sum(hi - lo for _, _, lo, hi in self.credits(coin)) == sum(expected.values()), self.credits(coin)
        self.sound(coin, culprit)
