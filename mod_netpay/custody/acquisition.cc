#include "mod_netpay/custody/acquisition.h"

#include "core/payword.h"

namespace netpay::custody {

bool till_holds(till::Till& till, const Tag16& coin, UnixTime now) {
    const auto e = till.find(coin);
    return e && e->standing == till::Standing::held && e->coin.lease >= now;
}

// Whom to ask, in this order: the holder the payer names, if the list knows
// it; whoever this vendor gave the coin to; the broker; the holder it names.
Flights::Outcome Acquisition::run() {
    // Taken over and not confirmed in the lease it came with: the broker's custody is a new one.
    if (known_ && known_->standing == till::Standing::held && !known_->coin.indices.empty()) {
        const auto told = p_.reports.tell(wanted_.terms.tag);
        if (till_holds(p_.till, wanted_.terms.tag, p_.world.clock.now())) return held({});
        if (told == Reports::Told::later)
            return {{Taken::unavailable, "the broker has not confirmed the custody", 2}};
    }
    if (auto o = ask_named()) return *o;
    if (auto o = ask_receiver()) return *o;
    return ask_broker();
}

std::optional<Flights::Outcome> Acquisition::ask_named() {
    if (!wanted_.holder) return std::nullopt;
    auto listed = line_.directory->find(*wanted_.holder);
    // Another process may have fetched the list since this one read it.
    if (!listed && line_.directory->reread()) listed = line_.directory->find(*wanted_.holder);
    if (!listed) return std::nullopt;
    return follow({std::move(*listed), std::nullopt, 0, wanted_.held, {}, {}, "direct"});
}

// The one this vendor gave the coin to, with the index it was given: if the
// answer was lost it takes the coin over by that, and lets it go again.
std::optional<Flights::Outcome> Acquisition::ask_receiver() {
    if (std::exchange(asked_receiver_, true) || !known_ || !known_->handed_over) return std::nullopt;
    if (known_->standing != till::Standing::handed_over || known_->handed_over->certificate.empty()) return std::nullopt;
    const auto& given = *known_->handed_over;
    if (given.to == silent_) return std::nullopt;
    // Its newest certificate knows its address best.
    auto holder = line_.directory->find(given.to);
    if (!holder)
        if (auto kept = line_.directory->verify(given.certificate)) holder = std::move(*kept);
    if (!holder) return std::nullopt;
    const auto from = known_->state.spent;
    if (wanted_.index <= from) return std::nullopt;
    auto indices = known_->coin.indices;
    indices.push_back(given.index);
    return follow({std::move(*holder), known_->coin.epoch + 1, from, from + 1, std::move(indices), line_.directory->own(), "regain"});
}

Flights::Outcome Acquisition::ask_broker() {
    const auto members = json::Object()
                             .set("coin", wanted_.terms.coin)
                             .set("index", std::uint64_t{wanted_.index})
                             .set("payword", encode_payword(wanted_.word));
    const auto reply = line_.client->call("custody/acquire", members);
    switch (reply.status) {
        case 0:
            if (!silent_.empty()) return {silent()};
            return {{Taken::unavailable, reply.detail, reply.retry_after_s}};
        case 200: return take(reply.body->root().string("custody").value_or(""));
        case 404:
        case 410: return {{Taken::refused, reply.detail}};
        case 409: return ask_holder(reply);
        case 422: return {{Taken::refused, reply.detail}, wanted_.index};  // spent elsewhere beyond this payword
        default:
            // The broker does not take this vendor's word (not approved, suspended, clock wrong), or does
            // not understand it: nothing the customer could mend.
            p_.world.log.write(Log::Level::error, reply.detail);
            return {{Taken::unavailable, reply.detail, 30}};
    }
}

// 409: another vendor holds the coin, as far as the broker knows.
Flights::Outcome Acquisition::ask_holder(const Reply& reply) {
    const auto& what = short_name(wanted_.terms.coin);
    const auto bad = [&](const std::string& why) -> Flights::Outcome {
        const auto detail = reply.detail + ": " + why;
        p_.world.log.write(Log::Level::error, detail);
        return {{Taken::unavailable, detail, 30}};
    };
    if (!reply.body) return bad("no JSON");
    const auto& v = reply.body->root();
    auto holder = line_.directory->verify(v.string("holder").value_or(""));
    const auto epoch = v.uint("epoch"), start = v.uint("index");
    if (!holder) return bad(holder.error().detail);
    if (!epoch || *epoch < 1 || !start || *start > wanted_.terms.n) return bad("no epoch or index");
    if (holder->certificate.sub == p_.options.vendor) {
        // It has not heard yet to whom this vendor gave the coin.
        if (auto o = ask_receiver()) return *o;
        return {silent_.empty() ? Acquired{Taken::unavailable, what + " was handed over, and the broker does not know it yet", 2}
                                 : silent()};
    }
    if (holder->certificate.sub == silent_) return {silent()};
    const auto from = static_cast<std::uint32_t>(*start);
    if (wanted_.index <= from) return {{Taken::refused, what + " was spent elsewhere beyond this payword"}, wanted_.index};
    const auto name = holder->certificate.sub;
    if (auto o = follow({std::move(*holder), *epoch, from, from + 1, {}, {}, "broker"})) return *o;
    if (silent_ == name) return {silent()};
    return {{Taken::unavailable, what + " is held by " + name + ", which does not let it go", 30}};
}

// Nothing: somebody else is to be asked.
std::optional<Flights::Outcome> Acquisition::follow(Lead lead) {
    const auto name = lead.holder.certificate.sub;
    if (std::chrono::steady_clock::now() > end_) {
        silent_ = name;
        silence_.detail = "no time is left to ask it";
        return std::nullopt;
    }
    const auto f = p_.handover.follow(line_, wanted_, std::move(lead), end_);
    switch (f.end) {
        case Followed::End::taken: return taken(f);
        case Followed::End::returned: return Flights::Outcome{{Taken::refused, f.detail}};
        case Followed::End::beyond: return Flights::Outcome{{Taken::refused, f.detail}, wanted_.index};
        case Followed::End::till_failed: return Flights::Outcome{{Taken::unavailable, f.detail}};
        case Followed::End::stale:
        case Followed::End::absent: return std::nullopt;
        case Followed::End::silent: break;
    }
    silent_ = name;
    silence_ = f;
    return std::nullopt;
}

Acquired Acquisition::silent() const {
    return {Taken::unavailable, short_name(wanted_.terms.coin) + " is held by " + silent_ + ": " + silence_.detail,
            silence_.retry_after_s};
}

Flights::Outcome Acquisition::taken(const Followed& f) {
    const auto& tag = wanted_.terms.tag;
    if (!f.confirmed_only) {
        p_.reports.note(tag);
        return held(f.way);
    }
    switch (p_.reports.tell(tag)) {
        case Reports::Told::confirmed: return held(f.way);
        case Reports::Told::dropped: return {{Taken::unavailable, "the broker decided for another vendor", 2}};
        default: break;
    }
    p_.reports.note(tag);
    return {{Taken::unavailable, "the broker has not confirmed the hand-over yet", 2}};
}

// Held now. Whether the hop is too long shows only here, against the highest
// payword known; it depends on the index shown, so others may fare better.
Flights::Outcome Acquisition::held(std::string_view way) {
    const auto e = p_.till.find(wanted_.terms.tag);
    if (e && wanted_.index > e->state.revealed && wanted_.index - e->state.revealed > max_hop_)
        return {{Taken::hop_too_long, "index too far from the start of the custody", 2, way}, 0};
    return {{Taken::held, {}, 2, way}};
}

// The touchstone in the answer is passed over: the customer's has been
// verified, and a coin's name commits to its chain.
Flights::Outcome Acquisition::take(std::string_view custody) {
    const auto now = p_.world.clock.now();
    auto c = accept_custody(custody, line_.keys->known()->keys, p_.options.vendor, wanted_.terms, now);
    if (!c && c.error().code == Code::unknown_key) {
        line_.keys->want_refresh();
        if (line_.keys->reread()) c = accept_custody(custody, line_.keys->known()->keys, p_.options.vendor, wanted_.terms, now);
    }
    if (!c) {
        const auto detail = "broker " + line_.keys->issuer() + ", custody/acquire: " + c.error().detail;
        p_.world.log.write(Log::Level::error, detail);
        return {{Taken::unavailable, detail}};
    }
    line_.clock->heard(c->iat);
    const auto taken =
        p_.till.take({wanted_.terms, wanted_.touchstone, std::string(custody), c->epoch, c->index, c->payword, c->exp, {}, 0});
    if (!taken) {
        p_.world.log.write(Log::Level::error, "the till cannot take " + short_name(wanted_.terms.coin) + ": " + taken.error().detail);
        return {{Taken::unavailable, "the till cannot take the coin"}};
    }
    if (!*taken) {
        // The epoch this vendor passed on: the broker has not heard of that yet.
        if (auto o = ask_receiver()) return *o;
        if (!silent_.empty()) return {silent()};
        return {{Taken::unavailable, short_name(wanted_.terms.coin) + ": the till knows a later epoch than the broker", 2}};
    }
    p_.leases.note(c->exp - c->iat);
    p_.world.log.write(Log::Level::info, short_name(wanted_.terms.coin) + " taken into custody, epoch " + std::to_string(c->epoch));
    return held({});
}

}  // namespace netpay::custody
