"""Parties that do not keep the rules, for tests: a vendor and a broker's directory.

    clock = Clock(directory)
    peer = Peer(broker)              # a vendor of its own: registered and approved at the real broker
    peer.acquire(coin, 20)           # takes custody like any vendor
    peer.sell(coin, 20)              # what an honest one would note after a payment
    peer.answer = peer.honest        # how it answers hand-overs; see the behaviours below
    peer.redeem(coin, 0, 20)

A Peer that is given a client.Coin knows every payword of it, more than any real vendor could: what is
not sold is nevertheless not to be had by it. It keeps no rule by itself; a test says what it does.

Directory is a proxy before a real broker: to vendors it is the broker, and lies in what a test chooses.
"""

import glob
import http.server
import json
import os
import socket
import threading
import time

import client
import stack as stacks

HANDOFF = "/.well-known/netpay/handoff"


class Reply:
    """An answer: a status with JSON, or with raw bytes."""

    def __init__(self, status, document=None, headers=None, raw=None):
        self.status, self.headers = status, dict(headers or {})
        self.body = raw if raw is not None else json.dumps(document or {}).encode()
        self.headers.setdefault("Content-Type", "application/json" if status in (200, 410)
                                else "application/problem+json")


def problem(status, kind, headers=None):
    return Reply(status, {"type": "urn:netpay:problem:" + kind, "title": kind, "status": status}, headers)


class Call:
    """A hand-over as it came in."""

    def __init__(self, document, handler):
        self.document, self.handler = document, handler
        self.request = client.peek(document["request"])
        self.coin, self.asker = self.request["coin"], self.request["iss"]
        self.certificate = document.get("certificate", "")
        self.enclosed = document.get("index")


class Held:
    """What a Peer knows of a coin it held. spent: what it says it sold."""

    def __init__(self, coin, custody):
        self.coin, self.touchstone = coin, coin.touchstone
        self.epoch, self.start, self.lease = custody["epoch"], custody["index"], custody["exp"]
        self.spent = custody["index"]
        self.given = {}  # asker → the netpay-index it was given


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # the other side closed: what many tests are about


class Peer:
    """A vendor under the test's control."""

    def __init__(self, broker, origin=None, key=None, handoff=None, enrol=True, clock=None):
        self.broker = broker
        self.clock = clock or broker.clock
        self.port = stacks.Ports.take()
        self.origin = origin or "http://127.0.0.1:%d" % self.port
        self.key = key or client.Key()
        self.coins = {}        # coin id → Held
        self.calls = []        # every Call
        self.connections = 0   # accepted, whatever came of them
        self.answer = self.honest
        self.closing = threading.Event()
        peer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                if self.path != HANDOFF:
                    return self.reply(problem(404, "not-found"))
                call = Call(json.loads(body), self)
                peer.calls.append(call)
                made = peer.answer(call)
                if made is None:
                    self.close_connection = True  # the behaviour has answered, in its way
                else:
                    self.reply(made)

            def do_GET(self):
                peer.calls.append(None)
                self.reply(problem(404, "not-found"))

            def reply(self, made):
                self.send_response(made.status)
                for name, value in made.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(made.body)))
                self.end_headers()
                self.wfile.write(made.body)

            def log_message(self, *_):
                pass

        class Server(_Server):
            def get_request(self):
                peer.connections += 1
                return super().get_request()

        self.server = Server(("127.0.0.1", self.port), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()
        self.certificate = broker.enrol(self.origin, self.key, handoff) if enrol else ""
        self.caller = client.VendorCaller(self.origin, self.key, broker.api(), self.clock)

    def stop(self):
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    # --- what any vendor does ----------------------------------------------

    def acquire(self, coin, index):
        """custody/acquire; the answer. With 200 the coin is in self.coins."""
        answer = self.caller.acquire(coin, index)
        if answer.status == 200:
            self.hold(coin, client.peek(answer.json()["custody"]))
        return answer

    def hold(self, coin, custody):
        self.coins[coin.id] = Held(coin, custody)
        return self.coins[coin.id]

    def sell(self, coin, units):
        self.coins[coin.id].spent += units

    def renew(self, coin, index=None):
        held = self.coins[coin.id]
        index = held.spent if index is None else index
        return self.caller.custody("renew", coins=[{"coin": coin.id, "epoch": held.epoch, "index": index,
                                                    "payword": coin.chain.word(index)}])

    def redeem(self, coin, start, to, **more):
        """One claim; the reasons of refusal, [] where it was credited."""
        answer = self.caller.redeem([client.claim(coin, start, to)], **more)
        if answer.status != 200:
            raise client.ApiError(answer)
        return [r["reason"] for r in answer.json()["rejected"]]

    def ask(self, coin, url, aud, index, epoch=None, enclosed=None, certificate=None, key=None, beside=None,
            **changes):
        """POST {handoff} at another vendor: what a receiver does. beside: more members of the body."""
        members = {"coin": coin.id, "index": index, "payword": coin.chain.word(index)}
        if epoch is not None:
            members["epoch"] = epoch
        members.update(changes)
        caller = client.VendorCaller(self.origin, key or self.key, self.caller.broker, self.clock)
        document = {"request": caller.request("handoff", aud=aud, **members),
                    "certificate": self.certificate if certificate is None else certificate}
        if enclosed:
            document["index"] = enclosed
        document.update(beside or {})
        return client.http_request("POST", url, {"Content-Type": "application/json"}, json.dumps(document))

    def ask_site(self, coin, site, index, epoch=None, **more):
        return self.ask(coin, site.origin + HANDOFF, site.origin, index, epoch, **more)

    def take_from(self, coin, site, index, epoch=None):
        """The whole of taking over from an honest vendor: asks, reports, holds. The signed index."""
        answer = self.ask_site(coin, site, index, epoch)
        if answer.status != 200:
            raise client.ApiError(answer)
        token = answer.json()["index"]
        custody = self.report(coin, [token])
        if custody.status != 200:
            raise client.ApiError(custody)
        self.hold(coin, client.peek(custody.json()["custody"]))
        return token

    def report(self, coin, tokens):
        """custody/transfer; the answer."""
        return self.caller.broker.raw("POST", self.caller.broker.api + "/custody/transfer",
                                      {"request": self.caller.request("custody/transfer", coin=coin.id),
                                       "index": tokens})

    def index(self, of, aud, index=None, key=None, typ="netpay-index+jwt", **changes):
        """A signed index of that coin, true or not."""
        held = self.coins.get(of.id)
        at = (held.spent if held else 0) if index is None else index
        now = int(self.clock())
        payload = {"iss": self.origin, "aud": aud, "coin": of.id, "epoch": held.epoch if held else 1, "index": at,
                   "payword": of.chain.word(at), "iat": now, "exp": held.lease if held else now + 3600}
        payload.update(changes)
        return (key or self.key).sign(typ, {k: v for k, v in payload.items() if v is not None})

    # --- how it answers hand-overs -----------------------------------------

    def honest(self, call):
        """As section 7 says, except that it keeps no clock and checks nothing it need not."""
        held = self.coins.get(call.coin)
        if not held:
            return problem(404, "unknown-coin")
        if held.given and call.asker not in held.given:
            token, certificate = next(iter(held.given.values()))
            return Reply(410, {"index": token, "certificate": certificate})
        if call.asker not in held.given:
            held.given[call.asker] = (self.index(held.coin, call.asker), call.certificate)
        return Reply(200, {"touchstone": held.touchstone, "index": held.given[call.asker][0]})

    def to_everyone(self, call):
        """The coin to whoever asks, each time at what it now says was sold."""
        held = self.coins[call.coin]
        if call.asker not in held.given:
            held.given[call.asker] = (self.index(held.coin, call.asker), call.certificate)
        return Reply(200, {"touchstone": held.touchstone, "index": held.given[call.asker][0]})

    def lying(self, of, **changes):
        """200 with an index that is changed in those arguments of index()."""
        def behave(call):
            made = {"aud": call.asker, **changes}
            return Reply(200, {"touchstone": of.touchstone, "index": self.index(of, **made)})
        return behave

    @staticmethod
    def always(status, kind="refused", headers=None):
        return lambda call: problem(status, kind, headers)

    @staticmethod
    def redirect(to, status=307):
        return lambda call: Reply(status, {}, {"Location": to})

    @staticmethod
    def raw(data):
        """These bytes in the place of a JSON answer."""
        return lambda call: Reply(200, raw=data)

    def silent(self, call):
        """Takes the request and never answers."""
        self.closing.wait(60)

    def hang_up(self, call):
        call.handler.connection.shutdown(socket.SHUT_RDWR)

    def drip(self, call):
        """A byte now and then, for ever."""
        self._head(call, 100000)
        while not self.closing.wait(0.2):
            call.handler.wfile.write(b" ")
            call.handler.wfile.flush()

    def drip_head(self, call):
        call.handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not self.closing.wait(0.2):
            call.handler.wfile.write(b"X: y\r\n")
            call.handler.wfile.flush()

    def huge(self, call):
        """An honest answer with as much behind it as is read."""
        self._head(call, 1 << 32)
        piece = b" " * 65536
        while not self.closing.is_set():
            call.handler.wfile.write(piece)

    def endless(self, call):
        """A body without a length."""
        call.handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                 b"Transfer-Encoding: chunked\r\n\r\n")
        piece = b"1000\r\n" + b"[" * 4096 + b"\r\n"
        while not self.closing.is_set():
            call.handler.wfile.write(piece)

    @staticmethod
    def _head(call, length):
        call.handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                                 % length)


def broker_key(broker):
    """The real broker's signing key: for certificates that only a dishonest broker would sign."""
    names = glob.glob(os.path.join(broker.options["keys"], "*.pem"))
    assert len(names) == 1, names
    return client.Key.from_pem(open(names[0], "rb").read())


def certificate(signer, issuer, sub, key, handoff=None, iat=None, exp=None, now=None, **changes):
    """A vendor certificate, true or not, signed by whatever key."""
    now = int(now if now is not None else time.time())
    payload = {"iss": issuer, "sub": sub, "cnf": {"jwk": key.jwk()}, "handoff": handoff or sub + HANDOFF,
               "iat": now if iat is None else iat, "exp": now + 86400 if exp is None else exp}
    payload.update(changes)
    return signer.sign("netpay-vendor+jwt", payload)


class Directory:
    """What vendors take for the broker: passes everything on to the real one, and changes what a test wants.

    The broker's issuer is this proxy's address. lies: list of functions(method, path, status, document) →
    (status, document) or None for "as it is"."""

    def __init__(self, port):
        self.port = port
        self.issuer = "http://127.0.0.1:%d" % port
        self.broker = None   # the real one; set before the first call
        self.lies = []
        self.served = []     # (method, path, status) in order
        directory = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def pass_on(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", "0") or "0"))
                fields = [(k, v) for k, v in self.headers.items()
                          if k.lower() not in ("host", "connection", "content-length")]
                answer = client.http_request(self.command, directory.broker.address + self.path, fields,
                                             body if self.command == "POST" else None)
                status, data, kind = answer.status, answer.body, answer.get("Content-Type", "")
                if "json" in kind:
                    document = json.loads(data)
                    for lie in list(directory.lies):
                        changed = lie(self.command, self.path, status, document)
                        if changed is not None:
                            status, document = changed
                    data = json.dumps(document).encode()
                directory.served.append((self.command, self.path, status))
                self.send_response_only(status)
                for name, value in answer.headers:
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = pass_on

            def log_message(self, *_):
                pass

        self.server = _Server(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
