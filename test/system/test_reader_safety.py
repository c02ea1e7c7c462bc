"""Nothing is spent that no reader asked for, and nothing paid is read by who did not pay: prefetches, previews
and crawlers; frames; clicks that were none, and where clicks lead; shared caches; and what configtest warns of."""

import concurrent.futures
import os
import re
import shutil
import socket
import subprocess
import types
import urllib.parse

import pytest

import client
import stack as stacks
from surfer import Surfer

BROWSER = {"Accept": "text/html,*/*;q=0.8"}
AHEAD = [("Sec-Purpose", "prefetch"), ("Sec-Purpose", "prefetch;prerender"), ("Sec-Purpose", "prefetch;anonymous-client-ip"),
         ("Purpose", "prefetch"), ("Purpose", "preview"), ("X-Purpose", "preview"), ("X-Moz", "prefetch")]
ROBOTS = ["Googlebot/2.1 (+http://www.google.com/bot.html)", "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
          "facebookexternalhit/1.1", "Twitterbot/1.0", "WhatsApp/2.23"]
MEMBERS = """<Location "/members/">
 AuthType NetPay
 AuthName "news"
 <RequireAny>
  Require expr %{HTTP_COOKIE} =~ /member=yes/
  Require netpay
 </RequireAny>
 NetPayPrice 0.02 usd
</Location>
"""


FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CGI = """#!/bin/sh
printf 'Content-Type: text/plain\\n\\n'
if [ "$QUERY_STRING" = cookie ]; then printf '%s' "[$HTTP_COOKIE]"; else cat; fi
"""
# All is sold, and the logs show whatever they can.
GATE = """<Location "/">
 AuthType NetPay
 AuthName "news"
 Require netpay
 NetPayPrice 0.02 usd
</Location>
<Location "/cgi/">
 NetPayPrice 0.02 usd
 NetPayPrice free methods=POST
</Location>
<Location "/index.html">
 NetPayPrice free
</Location>
ScriptAlias "/cgi/" "%(cgi)s/"
<Directory "%(cgi)s">
 Options +ExecCGI
</Directory>
LogFormat "%%r %%q %%{Cookie}i %%{Referer}i %%{Set-Cookie}i" nosy
CustomLog "%(dir)s/nosy.log" nosy
"""


@pytest.fixture(scope="module")
def site():
    with stacks.Stack(start=False, modules=["cgid", "log_forensic"], directives=stacks.PATIENT) as made:
        vendor = made.vendor
        cgi = os.path.join(made.dir, "cgi")
        os.makedirs(cgi)
        with open(os.path.join(cgi, "echo"), "w") as f:
            f.write(CGI)
        os.chmod(os.path.join(cgi, "echo"), 0o755)
        vendor.head = "ScriptSock %s/cgid.sock\nForensicLog %s/forensic.log\n" % (made.dir, made.dir)
        vendor.site.gate = GATE % {"cgi": cgi, "dir": made.dir}
        vendor.site.directives["NetPayGiveBack"] = "60 2"
        made.nosy = [os.path.join(made.dir, name) for name in ("nosy.log", "forensic.log")]
        made.run(vendor)
        yield made


@pytest.fixture(scope="module")
def reader(site):
    """Somebody whose e-wallet pays nothing unasked."""
    surfer = Surfer()
    surfer.sign_up(site.broker, "5.00")
    surfer.get_wallet(site.vendor.url("/articles/30.html"), automatic=None, per_day="5.00")
    assert surfer.status == 200 and "PAID-ARTICLE-30 " in surfer.body
    return surfer


def charged(site, path=None):
    return [p for p in site.vendor.payments() if p["charged"] and path in (None, p["uri"])]


def sold(site, path, times):
    """Lines are written after the answers."""
    return stacks.wait_for(lambda: len(charged(site, path)) == times, what="%s sold %d times" % (path, times))


@pytest.fixture(scope="module")
def coin(site):
    return site.coin(n=1000)


def get(site, path, headers=BROWSER, method="GET"):
    return client.http_request(method, site.vendor.url(path), headers)


@pytest.mark.parametrize("name, value", AHEAD)
def test_what_is_fetched_ahead_never_spends(site, coin, name, value):
    """Not even with a good credential, which is still good for the reader's own click."""
    url = site.vendor.url("/articles/1.html?%s-%s" % (name, AHEAD.index((name, value))))
    challenge = client.http_request("GET", url).challenge("session")
    index = coin.spent + 20
    for way in ("GET", "POST"):
        early = client.pay(url, coin, index=index, challenge=challenge, method=way, headers={name: value})
        assert early.status == 402 and early.problem == "payment-required" and len(early.challenges) == 2
        assert b"PAID" not in early.body and early.receipt is None and early.get("Cache-Control") == "no-store"
    answer = client.pay(url, coin, index=index, challenge=challenge)
    assert answer.status == 200 and answer.receipt["spent"] == index


def test_paid_page_is_not_replayed_to_a_prefetch(site, coin):
    url = site.vendor.url("/articles/2.html")
    challenge = client.http_request("GET", url).challenge("session")
    index = coin.spent + 20
    assert client.pay(url, coin, index=index, challenge=challenge).status == 200
    assert client.pay(url, coin, index=index, challenge=challenge, headers={"Sec-Purpose": "prefetch"}).status == 402
    assert client.pay(url, coin, index=index, challenge=challenge).status == 200


def test_free_pages_may_be_fetched_ahead(site):
    assert get(site, "/index.html", {"Sec-Purpose": "prefetch"}).status == 200


def test_head_never_spends(site, coin):
    url = site.vendor.url("/articles/3.html")
    challenge = client.http_request("GET", url).challenge("session")
    answer = client.pay(url, coin, index=coin.spent + 20, challenge=challenge, method="HEAD", headers=BROWSER)
    assert answer.status == 402 and answer.body == b"" and answer.receipt is None
    paid = client.pay(url, coin, challenge=challenge)
    assert paid.status == 200 and paid.receipt["spent"] == coin.spent


@pytest.mark.parametrize("agent", ROBOTS)
def test_robots_and_previews_see_the_paywall(site, agent):
    for accept in ("*/*", BROWSER["Accept"]):
        answer = get(site, "/articles/4.html", {"User-Agent": agent, "Accept": accept})
        assert answer.status == 402 and b"PAID" not in answer.body
    assert b'<meta name="robots" content="noindex">' in answer.body


@pytest.mark.parametrize("path, status", [("/articles/5.html", 402), ("/priceless/x", 503)])
def test_pages_cannot_be_framed(make_vendor, path, status):
    vendor = make_vendor(extra='<Location "/priceless/">\n AuthType NetPay\n AuthName n\n Require netpay\n'
                               ' NetPayPriceExpr nonsense\n</Location>')
    answer = client.http_request("GET", vendor.url(path), BROWSER)
    assert answer.status == status
    assert answer.all("X-Frame-Options") == ["DENY"] and "frame-ancestors 'none'" in answer.get("Content-Security-Policy")
    assert "base-uri 'none'" in answer.get("Content-Security-Policy") and "form-action 'self'" in answer.get("Content-Security-Policy")
    assert answer.all("Referrer-Policy") == ["same-origin"] and answer.get("Cache-Control") == "no-store"


# --- the reader's click ---------------------------------------------------

def sent(reader, site, path, values, **headers):
    """The paywall's form as somebody sends it; a header of None is left out."""
    fields = dict(FORM, Origin=site.vendor.origin)
    fields.update({k.replace("_", "-"): v for k, v in headers.items()})
    return reader.fetch("POST", site.vendor.url(path), fields, urllib.parse.urlencode(values))


def orders(answer):
    return [c for c in answer.all("Set-Cookie") if "-order-" in c or "-login-" in c]


@pytest.mark.parametrize("headers", [
    {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": None}, {"Origin": "http://127.0.0.1"},
    {"Origin": "https://evil.example", "Sec_Fetch_Site": "same-origin"},
    {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"}, {"Sec_Fetch_Site": "none"},
])
def test_forms_of_other_sites_order_nothing(site, reader, headers):
    page = "/articles/6.html"
    reader.open(site.vendor.url(page))
    for values in (reader.values("Read for"), dict(reader.values("Read for"), netpay="wallet", broker=site.broker.issuer)):
        answer = sent(reader, site, page, values, **headers)
        assert answer.status == 402 and not orders(answer) and not answer.get("Location")
        assert b'role="status"' in answer.body and b"othing was charged" in answer.body
    assert reader.open(site.vendor.url(page)).status == 402 and not charged(site, page)


def test_other_names_of_the_site_are_told_so(site, reader):
    page = "/articles/6.html"
    reader.open(site.vendor.url(page))
    alias = {"Origin": "http://alias.example", "Host": "alias.example", "Sec_Fetch_Site": "same-origin"}
    answer = sent(reader, site, page, reader.values("Read for"), **alias)
    assert answer.status == 402 and not orders(answer) and b"own address only" in answer.body
    # A site that has its browsers keep the sender to themselves still sells.
    answer = sent(reader, site, page, reader.values("Read for"), Origin="null", Sec_Fetch_Site="same-origin")
    assert answer.status == 303 and len(orders(answer)) == 1


def test_tokens_are_for_one_page_one_wallet_one_price(site, reader):
    page, other = "/articles/7.html", "/articles/8.html"
    reader.open(site.vendor.url(other))
    foreign = reader.values("Read for")
    stranger = Surfer()
    stranger.open(site.vendor.url(page))
    strangers = dict(stranger.values("Pay "), netpay="pay")
    reader.open(site.vendor.url(page))
    good = reader.values("Read for")
    token = good["token"]
    end, amount, currency, mac = token.split(".")
    bad = [foreign["token"], strangers["token"], "", ".", "...", token + "x", token[:-1], token + "." + token, "0" + token,
           ".".join([str(int(end) + 1), amount, currency, mac]), ".".join([end, "1", currency, mac]),
           ".".join([end, amount, "ueur", mac]), ".".join([end, amount, currency, ""]), ".".join([end, amount, currency, "A" * 43]),
           ".".join(["9" * 30, amount, currency, mac]), ".".join(["-1", amount, currency, mac]),
           "é" + token, token.swapcase(), token + "\0", "\r\nSet-Cookie: a=b"]
    bad += [token[:i] + ("A" if token[i] != "A" else "B") + token[i + 1:] for i in range(len(token) - 43, len(token) - 1, 5)]
    for wrong in bad:
        answer = sent(reader, site, page, dict(good, token=wrong))
        assert answer.status == 402 and not orders(answer), wrong
    for wrong in ({"netpay": "buy"}, {"netpay": ""}, {"netpay": "wallet", "broker": "https://evil.example"}, {"netpay": "wallet"},
                  {"netpay": "cookie", "broker": site.broker.issuer}):
        answer = sent(reader, site, page, dict(good, **wrong))
        assert answer.status == 402 and not orders(answer), wrong
    assert not charged(site, page)
    # The page that comes instead has a button that works, and an order is good for its page alone.
    answer = sent(reader, site, page, good)
    assert answer.status == 303 and answer.get("Location") == site.vendor.url(page) and len(orders(answer)) == 1
    assert reader.open(site.vendor.url(other)).status == 402
    for _ in range(2):
        assert reader.open(site.vendor.url(page)).status == 200 and sold(site, page, 1)


def test_what_is_ordered_is_paid_by_the_reader_alone(site, reader):
    """Between her click and her page nothing else takes the order: no frame, picture, script, prefetch or HEAD."""
    page = "/articles/9.html"
    reader.open(site.vendor.url(page))
    assert sent(reader, site, page, reader.values("Read for")).status == 303
    url, typed = site.vendor.url(page), {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    for change in ({"Sec-Fetch-Dest": "iframe"}, {"Sec-Fetch-Dest": "image", "Sec-Fetch-Mode": "no-cors"},
                   {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors"}, {"Sec-Purpose": "prefetch"}, {"Purpose": "preview"}):
        assert reader.fetch("GET", url, dict(typed, **change)).status == 402, change
    assert reader.fetch("HEAD", url, typed).status == 402 and not charged(site, page)
    assert reader.fetch("GET", url, dict(typed, **{"Sec-Fetch-Site": "cross-site"})).status == 200
    assert sold(site, page, 1)


def test_ten_clicks_at_once_pay_each_page_once(site, reader):
    pages = ["/articles/%d.html" % i for i in range(11, 21)]
    forms = []
    for page in pages:
        reader.open(site.vendor.url(page))
        forms.append((page, reader.values("Read for")))

    def click(job):
        page, values = job
        tab = reader.copy()
        assert sent(tab, site, page, values).status == 303
        return tab.open(site.vendor.url(page)).status

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        assert set(pool.map(click, forms + forms)) == {200}
    assert all(sold(site, page, 1) for page in pages)


REDIRECTS = ["//evil.example/", "//evil.example/articles/1.html", "///evil.example", "////evil.example/%2e%2e", "/\\evil.example",
             "/\\/evil.example", "\\\\evil.example", "/\t/evil.example", "/%09/evil.example", "/%5cevil.example", "/%5Cevil.example/%2f..",
             "/%2f%2fevil.example", "/%2Fevil.example", "//evil.example@127.0.0.1/", "//user:pass@evil.example/", "/.//evil.example",
             "/..//evil.example", "/x/..//evil.example", "//evil%E3%80%82example", "//evil.example:80/", "/%0d%0aLocation:%20https://evil.example",
             "/%0aSet-Cookie:x=y", "/%0d%0a%0d%0a<script>", "/x?%0d%0aLocation:https://evil.example", "/x?next=//evil.example",
             "/x?next=https://evil.example/#", "https://evil.example/articles/1.html", "http://evil.example//x", "https:evil.example",
             "https:/evil.example", "https:///evil.example", "javascript:alert(1)", "/javascript:alert(1)", "data:text/html,x",
             "/;//evil.example", "//[::1]/", "//evil.example/?", "//%65vil.example/", "/@evil.example", "@evil.example", "/ /evil.example",
             "/<script>", "/\"onclick=x", "//", "/\x01/evil.example", "/é//evil.example"]


def raw(site, method, target, headers, body=b""):
    """A request whose target goes out byte for byte; (status, header fields, body)."""
    lines = ["%s: %s" % h for h in headers] + ["Host: 127.0.0.1:%d" % site.vendor.site.port, "Connection: close"]
    if method == "POST":
        lines.append("Content-Length: %d" % len(body))
    with socket.create_connection(("127.0.0.1", site.vendor.site.port), timeout=20) as s:
        s.sendall(("%s %s HTTP/1.1\r\n%s\r\n\r\n" % (method, target, "\r\n".join(lines))).encode("utf-8") + body)
        text = b""
        while piece := s.recv(65536):
            text += piece
    head, _, rest = text.partition(b"\r\n\r\n")
    first, *fields = head.decode("latin-1").split("\r\n")
    return int(first.split()[1]), [tuple(f.split(": ", 1)) for f in fields], rest.decode("utf-8", "replace")


@pytest.mark.parametrize("target", REDIRECTS)
def test_clicks_lead_nowhere_else(site, reader, target):
    """Back to the page's own address at this origin, or to the broker's question, whatever the request-target says."""
    cookie = [("Cookie", "; ".join("%s=%s" % c for c in reader.jar(site.vendor.origin).items()))]
    for cookies, wanted in ((cookie, site.vendor.origin + "/"), ([], site.broker.issuer + "/authorize?")):
        status, _, page = raw(site, "GET", target, cookies + [("Accept", "text/html")])
        token = re.search(r'name="token" value="([^"]*)"', page)
        assert status in (400, 402, 403, 404) and bool(token) == (status == 402), (status, page)
        if not token:
            continue
        values = {"netpay": "pay" if cookies else "wallet", "broker": site.broker.issuer, "token": token.group(1)}
        fields = cookies + [("Origin", site.vendor.origin)] + list(FORM.items())
        status, fields, _ = raw(site, "POST", target, fields, urllib.parse.urlencode(values).encode())
        there = [v for k, v in fields if k.lower() == "location"]
        assert status == 303 and len(there) == 1 and there[0].startswith(wanted), (status, fields)
        assert re.fullmatch(r"[!-;=?-\[\]^-~]+", there[0]) and not there[0].startswith(site.vendor.origin + "//")
        assert all(v.startswith("__Host-netpay-") for k, v in fields if k.lower() == "set-cookie")


def test_sign_in_leads_back_to_the_page_alone(site):
    """The way back is sealed in her browser; the query of the callback cannot change it."""
    newcomer = Surfer()
    newcomer.sign_up(site.broker, "1.00")
    newcomer.open(site.vendor.url("/articles/21.html"))
    newcomer.press("Pay ")
    agreed = newcomer.fetch("POST", newcomer.url, dict(FORM, Origin=site.broker.issuer),
                            urllib.parse.urlencode(newcomer.values("Confirm and read")))
    callback = agreed.get("Location")
    for more in ("&target=//evil.example", "&next=https://evil.example", "&redirect_uri=https://evil.example"):
        assert newcomer.copy().fetch("HEAD", callback + more).status == 503
        stranger = Surfer().fetch("GET", callback + more)
        assert stranger.get("Location") in (None, site.vendor.url("/.well-known/netpay/wallet?late=1")) and not orders(stranger)
    ahead = newcomer.fetch("GET", callback, {"Sec-Purpose": "prefetch"})
    assert ahead.status == 503 and not ahead.get("Set-Cookie")
    answer = newcomer.fetch("GET", callback)
    assert answer.status == 303 and answer.get("Location") == site.vendor.url("/articles/21.html")
    code = urllib.parse.parse_qs(urllib.parse.urlsplit(callback).query)["code"][0]
    for name in site.nosy + [site.vendor.error_log, site.vendor.access_log, site.vendor.payment_log]:
        assert code not in open(name, errors="replace").read(), name


BODIES = [b"a", b"a=1&b=2", b"netpay=pay", b"netpay=pay&tok", b"token=x&a=netpay", b"netpay=1&netpay=2&token=x", b"netpay=%zz&token=x",
          bytes(range(256)), b"x" * 2047, b"y" * 2048, b"z" * 2049, b"netpay=" + b"q" * 5000, b"big=" + b"w" * 300000]


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("body", BODIES, ids=lambda b: "%d" % len(b))
def test_the_sites_own_forms_arrive_whole(site, reader, body, chunked):
    headers = dict(FORM, Origin=site.vendor.origin)
    for who in (reader, Surfer()):
        more = dict(headers, **{"Transfer-Encoding": "chunked"}) if chunked else headers
        what = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body
        answer = who.fetch("POST", site.vendor.url("/cgi/echo"), more, what)
        assert answer.status == 200 and answer.body == body, (answer.status, len(answer.body))


SOLD = '<Location "%s">\n AuthType NetPay\n AuthName "n"\n Require netpay\n NetPayPrice 0.02 usd\n%s</Location>\n'
REWRITTEN = (SOLD % ("/news/", "") + SOLD % ("/gated/", " NetPayPrice free methods=POST\n") + SOLD % ("/sold-cgi/", " NetPayPrice free methods=POST\n")
             + 'ScriptAlias "/sold-cgi/" "{cgi}/"\nScriptAlias "/free-cgi/" "{cgi}/"\n<Directory "{cgi}">\n Options +ExecCGI\n Require all granted\n</Directory>\n'
             'ErrorDocument 404 /news/1.html\n'
             + "".join('<Directory "{docroot}/%s">\n RewriteEngine on\n RewriteRule ^(.*)$ %s/$1 [L]\n</Directory>\n' % place for place in
                       (("pretty", "/news"), ("gated", "/free-cgi"), ("to-sold", "/sold-cgi"), ("to-free", "/free-cgi"), ("twice", "/pretty"))))


@pytest.fixture(scope="module")
def rewritten(site):
    """Places that lead on within httpd by a rule of their directory, some of them to what is sold."""
    vendor = stacks.Vendor(os.path.join(site.dir, "rewritten"), broker=site.broker, modules=["cgid"], host="127.0.0.4",
                           directives=stacks.PATIENT)
    vendor.head = "ScriptSock %s/cgid.sock\n" % vendor.dir
    vendor.site.gate = REWRITTEN.replace("{cgi}", os.path.join(site.dir, "cgi")).replace("{docroot}", vendor.site.docroot)
    for number in range(1, 8):
        vendor.site.pages["news/%d.html" % number] = "<title>N</title><p>PAID-NEWS-%d" % number
    for place in ("pretty", "gated", "to-sold", "to-free", "twice"):
        vendor.site.pages[place + "/keep"] = ""
    vendor.start()
    yield types.SimpleNamespace(vendor=vendor, broker=site.broker)
    vendor.stop()


@pytest.fixture(scope="module")
def guest(rewritten):
    surfer = Surfer()
    surfer.sign_up(rewritten.broker, "5.00")
    surfer.get_wallet(rewritten.vendor.url("/pretty/1.html"), automatic=None, per_day="5.00")  # as newcomers do
    assert surfer.status == 200 and "PAID-NEWS-1" in surfer.body and surfer.url == rewritten.vendor.url("/pretty/1.html")
    return surfer


@pytest.mark.parametrize("page, number", [("/pretty/2.html", 2), ("/twice/3.html?x=//evil.example", 3), ("/news/4.html", 4)])
def test_pages_reached_by_rewriting_are_read_by_a_click(rewritten, guest, page, number):
    assert guest.open(rewritten.vendor.url(page)).status == 402
    values = guest.values("Read for")
    # What was no order is answered by the paywall, with buttons that work.
    for wrong in (dict(values, token=values["token"][:-1]), dict(values, netpay="buy")):
        answer = sent(guest, rewritten, page, wrong)
        assert answer.status == 402 and not orders(answer) and b"Please try again" in answer.body and b'name="token"' in answer.body
    for headers in ({"Origin": "https://evil.example"}, {"Origin": None}, {"Sec_Fetch_Site": "cross-site"}):
        assert sent(guest, rewritten, page, values, **headers).status == 402
    assert guest.press("Read for").status == 200 and "PAID-NEWS-%d" % number in guest.body and guest.url == rewritten.vendor.url(page)
    stacks.wait_for(lambda: [p["units"] for p in charged(rewritten, page)] == [20], what="sold once")
    assert guest.open(rewritten.vendor.url(page)).status == 200


def test_tokens_hold_for_the_address_that_was_asked_for(rewritten, guest):
    """The same page by another address is another."""
    guest.open(rewritten.vendor.url("/pretty/5.html"))
    values = guest.values("Read for")
    for page in ("/news/5.html", "/twice/5.html", "/pretty/6.html", "/to-sold/echo"):
        answer = sent(guest, rewritten, page, values)
        assert answer.status == 402 and not orders(answer) and not answer.get("Location"), page


def test_errors_take_no_orders(rewritten, guest):
    guest.open(rewritten.vendor.url("/news/1.html"))
    for page in ("/none", "/to-free/none"):
        answer = sent(guest, rewritten, page, guest.values("Read for" if "Read for" in guest.body else "Pay "))
        assert answer.status == 404 and not orders(answer) and not answer.get("Location")


@pytest.mark.parametrize("body", BODIES, ids=lambda b: "%d" % len(b))
@pytest.mark.parametrize("place", ["gated", "to-sold", "to-free"])
def test_the_sites_own_forms_arrive_whole_by_rewriting(rewritten, guest, place, body):
    for who in (guest, Surfer()):
        answer = who.fetch("POST", rewritten.vendor.url("/%s/echo" % place), dict(FORM, Origin=rewritten.vendor.origin), body)
        assert answer.status == 200 and answer.body == body, (answer.status, len(answer.body))


def test_free_places_that_lead_to_free_ones_read_no_forms(rewritten, guest):
    guest.open(rewritten.vendor.url("/news/6.html"))
    body = urllib.parse.urlencode(guest.values("Read for")).encode()
    answer = guest.fetch("POST", rewritten.vendor.url("/to-free/echo"), dict(FORM, Origin=rewritten.vendor.origin), body)
    assert answer.status == 200 and answer.body == body
    # Where the gate is, the paywall's form reaches no handler.
    for place in ("gated", "to-sold"):
        answer = guest.fetch("POST", rewritten.vendor.url("/%s/echo" % place), dict(FORM, Origin=rewritten.vendor.origin), body)
        assert answer.status in (303, 402) and not orders(answer) and b"token=" not in answer.body


def test_programs_do_not_get_the_wallets_cookies(site, reader):
    page = "/cgi/echo?cookie"
    reader.jar(site.vendor.origin)["site"] = "its own"
    reader.open(site.vendor.url(page))
    answer = reader.press("Read for")
    reader.jar(site.vendor.origin).pop("site")
    assert answer.status == 200
    theirs = answer.body.strip("[]").split("; ")
    assert "site=its own" in theirs and not [c for c in theirs if re.match("__Host-netpay-(wallet|order|login)", c)]
    _, value = reader.wallet(site.vendor.site)
    for name in site.nosy:
        text = open(name, errors="replace").read()
        assert value not in text and "__Host-netpay-order" not in text, name


def test_pages_bought_by_mistake_are_given_back(site):
    page, wallet = ["/articles/%d.html" % i for i in (22, 23, 24, 25)], site.vendor.url("/.well-known/netpay/wallet")
    reader = Surfer()
    reader.sign_up(site.broker, "1.00")
    reader.get_wallet(site.vendor.url(page[0]))
    for p in page[1:]:
        assert reader.follow(site.vendor.url(p)).status == 200
    reader.open(wallet)
    assert "92 ¢" in reader.page.text
    values, there = reader.values("Give back " + page[0]), wallet + "/give-back"
    for headers in ({"Origin": "https://evil.example"}, {"Origin": None}, {"Origin": site.vendor.origin, "Sec-Fetch-Site": "cross-site"}):
        assert reader.fetch("POST", there, dict(FORM, **headers), urllib.parse.urlencode(values)).status == 403
    for wrong in (dict(values, token=values["token"][:-2]), dict(values, token="")):
        assert reader.fetch("POST", there, dict(FORM, Origin=site.vendor.origin), urllib.parse.urlencode(wrong)).status == 403
    reader.press("Give back " + page[0])
    assert reader.status == 200 and "You got 2 ¢ back." in reader.page.text and "94 ¢" in reader.page.text
    for again in (values, dict(values, ticket="1"), dict(values, ticket="x"), {k: v for k, v in values.items() if k != "ticket"}):
        answer = reader.fetch("POST", there, dict(FORM, Origin=site.vendor.origin), urllib.parse.urlencode(again))
        assert answer.status == 200 and b"was not paid for here" in answer.body
    # Sold again if she says so; and given back once a day.
    assert reader.follow(site.vendor.url(page[0])).status == 402
    assert reader.press("Read for").status == 200 and sold(site, page[0], 2)
    reader.open(wallet).press("Give back " + page[0])
    assert "once a day" in reader.page.text and "92 ¢" in reader.page.text
    # What was read again is hers, and no more than two a day are taken back.
    for _ in range(2):
        assert reader.open(site.vendor.url(page[1])).status == 200
    reader.open(wallet).press("Give back " + page[1])
    assert "opened again" in reader.page.text
    reader.open(wallet).press("Give back " + page[2])
    assert "You got 2 ¢ back." in reader.page.text
    reader.open(wallet).press("Give back " + page[3])
    assert "No more pages" in reader.page.text and "94 ¢" in reader.page.text
    stacks.wait_for(lambda: [(p["units"], p["charged"], p["amount"]) for p in site.vendor.payments() if p["verdict"] == "given-back"]
                    == [(20, False, "20000")] * 2, what="both in the log")
    site.vendor.redeem()
    site.broker.check()


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_forms_and_frames_over_http2(make_vendor):
    """Its filters are others."""
    vendor = make_vendor(start=False, tls=True, modules=["http2", "cgid"])
    cgi = os.path.join(vendor.dir, "cgi")
    os.makedirs(cgi)
    with open(os.path.join(cgi, "echo"), "w") as f:
        f.write(CGI)
    os.chmod(os.path.join(cgi, "echo"), 0o755)
    vendor.head = "ScriptSock %s/cgid.sock\n" % vendor.dir
    vendor.site.gate = REWRITTEN.replace("{cgi}", cgi).replace("{docroot}", vendor.site.docroot)
    vendor.site.extra = "Protocols h2 http/1.1\n"
    for place in ("gated", "to-sold"):
        vendor.site.pages[place + "/keep"] = ""
    vendor.start()

    def curl(*args):
        return subprocess.run(["curl", "-sk", "--http2", *args], stdout=subprocess.PIPE, check=True, timeout=30).stdout

    for place in ("gated", "to-sold", "sold-cgi"):
        for body in ("a=1&netpay=x", "x" * 2048):
            assert curl("-d", body, vendor.url("/%s/echo" % place)).decode() == body
    answer = curl("-i", "-H", "Sec-Fetch-Dest: iframe", vendor.url("/"))
    assert answer.startswith(b"HTTP/2 200") and answer.count(b"frame-ancestors 'self'") == 1
    assert b"frame-ancestors" not in curl("-i", vendor.url("/"))


@pytest.mark.parametrize("mpm, tls", [("prefork", True), ("worker", False)])
def test_every_kind_of_httpd_serves_wallets(make_vendor, mpm, tls):
    """Children that come and go, over TLS too; a graceful restart forgets nobody."""
    vendor = make_vendor(mpm=mpm, tls=tls)
    reader = Surfer()
    reader.sign_up(vendor.broker, "1.00")
    reader.get_wallet(vendor.url("/articles/1.html"))
    assert reader.status == 200 and "PAID-ARTICLE-1 " in reader.body
    pages = [vendor.url("/articles/%d.html" % i) for i in range(2, 8)]
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        assert set(pool.map(lambda url: reader.copy().follow(url).status, pages * 2)) == {200}
    before = vendor.children()
    vendor.graceful()
    stacks.wait_for(lambda: set(vendor.children()) - set(before), what="new children")
    assert reader.follow(vendor.url("/articles/8.html")).status == 200
    stacks.wait_for(lambda: sum(p["units"] for p in vendor.payments() if p["charged"]) == 8 * 20, what="eight pages sold")
    assert "internal error" not in open(vendor.error_log).read()


def test_new_secrets_for_wallets(make_vendor):
    vendor = make_vendor(start=False)
    names = [os.path.join(vendor.dir, "wallet.%d" % i) for i in range(2)]
    os.makedirs(vendor.dir, exist_ok=True)
    for name in names:
        with open(os.open(name, os.O_WRONLY | os.O_CREAT, 0o600), "w") as f:
            f.write(client.b64u(os.urandom(32)))
    vendor.site.gate = vendor.site.gate.replace("NetPayPrice 0.02 usd", "NetPayPrice 0.02 usd\nNetPayWallets server cookie")
    vendor.site.directives["NetPayWalletSecret"] = "file:" + names[0]
    vendor.start()
    readers = {}
    for kind in ("server", "cookie"):
        readers[kind] = Surfer()
        readers[kind].sign_up(vendor.broker, "1.00")
        readers[kind].get_wallet(vendor.url("/articles/1.html"), kind=kind)
        assert readers[kind].status == 200
    before = readers["cookie"].wallet(vendor.site)[1]
    vendor.stop()
    vendor.site.directives["NetPayWalletSecret"] = "file:%s file:%s" % (names[1], names[0])
    vendor.start()
    for reader in readers.values():
        assert reader.follow(vendor.url("/articles/2.html")).status == 200
    assert readers["cookie"].wallet(vendor.site)[1] != before
    vendor.stop()
    vendor.site.directives["NetPayWalletSecret"] = "file:" + names[1]
    vendor.start()
    assert readers["cookie"].follow(vendor.url("/articles/3.html")).status == 200


# --- frames ----------------------------------------------------------------

FRAMED = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
OWN_POLICY = 'Header always set Content-Security-Policy "default-src \'self\'"\n'
PLACES = ('<Location "/redirected">\n Redirect 302 /\n</Location>\n<Location "/forbidden">\n Require all denied\n</Location>\n'
          '<Location "/old">\n ErrorDocument 404 /index.html\n</Location>\n'
          '<Directory "{docroot}/pretty">\n RewriteEngine on\n RewriteRule ^(.*)$ /$1 [L]\n</Directory>\n')


def policies(url, headers=None, **more):
    answer = client.http_request("GET", url, dict(BROWSER, **(headers or FRAMED)), **more)
    return answer.status, [p for p in answer.all("Content-Security-Policy") if "frame-ancestors" in p]


@pytest.mark.parametrize("own", ["", OWN_POLICY], ids=["", "own"])
def test_free_pages_are_framed_by_nobody_else(make_vendor, own):
    """A click that a reader was led to make in a stranger's frame would pay. Every answer, and beside the site's policy."""
    vendor = make_vendor(start=False)
    vendor.site.extra = PLACES + own
    vendor.site.pages["pretty/keep"] = ""
    vendor.start()
    limit = "frame-ancestors 'self'"
    for path, status in (("/", 200), ("/index.html", 200), ("/none", 404), ("/old", 404), ("/forbidden", 403), ("/redirected", 302),
                         ("/pretty/index.html", 200), ("/.well-known/netpay", 200)):
        assert policies(vendor.url(path)) == (status, [limit]), path
        for change in ({"Sec-Fetch-Site": site} for site in ("same-origin", "same-site", "none")):
            assert policies(vendor.url(path), dict(FRAMED, **change)) == (status, [limit])
        for dest in ("frame", "embed", "object", "fencedframe"):
            assert policies(vendor.url(path), dict(FRAMED, **{"Sec-Fetch-Dest": dest})) == (status, [limit])
        for dest in ("document", "image", "empty", ""):
            assert policies(vendor.url(path), dict(FRAMED, **{"Sec-Fetch-Dest": dest})) == (status, [])
    if own:
        answer = client.http_request("GET", vendor.url("/"), dict(BROWSER, **FRAMED))
        assert sorted(answer.all("Content-Security-Policy")) == ["default-src 'self'", limit]
    for path in ("/articles/1.html", "/.well-known/netpay/wallet"):  # which nobody frames
        assert sorted("'none'" in p.split("frame-ancestors ")[1] for p in policies(vendor.url(path))[1]) == [False, True]
    wallet = client.Wallet(vendor.broker.issuer)
    wallet.topup(vendor.broker.mint("1.00"))
    answer = client.pay(vendor.url("/articles/2.html"), wallet.buy(n=100), headers=FRAMED)
    assert answer.status == 200 and limit in answer.all("Content-Security-Policy")


NONE = ' NetPayWallets none\n</Location>'


@pytest.mark.parametrize("change, limit", [
    ({}, "frame-ancestors 'self'"),
    ({"NetPayFraming": "any"}, None),
    ({"NetPayFraming": "self https://www.news.example http://127.0.0.1:1"}, "frame-ancestors 'self' https://www.news.example http://127.0.0.1:1"),
    ({"gate": NONE}, None),
    ({"NetPayWallets": "none"}, None),
    ({"gate": NONE, "NetPayFraming": "self"}, "frame-ancestors 'self'"),
    ({"NetPayWallets": "none", "extra": '<Location "/premium/">\n NetPayWallets cookie\n</Location>'}, "frame-ancestors 'self'"),
    ({"gate": NONE, "extra": '<Location "/more/">\n AuthType NetPay\n AuthName n\n Require netpay\n</Location>'}, "frame-ancestors 'self'"),
    ({"no gate": True}, "frame-ancestors 'self'"),
])
def test_who_may_frame_is_the_operators_word(make_vendor, change, limit):
    vendor = make_vendor(start=False)
    vendor.site.directives.update({k: v for k, v in change.items() if k.startswith("NetPay")})
    if "gate" in change:
        vendor.site.gate = vendor.site.gate.replace("</Location>", change["gate"])
    if "no gate" in change:
        vendor.site.gate = ""
    vendor.site.extra = change.get("extra", "")
    vendor.start()
    assert policies(vendor.url("/")) == (200, [limit] if limit else [])


def test_servers_that_sell_nothing_may_be_framed(make_vendor):
    vendor = make_vendor(start=False)
    other = vendor.add_site("plain")
    other.directives = {}
    vendor.start()
    assert policies(other.url("/")) == (200, [])
    assert policies(vendor.url("/")) == (200, ["frame-ancestors 'self'"])


@pytest.mark.parametrize("quick", ["on", "off"])
def test_what_a_cache_keeps_is_limited_too(make_vendor, quick):
    vendor = make_vendor(start=False, modules=["cache", "cache_disk"])
    vendor.site.gate += FREE
    vendor.site.extra = cached(vendor.dir, quick)
    vendor.start()
    for headers in ({"Sec-Fetch-Dest": "document"}, FRAMED, {"Sec-Fetch-Dest": "document"}, FRAMED):
        status, found = policies(vendor.url("/free/index.html"), headers)
        assert status == 200 and found == (["frame-ancestors 'self'"] if headers is FRAMED else [])
    assert "HIT" in client.http_request("GET", vendor.url("/free/index.html")).get("X-Cache")


# --- shared caches ---------------------------------------------------------

FREE = '<Location "/free/">\n Header set Cache-Control "public, max-age=600"\n</Location>\n'


def cached(directory, quick):
    root = os.path.join(directory, "cache")
    os.makedirs(root)
    os.chmod(root, 0o777)
    return ('CacheQuickHandler %s\nCacheEnable disk "/"\nCacheRoot "%s"\nCacheHeader on\nCacheIgnoreNoLastMod On\n'
            'CacheDefaultExpire 600\n' % (quick, root))


def kept(directory):
    """What lies in the cache."""
    return b"".join(open(os.path.join(place, name), "rb").read()
                    for place, _, names in os.walk(os.path.join(directory, "cache")) for name in names)


@pytest.mark.parametrize("quick", ["on", "off"])
def test_cache_in_the_server_itself(make_vendor, quick):
    vendor = make_vendor(start=False, modules=["cache", "cache_disk"])
    vendor.site.gate += MEMBERS + FREE
    vendor.site.extra = cached(vendor.dir, quick)
    vendor.site.pages["members/1.html"] = "<title>M</title><p>PAID-MEMBERS"
    vendor.start()
    wallet = client.Wallet(vendor.broker.issuer)
    wallet.topup(vendor.broker.mint("1.00"))
    coin = wallet.buy(n=100)
    for path, early in (("/articles/1.html", {}), ("/members/1.html", {"Cookie": "member=yes"})):
        url = vendor.url(path)
        if early:
            assert client.http_request("GET", url, early).status == 200
        assert client.http_request("GET", url, BROWSER).status == 402  # what is asked first is not kept either
        paid = client.pay(url, coin, headers=BROWSER)
        assert paid.status == 200 and b"PAID" in paid.body and "HIT" not in (paid.get("X-Cache") or "")
        for headers in (BROWSER, {}, {"Cookie": "x=y"}, {"Cache-Control": "only-if-cached"}):
            stranger = client.http_request("GET", url, headers)
            assert stranger.status in (402, 504) and b"PAID" not in stranger.body, (quick, path, headers, stranger)
    reader = Surfer()
    reader.sign_up(vendor.broker, "1.00")
    reader.get_wallet(vendor.url("/articles/2.html"))
    assert reader.status == 200 and "PAID" in reader.body and reader.follow(vendor.url("/articles/3.html")).status == 200
    for path in ("/articles/2.html", "/articles/3.html"):
        for cookies in ({}, {"Cookie": "x=y"}, {"Cookie": "%s=%s" % (reader.wallet(vendor.site)[0], "A" * 43)}):
            stranger = client.http_request("GET", vendor.url(path), dict(BROWSER, **cookies))
            assert stranger.status == 402 and b"PAID" not in stranger.body
    again = [client.http_request("GET", vendor.url("/free/index.html")) for _ in range(3)][-1]
    assert "HIT" in again.get("X-Cache") and b"free page" in kept(vendor.dir)  # the cache does work
    assert b"__Host-netpay" not in kept(vendor.dir)
    assert b"PAID" not in kept(vendor.dir)


@pytest.mark.parametrize("quick", ["on", "off"])
def test_cache_in_front(make_vendor, quick):
    """A proxy with mod_cache before the vendor: each reader pays, whoever came before her."""
    vendor = make_vendor(start=False, modules=["cache", "cache_disk", "proxy", "proxy_http"])
    front = stacks.Ports.take()
    vendor.head = ('Listen 127.0.0.1:%d\n<VirtualHost 127.0.0.1:%d>\nProxyPreserveHost On\n'
                   'ProxyPass "/" "http://127.0.0.1:%d/"\n%s</VirtualHost>\n'
                   % (front, front, vendor.site.port, cached(vendor.dir, quick)))
    vendor.site.gate += MEMBERS + FREE
    vendor.site.pages["members/1.html"] = "<title>M</title><p>PAID-MEMBERS"
    vendor.start()
    place = ("127.0.0.1", front)
    wallet = client.Wallet(vendor.broker.issuer)
    wallet.topup(vendor.broker.mint("1.00"))
    coin = wallet.buy(n=200)
    for path, early in (("/articles/1.html", {}), ("/members/1.html", {"Cookie": "member=yes"})):
        url = vendor.url(path)
        if early:
            assert client.http_request("GET", url, early, connect=place).status == 200
        assert client.http_request("GET", url, BROWSER, connect=place).status == 402
        paid = client.pay(url, coin, headers=BROWSER, connect=place)
        assert paid.status == 200 and b"PAID" in paid.body and paid.receipt
        for headers in (BROWSER, {}, {"Cache-Control": "only-if-cached"}):
            stranger = client.http_request("GET", url, headers, connect=place)
            assert stranger.status in (402, 504) and b"PAID" not in stranger.body, (quick, path, headers, stranger)
        second = client.pay(url, coin, connect=place)
        assert second.status == 200 and second.receipt["spent"] == paid.receipt["spent"] + 20
    again = [client.http_request("GET", vendor.url("/free/index.html"), connect=place) for _ in range(3)][-1]
    assert "HIT" in again.get("X-Cache") and b"free page" in kept(vendor.dir)
    assert b"PAID" not in kept(vendor.dir)


# --- what configtest warns of ----------------------------------------------

@pytest.fixture(scope="module")
def sample(shared):
    vendor = stacks.Vendor(os.path.join(shared.dir, "warned"), broker=shared.broker, modules=["cache", "cache_disk", "expires", "proxy", "actions", "allowmethods"],
                           gate='<Location "/articles/">\n AuthType NetPay\n AuthName "n"\n Require netpay\n'
                                ' NetPayPrice 0.02 usd\n #here\n</Location>\n<Location "/free/">\n #free\n</Location>\n')
    status, text = vendor.configtest()
    assert status == 0 and "warned" not in text and ":warn" not in text, text
    with open(os.path.join(vendor.dir, "page.html"), "w") as f:
        f.write("{{pay}}")
    return vendor


def warnings_for(sample, line, place):
    text = open(sample.config).read()
    mark = {"gate": " #here", "free": " #free", "host": "</VirtualHost>", "main": "<VirtualHost"}[place]
    line = line.replace("{dir}", sample.dir).replace("{broker}", sample.broker.issuer)
    text = text.replace(mark, line + "\n" + mark, 1)
    number = text[:text.index(line)].count("\n") + line.rstrip().count("\n") + 1
    path = os.path.join(sample.dir, "warned.conf")
    with open(path, "w") as f:
        f.write(text)
    status, said = sample.test_config(path)
    assert status == 0, said
    return "%s:%d: " % (path, number), said


@pytest.mark.parametrize("place, line, expected", [
    ("host", "CacheIgnoreCacheControl On", "CacheIgnoreCacheControl On.*who has not paid"),
    ("main", "CacheStorePrivate on", "CacheStorePrivate On"),
    ("host", "CacheStoreNoStore On", "CacheStoreNoStore On"),
    ("gate", "Header set Cache-Control public", "Header changes Cache-Control"),
    ("gate", "Header always unset WWW-Authenticate", "Header changes WWW-Authenticate"),
    ("host", 'Header always set "cache-control" "max-age=60"', "Header changes Cache-Control"),
    ("main", "Header edit Vary x y", "Header changes Vary"),
    ("gate", "ErrorDocument 402 https://elsewhere.example/pay", "not used"),
    ("main", "ErrorDocument 402 http://elsewhere.example/pay", "not used"),
    ("gate", "NetPayPaywall {dir}/page.html\nErrorDocument 402 /pay.html", "place of NetPayPaywall"),
    ("host", "Header always set Content-Security-Policy \"default-src 'self'; form-action 'self'\"", "form-action does not name http://127"),
    ("gate", "NetPayGrace 0 0", "NetPayGrace 0 makes"), ("host", "NetPayGrace 0 3", "NetPayGrace 0 makes"),
    ("gate", "AllowMethods GET HEAD", "AllowMethods leaves out POST"), ("gate", "AllowMethods POST\nAllowMethods reset\nAllowMethods GET", "AllowMethods leaves out POST"),
    ("free", "NetPayTeaserFrom file\nAction application/xhtml+xml /run", "may be its source"),
    ("free", "NetPayTeaserFrom file\nScript GET /run", "may be its source"),
    ("host", "ProxyPass /.well-known/netpay/wallet http://127.0.0.1:1/", "passed by"),
])
def test_configtest_warns(sample, place, line, expected):
    where, said = warnings_for(sample, line, place)
    assert re.search(re.escape(where) + ".*" + expected, said), said


@pytest.mark.parametrize("place, lines, at, expected", [
    ("free", ["AuthType NetPay", "<Limit GET>", "Require netpay", "</Limit>"], 2, "within <Limit GET> lets all other methods through unpaid.*methods="),
    ("free", ["<LimitExcept POST>", "<RequireAny>", "Require ip 192.0.2.1", "Require netpay", "</RequireAny>", "</LimitExcept>"], 3, "within <LimitExcept POST>"),
    ("host", ['<Location "/">', "AllowMethods GET", "</Location>"], 1, "AllowMethods leaves out POST"),
    ("host", ['<Location "/">', "Header unset Vary", "</Location>"], 1, "Header changes Vary"),
    ("main", ["Action text/html /run", '<Location "/x">', "NetPayTeaserFrom file", "</Location>"], 0, "Action gives pages to a program"),
])
def test_configtest_warns_within_sections(sample, place, lines, at, expected):
    where, said = warnings_for(sample, "\n".join(lines), place)
    path, number = where.rsplit(":", 2)[:2]
    assert re.search(re.escape("%s:%d: " % (path, int(number) - len(lines) + 1 + at)) + ".*" + expected, said), said


@pytest.mark.parametrize("place, line", [
    ("gate", "AllowMethods GET HEAD\nAllowMethods POST"), ("gate", "AllowMethods GET\nAllowMethods reset"), ("free", "AllowMethods GET"),
    ("gate", "NetPayWallets none\nAllowMethods GET"), ("free", "<Limit GET>\nRequire ip 192.0.2.1\n</Limit>"), ("host", "Action text/html /run"),
    ("gate", "NetPayTeaserFrom file\nAction image/png /run\nScript PUT /run"),
    ("host", "CacheStorePrivate Off"), ("host", "CacheEnable disk /"), ("free", "Header set Cache-Control public"),
    ("gate", "Header set X-Other y"), ("free", "ErrorDocument 402 /pay.html"), ("gate", "ErrorDocument 402 /pay.html"),
    ("gate", "Header always set Content-Security-Policy \"default-src 'self'\""), ("free", "Header set Content-Security-Policy \"form-action 'self'\""),
    ("gate", "Header always set Content-Security-Policy \"form-action 'self' {broker}\""), ("gate", "NetPayGrace 300 0"), ("free", "NetPayGrace 0 0"), ("gate", "NetPayWallets none\nNetPayGrace 0 0"),
    ("host", "ProxyPass /.well-known/netpay !"), ("gate", "ErrorDocument 402 default"), ("gate", "NetPayPaywall {dir}/page.html"), ("host", "ErrorDocument 404 http://x.example/"),
])
def test_configtest_is_silent(sample, place, line):
    where, said = warnings_for(sample, line, place)
    assert where not in said, said


def test_plain_http_is_told(sample):
    text = re.sub(r"NetPayVendor \S+", "NetPayVendor http://news.example", open(sample.config).read())
    text = re.sub(r"NetPayVendorCertificate.*", "", text)
    path = os.path.join(sample.dir, "plain.conf")
    with open(path, "w") as f:
        f.write(text)
    status, said = sample.test_config(path)
    assert status == 0 and "NetPayVendor http://news.example is plain http" in said, said


def test_server_that_sells_nothing_is_not_warned(sample):
    path = os.path.join(sample.dir, "nothing.conf")
    with open(path, "w") as f:
        f.write(re.sub(r'(?s)<Location "/articles/">.*?</Location>', "", open(sample.config).read())
                .replace("</VirtualHost>", "CacheStorePrivate On\nHeader set Cache-Control public\n</VirtualHost>"))
    status, said = sample.test_config(path)
    assert status == 0 and "who has not paid" not in said and "Header changes" not in said, said
