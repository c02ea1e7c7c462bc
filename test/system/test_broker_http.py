"""The broker's HTTP server on real sockets: malformed, oversize, slow, chunked and
pipelined requests, TLS, the unix socket, signals and a graceful stop under load."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

import client
import stack as stacks

HOST = b"Host: broker\r\n"
CLOSE = b"Connection: close\r\n"
JSON = b"Content-Type: application/json\r\n"
ABOUT = "/.well-known/netpay"


class Raw:
    """Answers as they come off a socket."""

    def __init__(self, where, tls=None):
        family = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(20)
        self.socket.connect(where)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="127.0.0.1")

    def send(self, data):
        self.socket.sendall(data)
        return self

    def all(self):
        out = b""
        while True:
            piece = self.socket.recv(65536)
            if not piece:
                self.socket.close()
                return out
            out += piece

    def one(self):
        """One answer with a Content-Length."""
        out = b""
        while b"\r\n\r\n" not in out:
            piece = self.socket.recv(1)
            if not piece:
                return out
            out += piece
        length = re.search(rb"Content-Length: (\d+)", out)
        wanted = int(length.group(1)) if length else 0
        while wanted:
            piece = self.socket.recv(wanted)
            assert piece
            out, wanted = out + piece, wanted - len(piece)
        return out


def status(answer):
    return int(answer.split(b" ", 2)[1])


def problem(answer):
    head, body = answer.split(b"\r\n\r\n", 1)
    assert b"Content-Type: application/problem+json" in head, answer
    assert b"Cache-Control: no-store" in head
    found = json.loads(body)
    assert found["type"].startswith("urn:netpay:problem:") and found["title"]
    assert found["status"] == status(answer)
    return found["type"].rsplit(":", 1)[1]


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    directory = str(tmp_path_factory.mktemp("broker"))
    made = stacks.Broker(directory, options={
        "header-timeout": "2", "idle-timeout": "3", "rate-scale": "100",
        "rate": "GET /jwks.json:0.01:2", "max-connections": "400",
        "log": os.path.join(directory, "broker.jsonl")})
    made.options["listen"] = ["127.0.0.1:%d" % made.port, "unix:" + os.path.join(directory, "http.sock")]
    made.start()
    yield made
    made.stop()


def where(broker):
    return ("127.0.0.1", broker.port)


def ask(broker, data):
    return Raw(where(broker)).send(data).all()


def get(path, more=b""):
    return b"GET " + path.encode() + b" HTTP/1.1\r\n" + HOST + CLOSE + more + b"\r\n"


def post(path, body, more=JSON):
    return (b"POST " + path.encode() + b" HTTP/1.1\r\n" + HOST + CLOSE + more +
            b"Content-Length: %d\r\n\r\n" % len(body) + body)


ACCOUNTS = "/api/v1/accounts"


@pytest.mark.parametrize("request_bytes, expected, kind", [
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", 400, "bad-request"),
    (b"GET / HTTP/9.9\r\n\r\n", 400, "bad-request"),
    (b"GET /.well-known/netpay HTTP/1.1\r\n\r\n", 400, "bad-request"),
    (b"GET /.well-known/netpay HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "bad-request"),
    (b"GET /.well-known/netpay HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", 400, "bad-request"),
    (get("/%zz"), 400, "bad-request"),
    (get("/a%00b"), 400, "bad-request"),
    (get("/a/../b"), 400, "bad-request"),
    (get("/%C0%80"), 400, "bad-request"),
    (get("/x?a=1&a=2"), 400, "bad-request"),
    (get("/nowhere"), 404, "not-found"),
    (get("/api/v1/coins/a%2Fb"), 404, "not-found"),
    (b"DELETE /jwks.json HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", 405, "method-not-allowed"),
    (get(ABOUT, b"X: " + b"a" * 20000 + b"\r\n"), 431, "header-too-large"),
    (post(ACCOUNTS, b"{", b""), 400, "malformed-json"),
    (post(ACCOUNTS, b"{"), 400, "malformed-json"),
    (post(ACCOUNTS, b"[]"), 400, "malformed-json"),
    (post(ACCOUNTS, b"[" * 900), 400, "malformed-json"),
    (post(ACCOUNTS, b"{}", b"Content-Type: text/plain\r\n"), 415, "media-type"),
    (post(ACCOUNTS, b"{}", JSON + b"Content-Encoding: gzip\r\n"), 415, "content-coding"),
    (post(ACCOUNTS, b"x" * 200000), 413, "body-too-large"),
    (post(ACCOUNTS, b"{}", JSON + b"Expect: wonders\r\n"), 417, "expectation"),
    (b"POST /api/v1/accounts HTTP/1.1\r\n" + HOST + JSON + b"Transfer-Encoding: chunked\r\n\r\n" +
     b"4000\r\n" + b"x" * 16384 + b"\r\n0\r\n\r\n", 413, "body-too-large"),
    (b"POST /api/v1/accounts HTTP/1.1\r\n" + HOST + JSON + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "bad-request"),
    (b"POST /api/v1/accounts HTTP/1.1\r\n" + HOST + JSON + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}",
     400, "bad-request"),
    (b"POST /api/v1/accounts HTTP/1.1\r\n" + HOST + JSON + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
     400, "bad-request"),
    (b"POST /api/v1/accounts HTTP/1.1\r\n" + HOST + JSON + b"Transfer-Encoding: gzip\r\n\r\n", 501, "transfer-coding"),
])
def test_bad_requests_are_problems(broker, request_bytes, expected, kind):
    answer = ask(broker, request_bytes)
    assert status(answer) == expected, answer
    assert problem(answer) == kind


def test_methods(broker):
    head = ask(broker, b"HEAD " + ABOUT.encode() + b" HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n")
    assert status(head) == 200 and head.endswith(b"\r\n\r\n")
    options = ask(broker, b"OPTIONS /jwks.json HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n")
    assert status(options) == 204 and b"Allow: GET, HEAD, OPTIONS\r\n" in options
    refused = ask(broker, b"PUT /jwks.json HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n")
    assert b"Allow: GET, HEAD, OPTIONS\r\n" in refused
    assert status(ask(broker, b"GET " + ABOUT.encode() + b" HTTP/1.0\r\n\r\n")) == 200
    assert status(ask(broker, get("http://elsewhere" + ABOUT))) == 200
    assert b"X-Content-Type-Options: nosniff" in head


def test_chunked_and_continue(broker):
    chunked = ask(broker, b"POST /api/v1/accounts HTTP/1.1\r\n" + HOST + CLOSE + JSON +
                  b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\nTrailer: x\r\n\r\n")
    assert status(chunked) == 200
    raw = Raw(where(broker)).send(b"POST /api/v1/accounts HTTP/1.1\r\n" + HOST + CLOSE + JSON +
                                  b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert raw.one() == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert status(raw.send(b"{}").all()) == 200
    # Refused before the body is sent.
    raw = Raw(where(broker)).send(b"POST /api/v1/accounts HTTP/1.1\r\n" + HOST + JSON +
                                  b"Expect: 100-continue\r\nContent-Length: 2000000000\r\n\r\n")
    assert status(raw.one()) == 413


def test_pipelined(broker):
    ordinary = b"GET " + ABOUT.encode() + b" HTTP/1.1\r\n" + HOST + b"\r\n"
    account = b"POST /api/v1/accounts HTTP/1.1\r\n" + HOST + JSON + b"Content-Length: 2\r\n\r\n{}"
    answer = ask(broker, (ordinary + account) * 10 + get("/nowhere"))
    statuses = [int(s) for s in re.findall(rb"HTTP/1.1 (\d+)", answer)]
    assert statuses == [200] * 20 + [404]
    assert len(set(re.findall(rb'"token":"([^"]+)"', answer))) == 10
    assert len(set(re.findall(rb"X-Request-Id: (\S+)", answer))) == 21


def test_slow_clients_are_cut_off(broker):
    def drip(first, byte):
        raw, start = Raw(where(broker)).send(first), time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - start < 15 * stacks.patience():
                raw.send(byte)
                time.sleep(0.2)
        return time.monotonic() - start

    assert drip(b"GE", b"T") < 8 * stacks.patience()
    assert drip(b"POST /api/v1/accounts HTTP/1.1\r\n" + HOST + JSON + b"Content-Length: 500\r\n\r\n", b" ") < 8 * stacks.patience()
    raw, start = Raw(where(broker)), time.monotonic()
    assert raw.send(b"GET " + ABOUT.encode() + b" HTTP/1.1\r\n" + HOST + b"\r\n").one()
    assert raw.socket.recv(1) == b"" and 2 < time.monotonic() - start and stacks.within(start, 10)


def test_slowloris_does_not_stop_others(broker):
    lorises = [Raw(where(broker)).send(b"GET / HTTP/1.1\r\nX: ") for _ in range(80)]
    start = time.monotonic()
    assert status(ask(broker, get(ABOUT))) == 200
    assert stacks.within(start, 2)
    for raw in lorises:
        raw.socket.close()


def test_one_peer_cannot_take_all_connections(broker):
    held = []
    try:
        for _ in range(150):
            held.append(Raw(where(broker)).send(b"GET / HT"))
        with pytest.raises((OSError, AssertionError, IndexError)):
            status(ask(broker, get(ABOUT)))
        # Other peers still come in.
        assert status(Raw(os.path.join(broker.dir, "http.sock")).send(get(ABOUT)).all()) == 200
    except (ConnectionResetError, BrokenPipeError):
        pass
    finally:
        for raw in held:
            raw.socket.close()
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            if status(ask(broker, get(ABOUT))) == 200:
                return
        except (OSError, IndexError):
            time.sleep(0.1)
    pytest.fail("the broker did not come back")


def test_rate_limit(broker):
    def ask_as(address):
        return Raw(os.path.join(broker.dir, "http.sock")).send(
            get("/jwks.json", b"X-Forwarded-For: 6.6.6.6, " + address + b"\r\n")).all()

    assert [status(ask_as(b"192.0.2.1")) for _ in range(3)] == [200, 200, 429]
    refused = ask_as(b"192.0.2.1")
    assert problem(refused) == "too-many-requests"
    assert int(re.search(rb"Retry-After: (\d+)", refused).group(1)) > 0
    assert status(ask_as(b"192.0.2.2")) == 200
    # A forwarded address is not believed over TCP.
    forged = get("/jwks.json", b"X-Forwarded-For: 192.0.2.9\r\n")
    assert [status(ask(broker, forged)) for _ in range(3)][-1] == 429


def test_log_says_nothing_it_should_not(broker):
    ask(broker, get("/api/v1/accounts/me", b"Authorization: Bearer not-for-the-log\r\n"))
    ask(broker, get("/private/path/not-for-the-log"))
    ask(broker, post("/api/v1/coins/coin-not-for-the-log/return", b"{}"))
    lines = [json.loads(line) for line in open(broker.options["log"])]
    requests = [line for line in lines if line["event"] == "request"]
    assert {"id", "peer", "method", "route", "status", "us"} <= set(requests[0])
    assert "not-for-the-log" not in json.dumps(lines)
    assert any(r["route"] == "/api/v1/coins/{coin}/return" and r["coin"] == "coin-not" for r in requests)


def test_hangup_opens_the_log_anew(broker):
    old = broker.options["log"] + ".1"
    os.rename(broker.options["log"], old)
    broker.send(signal.SIGHUP)
    end = time.monotonic() + 10
    while not os.path.exists(broker.options["log"]) and time.monotonic() < end:
        time.sleep(0.05)
    ask(broker, get(ABOUT))
    assert ABOUT in open(broker.options["log"]).read()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # old TLS is what is tried
def test_tls(tmp_path):
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "chain.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate,
                    "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
                   check=True, capture_output=True)
    port = stacks.Ports.take()
    broker = stacks.Broker(str(tmp_path / "broker"), port=port, issuer="https://127.0.0.1:%d" % port,
                           options={"tls-certificate": certificate, "tls-key": key, "header-timeout": "2"})
    trust = ssl.create_default_context(cafile=certificate)
    broker.is_ready = lambda: status(Raw(("127.0.0.1", port), trust).send(get(ABOUT)).all()) == 200
    broker.start()
    try:
        answer = Raw(("127.0.0.1", port), trust).send((b"GET " + ABOUT.encode() + b" HTTP/1.1\r\n" + HOST + b"\r\n") * 5 +
                                                      post(ACCOUNTS, b"{}")).all()
        assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200"] * 6
        answer = Raw(("127.0.0.1", port), trust).send(post(ACCOUNTS, b"x" * 100000)).one()
        assert status(answer) == 413
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, OSError)):
            Raw(("127.0.0.1", port), old)
        plain = Raw(("127.0.0.1", port)).send(get(ABOUT))
        try:
            assert b"HTTP/1.1 200" not in plain.all()
        except OSError:
            pass
        assert status(Raw(("127.0.0.1", port), trust).send(get(ABOUT)).all()) == 200
    finally:
        assert broker.stop() == 0


def test_unix_socket_is_private_and_goes_with_the_daemon(tmp_path):
    path = str(tmp_path / "http.sock")
    broker = stacks.Broker(str(tmp_path / "broker"))
    broker.options["listen"] = "unix:" + path
    broker.is_ready = lambda: status(Raw(path).send(get(ABOUT)).all()) == 200
    broker.start()
    assert os.stat(path).st_mode & 0o777 == 0o660
    broker.child.kill()
    broker.child.wait()
    assert os.path.exists(path)
    broker.start()  # over what the killed one left behind
    assert broker.stop() == 0
    assert not os.path.exists(path)


def test_graceful_stop_under_load(tmp_path):
    broker = stacks.Broker(str(tmp_path / "broker"), options={"rate-scale": "0"}).start()
    tokens, broken, stopping = [], [], threading.Event()

    def customer():
        raw = Raw(where(broker))
        while True:
            try:
                raw.send(b"POST /api/v1/accounts HTTP/1.1\r\n" + HOST + JSON + b"Content-Length: 2\r\n\r\n{}")
                answer = raw.one()
            except OSError:
                answer = b""
            if not answer:
                if not stopping.is_set():
                    broken.append("closed while it served")
                return
            if status(answer) != 200:
                broken.append(answer)
            tokens.append(re.search(rb'"token":"([^"]+)"', answer).group(1).decode())
            if b"Connection: close" in answer:
                return

    threads = [threading.Thread(target=customer) for _ in range(16)]
    slow = Raw(where(broker)).send(b"POST /api/v1/accounts HTTP/1.1\r\n" + HOST + JSON + b"Content-Length: 2\r\n\r\n{")
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    stopping.set()
    broker.send(signal.SIGTERM)
    time.sleep(0.3)
    finished = slow.send(b"}").one()  # under way when the signal came
    assert status(finished) == 200 and b"Connection: close" in finished
    assert broker.child.wait(20) == 0
    for thread in threads:
        thread.join()
    assert not broken and len(tokens) > 16
    broker.start()
    try:
        for token in tokens[-40:]:
            answer = client.http_request("GET", broker.address + "/api/v1/accounts/me",
                                         {"Authorization": "Bearer " + token})
            assert answer.status == 200  # what was answered is in the store
        broker.check()
    finally:
        assert broker.stop() == 0


def test_stop_without_work_is_quick(tmp_path):
    broker = stacks.Broker(str(tmp_path / "broker")).start()
    idle = Raw(where(broker)).send(b"GET " + ABOUT.encode() + b" HTTP/1.1\r\n" + HOST + b"\r\n")
    assert status(idle.one()) == 200
    start = time.monotonic()
    broker.send(signal.SIGTERM)
    assert broker.child.wait(20) == 0
    assert stacks.within(start, 5)
    assert idle.socket.recv(1) == b""


def test_keys_rotate_while_it_serves(tmp_path):
    broker = stacks.Broker(str(tmp_path / "broker")).start()
    try:
        def listed():
            answer = client.http_request("GET", broker.address + "/jwks.json")
            return {key["kid"] for key in json.loads(answer.body)["keys"]}

        def wait_for(kid, present):
            end = time.monotonic() + 10
            while (kid in listed()) != present:
                assert time.monotonic() < end
                time.sleep(0.05)

        first, = listed()
        second = broker.admin("keys", "add").split()[0]
        broker.send(signal.SIGHUP)
        wait_for(second, True)
        assert broker.admin("keys", "activate", second, check=False).returncode == 1
        broker.admin("keys", "activate", second, "--force")
        assert broker.admin("keys", "retire", first, check=False).returncode == 1
        broker.send(signal.SIGHUP)
        time.sleep(0.3)
        wallet = client.Wallet(broker.issuer)
        wallet.topup(broker.mint("1.00"))
        coin = wallet.buy(n=1000)
        header = json.loads(client.unb64u(coin.touchstone.split(".")[0]))
        assert header["kid"] == second
        assert listed() == {first, second}
        broker.admin("keys", "retire", first, "--force")
        broker.send(signal.SIGHUP)
        wait_for(first, False)
    finally:
        broker.stop()


@pytest.mark.parametrize("line, says", [
    ("lisen=127.0.0.1:1", 'unknown key "lisen"; did you mean "listen"?'),
    ("threads=many", "threads is a whole number"),
    ("listen=0.0.0.0:1", "needs tls-certificate"),
    ("denomination=0:0", "denomination is UNIT:N"),
])
def test_wrong_configuration(tmp_path, line, says):
    broker = stacks.Broker(str(tmp_path / "broker"))
    broker.write_config()
    with open(broker.config, "a") as f:
        f.write(line + "\n")
    number = len(open(broker.config).readlines())
    done = broker.admin("check", check=False)
    assert done.returncode == 2
    assert says in done.stderr and "%s:%d:" % (broker.config, number) in done.stderr


def test_wrong_commands(tmp_path):
    broker = stacks.Broker(str(tmp_path / "broker"))
    broker.prepare()
    for args in [["fly"], ["voucher"], ["vendor", "approve"], ["check", "--amount", "1"], ["voucher", "mint"],
                 ["voucher", "mint", "--amount", "0"], ["voucher", "mint", "--amount", "1", "--count", "0"],
                 ["voucher", "mint", "--amount", "1", "--currency", "usd"], ["--nope"]]:
        done = broker.admin(*args, check=False)
        assert done.returncode == 2 and done.stderr.startswith("netpay-brokerd: "), args
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    done = broker.admin("-o", "listen=127.0.0.1:%d" % taken.getsockname()[1], "serve", check=False)
    assert done.returncode == 1 and "cannot listen on" in done.stderr
