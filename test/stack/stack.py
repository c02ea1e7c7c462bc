"""Real memcached, netpay-brokerd and httpd on loopback, for tests and the demonstration.

    with Stack() as stack:                      # memcached + broker + one vendor, ready when entered
        stack.vendor.url("/articles/1.html")
        wallet = stack.wallet("1.00")           # client.Wallet with a voucher of one dollar topped up
        coin = wallet.buy(n=1000)
        answer = client.pay(stack.vendor.url("/articles/1.html"), coin)

    with Stack(vendors=3, memcached="each") as stack:      # stack.vendors: three httpds, three tills
        reader = client.Reader(stack.coin(n=1000))
        reader.read(stack.vendors[1].url("/articles/1.html"))

Pieces can be had singly: Memcached(dir), Broker(dir), Vendor(dir, broker=…).
The build is found by NETPAY_BUILD (default: the top of the tree). NETPAY_KEEP=1
keeps the directory. NETPAY_SANITIZE=1 says that the build has sanitizers; then
httpd is started with the sanitizer's library and every report fails stop().
Everything listens on random loopback ports that no other stack of this user
has; only processes started here are ended.
"""

import atexit
import ctypes
import fcntl
import glob
import json
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

import client

TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BUILD = os.path.realpath(os.environ.get("NETPAY_BUILD", TOP))
SANITIZE = os.environ.get("NETPAY_SANITIZE", "") not in ("", "0")
READY_S = 120 if SANITIZE else 60
# Directives for sites of readers, who do not ask again as programs do: a broker that the machine's load makes slow is
# waited for.
PATIENT = {"NetPayBrokerTimeout": "5000 20000"}
ROOT = os.geteuid() == 0
HTTPD_USER = "www-data"


class StackError(Exception):
    pass


# --- programs --------------------------------------------------------------

def program(name, *places):
    """The first of the places that is executable, else the PATH."""
    for place in places:
        if os.access(place, os.X_OK):
            return place
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin")
    if not found:
        raise StackError("%s is not there (looked at %s and in PATH)" % (name, ", ".join(places) or "nothing"))
    return found


def httpd_program():
    return program("apache2", os.environ.get("NETPAY_HTTPD", ""))


def modules_dir():
    for place in (os.environ.get("NETPAY_HTTPD_MODULES", ""), "/usr/lib/apache2/modules"):
        if place and os.path.isdir(place):
            return place
    raise StackError("httpd's modules are not in /usr/lib/apache2/modules: set NETPAY_HTTPD_MODULES")


def broker_program():
    return program("netpay-brokerd", os.path.join(BUILD, "broker/netpay-brokerd"))


def wallet_program():
    return program("netpay", os.path.join(BUILD, "wallet/netpay"))


def redeem_program():
    return program("netpay-redeem", os.path.join(BUILD, "mod_netpay/redeem/netpay-redeem"))


def audit_program():
    return program("netpay-audit", os.path.join(BUILD, "audit/netpay-audit"))


def module_file():
    for place in (os.environ.get("NETPAY_MODULE", ""), os.path.join(BUILD, "mod_netpay/.libs/mod_netpay.so"),
                  os.path.join(BUILD, ".libs/mod_netpay.so"), os.path.join(modules_dir(), "mod_netpay.so")):
        if place and os.path.exists(place):
            return place
    raise StackError("mod_netpay.so is not built (looked under %s)" % BUILD)


def built():
    """Whether every part of the stack is there; for skipping with a reason, and for --help."""
    try:
        broker_program(), wallet_program(), redeem_program(), module_file(), httpd_program(), program("memcached")
        return True
    except StackError:
        return False


# --- ports -----------------------------------------------------------------

class Ports:
    """Ports nobody else has: a lock file each, shared by all stacks of this user."""

    held = {}
    mutex = threading.Lock()

    @classmethod
    def take(cls, count=1):
        """A port, the first of so many in a row."""
        place = os.path.join(tempfile.gettempdir(), "netpay-ports-%d" % os.geteuid())
        os.makedirs(place, mode=0o700, exist_ok=True)
        for _ in range(2000):
            first = random.randrange(18000, 32000 - count)  # below the kernel's ephemeral range
            with cls.mutex:
                locks = {}
                for port in range(first, first + count):
                    lock = cls._locked(place, port)
                    if lock is None:
                        break
                    locks[port] = lock
                else:
                    cls.held.update(locks)
                    return first
                for lock in locks.values():
                    lock.close()
        raise StackError("no free port between 18000 and 32000")

    @classmethod
    def _locked(cls, place, port):
        """The lock file of a port that nobody has, locked; None for one that somebody has."""
        if port in cls.held:
            return None
        lock = open(os.path.join(place, str(port)), "w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
            return None
        return lock


# --- processes -------------------------------------------------------------

_started = []
_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent():
    _libc.prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: a killed test run leaves no server behind


@atexit.register
def _stop_all():
    for p in list(_started):
        p.kill()


def _sanitizer_env(env, directory, preload):
    """preload: for programs that only load our code. Where another library is preloaded, the sanitizers'
    must stand before it in any case."""
    if not SANITIZE:
        return env
    env = dict(env)
    preload = preload or env.get("LD_PRELOAD")
    place = os.path.join(directory, "sanitizer")
    if not os.path.isdir(place):
        os.makedirs(place)
        os.chmod(place, 0o777)  # httpd's children are another user
    reports = os.path.join(place, "report")
    env["ASAN_OPTIONS"] = "detect_leaks=0:abort_on_error=0:exitcode=99:log_path=%s:detect_odr_violation=0" % reports
    env["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1:log_path=%s" % reports
    if preload:
        libs = [subprocess.run(["gcc", "-print-file-name=" + lib], stdout=subprocess.PIPE, text=True, check=True)
                .stdout.strip() for lib in ("libasan.so", "libubsan.so")]
        env["LD_PRELOAD"] = " ".join(libs + [env["LD_PRELOAD"]] if env.get("LD_PRELOAD") else libs)
    return env


def _live_processes():
    """(process id, parent, process group) of all that have not ended."""
    for stat in glob.glob("/proc/[0-9]*/stat"):
        try:
            fields = open(stat).read().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue
        if fields[0] != "Z":
            yield int(stat.split("/")[2]), int(fields[1]), int(fields[2])


class Process:
    """A server process with a directory, a log and a port."""

    name = "server"
    user = {}  # of Popen
    host = "127.0.0.1"

    def __init__(self, directory):
        self.dir = os.path.abspath(directory)
        os.makedirs(self.dir, exist_ok=True)
        self.port = None
        self.child = None
        self.env = dict(os.environ, LC_ALL="C")
        self.log_file = os.path.join(self.dir, self.name + ".log")

    @property
    def pid(self):
        return self.child.pid if self.child else None

    def command(self):
        raise NotImplementedError

    def is_ready(self):
        with socket.create_connection((self.host, self.port), timeout=1):
            return True

    def prepare(self):
        pass

    def start(self, wait=True):
        self.prepare()
        with open(self.log_file, "ab") as log:
            self.child = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                          cwd=self.dir, env=_sanitizer_env(self.env, self.dir, self.name == "httpd"),
                                          start_new_session=True, preexec_fn=_die_with_parent, **self.user)
        _started.append(self)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=None):
        end = time.monotonic() + (seconds or READY_S)
        while time.monotonic() < end:
            if self.child.poll() is not None:
                raise StackError("%s ended with %s while starting:\n%s"
                                 % (self.name, self.child.returncode, self.last_lines()))
            try:
                if self.is_ready():
                    return
            except (OSError, ValueError, client.ApiError, http_errors):
                pass
            time.sleep(0.03)
        raise StackError("%s was not ready within %d s:\n%s" % (self.name, seconds or READY_S, self.last_lines()))

    def logs(self):
        return [self.log_file]

    def last_lines(self, count=25):
        text = ""
        for name in self.logs():
            if os.path.exists(name):
                with open(name, errors="replace") as f:
                    lines = f.readlines()[-count:]
                text += "--- %s\n%s" % (name, "".join(lines))
        return text

    def log_text(self):
        return "".join(open(name, errors="replace").read() for name in self.logs() if os.path.exists(name))

    def running(self):
        return self.child is not None and self.child.poll() is None

    def send(self, sig):
        if self.running():
            os.kill(self.child.pid, sig)

    def stop(self, seconds=20):
        """SIGTERM, then SIGKILL to the process group it was started in. Returns the exit status."""
        if self.child is None:
            return None
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        try:
            status = self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            status = None
        self.kill()
        return status

    def kill(self):
        """SIGKILL to the process and what it started. Returns when all have ended, for until then they hold the port."""
        if self.child is None:
            return
        group = self.child.pid
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        end = time.monotonic() + 10
        while time.monotonic() < end:
            if self.child.poll() is not None and all(g != group for _, _, g in _live_processes()):
                break
            time.sleep(0.01)
        if self in _started:
            _started.remove(self)

    def restart(self):
        self.stop()
        return self.start()

    def sanitizer_reports(self):
        """What the sanitizers said of this process, its children and its commands."""
        text = "".join(open(name, errors="replace").read()
                       for name in glob.glob(os.path.join(self.dir, "sanitizer", "*")))
        for line in self.log_text().splitlines() if SANITIZE else ():
            if "runtime error: " in line or "AddressSanitizer" in line:
                text += line + "\n"
        return text


import http.client as _http_client  # noqa: E402  (only for the exception type)

http_errors = _http_client.HTTPException


class Memcached(Process):
    name = "memcached"
    # Root may not run it. As -u it would change the user itself, and then outlive a test run that is killed.
    user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if ROOT else {}

    def __init__(self, directory, port=None, megabytes=16):
        super().__init__(directory)
        self.port = port or Ports.take()
        self.megabytes = megabytes

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    def command(self):
        return [program("memcached"), "-l", "127.0.0.1", "-p", str(self.port), "-U", "0", "-m", str(self.megabytes),
                "-t", "2", "-c", "256"]

    def talk(self, line, end=(b"END\r\n", b"OK\r\n", b"STORED\r\n", b"DELETED\r\n", b"NOT_FOUND\r\n", b"ERROR\r\n")):
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as link:
            link.sendall(line)
            got = b""
            while not got.endswith(tuple(end)):
                part = link.recv(65536)
                if not part:
                    break
                got += part
        return got

    def flush(self):
        self.talk(b"flush_all\r\n")

    def stats(self):
        text = self.talk(b"stats\r\n").decode()
        return dict(line.split(" ", 2)[1:] for line in text.split("\r\n") if line.startswith("STAT "))

    def keys(self):
        """Names of every item, by the metadump of the LRU crawler."""
        text = self.talk(b"lru_crawler metadump all\r\n").decode()
        import urllib.parse
        return [urllib.parse.unquote(word[4:]) for line in text.split("\r\n") for word in line.split(" ")
                if word.startswith("key=")]

    def get(self, key):
        got = self.talk(b"get " + key.encode() + b"\r\n")
        if not got.startswith(b"VALUE"):
            return None
        head, rest = got.split(b"\r\n", 1)
        return rest[:int(head.split()[3])]

    def set(self, key, value):
        self.talk(b"set %s 0 0 %d\r\n" % (key.encode(), len(value)) + value + b"\r\n")


class Broker(Process):
    """netpay-brokerd with its own store and keys."""

    name = "broker"

    def __init__(self, directory, port=None, options=None, issuer=None, keys_pem=None):
        super().__init__(directory)
        self.port = port or Ports.take()
        self.clock = time.time  # what those who call it go by
        self.issuer = issuer or "http://127.0.0.1:%d" % self.port
        self.publisher = None  # token of the account that vendors are registered by; None: a new one each time
        # name → value or list of values; None leaves an option out
        self.options = {
            "issuer": self.issuer, "listen": "127.0.0.1:%d" % self.port,
            "store": os.path.join(self.dir, "broker.db"), "keys": os.path.join(self.dir, "keys"),
            "allow-http-vendors": "yes", "log": "-", "rate-scale": "0",
            "denomination": ["1000:1", "1000:100", "1000:200", "1000:1000", "10000:1000", "100:10000", "1000:10000",
                             "1000:100000", "1000000:100", "1000:1048576"],
        }
        self.options.update(options or {})
        self.config = os.path.join(self.dir, "broker.conf")

    @property
    def url(self):
        return self.issuer

    @property
    def address(self):
        return "http://127.0.0.1:%d" % self.port

    def write_config(self):
        with open(self.config, "w") as f:
            for name, value in self.options.items():
                if value is None:
                    continue
                for one in value if isinstance(value, list) else [value]:
                    f.write("%s=%s\n" % (name, one))

    def prepare(self):
        fresh = not os.path.exists(self.options["store"])
        self.write_config()
        if fresh:
            self.admin("init")

    def command(self):
        return [broker_program(), "--config", self.config, "serve"]

    def is_ready(self):
        return client.http_request("GET", self.address + "/.well-known/netpay", timeout=2).status == 200

    def admin(self, *args, check=True):
        """An operator command; its standard output."""
        done = subprocess.run([broker_program(), "--config", self.config, *args], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60,
                              env=_sanitizer_env(self.env, self.dir, False))
        if check and done.returncode:
            raise StackError("netpay-brokerd %s: exit %d\n%s%s"
                             % (" ".join(args), done.returncode, done.stdout, done.stderr))
        return done.stdout if check else done

    def mint(self, amount="100.00", currency="uusd", count=1):
        codes = self.admin("voucher", "mint", "--amount", amount, "--currency", currency, "--count", str(count)).split()
        return codes[0] if count == 1 else codes

    def check(self):
        """The ledger's invariants; raises when one does not hold."""
        return self.admin("check")

    def api(self):
        return client.BrokerApi(self.issuer)

    def jwks_file(self):
        """The broker's keys as a file, for pinning."""
        name = os.path.join(self.dir, "jwks.json")
        with open(name, "w") as f:
            json.dump(client.BrokerApi(self.issuer).call("GET", self.issuer + "/jwks.json"), f)
        return name

    def enrol(self, origin, key, handoff=None):
        """Registers and approves a vendor; its certificate."""
        wallet = client.Wallet(self.issuer)
        token = self.publisher or wallet.token
        answer = client.VendorCaller(origin, key, wallet.broker, self.clock).register(token, handoff)
        if answer.status not in (200, 201, 202):
            raise StackError("the broker refused to register %s: %r" % (origin, answer))
        self.admin("vendor", "approve", origin, "--kid=" + key.kid)
        return self.admin("vendor", "certificate", origin).strip()


# --- httpd -----------------------------------------------------------------

MPM = {
    "prefork": "StartServers 3\nMinSpareServers 2\nMaxSpareServers 8\nServerLimit 80\nMaxRequestWorkers 80\n",
    "worker": "StartServers 2\nServerLimit 4\nThreadsPerChild 20\nMaxRequestWorkers 80\nMinSpareThreads 20\n"
              "MaxSpareThreads 80\n",
    "event": "StartServers 2\nServerLimit 4\nThreadsPerChild 20\nMaxRequestWorkers 80\nMinSpareThreads 20\n"
             "MaxSpareThreads 80\n",
}

# Built into Debian's httpd: core, so, log_config, logio, version, unixd, watchdog, http.
MODULES = ["authn_core", "authz_core", "authz_host", "authz_user", "mime", "dir", "alias", "env", "setenvif",
           "headers", "filter", "deflate", "rewrite", "negotiation", "status"]

BODY = "<!DOCTYPE html><title>%s</title><p>%s\n"


def default_site():
    """Free and paid pages; %s is unique in each body, so that a leak can be seen."""
    pages = {"index.html": BODY % ("News", "free front page")}
    for i in range(1, 31):
        pages["articles/%d.html" % i] = BODY % ("Article %d" % i, "PAID-ARTICLE-%d %s" % (i, "lorem ipsum " * 300))
    for i in range(1, 6):
        pages["premium/%d.html" % i] = BODY % ("Premium %d" % i, "PAID-PREMIUM-%d" % i)
    pages["articles/data.bin"] = bytes(range(256)) * 512
    pages["free/index.html"] = BODY % ("Free", "free page")
    return pages


def certificate_and_key(directory, names=("127.0.0.1", "localhost")):
    """A self-signed TLS certificate for loopback: (certificate file, key file)."""
    cert, key = os.path.join(directory, "tls.pem"), os.path.join(directory, "tls.key")
    if not os.path.exists(cert):
        san = ",".join(("IP:" if n[0].isdigit() else "DNS:") + n for n in names)
        subprocess.run([program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-keyout", key, "-out", cert, "-days", "30", "-subj", "/CN=" + names[0],
                        "-addext", "subjectAltName=" + san, "-addext", "basicConstraints=critical,CA:TRUE"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return cert, key


class Site:
    """One vendor in an httpd: a virtual host with its own port, origin, key, till, realm and pages.

    host: a loopback address of its own, where cookies must be kept apart (they know no ports)."""

    def __init__(self, server, name, broker, memcached, pages=None, extra="", directives=None, gate=None, tls=False,
                 port=None, origin=None, key=None, realm=None, host="127.0.0.1"):
        self.server, self.name, self.broker, self.memcached = server, name, broker, memcached
        self.dir = os.path.join(server.dir, name)
        self.port = port or Ports.take()
        self.tls = tls
        self.host = host
        self.origin = origin or "%s://%s:%d" % ("https" if tls else "http", host, self.port)
        self.realm = realm or name
        self.key = key or client.Key()
        self.secret = secrets.token_bytes(32)
        self.docroot = os.path.join(self.dir, "htdocs")
        self.till = os.path.join(self.dir, "till")
        self.key_file = os.path.join(self.dir, "vendor.pem")
        self.certificate_file = os.path.join(self.dir, "vendor.jwt")
        self.secret_file = os.path.join(self.dir, "challenge.secret")
        self.payment_log = os.path.join(self.dir, "payments.log")
        self.pages = default_site() if pages is None else pages
        self.extra = extra
        # The gated part of the site. {realm} is replaced.
        self.gate = gate if gate is not None else (
            '<Location "/articles/">\n  AuthType NetPay\n  AuthName "{realm}"\n  Require netpay\n'
            '  NetPayPrice 0.02 usd\n</Location>\n'
            '<Location "/premium/">\n  AuthType NetPay\n  AuthName "{realm}"\n  Require netpay\n'
            '  NetPayPrice 0.05 usd\n</Location>\n'
            '<Location "/metrics">\n  SetHandler netpay-metrics\n</Location>\n')
        # name → arguments (string), or a list of them, or None for none
        self.directives = {
            "NetPayVendor": self.origin,
            "NetPayVendorKey": self.key_file,
            "NetPayVendorCertificate": self.certificate_file,
            "NetPayBroker": broker.issuer if broker else None,
            "NetPayChallengeSecret": "file:" + self.secret_file,
            "NetPayTill": self.till,
            "NetPayMemcached": memcached.address if memcached else None,
            "NetPayLog": self.payment_log,
        }
        self.directives.update(directives or {})
        if self.directives["NetPayBroker"]:
            # The first request waits as long for the broker's keys as for a connection. Calls have the default time, under
            # the sanitizers twice that.
            self.directives.setdefault("NetPayBrokerTimeout", "6000 6000" if SANITIZE else "3000 3000")

    @property
    def url_base(self):
        return self.origin

    def url(self, path="/"):
        return self.origin + path

    def write(self, path, content, mode=0o644):
        name = os.path.join(self.docroot, path.lstrip("/"))
        os.makedirs(os.path.dirname(name), exist_ok=True)
        with open(name, "wb") as f:
            f.write(content if isinstance(content, bytes) else content.encode())
        os.chmod(name, mode)
        return name

    def write_files(self, enrol=True):
        """Keys, certificate, secret and pages; enrols the vendor once."""
        os.makedirs(self.docroot, exist_ok=True)
        os.chmod(self.dir, 0o755)
        for path, content in self.pages.items():
            if not os.path.exists(os.path.join(self.docroot, path)):
                self.write(path, content)
        for name, data in ((self.key_file, self.key.pem()), (self.secret_file, client.b64u(self.secret).encode())):
            if not os.path.exists(name):
                with open(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f:
                    f.write(data)
        if not os.path.exists(self.certificate_file):
            text = self.broker.enrol(self.origin, self.key) if self.broker and enrol else ""
            if text:
                with open(self.certificate_file, "w") as f:
                    f.write(text + "\n")
            else:
                self.directives["NetPayVendorCertificate"] = None

    def netpay_lines(self):
        lines = []
        for name, value in self.directives.items():
            if value is None:
                continue
            for one in value if isinstance(value, list) else [value]:
                lines.append("  %s %s" % (name, one))
        return "\n".join(lines)

    def vhost(self):
        tls = ""
        if self.tls:
            cert, key = certificate_and_key(self.dir)
            tls = "  SSLEngine on\n  SSLCertificateFile %s\n  SSLCertificateKeyFile %s\n" % (cert, key)
        return ("Listen {host}:{port}\n<VirtualHost {host}:{port}>\n  ServerName {origin}\n"
                "  DocumentRoot {docroot}\n  <Directory {docroot}>\n    Require all granted\n"
                "    Options +FollowSymLinks\n    AllowOverride All\n  </Directory>\n"
                "{tls}{netpay}\n{gate}\n{extra}\n</VirtualHost>\n").format(
                    host=self.host, port=self.port, origin=self.origin, docroot=self.docroot, tls=tls,
                    netpay=self.netpay_lines(), gate=self.gate.replace("{realm}", self.realm),
                    extra=self.extra.replace("{docroot}", self.docroot).replace("{realm}", self.realm)
                    .replace("{dir}", self.dir))

    # What tests ask of a vendor -------------------------------------------

    def credit(self, currency="uusd"):
        """What the broker owes this vendor, pending and payable, in micro-units."""
        for line in self.broker.admin("vendor", "list", "--json").splitlines():
            row = json.loads(line)
            if row["origin"] == self.origin:
                return sum(int(row[kind].get(currency, 0)) for kind in ("pending", "payable"))
        return 0

    def payments(self):
        """The JSON payment log, one dict a line."""
        if not os.path.exists(self.payment_log):
            return []
        return [json.loads(line) for line in open(self.payment_log) if line.strip()]

    def redeem(self, *args, check=True):
        """Runs netpay-redeem on this till; (exit status, parsed JSON or text, stderr)."""
        done = subprocess.run([redeem_program(), "--till", self.till, "--key", self.key_file, "--json", *args],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120,
                              env=_sanitizer_env(self.server.env, self.server.dir, False))
        if check and done.returncode:
            raise StackError("netpay-redeem: exit %d\n%s%s" % (done.returncode, done.stdout, done.stderr))
        try:
            return done.returncode, json.loads(done.stdout), done.stderr
        except ValueError:
            return done.returncode, done.stdout, done.stderr

    def caller(self):
        return client.VendorCaller(self.origin, self.key, self.broker.api(), self.broker.clock)


class Vendor(Process):
    """An httpd with mod_netpay and one Site or several.

    mpm: prefork, worker or event. modules: more module names to load. head: directives before
    the virtual hosts. The rest goes to the first Site, see there. Attributes of the first site
    (url, origin, till, payments, write …) can be used on the Vendor itself."""

    name = "httpd"

    def __init__(self, directory, broker=None, memcached=None, mpm="event", modules=(), head="", env=None,
                 load_netpay=True, mpm_settings=None, name="news", **site):
        super().__init__(directory)
        self.mpm, self.modules, self.head = mpm, list(modules), head
        self.mpm_settings = mpm_settings
        self.load_netpay = load_netpay
        self.log_level = "info"
        self.env.update(env or {})
        for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            self.env.pop(proxy, None)
        self.sites = []
        self.config = os.path.join(self.dir, "httpd.conf")
        self.error_log = os.path.join(self.dir, "error.log")
        self.access_log = os.path.join(self.dir, "access.log")
        self.site = self.add_site(name, broker=broker, memcached=memcached, **site)
        self.port, self.host = self.site.port, self.site.host

    def __getattr__(self, attribute):
        if attribute == "site" or "site" not in self.__dict__:
            raise AttributeError(attribute)
        return getattr(self.__dict__["site"], attribute)

    def add_site(self, name, broker=None, memcached=None, **more):
        """Another vendor as a virtual host of the same server; before start() or reload()."""
        site = Site(self, name, broker, memcached, **more)
        self.sites.append(site)
        return site

    def write_config(self):
        names = ["mpm_" + self.mpm] + MODULES
        for more in self.modules:
            if more not in names:
                names.append(more)
        if any(s.tls for s in self.sites):
            names += [m for m in ("socache_shmcb", "ssl") if m not in names]
        loads = ["LoadModule %s_module %s/mod_%s.so" % (m, modules_dir(), m) for m in names]
        if self.load_netpay:
            loads.append("LoadModule netpay_module %s" % module_file())
        text = "ServerRoot %s\nServerName 127.0.0.1\nPidFile %s/httpd.pid\nDefaultRuntimeDir %s\n" % (
            self.dir, self.dir, self.dir)
        text += "\n".join(loads) + "\n"
        if ROOT:
            text += "User %s\nGroup %s\n" % (HTTPD_USER, HTTPD_USER)
        text += self.mpm_settings if self.mpm_settings is not None else MPM[self.mpm]
        text += ("ErrorLog %s\nLogLevel %s\nTypesConfig /etc/mime.types\nTimeout 30\nKeepAliveTimeout 5\n"
                 "LimitRequestFieldSize 16384\n"
                 "GracefulShutdownTimeout 5\nAcceptFilter http none\nEnableSendfile on\n"
                 "LogFormat \"%%{%%s}t %%>s %%B \\\"%%r\\\" %%u %%{NETPAY_COIN}e %%{NETPAY_PAID}e "
                 "%%{NETPAY_BALANCE}e\" netpay\nCustomLog %s netpay\n"
                 "<Directory />\n  Require all denied\n</Directory>\n" % (self.error_log, self.log_level,
                                                                         self.access_log))
        text += self.head.replace("{dir}", self.dir) + "\n"
        for site in self.sites:
            text += site.vhost()
        with open(self.config, "w") as f:
            f.write(text)

    def prepare(self):
        os.chmod(self.dir, 0o755)
        for site in self.sites:
            site.write_files()
        self.write_config()

    def command(self):
        return [httpd_program(), "-DFOREGROUND", "-f", self.config]

    def logs(self):
        return [self.log_file, self.error_log]

    def configtest(self):
        """(exit status, what it says)."""
        self.prepare()
        return self.test_config(self.config)

    def test_config(self, name):
        done = subprocess.run([httpd_program(), "-t", "-f", name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=60, cwd=self.dir, env=_sanitizer_env(self.env, self.dir, True))
        return done.returncode, done.stdout

    def reload(self):
        """New configuration by a graceful restart."""
        self.prepare()
        self.graceful()

    def reload_all(self):
        """The same; returns when no child of the old generation is left, which may still take connections."""
        before = set(self.children())
        self.reload()
        wait_for(lambda: not before & set(self.children()), what="the end of the old generation")

    def graceful(self):
        """Graceful restart; returns once the new generation answers."""
        with open(self.error_log, errors="replace") as f:
            f.seek(0, os.SEEK_END)
            self.send(signal.SIGUSR1)
            end = time.monotonic() + READY_S
            seen = ""
            while time.monotonic() < end:
                seen += f.read()
                if "resuming normal operations" in seen:
                    return self.wait_ready()
                if not self.running():
                    break
                time.sleep(0.03)
        raise StackError("no graceful restart:\n" + self.last_lines())

    def children(self):
        """Process ids of httpd's children."""
        return sorted(pid for pid, parent, _ in _live_processes() if parent == self.child.pid)

    def requests(self, path=None, status=None):
        """Lines of the access log, of one path and status if given. A line is
        (status, bytes, request line, rest)."""
        found = []
        if os.path.exists(self.access_log):
            for line in open(self.access_log, errors="replace"):
                head, request, rest = line.split('"', 2)
                _, code, size = head.split()
                if path is not None and request.split(" ")[1:2] != [path]:
                    continue
                if status is not None and int(code) != status:
                    continue
                found.append((int(code), int(size), request, rest.strip()))
        return found

    def statuses(self, path, before=0):
        """The statuses of the answers at a path but for so many `before`, once there is one: it is written down after the
        answer has left."""
        wait_for(lambda: len(self.requests(path)) > before, what="a line for " + path)
        return [r[0] for r in self.requests(path)[before:]]

    def metrics(self, path="/metrics"):
        """The module's metrics: name with labels → number."""
        text = client.http_request("GET", self.url(path)).body.decode()
        return parse_metrics(text)

    def units_taken(self):
        """Units that its pages were charged, as its metrics have it. They are counted once an answer has left."""
        return int(sum(v for k, v in self.metrics().items() if k.startswith("netpay_units_total")))

    def check_taken(self, units, before=0):
        """That so many units were taken since there were `before`."""
        wait_for(lambda: self.units_taken() - before >= units, what="%d units are counted" % units)
        assert self.units_taken() - before == units, (self.units_taken(), before, units)


def parse_metrics(text):
    values = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, number = line.rsplit(" ", 1)
            values[name] = float(number)
    return values


class Stack:
    """memcached, broker and a vendor, or several, all ready; or some of them.

    memcached, broker: False for none, or a running one to share. memcached="each": every vendor has its own.
    vendors: how many, each an httpd with its own keys, till and pages; `vendors` lists them, `vendor` is the
    first. Everything else goes to Vendor."""

    def __init__(self, memcached=True, broker=True, vendor=True, broker_options=None, directory=None, start=True,
                 vendors=1, **vendor_options):
        self.own_dir = directory is None
        self.dir = directory or tempfile.mkdtemp(prefix="netpay-test-")
        os.makedirs(self.dir, exist_ok=True)
        os.chmod(self.dir, 0o755)  # httpd's children are another user
        self.started = []
        self.memcached = self.broker = self.vendor = None
        self.vendors, self.cache_each = [], memcached == "each"
        try:
            if memcached and not self.cache_each:
                self.memcached = memcached if isinstance(memcached, Memcached) else \
                    self.run(Memcached(os.path.join(self.dir, "memcached")))
            if broker:
                self.broker = broker if isinstance(broker, Broker) else \
                    self.run(Broker(os.path.join(self.dir, "broker"), options=broker_options))
            for _ in range(vendors if vendor else 0):
                self.add_vendor(start, **vendor_options)
        except BaseException:
            self.close(check=False)
            raise

    def run(self, process):
        self.started.append(process)
        process.start()
        return process

    def add_vendor(self, start=True, **options):
        """One more vendor at this broker: an httpd with keys, till and pages of its own."""
        number = len(self.vendors) + 1
        memcached = self.memcached
        if self.cache_each:
            memcached = self.run(Memcached(os.path.join(self.dir, "memcached-%d" % number)))
        options.setdefault("memcached", memcached)
        options.setdefault("name", "news" if number == 1 else "news%d" % number)
        vendor = Vendor(os.path.join(self.dir, "vendor" if number == 1 else "vendor-%d" % number),
                        broker=self.broker, **options)
        self.vendors.append(vendor)
        self.vendor = self.vendors[0]
        if start:
            self.run(vendor)
        return vendor

    def wallet(self, dollars=None):
        """An account at the broker, topped up."""
        wallet = client.Wallet(self.broker.issuer)
        if dollars:
            wallet.topup(self.broker.mint(dollars))
        return wallet

    def coin(self, n=1000, unit=1000, **more):
        """A fresh coin bought with a fresh account."""
        dollars = "%d.%06d" % divmod(n * unit, 1000000)
        return self.wallet(dollars).buy(n=n, unit=unit, **more)

    def audit(self, *args, store=None, tills=None):
        """Runs netpay-audit over the broker's store, while it runs, and every vendor's till, or those given;
        (exit status, its JSON)."""
        tills = [v.till for v in self.vendors] if tills is None else tills
        done = subprocess.run([audit_program(), "--json", "--store", store or self.broker.options["store"],
                               "--keys", self.broker.options["keys"], *[a for t in tills for a in ("--till", t)], *args],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300,
                              env=_sanitizer_env(dict(os.environ), self.dir, False))
        if done.returncode > 1:
            raise StackError("netpay-audit: exit %d\n%s%s" % (done.returncode, done.stdout, done.stderr))
        return done.returncode, json.loads(done.stdout)

    def netpay(self, *args, store=None, check=True, stdin=None, timeout=60):
        """Runs the wallet program; the CompletedProcess (stdout, stderr as bytes)."""
        env = dict(os.environ, NETPAY_STORE=store or os.path.join(self.dir, "wallet"), LC_ALL="C")
        done = subprocess.run([wallet_program(), *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              input=stdin if stdin is not None else b"", timeout=timeout,
                              env=_sanitizer_env(env, self.dir, False))
        if check and done.returncode:
            raise StackError("netpay %s: exit %d\n%s%s" % (" ".join(args), done.returncode, done.stdout.decode(),
                                                          done.stderr.decode()))
        return done

    def close(self, check=True):
        for process in reversed(self.started):
            process.stop()
        reports = "".join(p.sanitizer_reports() for p in self.started)
        if os.path.isdir(self.dir):
            for name in glob.glob(os.path.join(self.dir, "sanitizer", "*")):
                reports += open(name, errors="replace").read()
        if self.own_dir and not os.environ.get("NETPAY_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)
        elif self.own_dir:
            print("kept: " + self.dir, file=sys.stderr)
        if check and reports:
            raise StackError("sanitizer reports:\n" + reports[:20000])

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        if kind is not None:
            for process in self.started:
                print(process.last_lines(40), file=sys.stderr)
        self.close(check=kind is None)


def patience():
    """How many times longer than on an idle machine something may take here and now."""
    return max(1.0, os.getloadavg()[0] / os.cpu_count()) * (2 if SANITIZE else 1)


def within(begun, seconds):
    """Whether so little time has passed since time.monotonic() was `begun`, as an idle machine would have it. For
    bounds that only a thing that hangs exceeds, never for how fast something is."""
    return time.monotonic() - begun < seconds * patience()


def clear_of_midnight(seconds=120):
    """Waits until no day ends within so long: limits of a day begin anew then (UTC)."""
    left = 86400 - time.time() % 86400
    if left < seconds:
        time.sleep(left + 1)


def wait_for(condition, seconds=10, what="condition"):
    """Polls until the condition is true; its value."""
    end = time.monotonic() + seconds * patience()
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("not within %s s: %s" % (seconds, what))


def tls_context(cafile=None):
    context = ssl.create_default_context(cafile=cafile) if cafile else ssl._create_unverified_context()
    return context
