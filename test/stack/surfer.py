"""A browser without a screen that goes from site to site: it keeps each host's cookies, says of its requests what
browsers say (Fetch Metadata), follows redirects to other sites, and obeys form-action. No JavaScript.

    reader = Surfer()
    reader.open(news.url("/articles/1.html"))        # typed
    reader.press("Pay 2 ¢ with my e-wallet")         # a form of the page it is on
    reader.click("/articles/2.html")                 # a link of that page

After each step: status, url, page (visitor.Page), body, headers, trips (documents asked for in that step)."""

import re
import urllib.parse

import client
from visitor import Page


def origin_of(url):
    parts = urllib.parse.urlsplit(url)
    return "%s://%s" % (parts.scheme, parts.netloc)


NEAREST = ["none", "same-origin", "same-site", "cross-site"]


def site_of(initiator, url):
    """Sec-Fetch-Site of a request that a page of that origin causes; None: the reader herself. Hosts here are addresses,
    so a site is a host with all its ports."""
    if initiator is None:
        return "none"
    if initiator == origin_of(url):
        return "same-origin"
    return "same-site" if urllib.parse.urlsplit(initiator).hostname == urllib.parse.urlsplit(url).hostname else "cross-site"


class Surfer:
    def __init__(self):
        self.jars = {}  # host → {name: value}; ports share them, as in browsers
        self.url, self.status, self.body, self.page, self.headers, self.trips = None, None, "", None, {}, 0

    def copy(self):
        """Another browser with the same cookies, as who stole them has."""
        other = Surfer()
        other.jars = {host: dict(jar) for host, jar in self.jars.items()}
        return other

    def jar(self, origin):
        return self.jars.setdefault(urllib.parse.urlsplit(origin).hostname, {})

    def wallet(self, site):
        """(name, value) of the e-wallet's cookie at a site; (None, None) without one."""
        name = "__Host-netpay-wallet-%d" % site.port
        return (name, self.jar(site.origin)[name]) if name in self.jar(site.origin) else (None, None)

    def fetch(self, method, url, headers=None, body=None, cookies=True):
        """One request as it is told, its cookies kept, no redirect followed, the page it is on left as it was."""
        jar = self.jar(url)
        fields = {"Accept": "text/html,*/*;q=0.8"}
        if jar and cookies:
            fields["Cookie"] = "; ".join("%s=%s" % c for c in jar.items())
        fields.update(headers or {})
        answer = client.http_request(method, url, headers={k: v for k, v in fields.items() if v is not None}, body=body)
        for name, value in answer.headers:
            if name.lower() == "set-cookie":
                pair, *attributes = [part.strip() for part in value.split(";")]
                name, _, value = pair.partition("=")
                assert name.startswith("__Host-") and {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"} <= set(attributes)
                if "Max-Age=0" in attributes:
                    jar.pop(name, None)
                else:
                    jar[name] = value
        return answer

    def _navigate(self, method, url, initiator, body=None, extra=None):
        site = site_of(initiator, url)
        sources = self._form_action() if method == "POST" else None
        self.trips = 0
        for _ in range(12):
            assert sources is None or origin_of(url) in sources, "form-action forbids %s" % url
            fields = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-User": "?1"}
            if method == "POST":
                fields.update({"Content-Type": "application/x-www-form-urlencoded", "Origin": initiator})
            fields.update(extra or {})
            answer = self.fetch(method, url, fields, body)
            self.trips += 1
            location = next((v for k, v in answer.headers if k.lower() == "location"), None)
            if answer.status not in (302, 303) or location is None:
                break
            target = urllib.parse.urljoin(url, location)
            # Of all the addresses on the way the one that is farthest counts; what was typed stays so, wherever it leads.
            site = max(site, site_of(initiator, target), key=NEAREST.index)
            url, method, body = target, "GET", None
        self.status, self.url = answer.status, url
        self.headers = {k.lower(): v for k, v in answer.headers}
        self.body = answer.body.decode(errors="replace")
        self.page = Page(self.body) if "html" in self.headers.get("content-type", "") else None
        return self

    def _form_action(self):
        found = re.search(r"form-action ([^;]*)", self.headers.get("content-security-policy", ""))
        if not found:
            return None
        return [origin_of(self.url) if s == "'self'" else s for s in found.group(1).split()]

    def open(self, url, headers=None):
        """Typed, or a bookmark."""
        return self._navigate("GET", url, None, extra=headers)

    def follow(self, url, headers=None):
        """A link to it on another page of its site."""
        return self._navigate("GET", url, origin_of(url), extra=headers)

    def click(self, address, headers=None):
        """A link of the page it is on, by address or label."""
        address = self.page.links.get(address, address) if self.page else address
        return self._navigate("GET", urllib.parse.urljoin(self.url, address), origin_of(self.url), extra=headers)

    def form(self, button):
        return self.page.form(button)

    def values(self, button):
        """What the form with that button would send."""
        return self.form(button).values(button)

    def press(self, button, headers=None, **fields):
        """Presses a button; fields: typed or chosen before, None: a box unticked."""
        form = self.form(button)
        url = urllib.parse.urljoin(self.url, form.action) if form.action else self.url
        encoded = urllib.parse.urlencode(form.values(button, fields))
        if form.method == "get":
            return self._navigate("GET", url.split("?")[0] + "?" + encoded, origin_of(self.url), extra=headers)
        return self._navigate("POST", url, origin_of(self.url), encoded, headers)

    # At the broker.

    def sign_up(self, broker, dollars):
        """A new account with so much on it; its passphrase."""
        self.open(broker.issuer + "/sign-up").press("Sign up")
        assert self.status == 200, self.body
        phrase = self.body.split('class="phrase">', 1)[1].split("<", 1)[0]
        if dollars:
            self.top_up(broker, dollars)
        return phrase

    def top_up(self, broker, dollars):
        self.open(broker.issuer + "/topup").press("Add money", voucher=broker.mint(dollars))
        assert self.status == 200 and "added to your balance" in self.page.text, self.page.text

    def get_wallet(self, url, kind="server", **limits):
        """From a paywall through the broker's question to the page."""
        self.open(url)
        assert self.status == 402, self.page.text
        self.press({"server": "Pay ", "cookie": "Keep the e-wallet"}[kind])
        assert self.status == 200 and "Confirm" in self.body, self.page.text
        return self.press("Confirm and read", **limits)
