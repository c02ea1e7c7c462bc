#include "mod_netpay/custody/release.h"

#include <chrono>
#include <thread>

#include "core/base64url.h"
#include "core/jws.h"
#include "core/limits.h"
#include "core/payword.h"
#include "core/problem.h"
#include "core/request.h"

namespace netpay::custody {
namespace {

constexpr std::size_t body_bytes = 16384;  // three certificates or tokens and a touchstone, each under 1.2 KB, and more
constexpr std::uint32_t long_walk = 10000; // hashes; 0.5 ms
constexpr auto poll = std::chrono::milliseconds(20);
// Hand-overs of this process that wait for a payment or a confirmation; more
// are told to come again. httpd's processes have 25 threads by default.
constexpr int most_waiting = 4;
constexpr std::uint32_t soon_s = 1, shortly_s = 2, clock_s = 30, lease_over_s = 60;

HandoffAnswer refuse(int status, std::string_view kind, std::string_view title, const std::string& detail,
                     std::string_view outcome, std::uint32_t retry_after_s = 0) {
    return {status, problem_document("urn:netpay:problem:" + std::string(kind), status, title, detail).jcs(),
            retry_after_s, outcome};
}
HandoffAnswer malformed(const std::string& detail) {
    return refuse(400, "malformed-request", "The request is malformed", detail, "refused");
}
HandoffAnswer forbidden(std::string_view kind, const std::string& detail) {
    return refuse(403, kind, "The caller is not believed", detail, "refused");
}
HandoffAnswer unknown() {
    return refuse(404, "unknown-coin", "This vendor does not know the coin",
                  "It never held the coin, or does not hold it any more and gave it to nobody.", "unknown");
}
HandoffAnswer wrong_payword(const std::string& detail) {
    return refuse(422, "payword", "The payword is no reason to let the coin go", detail, "refused");
}
HandoffAnswer other_epoch() {
    return refuse(422, "other-epoch", "The coin is not held here in that epoch", "Ask the broker which epoch is the last.", "refused");
}
HandoffAnswer unavailable(const std::string& detail) {
    return refuse(503, "unavailable", "The coin cannot be let go now", detail, "unavailable", shortly_s);
}
HandoffAnswer not_confirmed() {
    return refuse(503, "unconfirmed", "The coin cannot be let go now",
                  "The broker has not confirmed this vendor's custody yet.", "busy", shortly_s);
}

// What a token's verification says, as an answer.
HandoffAnswer not_believed(const Error& e) {
    if (e.code == Code::malformed || e.code == Code::limit) return malformed(e.detail);
    return forbidden(e.code == Code::expired ? "request-stale" : e.code == Code::mismatch ? "request-elsewhere" : "request-forged",
                     e.detail);
}

std::string text_of(const json::Value& v, std::string_view name) { return std::string(v.string(name).value_or("")); }

}  // namespace

Release::Refused Release::read(std::string_view body, Asked& out) {
    if (body.size() > body_bytes) return refuse(413, "malformed-request", "The request is too large", "16384 bytes are taken.", "refused");
    auto doc = json::Document::parse(body);
    if (!doc || !doc->root().is_object()) return malformed("the body is no JSON object");
    out.body = std::move(*doc);
    const auto& v = out.body->root();
    for (const auto* name : {"request", "certificate", "index", "releaser", "touchstone"})
        if (v.find(name) && !v.string(name)) return malformed(std::string("\"") + name + "\" is no string");
    if (!v.find("request")) return malformed("\"request\" is missing");
    const auto optional = [&](std::string_view name) {
        return v.find(name) ? std::optional(text_of(v, name)) : std::nullopt;
    };
    out.index_token = optional("index");
    out.releaser = optional("releaser");
    out.touchstone = optional("touchstone");
    return authenticate(text_of(v, "request"), text_of(v, "certificate"), out);
}

Release::Refused Release::authenticate(const std::string& token, const std::string& certificate, Asked& out) {
    auto& caller = out.caller;
    const auto peeked = jws::peek(certificate.empty() ? token : certificate);
    if (!peeked) return malformed(peeked.error().detail);
    caller.line = lines_.find(text_of(peeked->root(), "iss"));
    if (!caller.line) return forbidden("certificate", "a certificate of a coin's own broker is needed");
    // Another process may have fetched them a moment ago.
    if (caller.line->keys->known()->keys.empty()) caller.line->keys->reread();
    KeySet keys = caller.line->keys->known()->keys;
    if (keys.empty()) return unavailable("the keys of broker " + caller.line->keys->issuer() + " are not known yet");
    caller.name = caller.line->keys->issuer();
    if (!certificate.empty()) {
        const auto c = caller.line->directory->verify(certificate);
        if (!c) {
            if (c.error().code == Code::malformed || c.error().code == Code::limit) return malformed(c.error().detail);
            return forbidden("certificate", c.error().detail);
        }
        if (caller.line->directory->is_withdrawn(c->certificate, world_.clock.now()))
            return forbidden("certificate", "the broker has withdrawn that key of the caller's");
        caller.name = c->certificate.sub;
        caller.certificate = c->token;
        keys = KeySet({c->certificate.key});
    }
    const UnixTime now = world_.clock.now();
    const auto request = verify_request(token, o_.vendor, "handoff", keys, now);
    if (!request) return not_believed(request.error());
    if (request->head.iss != caller.name) return forbidden("certificate", "the certificate is not the caller's");
    if (caller.name == o_.vendor) return forbidden("certificate", "this vendor does not ask itself");
    const auto fresh = till_.first_use(caller.name + " " + request->head.jti, now);
    if (!fresh) {
        world_.log.write(Log::Level::error, fresh.error().detail);
        return unavailable("what was asked before cannot be looked up");
    }
    if (!*fresh) return forbidden("request-replayed", "this request was seen before");
    return read_members(request->payload.root(), out);
}

Release::Refused Release::read_members(const json::Value& m, Asked& out) {
    out.coin = text_of(m, "coin");
    const auto tag = b64u_decode_array<16>(out.coin);
    if (!tag) return malformed("\"coin\" is no coin's name");
    out.tag = *tag;
    if (m.find("epoch") && !m.uint("epoch")) return malformed("\"epoch\" is no integer");
    out.epoch = m.uint("epoch");
    // The broker is trusted for money, and may have no payword of a coin that comes back.
    if (out.caller.is_broker() && !m.find("payword")) return std::nullopt;
    const auto index = m.uint("index");
    const auto word = decode_payword(m.string("payword").value_or(""));
    if (!index || !word) return malformed("\"index\" and \"payword\" are needed");
    if (*index < 1 || *index > limits::max_chain) return wrong_payword("the index lies outside every chain");
    out.index = static_cast<std::uint32_t>(*index);
    out.word = *word;
    return std::nullopt;
}

// Without raising what is revealed: a vendor's word is no payment.
Release::Refused Release::judge_payword(const Asked& a, const till::Entry& e) {
    if (a.index == 0) return std::nullopt;
    const auto& s = e.state;
    if (a.index <= e.coin.start) return wrong_payword("it lies at or below the start of the custody");
    if (a.index > s.n) return wrong_payword("the index lies outside the chain");
    const bool above = a.index > s.revealed;
    const auto high = above ? a.index : s.revealed, low = above ? s.revealed : a.index;
    std::unique_lock walk(long_walk_, std::defer_lock);
    if (high - low > long_walk && !walk.try_lock())
        return refuse(503, "busy", "The coin cannot be let go now", "Another long chain is being checked.", "busy", soon_s);
    const auto& known = above ? s.word : a.word;
    if (walk_down(s.salt, high, above ? a.word : s.word, low) != known) return wrong_payword("it is not of this chain");
    return std::nullopt;
}

// The coin's terms: those known, or the touchstone enclosed, or, for callers
// that enclose none, the one the broker has.
std::optional<Touchstone> Release::terms_of(const Asked& a, const std::optional<till::Entry>& e, std::string& token) {
    if (e) {
        token = e->coin.touchstone;
        return e->coin.terms;
    }
    auto& line = *a.caller.line;
    if (a.touchstone) {
        token = *a.touchstone;
    } else if (a.index == 0) {
        return std::nullopt;
    } else {
        // One at a time: a broker that hangs must not take httpd's threads.
        const std::unique_lock alone(asking_, std::try_to_lock);
        if (!alone) return std::nullopt;
        const auto members = json::Object()
                                 .set("coin", a.coin)
                                 .set("index", std::uint64_t{a.index})
                                 .set("payword", encode_payword(a.word));
        const auto reply = line.client->call("custody/acquire", members);
        if (!reply.body) return std::nullopt;
        token = text_of(reply.body->root(), "touchstone");
    }
    auto t = verify_touchstone(token, line.keys->issuer(), line.keys->known()->keys, world_.clock.now());
    if (!t || t->tag != a.tag) return std::nullopt;
    return std::move(*t);
}

// The 410 rule: the coin was given to this vendor, and the answer was lost.
Release::Refused Release::take_over_by_index(const Asked& a, std::optional<till::Entry>& e) {
    if (!a.index_token) return std::nullopt;
    const auto peeked = jws::peek(*a.index_token);
    const auto epoch = peeked ? peeked->root().uint("epoch") : std::nullopt;
    const auto iat = peeked ? peeked->root().uint("iat") : std::nullopt;
    if (!epoch || !iat) return malformed("the index enclosed cannot be read");
    // What this vendor holds, or held in that epoch or later, nobody else can have given it.
    if (e && e->standing == till::Standing::held && e->coin.lease >= world_.clock.now()) return std::nullopt;
    if (e && (e->standing == till::Standing::dropped ? e->coin.epoch > *epoch : e->coin.epoch >= *epoch)) return std::nullopt;
    auto& line = *a.caller.line;
    std::optional<Listed> releaser;
    if (a.releaser)
        if (auto c = line.directory->verify(*a.releaser)) releaser = std::move(*c);
    // Before anybody is asked for anything: it is signed, and for this vendor.
    const auto* signer = releaser ? &releaser->certificate : nullptr;
    const auto signature = verify_index(
        *a.index_token, line.directory->keys_of(text_of(peeked->root(), "iss"), signer, static_cast<UnixTime>(*iat)));
    if (!signature) return forbidden("index", signature.error().detail);
    if (signature->aud != o_.vendor || signature->coin != a.coin || !signature->speaks_to(line.keys->issuer()))
        return forbidden("index", "the index enclosed is not this vendor's");
    // What it took over before is told first: the broker would not hear of it
    // after this, and each index would open the limit of unconfirmed sales anew.
    if (e && !e->coin.indices.empty()) {
        reports_.note(a.tag);
        return not_confirmed();
    }
    std::string token;
    const auto terms = terms_of(a, e, token);
    if (!terms) return unknown();
    const auto i = handover_.addressed_here(line, *terms, *a.index_token, signer);
    if (!i && i.error().code == Code::limit)
        return refuse(503, "busy", "The coin cannot be let go now", "Another long chain is being checked.", "busy", soon_s);
    if (!i) return forbidden("index", i.error().detail);
    auto indices = handover_.before(line, *terms, a.body->root(), *i);
    indices.push_back(*a.index_token);
    const auto f = handover_.take(*terms, token, *i, std::move(indices));
    if (f.end == Followed::End::till_failed) return unavailable(f.detail);
    if (f.end == Followed::End::taken) {
        // Nothing is signed on the strength of an index that the broker knows to be
        // void: it would look as if this vendor had never held the coin. Only
        // where the broker is out of reach the coin is passed on unconfirmed.
        const auto told = reports_.report(a.tag, std::chrono::milliseconds(o_.release_wait_ms));
        if (told == Reports::Told::refused || told == Reports::Told::busy) return not_confirmed();
        if (told == Reports::Told::later) reports_.note(a.tag);
    }
    e = till_.find(a.tag);
    return std::nullopt;
}

// An unconfirmed custody is let go only by the index it was taken over by, and untouched.
bool Release::may_be_passed_on(const Asked& a, const till::Entry& e) const {
    return a.index_token && !e.coin.indices.empty() && e.coin.indices.back() == *a.index_token &&
           e.state.spent == e.coin.start;
}

till::Till::HandoverOutcome Release::let_go(const Asked& a, const till::Entry& e, bool& now) {
    const auto sign = [&](const till::Till::Leaving& l) {
        now = true;
        const SignedIndex i{o_.vendor, a.caller.name, a.coin, l.epoch, l.index, l.payword, world_.clock.now(), l.lease,
                            a.caller.line->keys->issuer()};
        return till::HandedOver{sign_index(i, *o_.key), a.caller.name, a.caller.certificate};
    };
    struct Place {
        std::atomic<int>& taken;
        const bool mine = taken.fetch_add(1) < most_waiting;
        ~Place() { taken.fetch_sub(1); }
    } const place{waiting_};
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(place.mine ? o_.release_wait_ms : 0);
    bool woken = false;
    for (;;) {
        const auto o = till_.hand_over(a.tag, a.epoch.value_or(e.coin.epoch), world_.clock.now(), may_be_passed_on(a, e), sign);
        const bool unconfirmed = o.result == till::Till::Handover::unconfirmed;
        if (unconfirmed && !std::exchange(woken, true)) reports_.note(a.tag);
        if ((o.result != till::Till::Handover::busy && !unconfirmed) || std::chrono::steady_clock::now() >= until) return o;
        std::this_thread::sleep_for(poll);
    }
}

HandoffAnswer Release::tell(const Asked& a, const till::Entry& e, const till::Till::HandoverOutcome& o, bool now) {
    using Let = till::Till::Handover;
    switch (o.result) {
        case Let::given: break;
        case Let::unknown: return unknown();
        case Let::other_epoch: return other_epoch();
        case Let::lease_over:
            return refuse(503, "lease-over", "The custody has ended", "The broker gives the coin to the next.", "unavailable", lease_over_s);
        case Let::busy:
            return refuse(503, "busy", "The coin cannot be let go now", "A payment is under way.", "busy", soon_s);
        case Let::unconfirmed: return not_confirmed();
        case Let::unavailable:
            world_.log.write(Log::Level::error, std::string("till: ") + (*o.why ? o.why : "cannot answer"));
            return unavailable("the till cannot answer");
    }
    if (now) world_.log.write(Log::Level::info, short_name(a.coin) + " handed over to " + a.caller.name);
    if (o.given.to == a.caller.name)
        return {200, json::Object().set("touchstone", e.coin.touchstone).set("index", o.given.index).jcs(), 0, now ? "given" : "again"};
    json::Object body;
    body.set("index", o.given.index);
    // By which it was this vendor's to give, until the broker has been told.
    if (!e.coin.indices.empty()) body.set("before", Handover::last_of(e.coin.indices));
    if (!o.given.certificate.empty()) body.set("certificate", o.given.certificate);
    return {410, body.jcs(), 0, "elsewhere"};
}

HandoffAnswer Release::answer(std::string_view body) {
    if (!lines_.clock_good())
        return refuse(503, "clock", "The coin cannot be let go now", "This vendor's clock is not to be trusted now.", "unavailable", clock_s);
    Asked a;
    if (auto refused = read(body, a)) return std::move(*refused);
    auto e = till_.find(a.tag);
    if (!e && !till_.usable()) return unavailable("the till cannot answer");
    if (e && e->coin.terms.iss != a.caller.line->keys->issuer())
        return forbidden("certificate", "the coin is of another broker");
    if (auto refused = take_over_by_index(a, e)) return std::move(*refused);
    if (!e || e->standing == till::Standing::dropped) return unknown();
    if (e->damaged) return unavailable("the coin's state is damaged here");
    if (a.epoch && *a.epoch != e->coin.epoch) return other_epoch();
    if (auto refused = judge_payword(a, *e)) return std::move(*refused);
    bool now = false;
    const auto outcome = let_go(a, *e, now);
    return tell(a, *e, outcome, now);
}

}  // namespace netpay::custody
