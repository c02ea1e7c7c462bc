#include "mod_netpay/refusal.h"

#include "core/problem.h"

namespace netpay {
namespace {

Refusal make(Decision decision, int status, std::string_view problem, std::string detail) {
    Refusal r;
    r.decision = decision;
    r.status = status;
    r.problem = problem;
    r.detail = std::move(detail);
    return r;
}

std::string_view title(std::string_view problem) {
    struct Title { std::string_view problem, title; };
    static constexpr Title titles[] = {
        {problem::payment_required, "Payment required"},
        {problem::malformed_credential, "The payment credential cannot be read"},
        {problem::invalid_payload, "The payment payload cannot be read"},
        {problem::invalid_challenge, "The challenge is not one of this resource"},
        {problem::payment_expired, "The challenge has expired"},
        {problem::payment_insufficient, "The payment does not suffice"},
        {problem::verification_failed, "The payment was not accepted"},
        {problem::method_unsupported, "The payment method is not supported"},
        {problem::internal_payment_error, "The payment cannot be processed now"},
    };
    for (const auto& t : titles)
        if (t.problem == problem) return t.title;
    return "Payments need an encrypted connection";
}

Decision decision_of(Verdict v) {
    switch (v) {
        case Verdict::insufficient: return Decision::insufficient;
        case Verdict::already_spent: return Decision::already_spent;
        case Verdict::forged: return Decision::forged;
        case Verdict::hop_too_long: return Decision::hop_too_long;
        case Verdict::expired: return Decision::expired;
        case Verdict::lease_over: return Decision::lease_over;
        default: return Decision::till_unavailable;
    }
}

const char* explain(Decision d) {
    switch (d) {
        case Decision::forged: return "The payword does not belong to this coin at this index.";
        case Decision::already_spent: return "This index was used before.";
        case Decision::hop_too_long: return "The index lies too far from the last one this coin showed here.";
        case Decision::expired: return "The coin is past its last day.";
        case Decision::lease_over: return "The broker does not leave this coin with this vendor any longer.";
        default: return "";
    }
}

}  // namespace

namespace refuse {

Refusal payment_required() {
    return make(Decision::required, 402, problem::payment_required, "This resource is sold. Answer one of the challenges.");
}

Refusal several_credentials() {
    return make(Decision::several_credentials, 400, problem::malformed_credential,
                "The request carries more than one credential.");
}

Refusal insecure() {
    return make(Decision::insecure, 403, "urn:netpay:problem:insecure-transport",
                "Payments are neither asked for nor taken over plain HTTP, where others can read them. Use https (TLS).");
}

Refusal unreadable(const Error& e) {
    if (e.code == Code::mismatch)
        return make(Decision::method_unsupported, 400, problem::method_unsupported, e.detail);
    if (e.code == Code::malformed_payload)
        return make(Decision::invalid_payload, 402, problem::invalid_payload, e.detail);
    return make(Decision::malformed_credential, 402, problem::malformed_credential, e.detail);
}

Refusal invalid_challenge(std::string detail) {
    return make(Decision::invalid_challenge, 402, problem::invalid_challenge, std::move(detail));
}

Refusal challenge_expired() {
    return make(Decision::challenge_expired, 402, problem::payment_expired, "The challenge has expired. Answer a fresh one.");
}

Refusal verification_failed(Decision d, std::string detail) {
    Refusal r = make(d, 402, problem::verification_failed, std::move(detail));
    r.reason = label(d).reason;
    return r;
}

Refusal insufficient(std::string coin, std::uint32_t spent, std::uint32_t revealed, std::uint32_t needed,
                     std::string detail) {
    Refusal r = make(Decision::insufficient, 402, problem::payment_insufficient, std::move(detail));
    r.coin = std::move(coin);
    r.spent = spent;
    r.revealed = revealed;
    r.needed = needed;
    return r;
}

Refusal unavailable(Decision d, std::uint32_t retry_after_s) {
    Refusal r = make(d, 503, problem::internal_payment_error, "Nothing was charged. The same payment can be tried again.");
    r.retry_after_s = retry_after_s ? retry_after_s : 1;
    return r;
}

Refusal judged(Verdict v, std::string coin, std::uint32_t spent, std::uint32_t revealed, std::uint32_t needed,
               std::uint32_t max_hop) {
    if (v == Verdict::insufficient)
        return insufficient(std::move(coin), spent, revealed, needed, "The units revealed so far do not cover the price.");
    const Decision d = decision_of(v);
    if (d == Decision::till_unavailable) return unavailable(d, 1);
    Refusal r = verification_failed(d, explain(d));
    if (d == Decision::already_spent) {
        r.spent = spent;
        r.revealed = revealed;
    }
    if (d == Decision::hop_too_long) r.max_hop = max_hop;
    return r;
}

}  // namespace refuse

std::string problem_body(const Refusal& r) {
    auto body = problem_document(r.problem, r.status, title(r.problem), r.detail);
    if (!r.reason.empty()) body.set("reason", r.reason);
    if (!r.coin.empty()) body.set("coin", r.coin);
    if (r.spent) body.set("spent", std::uint64_t{*r.spent});
    if (r.revealed) body.set("revealed", std::uint64_t{*r.revealed});
    if (r.needed) body.set("needed", std::uint64_t{*r.needed});
    if (r.max_hop) body.set("max_hop", std::uint64_t{*r.max_hop});
    return body.jcs();
}

}  // namespace netpay
