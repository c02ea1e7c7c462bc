#include "mod_netpay/offer.h"

#include <algorithm>

#include "core/limits.h"
#include "core/timestamp.h"
#include "mod_netpay/verified.h"

namespace netpay {
namespace {

Tag16 binding(const Ask& ask) {
    std::string uri;
    uri.reserve(ask.vendor.size() + ask.target.size());
    uri.append(ask.vendor).append(ask.target);
    return resource_binding(ask.method, uri);
}

// The part of the check that depends on the resource: a charge is for it alone.
std::optional<Refusal> check_charge(const Challenge& c, const PaymentTerms& terms, const Ask& ask) {
    const auto bound = c.opaque ? parse_opaque(*c.opaque) : std::nullopt;
    if (!bound || *bound != binding(ask)) return refuse::invalid_challenge("The challenge is for another resource.");
    if (terms.amount != ask.price.amount || terms.currency != ask.price.currency)
        return refuse::invalid_challenge("The price has changed since the challenge was made.");
    return std::nullopt;
}

}  // namespace

std::string_view origin_form(std::string_view target) {
    if (target.starts_with('/')) return target;
    const auto authority = target.find("://");
    if (authority == std::string_view::npos) return target;
    const auto path = target.find('/', authority + 3);
    return path == std::string_view::npos ? std::string_view("/") : target.substr(path);
}

Result<std::vector<Challenge>> make_challenges(const Ask& ask, const std::vector<std::string_view>& intents,
                                               const ChallengeSecrets& secrets, UnixTime now) {
    PaymentTerms terms;
    terms.amount = ask.price.amount;
    terms.currency = ask.price.currency;
    terms.recipient = ask.vendor;
    terms.brokers = *ask.brokers;
    const std::string request = encode_terms(terms);
    const std::string expires = format_rfc3339(challenge_expires(now, ask.life_s));
    std::vector<Challenge> out;
    for (const auto intent : intents) {
        Challenge c;
        c.realm = ask.realm;
        c.method = method_netpay;
        c.intent = intent;
        c.request = request;
        c.expires = expires;
        if (intent == intent_charge) c.opaque = encode_opaque(binding(ask));
        if (ask.own_field) c.header = payment_header;
        auto id = challenge_id(c, secrets.current);
        if (!id) return id.error();
        c.id = std::move(*id);
        out.push_back(std::move(c));
    }
    return out;
}

std::optional<Refusal> check_challenge(const Challenge& c, bool own_field, const Ask& ask,
                                       const ChallengeSecrets& secrets, UnixTime now) {
    // A session's challenge comes back with every page: what was found out
    // about its bytes is remembered, what depends on the resource is not.
    VerifiedChallenge known;
    if (!VerifiedChallenge::recall(c, &secrets, known)) {
        if (!verify_challenge_id(c, secrets.current, secrets.older()))
            return refuse::invalid_challenge("The challenge's id does not verify.");
        auto terms = parse_terms(c.request);
        const auto expires = c.expires ? parse_rfc3339(*c.expires) : std::nullopt;
        if (!terms || !expires || c.digest) return refuse::invalid_challenge("The challenge is none that is issued here.");
        if (terms->recipient != ask.vendor) return refuse::invalid_challenge("The challenge is for another vendor.");
        if (c.intent == intent_charge) {
            if (auto r = check_charge(c, *terms, ask)) return r;
        }
        known = {*expires};
        if (c.intent == intent_session) known.remember(c, &secrets);
    }
    if (c.realm != ask.realm) return refuse::invalid_challenge("The challenge is for another realm.");
    if (std::find(ask.intents->begin(), ask.intents->end(), c.intent) == ask.intents->end())
        return refuse::invalid_challenge("The challenge's intent is not offered here.");
    if (own_field != ask.own_field || c.header.has_value() != ask.own_field || (c.header && *c.header != payment_header))
        return refuse::invalid_challenge("The credential came in a field that this resource does not use.");
    if (now > known.expires) return refuse::challenge_expired();
    return std::nullopt;
}

}  // namespace netpay
