"""A broker that hands out what a test says: touchstones, custodies at any index and with any end.

netpay-brokerd would refuse to do so. For the vectors, which begin from given states."""

import http.server
import json
import threading
import time

import client


class ReferenceBroker:
    def __init__(self, key, port, issuer=None, clock=time.time):
        self.key, self.port = key, port
        self.issuer = issuer or "http://127.0.0.1:%d" % port
        self.custodies = {}  # vendor origin → function(request payload) → (touchstone, custody payload) or None
        self.calls = []      # (call, vendor, payload), in order
        broker = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def date_time_string(self, timestamp=None):
                return super().date_time_string(clock())  # vendors compare theirs with it

            def do_GET(self):
                if self.path == "/.well-known/netpay":
                    self.answer(200, {"issuer": broker.issuer, "jwks_uri": broker.issuer + "/jwks.json",
                                      "api": broker.issuer + "/api/v1", "currencies": ["uusd"], "max_length": 1048576,
                                      "denominations": [{"unit": 1000, "n": 1000}]})
                elif self.path == "/jwks.json":
                    self.answer(200, broker.key.jwks())
                else:
                    self.answer(404, {"type": "urn:netpay:problem:not-found", "title": "Not found", "status": 404})

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                payload = client.peek(body["request"])
                broker.calls.append((payload["call"], payload["iss"], payload))
                make = broker.custodies.get(payload["iss"])
                got = make(payload) if make and payload["call"] == "custody/acquire" else None
                if got is None:
                    self.answer(410, {"type": "urn:netpay:problem:gone", "title": "Gone", "status": 410})
                else:
                    self.answer(200, {"touchstone": got[0], "custody": broker.key.sign("netpay-custody+jwt", got[1])})

            def answer(self, status, document):
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def touchstone(self, chain, unit=1000, currency="uusd", exp=None, iat=None, **changes):
        now = int(time.time()) if iat is None else iat
        payload = {"iss": self.issuer, "coin": chain.coin, "cur": currency, "unit": unit, "n": chain.n,
                   "salt": client.b64u(chain.salt), "root": client.b64u(chain.root), "iat": now,
                   "exp": exp if exp is not None else now + 86400 * 365}
        payload.update(changes)
        return self.key.sign("netpay-touchstone+jwt", payload)

    def custody(self, vendor, chain, index=0, exp=None, epoch=1, iat=None):
        now = int(time.time()) if iat is None else iat
        return {"iss": self.issuer, "sub": vendor, "coin": chain.coin, "epoch": epoch, "index": index,
                "payword": chain.word(index), "iat": now, "exp": exp if exp is not None else now + 86400}

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
