"""A card provider on loopback that speaks the form Stripe documents for Checkout: sessions made over the API,
a payment page on which the customer pays or turns back, and signed events sent to the broker's webhook.

    shop = CardShop()
    Broker(..., options=shop.options(directory))
    shop.endpoint = broker.issuer + "/webhooks/card"
"""

import hashlib
import hmac
import html
import http.server
import itertools
import json
import os
import threading
import time
import urllib.parse

import client

PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Card payment</title></head>
<body><main><h1>Card payment</h1><p>%s for %s</p>
<form method="post"><button type="submit">Pay</button></form><p><a href="%s">Back</a></p></main></body></html>"""


def sign(body, secret, at=None):
    """The Stripe-Signature field of an event's bytes."""
    at = int(time.time()) if at is None else at
    return "t=%d,v1=%s" % (at, hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest())


class CardShop:
    key, secret = "sk_test_4eC39HqLyjWDarjtT1zdp7dc", "whsec_5WbX5kEWLlfzsGNjH64I8lOOqUB6e8FH"

    def __init__(self):
        self.endpoint = None      # where events go
        self.sessions = {}        # id → session
        self.calls = []           # (fields, headers) of API calls
        self.events = []          # as they were sent
        self.answers = []         # of the endpoint
        self.fail = None          # (status, body) for the next API calls
        self.async_payment = False  # payments are confirmed later, by succeed()
        self._numbers, self._idempotent, self._lock = itertools.count(1), {}, threading.Lock()
        shop = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
                if self.path == "/v1/checkout/sessions":
                    return self.reply(*shop._create(dict(urllib.parse.parse_qsl(body, keep_blank_values=True)), self.headers))
                session = shop.sessions.get(self.path.rpartition("/")[2])
                if not session:
                    return self.reply(404, {})
                shop.pay(session["id"])
                self.reply(303, None, [("Location", session["success_url"])])

            def do_GET(self):
                session = shop.sessions.get(self.path.rpartition("/")[2])
                if not session:
                    return self.reply(404, {})
                amount = "%d %s" % (session["amount_total"], session["currency"])
                page = PAGE % (html.escape(amount), html.escape(session["name"]), html.escape(session["cancel_url"]))
                self.reply(200, page)

            def reply(self, status, content, headers=()):
                data = content.encode() if isinstance(content, str) else b"" if content is None else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/html; charset=utf-8" if isinstance(content, str) else "application/json")
                self.send_header("Content-Length", str(len(data)))
                for name, value in headers:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = "http://127.0.0.1:%d" % self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def options(self, directory, amounts=("5.00", "20.00")):
        """The broker's options for this provider; the secrets go into files of the directory."""
        files = {}
        for name, value in (("card-key", self.key), ("card-webhook-secret", self.secret)):
            files[name] = os.path.join(str(directory), name)
            with open(os.open(files[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
                f.write(value + "\n")
        return {**files, "card-api": self.url, "card-amount": list(amounts)}

    # --- the API --------------------------------------------------------------

    def _create(self, fields, headers):
        with self._lock:
            self.calls.append((fields, dict(headers)))
            if headers.get("Authorization") != "Bearer " + self.key:
                return 401, {"error": {"type": "invalid_request_error", "message": "Invalid API Key provided"}}
            if self.fail:
                return self.fail
            again = headers.get("Idempotency-Key")
            if again in self._idempotent:
                return self._idempotent[again]
            known = {"mode", "client_reference_id", "success_url", "cancel_url", "adaptive_pricing[enabled]",
                     "payment_intent_data[metadata][netpay_reference]", "line_items[0][quantity]",
                     "line_items[0][price_data][currency]", "line_items[0][price_data][unit_amount]",
                     "line_items[0][price_data][product_data][name]"}
            if set(fields) - known or fields.get("mode") != "payment" or not fields.get("success_url", "").startswith("http"):
                return 400, {"error": {"type": "invalid_request_error", "code": "parameter_unknown"}}
            number = next(self._numbers)
            amount = int(fields["line_items[0][price_data][unit_amount]"]) * int(fields["line_items[0][quantity]"])
            session = {
                "id": "cs_test_%d" % number, "object": "checkout.session", "amount_subtotal": amount, "amount_total": amount,
                "client_reference_id": fields["client_reference_id"], "currency": fields["line_items[0][price_data][currency]"],
                "livemode": False, "metadata": {}, "mode": "payment", "payment_intent": None, "payment_status": "unpaid",
                "status": "open", "success_url": fields["success_url"], "cancel_url": fields["cancel_url"],
                "customer_details": {"address": None, "email": "reader@example.com"}, "custom_fields": [],
                "url": "%s/pay/cs_test_%d" % (self.url, number), "name": fields["line_items[0][price_data][product_data][name]"],
                "payment_metadata": {"netpay_reference": fields["payment_intent_data[metadata][netpay_reference]"]}}
            self.sessions[session["id"]] = session
            self._idempotent[again] = 200, self._shown(session)
            return self._idempotent[again]

    @staticmethod
    def _shown(session):
        return {k: v for k, v in session.items() if k not in ("name", "payment_metadata")}

    # --- what happens to payments ---------------------------------------------

    @property
    def last(self):
        """The session that was made last."""
        return list(self.sessions.values())[-1]

    def event(self, kind, thing, at=None):
        """at: when the provider made it, in seconds since now."""
        return {"id": "evt_%d" % next(self._numbers), "object": "event", "api_version": "2025-03-31.basil",
                "created": int(time.time() + (at or 0)), "livemode": False, "pending_webhooks": 1,
                "request": {"id": None, "idempotency_key": None}, "type": kind, "data": {"object": thing}}

    def send(self, event, signature=None, endpoint=None):
        """One event to the endpoint; the answer."""
        body = json.dumps(event, indent=2).encode()
        headers = {"Content-Type": "application/json; charset=utf-8",
                   "Stripe-Signature": sign(body, self.secret) if signature is None else signature(body)}
        answer = client.http_request("POST", endpoint or self.endpoint, headers=headers, body=body)
        self.events.append(event)
        self.answers.append(answer)
        return answer

    def pay(self, id):
        session = self.sessions[id]
        session.update(status="complete", payment_intent="pi_" + id, payment_status="unpaid" if self.async_payment else "paid")
        return self.send(self.event("checkout.session.completed", self._shown(session)))

    def succeed(self, id):
        self.sessions[id]["payment_status"] = "paid"
        return self.send(self.event("checkout.session.async_payment_succeeded", self._shown(self.sessions[id])))

    def expire(self, id):
        self.sessions[id]["status"] = "expired"
        return self.send(self.event("checkout.session.expired", self._shown(self.sessions[id])))

    def refunded(self, id, until_now, at=None):
        """The event of a refund; until_now: cents given back in all, without what failed until then."""
        session = self.sessions[id]
        return self.event("charge.refunded", {
            "id": "ch_" + id, "object": "charge", "amount": session["amount_total"], "amount_captured": session["amount_total"],
            "amount_refunded": until_now, "currency": session["currency"], "payment_intent": "pi_" + id, "paid": True,
            "refunded": until_now == session["amount_total"], "metadata": session["payment_metadata"], "balance_transaction": None,
            "payment_method_details": {"type": "card", "card": {"brand": "visa", "last4": "4242", "checks": {"cvc_check": "pass"}}}}, at)

    def refund(self, id, until_now, at=None):
        return self.send(self.refunded(id, until_now, at))

    def refund_failed(self, id, refund, amount, kind="refund.failed", status="failed", begun=0, at=None):
        """The event of a refund that did not reach the customer: its name, its cents; begun: in seconds since now."""
        return self.event(kind, {
            "id": refund, "object": "refund", "amount": amount, "balance_transaction": "txn_" + refund, "charge": "ch_" + id,
            "created": int(time.time() + begun), "currency": self.sessions[id]["currency"],
            "failure_balance_transaction": "txn_f" + refund, "failure_reason": "expired_or_canceled_card", "metadata": {},
            "payment_intent": "pi_" + id, "reason": None, "receipt_number": None, "source_transfer_reversal": None,
            "status": status, "transfer_reversal": None}, at)
