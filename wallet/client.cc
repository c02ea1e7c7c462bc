#include "wallet/client.h"

#include <algorithm>
#include <charconv>
#include <functional>

#include "core/credential.h"
#include "core/origin.h"
#include "core/problem.h"
#include "core/timestamp.h"

namespace netpay::wallet {
namespace {

// Bounds of one page, each far above what an honest site needs: a server
// cannot keep the wallet going round.
constexpr int most_hops = 10;              // redirects
constexpr int most_requests = 12;          // for one hop
constexpr int most_bargains = 6;           // answers that correct the count or the price
constexpr int most_waits = 3;              // 503 with Retry-After
constexpr int longest_wait_s = 10;
constexpr std::size_t most_problem_bytes = 64 * 1024;
constexpr std::size_t most_discovery_bytes = 1 << 20;

bool same_name(std::string_view a, std::string_view b) {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](unsigned char x, unsigned char y) {
               return std::tolower(x) == std::tolower(y);
           });
}

// Headers of the owner that speak to the site she named, and to no other.
bool bound_to_site(std::string_view name) {
    return same_name(name, "authorization") || same_name(name, "cookie") || same_name(name, "payment-authorization") ||
           same_name(name, "proxy-authorization");
}

std::optional<std::uint32_t> count_of(const json::Value& v, std::string_view name) {
    const auto n = v.uint(name);
    if (!n || *n > limits::max_chain) return std::nullopt;
    return static_cast<std::uint32_t>(*n);
}

std::string directory_of(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }

bool is_redirect(int status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

}  // namespace

// One hop on the way to a page.
struct Client::Visit {
    const PageRequest* wish = nullptr;
    std::string url, method;
    HeaderList headers{};
    std::optional<std::string> body{};
    std::string origin{}, path{};
    bool other_site = false;
    UnixTime deadline = 0;  // 0: none

    std::optional<Challenge> challenge{};
    Money price{};
    std::vector<std::string> brokers{};
    std::optional<Amount> limit{};  // what the owner accepted for this page
    std::optional<Ticket> ticket{};
    bool send_touchstone = false;
    bool reread_tried = false;
    int requests = 0, bargains = 0, waits = 0, renewals = 0, doubts = 0;
    std::optional<std::string> redirect{};
};

struct Client::Reply {
    HttpHead head;
    HttpOutcome outcome;
    bool have_head = false;
    bool streamed = false;
    std::optional<json::Document> problem;
    Page page;

    std::string kind() const {
        const auto type = problem ? problem->root().string("type") : std::nullopt;
        if (!type || type->substr(0, problem_base.size()) != problem_base) return {};
        return std::string(type->substr(problem_base.size()));
    }
    std::string text(std::string_view name) const {
        const auto s = problem ? problem->root().string(name) : std::nullopt;
        return s ? std::string(*s) : std::string();
    }
    // The site's own words, harmless.
    std::string words() const {
        const std::string said = text("detail").empty() ? text("title") : text("detail");
        return said.empty() ? "it does not say why" : printable(said);
    }
};

// Passes the page on, and keeps what is about payment for ourselves.
class Client::Receiver : public AnswerSink {
public:
    Receiver(PageSink& page, std::function<bool(const HttpHead&)> pass_on) : page_(page), pass_on_(std::move(pass_on)) {}
    bool head(const HttpHead& h) override {
        answer = h;
        have_head = true;
        streamed = pass_on_(h);
        return !streamed || page_.begin(h);
    }
    bool data(std::string_view bytes) override {
        if (streamed) return page_.data(bytes);
        if (body.size() + bytes.size() > most_problem_bytes) return false;
        body += bytes;
        return true;
    }
    HttpHead answer;
    std::string body;
    bool have_head = false, streamed = false;

private:
    PageSink& page_;
    std::function<bool(const HttpHead&)> pass_on_;
};

bool Client::may_pay(const Visit& v) const {
    return v.method != "HEAD" && (v.url.compare(0, 8, "https://") == 0 || is_loopback(v.url));
}

Want Client::want(const Visit& v) const {
    return {v.origin, v.method, v.url, v.price.amount, v.limit.value_or(v.price.amount), v.price.currency, v.brokers};
}

Outcome<Amount> Client::consent(Visit& v) {
    if (v.limit && v.price.amount <= *v.limit) return *v.limit;
    auto balance = purse_.balance(v.price.currency, v.brokers);
    if (!balance) return balance.failure();
    auto limit = owner_.accept({v.origin, v.path, v.price, *balance, v.other_site});
    if (limit) v.limit = *limit;
    return limit;
}

// The first request of a page whose price and session challenge are known
// carries the credential (section 5, `session`). Any doubt means: ask first.
void Client::prepare(Visit& v) {
    if (!may_pay(v)) return;
    const auto price = store_.price(v.origin, v.path);
    if (!price || !*price || (*price)->amount.micro() == 0) return;
    const auto session = store_.session(v.origin, (*price)->realm, clock_.now() + 5);
    if (!session || !*session) return;
    const auto terms = parse_terms((**session).request);
    if (!terms || terms->recipient != v.origin || terms->currency != (*price)->currency) return;
    v.price = {(*price)->amount, (*price)->currency};
    v.brokers = terms->brokers;
    const auto use = [&](Ticket t) {
        v.challenge = **session;
        v.ticket = std::move(t);
    };
    if (v.method == "GET") {
        auto again = purse_.reread(v.origin, v.url);
        if (again && *again) {
            v.reread_tried = true;
            return use(std::move(**again));
        }
    }
    if (!owner_.decides_alone({v.origin, v.path, v.price, {}, v.other_site})) return;
    if (!consent(v)) return;
    auto ticket = purse_.reserve(want(v));
    if (ticket) use(std::move(*ticket));
}

Outcome<HttpRequest> Client::request_of(const Visit& v) {
    HttpRequest r;
    r.method = v.method;
    r.url = v.url;
    r.headers = v.headers;
    r.body = v.body;
    if (v.deadline) r.time_left_ms = std::max<std::int64_t>(1, (v.deadline - clock_.now()) * 1000);
    if (!v.ticket) return r;
    const auto chain = store_.chain(v.ticket->coin);
    if (!chain) return chain.failure();
    const Coin& coin = v.ticket->coin;
    Credential c;
    c.challenge = *v.challenge;
    c.payload.coin = coin.coin;
    c.payload.index = v.ticket->index;
    c.payload.payword = chain->at(v.ticket->index);
    if (!v.ticket->known || v.send_touchstone) c.payload.touchstone = coin.touchstone;
    c.payload.max = v.ticket->amount;
    if (!coin.holder.empty() && coin.holder != v.origin && coin.held > 0) {
        c.payload.holder = coin.holder;
        c.payload.held = coin.held;
    }
    const std::string field = v.challenge->header ? std::string(payment_header) : "Authorization";
    for (const auto& [name, value] : v.headers)
        if (same_name(name, field))
            return Failure{Exit::usage, "the site wants the payment in the " + field + " header, which -H sets already"};
    r.headers.emplace_back(field, "Payment " + format_credential(c));
    return r;
}

// A 2xx is here: the payment is put on record before the page is passed on.
Outcome<Done> Client::settle(Visit& v, const HttpHead& h, Page& page) {
    if (!v.ticket) return Done{};
    const Ticket ticket = *v.ticket;
    v.ticket.reset();
    const auto field = h.header("payment-receipt");
    const auto receipt = field ? parse_receipt(*field) : Result<Receipt>(Code::malformed, "");
    if (!receipt || receipt->coin != ticket.coin.coin || receipt->index != ticket.index ||
        receipt->currency != ticket.coin.currency) {
        // Nothing was charged by the contract; if the site says otherwise later, this was accepted.
        if (field) owner_.hear("the site's receipt is not for this payment; it is counted as unconfirmed");
        if (!ticket.reread && !field)
            (void)store_.remember_price(v.origin, v.path, false, {v.challenge->realm, {}, v.price.currency}, clock_.now());
        return purse_.doubt(ticket);
    }
    if (!ticket.reread && receipt->amount > ticket.amount)
        owner_.hear("the site's receipt says " + receipt->amount.pretty(receipt->currency) + " where " +
                    ticket.amount.pretty(receipt->currency) + " was accepted; only that is counted");
    const auto counted = purse_.paid(ticket, v.origin, receipt->amount, receipt->spent, receipt->give_back_s);
    if (!counted) return counted.failure();
    page.paid = Money{*counted, receipt->currency};
    page.coin = ticket.coin.coin;
    page.ticket = ticket.index;
    if (const auto coin = store_.coin(ticket.coin.coin); coin)
        page.coin_left = coin->unit.times(coin->left()).value_or(Amount{});
    const KnownPrice known{v.challenge->realm, std::min(receipt->amount, ticket.amount), receipt->currency};
    (void)store_.remember_price(v.origin, v.path, false, known, clock_.now());
    (void)store_.remember_price(v.origin, directory_of(v.path), true, known, clock_.now());
    return Done{};
}

Outcome<Client::Reply> Client::exchange(Visit& v, PageSink& sink) {
    auto request = request_of(v);
    if (!request) {
        if (v.ticket) (void)purse_.not_charged(*v.ticket);
        return request.failure();
    }
    ++v.requests;
    Reply reply;
    std::optional<Failure> unsettled;
    const bool paying = v.ticket.has_value();
    Receiver receiver(sink, [&](const HttpHead& h) {
        if (h.status >= 200 && h.status < 300) {
            const auto ok = settle(v, h, reply.page);
            if (!ok) unsettled = ok.failure();
            return true;
        }
        if (h.status == 402 && v.method != "HEAD") return false;
        if (is_redirect(h.status) && v.wish->follow && h.header("location")) return false;
        if (h.status == 503 && paying && h.header("retry-after") && v.waits < most_waits) return false;
        if (paying) {
            // By the contract nothing is charged; a gateway's own failure says nothing about what lies behind it.
            const bool gateway = h.status == 502 || h.status == 504;
            (void)(gateway ? purse_.doubt(*v.ticket) : purse_.not_charged(*v.ticket));
            v.ticket.reset();
        }
        return true;
    });
    reply.outcome = transport_.send(*request, receiver);
    reply.head = std::move(receiver.answer);
    reply.have_head = receiver.have_head;
    reply.streamed = receiver.streamed;
    if (unsettled) owner_.hear("the payment could not be put on record: " + unsettled->message);
    if (!receiver.body.empty())
        if (auto doc = json::Document::parse(receiver.body); doc && doc->root().is_object())
            reply.problem.emplace(std::move(*doc));
    return reply;
}

// Keeps the best of the challenges: session before charge (section 5).
Outcome<Done> Client::read_challenges(Visit& v, const HttpHead& h) {
    std::string trouble = "it offers no payment by the method 'netpay'";
    std::optional<Challenge> best;
    for (const auto& [name, value] : h.headers) {
        if (name != "www-authenticate") continue;
        for (auto& c : parse_challenges(value)) {
            if (c.method != method_netpay || (c.intent != intent_session && c.intent != intent_charge)) continue;
            if (c.header && *c.header != payment_header) continue;
            const auto terms = parse_terms(c.request);
            if (!terms) {
                trouble = "its challenge is malformed: " + printable(terms.error().detail);
                continue;
            }
            if (terms->recipient != v.origin) {
                trouble = "its challenge asks to pay " + printable(terms->recipient);
                continue;
            }
            if (best && (best->intent == intent_session || c.intent == intent_charge)) continue;
            v.price = {terms->amount, terms->currency};
            v.brokers = terms->brokers;
            best = std::move(c);
        }
    }
    if (!best) return Failure{Exit::payment, printable(v.origin) + " wants to be paid, but " + trouble};
    v.challenge = std::move(best);
    if (v.challenge->intent == intent_session && v.challenge->expires)
        if (const auto until = parse_rfc3339(*v.challenge->expires); until && *until > clock_.now())
            return store_.remember_session(v.origin, *v.challenge, *until);
    return Done{};
}

// A 402 without a payment of ours on the table: choose a ticket.
Outcome<bool> Client::unpaid(Visit& v) {
    if (v.method == "GET" && !v.reread_tried) {
        v.reread_tried = true;
        auto again = purse_.reread(v.origin, v.url);
        if (!again) return again.failure();
        if (*again) {
            v.ticket = std::move(**again);
            return true;
        }
    }
    if (const auto ok = consent(v); !ok) return ok.failure();
    auto ticket = purse_.reserve(want(v));
    if (!ticket) return ticket.failure();
    v.ticket = std::move(*ticket);
    return true;
}

// The vendor's count or price is another than ours: once more, within what
// the owner accepts.
Outcome<bool> Client::not_enough(Visit& v, const Reply& r, bool ticket_used) {
    if (v.ticket->reread) {
        v.ticket.reset();
        return unpaid(v);
    }
    const Ticket before = *v.ticket;
    if (++v.bargains > most_bargains) {
        (void)purse_.not_charged(before);
        return Failure{Exit::payment, printable(v.origin) + " refuses one payment after the other: " + r.words()};
    }
    if (const auto ok = consent(v); !ok) {
        (void)purse_.not_charged(before);
        return ok.failure();
    }
    Answer a;
    if (r.problem) {
        a.spent = count_of(r.problem->root(), "spent");
        a.needed = count_of(r.problem->root(), "needed");
    }
    a.ticket_used = ticket_used;
    v.ticket.reset();
    auto next = purse_.reserve_again(want(v), before, a);
    if (!next) {
        (void)purse_.not_charged(before);
        return next.failure();
    }
    v.ticket = std::move(*next);
    return true;
}

// The vendor does not take this coin. Another one is tried once: a vendor
// that refuses them all must not collect a payword of each.
Outcome<bool> Client::unfit(Visit& v, const std::string& reason) {
    const Ticket before = *v.ticket;
    v.ticket.reset();
    if (const auto done = purse_.refused(before, v.origin, reason); !done) return done.failure();
    const bool coin_at_fault = reason == "expired" || reason == "lease-over" || reason == "broker" || reason == "currency";
    if (!coin_at_fault || before.switched)
        return Failure{Exit::payment, printable(v.origin) + " does not take coin " + short_coin(before.coin.coin) + ": " +
                                          printable(reason, 60)};
    if (const auto ok = consent(v); !ok) return ok.failure();
    auto next = purse_.reserve(want(v));
    if (!next) return next.failure();
    v.ticket = std::move(*next);
    v.ticket->switched = true;
    return true;
}

// A 402 to our payment.
Outcome<bool> Client::judged(Visit& v, const Reply& r) {
    const std::string kind = r.kind(), reason = r.text("reason");
    if (kind == problem::payment_insufficient) return not_enough(v, r, false);
    if (kind == problem::verification_failed) {
        if (reason == "already-spent") return not_enough(v, r, true);
        if (reason == "touchstone" && !v.send_touchstone) return v.send_touchstone = true;
        return unfit(v, reason.empty() ? "verification failed" : reason);
    }
    const bool stale = kind == problem::payment_expired || kind == problem::invalid_challenge ||
                       kind == problem::payment_required;
    if (stale && ++v.renewals <= 1) {
        if (v.price.amount <= v.ticket->amount) return true;  // the same ticket with the fresh challenge
        return not_enough(v, r, false);
    }
    (void)purse_.not_charged(*v.ticket);
    v.ticket.reset();
    return Failure{Exit::payment, printable(v.origin) + " refuses the payment (" + printable(kind.empty() ? "402" : kind) +
                                      "): " + r.words()};
}

// The outcome of a payment never arrived. The same ticket for the same page
// is safe to send again by GET; anything else is left for the owner to decide.
Outcome<bool> Client::no_answer(Visit& v, const Reply& r) {
    const std::string trouble = "no answer from " + printable(v.origin) + ": " + r.outcome.trouble;
    if (!v.ticket) return Failure{Exit::network, trouble};
    const Ticket before = *v.ticket;
    v.ticket.reset();
    if (!r.outcome.maybe_sent) {
        if (const auto done = purse_.not_charged(before); !done) return done.failure();
        return Failure{Exit::network, trouble + "; nothing was sent"};
    }
    if (const auto done = purse_.doubt(before); !done) return done.failure();
    if (v.method == "GET" && !before.reread && ++v.doubts <= 1 && !r.outcome.timed_out) {
        auto again = purse_.reserve(want(v));
        if (again) {
            v.ticket = std::move(*again);
            return true;
        }
    }
    return Failure{Exit::network, trouble + (before.reread ? "" : v.method == "GET"
                       ? "; the payment may have arrived: run the same command again, the page is not paid twice"
                       : "; the payment may have arrived: see 'netpay history' before you repeat it")};
}

Outcome<bool> Client::busy(Visit& v, const Reply& r) {
    const auto field = r.head.header("retry-after").value_or("1");
    int wait = longest_wait_s;
    std::from_chars(field.data(), field.data() + field.size(), wait);
    wait = std::clamp(wait, 1, longest_wait_s);
    if (++v.waits > most_waits || (v.deadline && clock_.now() + wait >= v.deadline)) {
        (void)purse_.not_charged(*v.ticket);
        v.ticket.reset();
        return Failure{Exit::payment, printable(v.origin) + " cannot take payments just now: " + r.words() +
                                          "; nothing was charged, try again later"};
    }
    clock_.sleep_s(wait);
    return true;
}

Outcome<bool> Client::answered(Visit& v, const Reply& r) {
    if (r.head.status == 402) {
        const Money before = v.price;
        if (const auto ok = read_challenges(v, r.head); !ok) {
            if (v.ticket) (void)purse_.not_charged(*v.ticket);
            return ok.failure();
        }
        if (!v.ticket && !may_pay(v))
            return Failure{Exit::payment, printable(v.origin) + " asks for " + pretty(v.price) +
                                              " over plain http; money goes over https only (or to this machine)"};
        if (v.ticket && before.currency != v.price.currency) return unfit(v, "currency");
        return v.ticket ? judged(v, r) : unpaid(v);
    }
    if (r.head.status == 503) return busy(v, r);
    if (v.ticket) {  // a redirect: not charged, and the next hop is judged afresh
        if (const auto done = purse_.not_charged(*v.ticket); !done) return done.failure();
        v.ticket.reset();
    }
    v.redirect = std::string(r.head.header("location").value_or(""));
    return false;
}

Outcome<Page> Client::visit(Visit& v, PageSink& sink) {
    prepare(v);
    while (v.requests < most_requests) {
        auto r = exchange(v, sink);
        if (!r) return r.failure();
        r->page.status = r->head.status;
        r->page.url = v.url;
        r->page.requests = v.requests;
        r->page.head = r->head;
        if (r->streamed) {
            if (v.method == "HEAD" && r->head.status == 402 && read_challenges(v, r->head))
                r->page.asked = Payment402{v.price, v.challenge->intent};
            if (r->outcome.complete) return std::move(r->page);
            if (r->outcome.stopped) return Failure{Exit::other, "the page could not be written"};
            return Failure{Exit::network, "the page from " + printable(v.origin) + " broke off: " + r->outcome.trouble +
                                              (r->page.paid ? "; it is paid: run the same command again within a few"
                                                              " minutes and it comes free"
                                                            : "")};
        }
        const bool heard = r->outcome.complete || (r->have_head && r->outcome.stopped);
        auto again = heard ? answered(v, *r) : no_answer(v, *r);
        if (!again) return again.failure();
        if (!*again) return std::move(r->page);
    }
    if (v.ticket) (void)purse_.not_charged(*v.ticket);
    return Failure{Exit::payment, printable(v.origin) + " keeps asking for payment; given up after " +
                                      std::to_string(v.requests) + " requests"};
}

Outcome<Page> Client::get(const PageRequest& wish, PageSink& sink) {
    Visit v{.wish = &wish, .url = wish.url, .method = wish.method, .headers = wish.headers, .body = wish.body};
    const std::string first_origin = origin_of(wish.url);
    const UnixTime deadline = wish.max_time_s ? clock_.now() + wish.max_time_s : 0;
    int requests = 0;
    for (int hop = 0; hop <= most_hops; ++hop) {
        v.origin = origin_of(v.url);
        v.path = path_of(v.url);
        v.deadline = deadline;
        v.other_site = v.origin != first_origin;
        if (v.other_site) std::erase_if(v.headers, [](const auto& h) { return bound_to_site(h.first); });
        auto page = visit(v, sink);
        if (!page) return page;
        requests += page->requests;
        page->requests = requests;
        if (!v.redirect) return page;
        const auto next = resolve_url(v.url, *v.redirect);
        if (!next) return Failure{Exit::network, printable(v.origin) + " redirects to '" + printable(*v.redirect) + "', which is no web address"};
        if (v.url.compare(0, 8, "https://") == 0 && next->compare(0, 8, "https://") != 0)
            return Failure{Exit::network, printable(v.origin) + " redirects from https to plain http: " + printable(*next)};
        const bool keeps = page->status == 307 || page->status == 308 || v.method == "HEAD" || v.method == "GET";
        Visit after{.wish = &wish, .url = *next, .method = keeps ? v.method : "GET", .headers = v.headers,
                    .body = keeps ? v.body : std::nullopt};
        v = std::move(after);
    }
    return Failure{Exit::network, printable(wish.url) + ": more than " + std::to_string(most_hops) + " redirects"};
}

Outcome<Client::Site> Client::discover(const std::string& origin, std::int64_t max_time_s) {
    if (origin.compare(0, 8, "https://") != 0 && !is_loopback(origin))
        return Failure{Exit::usage, "only https sites can be asked (plain http only on this machine)"};
    HttpRequest r;
    r.url = origin + "/.well-known/netpay";
    r.time_left_ms = max_time_s * 1000;
    const auto answer = fetch_whole(transport_, r, most_discovery_bytes);
    if (!answer) return Failure{Exit::network, "no answer from " + printable(origin) + ": " + answer.error().detail};
    if (answer->head.status != 200)
        return Failure{Exit::http_error, printable(origin) + " does not sell by netpay (HTTP " +
                                             std::to_string(answer->head.status) + ")"};
    const auto doc = json::Document::parse(answer->body);
    if (!doc || !doc->root().is_object() || doc->root().string("vendor") != origin)
        return Failure{Exit::payment, printable(origin) + " describes itself wrongly"};
    const json::Value& v = doc->root();  // values live in their document, side by side: never copied
    Site site{origin, std::string(v.string("realm").value_or("")), {}, {}};
    if (const auto* brokers = v.array("brokers"))
        for (const auto& b : *brokers) site.brokers.emplace_back(b.as_string().value_or(""));
    if (const auto field = v.string("challenge"))
        for (const auto& c : parse_challenges(*field))
            if (c.intent == intent_session && c.expires)
                if (const auto until = parse_rfc3339(*c.expires)) {
                    if (const auto done = store_.remember_session(origin, c, *until); !done) return done.failure();
                    site.realm = c.realm;
                }
    if (const auto* prices = v.array("prices"))
        for (const auto& p : *prices) {
            if (!p.is_object()) continue;
            const auto path = p.string("path"), amount = p.string("amount"), currency = p.string("currency");
            const auto a = amount ? Amount::parse(*amount) : p.uint("amount") ? Amount::from(*p.uint("amount")) : std::nullopt;
            const auto c = currency ? Currency::parse(*currency) : std::nullopt;
            if (!path || !a || !c) continue;
            std::string methods;
            if (const auto* m = p.array("methods"))
                for (const auto& name : *m) methods += (methods.empty() ? "" : ",") + std::string(name.as_string().value_or(""));
            site.prices.push_back({std::string(*path), methods, {*a, *c}});
            const bool plain = path->find_first_of("*?[^$~ ") == std::string_view::npos;
            const bool by_get = methods.empty() || methods == "*" || methods.find("GET") != std::string::npos;
            if (plain && by_get && !p.find("type"))
                if (const auto done = store_.remember_price(origin, std::string(*path), true, {site.realm, *a, *c}, clock_.now()); !done)
                    return done.failure();
        }
    return site;
}

}  // namespace netpay::wallet
