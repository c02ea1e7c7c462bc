"""Nothing is spent that no reader asked for, and nothing paid is read by who did not pay: prefetches, previews
and crawlers; frames; shared caches; and what configtest warns of."""

import os
import re

import pytest

import client
import stack as stacks

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


@pytest.fixture(scope="module")
def site():
    with stacks.Stack() as made:
        yield made


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
    again = [client.http_request("GET", vendor.url("/free/index.html")) for _ in range(3)][-1]
    assert "HIT" in again.get("X-Cache") and b"free page" in kept(vendor.dir)  # the cache does work
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
    vendor = stacks.Vendor(os.path.join(shared.dir, "warned"), broker=shared.broker, modules=["cache", "cache_disk", "expires"],
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
    line = line.replace("{dir}", sample.dir)
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
])
def test_configtest_warns(sample, place, line, expected):
    where, said = warnings_for(sample, line, place)
    assert re.search(re.escape(where) + ".*" + expected, said), said


@pytest.mark.parametrize("place, line", [
    ("host", "CacheStorePrivate Off"), ("host", "CacheEnable disk /"), ("free", "Header set Cache-Control public"),
    ("gate", "Header set X-Other y"), ("free", "ErrorDocument 402 /pay.html"), ("gate", "ErrorDocument 402 /pay.html"),
    ("gate", "ErrorDocument 402 default"), ("gate", "NetPayPaywall {dir}/page.html"), ("host", "ErrorDocument 404 http://x.example/"),
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
