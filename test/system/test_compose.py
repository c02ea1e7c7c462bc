"""The gate beside the rest of httpd: authorisation, handlers, filters, redirects, TLS, HTTP/2."""

import base64
import hashlib
import os
import re
import shutil
import socket
import subprocess

import pytest

import client
import stack as stacks
from surfer import Surfer

CGI = """#!/bin/sh
case "$QUERY_STRING" in
fail) echo "Status: 500"; echo "Content-Type: text/plain"; echo; echo "CGI-FAILED"; exit ;;
local) echo "Location: /free/index.html"; echo; exit ;;
teapot) echo "Status: 418"; echo "Content-Type: text/plain"; echo; echo "no"; exit ;;
204) echo "Status: 204"; echo; exit ;;
crash) kill -9 $$ ;;
esac
echo "Content-Type: text/plain"
echo
echo "CGI-PAID"
env
"""

NPH = """#!/bin/sh
printf 'HTTP/1.1 200 OK\\r\\nContent-Type: text/plain\\r\\nConnection: close\\r\\n\\r\\nNPH-PAID'
"""

GATED = 'AuthType NetPay\n AuthName "{realm}"\n'
PRICED = " NetPayPrice 0.02 usd\n"


def location(path, require="Require netpay", more=""):
    return '<Location "%s">\n %s %s\n%s %s\n</Location>\n' % (path, GATED, require, PRICED, more)


GATE = "".join([
    location("/articles/"),
    location("/premium/"),
    location("/any-ip/", "<RequireAny>\n Require netpay\n Require ip 127.0.0.1\n</RequireAny>"),
    location("/any-ip-first/", "<RequireAny>\n Require ip 127.0.0.1\n Require netpay\n</RequireAny>"),
    location("/any-other-ip/", "<RequireAny>\n Require ip 192.0.2.1\n Require netpay\n</RequireAny>"),
    location("/any-expr/", "<RequireAny>\n Require expr %{HTTP:X-Member} == 'yes'\n Require netpay\n</RequireAny>"),
    location("/all-ok/", "<RequireAll>\n Require netpay\n Require ip 127.0.0.1\n</RequireAll>"),
    location("/all-denied/", "<RequireAll>\n Require ip 192.0.2.1\n Require netpay\n</RequireAll>"),
    location("/none/", "<RequireAll>\n Require netpay\n <RequireNone>\n Require expr %{HTTP:X-Bad} == 'yes'\n"
             " </RequireNone>\n</RequireAll>"),
    location("/cgi-bin/"),
    location("/backend/", more='ProxyPass "http://127.0.0.1:{backend}/"'),
    location("/socket/", more='ProxyPass "http://127.0.0.1:{backend}/" upgrade=websocket'),
    location("/header/", more='Header set X-Served yes\n Header always set X-Always yes'),
    location("/squeezed/", more="SetOutputFilter DEFLATE"),
    location("/ssi/", more="Options +Includes\n SetOutputFilter INCLUDES"),
    location("/errors/", more="ErrorDocument 402 /errors/402.html\n ErrorDocument 404 /articles/1.html"),
    location("/errors-text/", more='ErrorDocument 402 "Pay, please."'),
    '<Files "paid-*.html">\n %s Require netpay\n%s</Files>\n' % (GATED, PRICED),
    '<If "%%{REQUEST_URI} =~ m#^/if/#">\n %s Require netpay\n%s</If>\n' % (GATED, PRICED),
    '<Location "/free-price/">\n %s Require netpay\n NetPayPrice free\n</Location>\n' % GATED,
    'SetEnvIfExpr "true" price=0.03\nSetEnvIfExpr "%{QUERY_STRING} =~ /cheap/" price=0.01\n'
    'SetEnvIfExpr "%{QUERY_STRING} =~ /free/" price=free\n',
    '<Location "/expr/">\n %s Require netpay\n NetPayPriceExpr "%%{reqenv:price}"\n</Location>\n' % GATED,
    '<Location "/metrics">\n SetHandler netpay-metrics\n</Location>\n',
    '<Location "/by-method/">\n %s Require netpay\n NetPayPrice 0.02 usd methods=GET\n'
    ' NetPayPrice 0.10 usd methods=POST\n</Location>\n' % GATED,
    '<Location "/by-type/">\n %s Require netpay\n NetPayPrice 0.02 usd type=text/html\n'
    ' NetPayPrice free\n</Location>\n' % GATED,
    '<Location "/members/">\n AuthType NetPay\n AuthName "{realm}"\n Require netpay\n%s'
    ' NetPayCredentialHeader Payment-Authorization\n</Location>\n' % PRICED,
    'ScriptAlias "/cgi-bin/" "{cgi}/"\n',
    '<Directory "{cgi}">\n Require all granted\n CGIPassAuth On\n</Directory>\n',
    'RewriteEngine On\nRewriteRule "^/alias/(.*)$" "/articles/$1" [PT]\nRewriteRule "^/old/(.*)$" "/articles/$1" [R]\n'
    'RewriteCond "%{LA-U:REMOTE_USER}" "!^never$"\nRewriteRule "^/look/(.*)$" "/articles/$1" [PT]\n',
    '<Directory "{docroot}/multi">\n Options +MultiViews\n</Directory>\n',
    location("/multi/"),
    location("/index-dir/"),
    '<Directory "{docroot}/free-outside">\n Options +MultiViews\n %s Require netpay\n NetPayPrice free\n'
    ' <Files "*.html">\n  NetPayPrice 0.02 usd\n </Files>\n</Directory>\n' % GATED,
    location("/stored/", more='Header set Cache-Control "public, max-age=60"\n Header add Cache-Control "no-store"'),
    '<Location "/subscribers/">\n AuthType Basic\n AuthName "{realm}"\n AuthBasicProvider file\n'
    ' AuthUserFile {users}\n <RequireAll>\n Require valid-user\n Require netpay\n </RequireAll>\n%s</Location>\n' % PRICED,
])


class Backend:
    """An ordinary httpd behind mod_proxy: echoes, failures, an upgrade."""

    def __init__(self):
        import http.server
        import threading
        seen = self.seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                seen.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
                length = int(self.headers.get("Content-Length") or 0)
                if length:
                    self.rfile.read(length)
                if self.headers.get("Upgrade"):
                    self.send_response(101)
                    self.send_header("Upgrade", self.headers["Upgrade"])
                    self.send_header("Connection", "Upgrade")
                    self.end_headers()
                    self.wfile.write(b"UPGRADED-CONTENT")
                    self.close_connection = True
                    return
                code = int(self.path.strip("/").split("?")[0] or 200) if self.path.strip("/").isdigit() else 200
                body = b"BACKEND-BODY " * 20
                if self.path.startswith("/cut"):
                    self.send_response(200)
                    self.send_header("Content-Length", "100000")
                    self.end_headers()
                    self.wfile.write(body)
                    self.close_connection = True
                    return
                if self.path.startswith("/hang-up"):
                    self.close_connection = True
                    self.connection.close()
                    return
                self.send_response(code)
                if code != 304 and code != 204:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if code not in (204, 304) and self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_POST = do_HEAD = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def pages():
    made = stacks.default_site()
    for name in ("any-ip", "any-ip-first", "any-other-ip", "any-expr", "all-ok", "all-denied", "none", "header",
                 "squeezed", "if", "free-price", "expr", "by-method", "by-type", "members", "errors", "errors-text"):
        made[name + "/a.html"] = stacks.BODY % (name, "PAID-" + name + " words" * 200)
        made[name + "/b.html"] = stacks.BODY % (name, "PAID-" + name)
    made["by-type/a.txt"] = "free text"
    made["errors/402.html"] = "<p>our own page about paying"
    made["paid-1.html"] = "PAID-FILES"
    made["unpaid-1.html"] = "free file"
    made["ssi/page.html"] = '<!--#include virtual="/articles/1.html" --> <!--#include virtual="/premium/1.html" -->'
    made["free/ssi.shtml"] = '<!--#include virtual="/articles/1.html" -->'
    made["multi/page.html.en"] = "PAID-MULTI english"
    made["multi/page.html.de"] = "PAID-MULTI deutsch"
    made["index-dir/index.html"] = "PAID-INDEX"
    made["free-outside/index.html"] = "PAID-INSIDE index"
    made["free-outside/page.html"] = "PAID-INSIDE page"
    made["free-outside/note.txt"] = "free note"
    made["stored/a.html"] = "PAID-STORED"
    made["subscribers/a.html"] = "PAID-SUBSCRIBERS"
    return made


@pytest.fixture(scope="module")
def backend():
    made = Backend()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def site(backend, tmp_path_factory):
    made = stacks.Stack(start=False, modules=["cgid", "proxy", "proxy_http", "include", "unixd", "actions",
                                              "proxy_wstunnel", "expires", "cache", "cache_disk", "auth_basic",
                                              "authn_file"], pages=pages(), directives=stacks.PATIENT)
    cgi = os.path.join(made.dir, "cgi")
    os.makedirs(cgi, mode=0o755)
    for name, text in (("env", CGI), ("nph-page", NPH)):
        with open(os.path.join(cgi, name), "w") as f:
            f.write(text)
        os.chmod(os.path.join(cgi, name), 0o755)
    vendor = made.vendor
    vendor.modules.remove("unixd")
    vendor.site.gate = GATE.replace("{backend}", str(backend.port)).replace("{cgi}", cgi).replace(
        "{docroot}", vendor.docroot).replace("{users}", os.path.join(made.dir, "users"))
    with open(os.path.join(made.dir, "users"), "w") as f:
        f.write("ann:{SHA}%s\n" % base64.b64encode(hashlib.sha1(b"pass").digest()).decode())
    vendor.head = "ScriptSock %s/cgid.sock\nAddLanguage en .en\nAddLanguage de .de\n" \
        "<IfModule mod_include.c>\n AddType text/html .shtml\n AddOutputFilter INCLUDES .shtml\n</IfModule>\n" % vendor.dir
    vendor.site.extra = '<Directory "{docroot}/free">\n Options +Includes\n</Directory>\n'
    try:
        made.run(vendor)
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def purse(site):
    return site.wallet("100.00")


@pytest.fixture
def coin(purse):
    return purse.buy(n=1000)


def get(site, path, **more):
    return client.http_request("GET", site.vendor.url(path), **more)


def session(site):
    return get(site, "/articles/1.html").challenge("session")


def expect_free(site, path, **more):
    answer = get(site, path, **more)
    assert answer.status == 200 and answer.receipt is None, answer
    return answer


def expect_paid(site, path, coin, units=20, text=None, **more):
    unpaid = get(site, path, headers=more.get("headers"))
    assert unpaid.status == 402, unpaid
    assert b"PAID" not in unpaid.body
    before = coin.spent
    answer = client.pay(site.vendor.url(path), coin, **more)
    assert answer.status == 200, answer
    assert answer.receipt["spent"] == before + units
    if text:
        assert text in answer.body
    return answer


def expect_uncharged(site, path, coin, status, **more):
    """Pays, gets that status, and finds the coin uncharged by buying a page afterwards."""
    challenge = more.pop("challenge", None) or session(site)
    answer = client.pay(site.vendor.url(path), coin, index=coin.spent + 20, challenge=challenge, **more)
    assert answer.status == status and answer.receipt is None, answer
    before = coin.spent
    paid = client.pay(site.vendor.url("/articles/30.html"), coin, index=before + 20, challenge=challenge)
    assert paid.status == 200 and paid.receipt["spent"] == before + 20, paid
    return answer


# --- authorisation ---------------------------------------------------------

@pytest.mark.parametrize("place", ["/any-ip/a.html", "/any-ip-first/a.html"])
def test_require_any_lets_an_address_in_free(site, place):
    expect_free(site, place)


def test_require_any_of_another_address_asks_for_payment(site, coin):
    expect_paid(site, "/any-other-ip/a.html", coin)


def test_require_any_expr(site, coin):
    expect_free(site, "/any-expr/a.html", headers={"X-Member": "yes"})
    expect_paid(site, "/any-expr/a.html", coin)


def test_require_all(site, coin):
    expect_paid(site, "/all-ok/a.html", coin)
    denied = get(site, "/all-denied/a.html")
    assert denied.status == 403 and not denied.challenges
    expect_uncharged(site, "/all-denied/a.html", coin, 403)


def test_require_none(site, coin):
    expect_paid(site, "/none/a.html", coin)
    answer = client.pay(site.vendor.url("/none/b.html"), coin, index=coin.spent + 20, challenge=session(site),
                        headers={"X-Bad": "yes"})
    assert answer.status in (401, 403) and answer.receipt is None and b"PAID" not in answer.body


def test_files_and_if(site, coin):
    expect_paid(site, "/paid-1.html", coin, text=b"PAID-FILES")
    expect_free(site, "/unpaid-1.html")
    expect_paid(site, "/if/a.html", coin)


def test_free_price(site):
    expect_free(site, "/free-price/a.html")


def test_price_expression(site, coin):
    expect_paid(site, "/expr/a.html?cheap", coin, units=10)
    expect_paid(site, "/expr/a.html", coin, units=30)
    expect_free(site, "/expr/a.html?free")


def test_price_by_method_and_type(site, coin):
    unpaid = client.http_request("POST", site.vendor.url("/by-method/a.html"), body="x")
    assert unpaid.status == 402 and client.terms(unpaid.challenge("session"))["amount"] == "100000"
    expect_paid(site, "/by-method/a.html", coin)
    expect_free(site, "/by-type/a.txt")
    expect_paid(site, "/by-type/a.html", coin)


def test_credential_in_its_own_field(site, coin):
    unpaid = get(site, "/members/a.html")
    assert unpaid.challenge("session")["header"] == "Payment-Authorization"
    expect_paid(site, "/members/a.html", coin)
    wrong = client.http_request("GET", site.vendor.url("/members/b.html"), {
        "Authorization": client.credential(unpaid.challenge("session"), coin, coin.spent + 20)})
    assert wrong.status == 402 and wrong.problem in ("payment-required", "invalid-challenge"), wrong


def test_remote_user_is_set(site, coin):
    expect_paid(site, "/articles/2.html", coin)
    line = stacks.wait_for(lambda: site.vendor.requests("/articles/2.html", 200), what="access log")[-1][3]
    user = line.split(" ")[0]
    assert user != "-" and coin.id not in line


@pytest.fixture(scope="module")
def reader(site):
    """Somebody whose e-wallet is at this site and pays by a click."""
    surfer = Surfer()
    surfer.sign_up(site.broker, "2.00")
    surfer.get_wallet(site.vendor.url("/articles/20.html"), automatic=None, per_day="5.00", per_page="1.00")
    assert surfer.status == 200
    return surfer


@pytest.mark.parametrize("path, units", [
    ("/any-other-ip/a.html", 20), ("/all-ok/a.html", 20), ("/none/a.html", 20), ("/paid-1.html", 20), ("/if/a.html", 20),
    ("/expr/a.html?cheap", 10), ("/by-method/a.html", 20), ("/by-type/a.html", 20), ("/members/a.html", 20), ("/subscribers/a.html", 20),
    ("/cgi-bin/env?x=wallet", 20), ("/cgi-bin/env?local", 20), ("/backend/page", 20), ("/squeezed/a.html", 20), ("/ssi/page.html", 20),
    ("/multi/page", 20), ("/index-dir/", 20), ("/free-outside/", 20), ("/alias/21.html", 20), ("/look/22.html", 20), ("/stored/a.html", 20),
])
def test_an_ewallet_of_a_browser_pays_wherever_payment_is_asked(site, backend, reader, path, units):
    more = {"Authorization": "Basic " + base64.b64encode(b"ann:pass").decode()} if "subscribers" in path else {}
    before = site.vendor.units_taken()
    reader.open(site.vendor.url(path), more)
    assert reader.status == 402 and "PAID" not in reader.body and site.vendor.units_taken() == before
    reader.press("Read for", more)
    assert reader.status == 200 and reader.url == site.vendor.url(path) and ("PAID" in reader.body or path in ("/backend/page", "/cgi-bin/env?local"))
    site.vendor.check_taken(units, before)
    # Again it is free, and nobody behind the gate gets to see by what she reads.
    reader.open(site.vendor.url(path), more)
    assert reader.status == 200 and site.vendor.units_taken() == before + units
    assert not re.search("__Host-netpay-(wallet|order|login)", reader.body + str(backend.seen))


def test_who_is_denied_orders_nothing(site, reader):
    before = site.vendor.units_taken()
    for path in ("/all-denied/a.html", "/subscribers/a.html"):
        reader.open(site.vendor.url(path))
        assert reader.status in (401, 402, 403) and "PAID" not in reader.body
    assert reader.open(site.vendor.url("/none/b.html"), {"X-Bad": "yes"}).status in (401, 402, 403)
    if reader.status == 402:
        assert reader.press("Read for", {"X-Bad": "yes"}).status in (401, 403)
    assert site.vendor.units_taken() == before and "PAID" not in reader.body


# --- handlers --------------------------------------------------------------

def test_cgi(site, coin):
    answer = expect_paid(site, "/cgi-bin/env?x=1", coin, text=b"CGI-PAID")
    text = answer.body.decode()
    assert "NETPAY_COIN=" + coin.id[:8] in text and coin.id not in text
    assert "NETPAY_PAID=" in text
    for leak in ("Authorization", "HTTP_AUTHORIZATION", "Payment ey", "HTTP_PAYMENT", coin.chain.word(20)):
        assert leak not in text
    assert "REMOTE_USER=" in text


@pytest.mark.parametrize("query, status", [("fail", 500), ("teapot", 418), ("crash", 500)])
def test_cgi_failure_costs_nothing(site, coin, query, status):
    expect_uncharged(site, "/cgi-bin/env?" + query, coin, status)


def test_cgi_204_is_charged(site, coin):
    answer = client.pay(site.vendor.url("/cgi-bin/env?204"), coin)
    assert answer.status == 204 and answer.receipt["spent"] == 20


def test_internal_redirect_is_charged_once_or_not_at_all(site, coin):
    """A CGI that redirects to a free page: the page comes from a paid request, charged at most once."""
    taken = site.vendor.units_taken()
    answer = client.pay(site.vendor.url("/cgi-bin/env?local"), coin)
    assert answer.status == 200 and b"free page" in answer.body
    units = 0 if answer.receipt is None else 20
    site.vendor.check_taken(units, taken)


def test_nph_script_does_not_pass_uncharged(site, coin):
    assert get(site, "/cgi-bin/nph-page").status == 402
    answer = client.pay(site.vendor.url("/cgi-bin/nph-page"), coin)
    if b"NPH-PAID" in answer.body:
        assert answer.receipt and answer.receipt["spent"] == 20
    else:
        assert answer.status >= 400


def test_proxy(site, coin, backend):
    expect_paid(site, "/backend/200", coin, text=b"BACKEND-BODY")
    method, path, headers = backend.seen[-1]
    assert "authorization" not in headers and "payment-authorization" not in headers
    assert coin.chain.word(20) not in str(headers)


@pytest.mark.parametrize("path, status", [("404", 404), ("500", 500), ("503", 503), ("304", 304), ("403", 403)])
def test_proxy_failure_costs_nothing(site, coin, path, status):
    expect_uncharged(site, "/backend/" + path, coin, status)


def test_proxy_that_hangs_up_costs_nothing(site, coin):
    answer = client.pay(site.vendor.url("/backend/hang-up"), coin, index=20, challenge=session(site))
    assert answer.status in (502, 503) and answer.receipt is None
    assert client.pay(site.vendor.url("/articles/30.html"), coin).receipt["spent"] == 20


def test_post_to_a_back_end(site, coin):
    url = site.vendor.url("/backend/200")
    answer = client.pay(url, coin, method="POST", body="a=1")
    assert answer.status == 200 and answer.receipt["spent"] == 20
    challenge = session(site)
    again = client.pay(url, coin, index=20, challenge=challenge, method="POST", body="a=1")
    assert again.status == 402 and again.json()["reason"] == "already-spent"  # replays are for GET


def test_upgrade_is_closed(site, coin, backend):
    field = client.credential(session(site), coin, 20)
    with socket.create_connection(("127.0.0.1", site.vendor.port), timeout=10) as link:
        link.sendall(("GET /socket/200 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                      "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
                      "Authorization: %s\r\n\r\n" % (site.vendor.port, field)).encode())
        link.settimeout(5)
        got = b""
        try:
            while len(got) < 200000:
                part = link.recv(65536)
                if not part:
                    break
                got += part
        except socket.timeout:
            pass
    assert not got.startswith(b"HTTP/1.1 101"), got[:200]
    assert b"UPGRADED-CONTENT" not in got
    if got.startswith(b"HTTP/1.1 200"):
        assert b"payment-receipt" in got.lower()


# --- redirects and subrequests --------------------------------------------

def test_rewrite_into_the_gate(site, coin):
    expect_paid(site, "/alias/3.html", coin, text=b"PAID-ARTICLE-3 ")
    moved = get(site, "/old/3.html")
    assert moved.status == 302
    expect_paid(site, "/look/4.html", coin, text=b"PAID-ARTICLE-4 ")


def test_directory_index(site, coin):
    expect_paid(site, "/index-dir/", coin, text=b"PAID-INDEX")


def test_multiviews(site, coin):
    expect_paid(site, "/multi/page.html", coin, text=b"english", headers={"Accept-Language": "en"})
    expect_paid(site, "/multi/page", coin, text=b"deutsch", headers={"Accept-Language": "de"})


@pytest.mark.parametrize("name", ["", "page", "page.html", "index.html"])
def test_a_free_gate_outside_lets_nobody_into_what_is_sold_inside(site, coin, name):
    expect_paid(site, "/free-outside/" + name, coin, text=b"PAID-INSIDE")
    expect_free(site, "/free-outside/note")


def test_with_another_authentication(site, coin):
    """Ordinary authentication and a payment, both required."""
    url = site.vendor.url("/subscribers/a.html")
    ann = ("Authorization", "Basic " + base64.b64encode(b"ann:pass").decode())
    bob = ("Authorization", "Basic " + base64.b64encode(b"bob:pass").decode())
    unpaid = client.http_request("GET", url, [ann])
    assert unpaid.status == 402 and unpaid.challenge("session")["header"] == "Payment-Authorization"
    challenge = unpaid.challenge("session")
    wrong = client.pay(url, coin, index=20, challenge=challenge, headers=[bob])
    assert wrong.status == 401 and wrong.receipt is None and b"PAID" not in wrong.body
    right = client.pay(url, coin, index=20, challenge=challenge, headers=[ann])
    assert right.status == 200 and right.receipt["spent"] == 20 and b"PAID-SUBSCRIBERS" in right.body


def test_ssi(site, coin):
    taken = site.vendor.units_taken()
    answer = client.pay(site.vendor.url("/ssi/page.html"), coin)
    assert answer.status == 200 and answer.receipt["spent"] == 20
    site.vendor.check_taken(20, taken)  # subrequests are never charged
    free = get(site, "/free/ssi.shtml")
    assert free.status == 200 and b"PAID-ARTICLE" not in free.body


def test_error_documents(site, coin):
    answer = get(site, "/errors/a.html")
    assert answer.status == 402 and b"our own page" in answer.body
    assert len(answer.challenges) == 2 and "no-store" in answer.get("Cache-Control")
    answer = get(site, "/errors-text/a.html")
    assert answer.status == 402 and b"Pay, please." in answer.body and len(answer.challenges) == 2
    expect_paid(site, "/errors/a.html", coin)
    expect_uncharged(site, "/errors/none.html", coin, 404)


# --- filters ---------------------------------------------------------------

def test_headers(site, coin):
    unpaid = get(site, "/header/a.html")
    assert unpaid.get("X-Always") == "yes" and unpaid.get("Cache-Control") == "no-store"
    answer = expect_paid(site, "/header/a.html", coin)
    assert answer.get("X-Served") == "yes"


def test_what_the_page_says_of_caching_is_only_made_stricter(site, coin):
    answer = expect_paid(site, "/stored/a.html", coin)
    assert answer.all("Cache-Control") == ["private, no-cache, no-store"]


def test_deflate(site, coin):
    answer = expect_paid(site, "/squeezed/a.html", coin, headers={"Accept-Encoding": "gzip"})
    assert answer.get("Content-Encoding") == "gzip"


def test_keep_alive_and_pipeline(site, coin):
    """Several paid pages over one connection."""
    import http.client as raw
    challenge = session(site)
    link = raw.HTTPConnection("127.0.0.1", site.vendor.port, timeout=20)
    for page in range(1, 6):
        answer = client.exchange(link, "GET", "/articles/%d.html" % page, {
            "Authorization": client.credential(challenge, coin, 20 * page, touchstone=page == 1)})
        assert answer.status == 200 and answer.receipt["spent"] == 20 * page
    link.close()


# --- TLS and HTTP/2 --------------------------------------------------------

def test_https(make_vendor):
    vendor = make_vendor(tls=True)
    wallet = client.Wallet(vendor.broker.issuer)
    wallet.topup(vendor.broker.mint("1.00"))
    coin = wallet.buy(n=100)
    assert vendor.origin.startswith("https://")
    answer = client.pay(vendor.url("/articles/1.html"), coin)
    assert answer.status == 200 and answer.receipt["spent"] == 20


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_http2(make_vendor):
    vendor = make_vendor(tls=True, modules=["http2"], extra="Protocols h2 http/1.1")
    wallet = client.Wallet(vendor.broker.issuer)
    wallet.topup(vendor.broker.mint("1.00"))
    coin = wallet.buy(n=100)

    def curl(*args):
        done = subprocess.run(["curl", "-sk", "--http2", "-D", "-", *args], stdout=subprocess.PIPE, check=True,
                              timeout=30)
        head, body = done.stdout.replace(b"\r\n", b"\n").split(b"\n\n", 1)
        lines = head.decode().split("\n")
        return lines[0], [tuple(line.split(": ", 1)) for line in lines[1:]], body

    status, headers, _ = curl(vendor.url("/articles/1.html"))
    assert status.startswith("HTTP/2 402")
    unpaid = client.Response(402, headers, b"{}")
    field = client.credential(unpaid.challenge("session"), coin, 20)
    status, headers, body = curl("-H", "Authorization: " + field, vendor.url("/articles/1.html"))
    assert status.startswith("HTTP/2 200") and b"PAID-ARTICLE-1 " in body
    assert client.Response(200, headers, body).receipt["spent"] == 20


@pytest.mark.parametrize("head, path", [
    ("LoadModule remoteip_module %s/mod_remoteip.so\nRemoteIPHeader X-Forwarded-For\n"
     "RemoteIPInternalProxy 127.0.0.1", "/articles/1.html")])
def test_plain_http_behind_a_trusted_proxy_is_refused(make_vendor, head, path):
    vendor = make_vendor(head=head % stacks.modules_dir())
    answer = client.http_request("GET", vendor.url(path), {"X-Forwarded-For": "192.0.2.7"})
    assert answer.status == 403 and not answer.challenges, answer
    assert "problem+json" in answer.get("Content-Type") and "TLS" in answer.json()["detail"].upper()
    assert client.http_request("GET", vendor.url("/index.html")).status == 200


def test_tls_check_can_be_turned_off(make_vendor):
    vendor = make_vendor(head="LoadModule remoteip_module %s/mod_remoteip.so\nRemoteIPHeader X-Forwarded-For\n"
                         "RemoteIPInternalProxy 127.0.0.1" % stacks.modules_dir(),
                         extra='<Location "/articles/">\n NetPayRequireTLS off\n</Location>')
    answer = client.http_request("GET", vendor.url("/articles/1.html"), {"X-Forwarded-For": "192.0.2.7"})
    assert answer.status == 402


def test_cache_does_not_serve_paid_pages_to_others(make_vendor):
    vendor = make_vendor(start=False, modules=["cache", "cache_disk"])
    vendor.site.extra = 'CacheQuickHandler off\nCacheEnable disk "/"\nCacheRoot "%s/cache"\n' \
        'CacheIgnoreNoLastMod On\nCacheDefaultExpire 600\n' % vendor.dir
    os.makedirs(os.path.join(vendor.dir, "cache"))
    os.chmod(os.path.join(vendor.dir, "cache"), 0o777)
    vendor.start()
    wallet = client.Wallet(vendor.broker.issuer)
    wallet.topup(vendor.broker.mint("1.00"))
    coin = wallet.buy(n=100)
    assert client.pay(vendor.url("/articles/1.html"), coin).status == 200
    answer = client.http_request("GET", vendor.url("/articles/1.html"))
    assert answer.status == 402 and b"PAID-ARTICLE" not in answer.body
