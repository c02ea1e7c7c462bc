#include "mod_netpay/custody/handover.h"

#include <algorithm>

#include "core/jws.h"
#include "core/limits.h"
#include "core/payword.h"

namespace netpay::custody {
namespace {

// How soon a vendor that is no vendor yet may be one.
constexpr std::uint32_t uncertified_s = 30;

// A broker takes no index of a higher epoch for what it says (no coin has so
// many), and one that it does not take as evidence must not move a coin.
constexpr std::uint64_t most_epochs = 1u << 30;

// A longer walk (hashes; 0.5 ms) is done by one thread at a time, so that
// peers cannot make every core hash; the longest takes 50 ms, and who has
// waited for some of them does not wait for more.
constexpr std::uint32_t long_walk = 10000;
constexpr auto walk_wait = std::chrono::milliseconds(250);

Followed ended(Followed::End end, std::string detail) {
    Followed f;
    f.end = end;
    f.detail = std::move(detail);
    return f;
}

}  // namespace

// Signature, coin, bounds and payword. Times and parties are the caller's to judge.
Result<SignedIndex> Handover::verify(Line& line, const Touchstone& terms, std::string_view token, const Certificate* shown) {
    const auto peeked = jws::peek(token);
    const auto signer = peeked ? peeked->root().string("iss") : std::nullopt;
    const auto iat = peeked ? peeked->root().uint("iat") : std::nullopt;
    if (!signer || !iat) return {Code::malformed, "index: it cannot be read"};
    auto i = verify_index(token, line.directory->keys_of(*signer, shown, static_cast<UnixTime>(*iat)));
    if (!i) return i;
    if (i->aud == i->iss) return {Code::mismatch, "index: signed to its signer itself"};
    if (i->epoch > most_epochs) return {Code::mismatch, "index: no coin has so many epochs"};
    if (i->coin != terms.coin || !i->speaks_to(terms.iss)) return {Code::mismatch, "index: of another coin"};
    if (i->index > terms.n) return {Code::mismatch, "index: beyond the chain"};
    std::unique_lock walk(long_walk_, std::defer_lock);
    if (i->index > long_walk && !walk.try_lock_for(walk_wait))
        return {Code::limit, "index: other long chains are being checked"};
    if (walk_down(terms.salt, i->index, i->payword, 0) != terms.root)
        return {Code::forged, "index: its payword is not of this chain"};
    return i;
}

Result<SignedIndex> Handover::addressed_here(Line& line, const Touchstone& terms, std::string_view token,
                                             const Certificate* shown) {
    auto i = verify(line, terms, token, shown);
    if (!i) return i;
    const UnixTime now = world_.clock.now();
    if (i->aud != vendor_) return {Code::mismatch, "index: addressed to another vendor"};
    if (i->iss == vendor_) return {Code::mismatch, "index: of this vendor itself"};
    if (i->exp < now) return {Code::expired, "index: the lease it was released from has ended"};
    if (i->iat > now + limits::request_skew_s) return {Code::mismatch, "index: signed in the future"};
    // A lease that no broker gives: the signer has made it up, to sell beyond its own.
    const bool possible = i->exp <= terms.exp && i->exp <= i->iat + limits::longest_lease_s + limits::request_skew_s;
    if (!possible) return {Code::mismatch, "index: it names a lease that the broker cannot have given"};
    return i;
}

std::vector<std::string> Handover::before(Line& line, const Touchstone& terms, const json::Value& body,
                                          const SignedIndex& by) {
    const auto* list = body.array("before");
    if (!list) return {};
    std::vector<std::string> tokens;
    for (const auto& v : *list) tokens.emplace_back(v.as_string().value_or(""));
    std::vector<std::string> good;
    auto epoch = by.epoch;
    auto signer = by.iss;
    for (auto t = tokens.rbegin(); t != tokens.rend() && good.size() < most_before; ++t) {
        const auto i = verify(line, terms, *t, nullptr);
        if (!i || i->aud != signer || i->epoch + 1 != epoch) break;
        good.insert(good.begin(), *t);
        epoch = i->epoch;
        signer = i->iss;
    }
    return good;
}

std::vector<std::string> Handover::last_of(std::vector<std::string> indices) {
    if (indices.size() > most_before) indices.erase(indices.begin(), indices.end() - most_before);
    return indices;
}

Followed Handover::take(const Touchstone& terms, const std::string& touchstone, const SignedIndex& by,
                        std::vector<std::string> indices) {
    // This vendor's own word on an earlier epoch goes before them: whoever it
    // gave the coin to may never have reported it, and what is sold from now
    // on would be claimed under that epoch.
    const auto known = till_.find(terms.tag);
    if (known && known->handed_over && known->coin.epoch < by.epoch &&
        std::find(indices.begin(), indices.end(), known->handed_over->index) == indices.end()) {
        auto before = known->coin.indices;
        before.push_back(known->handed_over->index);
        indices.insert(indices.begin(), before.begin(), before.end());
    }
    if (indices.size() > most_unreported)
        return ended(Followed::End::absent, "the broker has to hear of earlier hand-overs first");
    const auto taken =
        till_.take({terms, touchstone, {}, by.epoch + 1, by.index, by.payword, by.exp, std::move(indices), pages_});
    if (!taken) {
        world_.log.write(Log::Level::error, "the till cannot take " + short_name(terms.coin) + ": " + taken.error().detail);
        return ended(Followed::End::till_failed, "the till cannot take the coin");
    }
    if (!*taken) return ended(Followed::End::stale, "it was taken over by that index before, and passed on since");
    const auto now_known = till_.find(terms.tag);
    if (now_known && now_known->coin.indices.empty() && now_known->coin.lease < world_.clock.now())
        return ended(Followed::End::absent, "it is signed for a custody that has ended");
    world_.log.write(Log::Level::info, short_name(terms.coin) + " taken over from " + by.iss + ", epoch " +
                                           std::to_string(by.epoch + 1));
    Followed f = ended(Followed::End::taken, {});
    f.confirmed_only = now_known && !now_known->coin.indices.empty() && now_known->pages_left == 0;
    return f;
}

Reply Handover::ask(Line& line, const Wanted& w, const Lead& lead) {
    json::Object members;
    members.set("coin", w.terms.coin)
        .set("index", std::uint64_t{lead.index})
        .set("payword", encode_payword(walk_down(w.terms.salt, w.index, w.word, lead.index)));
    if (lead.epoch) members.set("epoch", *lead.epoch);
    json::Object body;
    const auto own = line.directory->own();
    if (own.empty()) {
        Reply r;
        r.detail = "broker " + line.keys->issuer() + " has not certified this vendor";
        r.retry_after_s = uncertified_s;
        return r;
    }
    body.set("certificate", own);
    if (!lead.indices.empty()) {
        // The touchstone, because whoever never heard of the coin has none; the
        // releaser, because it may stand in no list by now.
        body.set("index", lead.indices.back()).set("touchstone", w.touchstone);
        if (!lead.releaser.empty()) body.set("releaser", lead.releaser);
        if (lead.indices.size() > 1) body.set("before", last_of({lead.indices.begin(), lead.indices.end() - 1}));
    }
    return peers_.hand_over(lead.holder.certificate, members, std::move(body));
}

// 200: the holder let it go.
Followed Handover::released(Line& line, const Wanted& w, const Lead& lead, const Reply& reply) {
    const auto token = reply.body->root().string("index").value_or("");
    const auto& holder = lead.holder.certificate;
    auto i = addressed_here(line, w.terms, token, &holder);
    if (i && i->iss != holder.sub) i = Result<SignedIndex>(Code::mismatch, "index: signed by another vendor");
    if (i && lead.epoch && i->epoch != *lead.epoch) i = Result<SignedIndex>(Code::mismatch, "index: of another epoch");
    if (i && i->index < lead.start) i = Result<SignedIndex>(Code::mismatch, "index: below the start of the custody");
    if (!i) {
        const auto detail = holder.sub + ", handoff: " + i.error().detail;
        world_.log.write(Log::Level::warning, short_name(w.terms.coin) + ": " + detail);
        return ended(Followed::End::absent, detail);
    }
    auto indices = lead.indices;
    indices.emplace_back(token);
    auto f = take(w.terms, w.touchstone, *i, std::move(indices));
    f.way = lead.way;
    return f;
}

// 410: the holder gave it to someone else before.
Followed Handover::elsewhere(Line& line, const Wanted& w, const Lead& lead, const Reply& reply, std::optional<Lead>& next) {
    const auto& holder = lead.holder.certificate;
    const auto bad = [&](const std::string& what) {
        const auto detail = holder.sub + ", handoff: " + what;
        world_.log.write(Log::Level::warning, short_name(w.terms.coin) + ": " + detail);
        return ended(Followed::End::absent, detail);
    };
    const auto token = reply.body ? reply.body->root().string("index") : std::nullopt;
    if (!token) return ended(Followed::End::absent, reply.detail);
    const auto i = verify(line, w.terms, *token, &holder);
    if (!i) return bad(i.error().detail);
    if (i->iss != holder.sub) return bad("index: signed by another vendor");
    if (lead.epoch && i->epoch != *lead.epoch) return bad("index: of another epoch");
    if (i->index < lead.start) return bad("index: below the start of the custody");
    auto indices = lead.indices.empty() ? before(line, w.terms, reply.body->root(), *i) : lead.indices;
    indices.emplace_back(*token);
    // It was given to this vendor, and the answer was lost.
    if (i->aud == vendor_) {
        const auto mine = addressed_here(line, w.terms, *token, &holder);
        if (!mine) return bad(mine.error().detail);
        auto f = take(w.terms, w.touchstone, *mine, std::move(indices));
        f.way = lead.way;
        return f;
    }
    if (i->aud == w.terms.iss) return ended(Followed::End::returned, short_name(w.terms.coin) + " was returned to its broker");
    const auto certificate = line.directory->verify(reply.body->root().string("certificate").value_or(""));
    if (!certificate) return bad(certificate.error().detail);
    if (certificate->certificate.sub != i->aud) return bad("the certificate is not of the vendor it was given to");
    if (w.index <= i->index) return ended(Followed::End::beyond, short_name(w.terms.coin) + " was spent beyond the payword shown");
    next = Lead{*certificate, i->epoch + 1, i->index, i->index + 1, std::move(indices), lead.holder.token, "chain"};
    return {};
}

Followed Handover::follow(Line& line, const Wanted& w, Lead lead, Deadline end) {
    for (int further = 0;; ++further) {
        const auto reply = ask(line, w, lead);
        if (reply.status == 0) {
            auto f = ended(Followed::End::silent, reply.detail);
            f.retry_after_s = reply.retry_after_s;
            return f;
        }
        if (reply.status == 200) return released(line, w, lead, reply);
        if (reply.status != 410) return ended(Followed::End::absent, reply.detail);
        std::optional<Lead> next;
        auto f = elsewhere(line, w, lead, reply, next);
        if (!next) return f;
        if (further == most_further) return ended(Followed::End::absent, "the coin is passed on from vendor to vendor");
        if (std::chrono::steady_clock::now() > end) {
            f = ended(Followed::End::silent, "the vendors asked take too long to answer");
            return f;
        }
        lead = std::move(*next);
    }
}

}  // namespace netpay::custody
