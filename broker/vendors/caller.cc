#include "broker/vendors/caller.h"

#include "core/jws.h"
#include "core/limits.h"

namespace netpay::broker::vendors {
namespace {

Refusal refused(const Error& e) {
    switch (e.code) {
        case Code::unknown_key:
        case Code::forged:
            return {403, "request-forged", "The signature does not verify",
                    "Sign with the key of the vendor's current certificate: " + e.detail + "."};
        case Code::expired:
            return {403, "request-stale", "The request is too old or too new",
                    "Set the clock: " + e.detail + "."};
        case Code::mismatch:
            return {403, "request-elsewhere", "The request is meant for something else", e.detail + "."};
        default:
            return {400, "malformed-request", "The signed request is malformed", e.detail + "."};
    }
}

// The vendor a token says it is from; nothing is verified yet.
Outcome<Vendor> claimed_signer(Sql& sql, std::string_view token, Callers callers) {
    const auto payload = jws::peek(token);
    if (!payload) return refused(payload.error());
    const auto iss = payload->root().string("iss");
    if (!iss) return Refusal{400, "malformed-request", "The signed request is malformed", "iss is missing."};
    auto vendor = find(sql, *iss);
    if (!vendor)
        return Refusal{403, "unknown-vendor", "The broker has not approved that vendor",
                       "Register with POST /vendors and wait for the operator's approval."};
    if (vendor->status != "approved" && callers == Callers::approved)
        return Refusal{403, "suspended-vendor", "The vendor is suspended", "Ask the broker's operator."};
    return std::move(*vendor);
}

// Judged by the key of that time, whoever says so has to have had it.
UnixTime iat_of(std::string_view token) {
    const auto payload = jws::peek(token);
    return payload ? static_cast<UnixTime>(payload->root().uint("iat").value_or(0)) : 0;
}

}  // namespace

Outcome<Call> verify_call(Context& context, Sql& sql, std::string_view token, std::string_view call, UnixTime now,
                          Callers callers) {
    auto vendor = claimed_signer(sql, token, callers);
    if (!vendor) return vendor.refusal();
    auto request = verify_request(token, context.options.issuer, call, keys_of(sql, vendor->id, now), now);
    if (!request) return refused(request.error());
    return Call{std::move(*vendor), std::move(*request)};
}

Outcome<Done> use_once(Sql& sql, const Call& call, UnixTime now) {
    // Within a second of the limit a purge may not have run; what is older does not count.
    run(sql, "DELETE FROM nonces WHERE vendor = :v AND jti = :j AND at < :t", call.vendor.id, call.request.head.jti,
        now - limits::request_jti_kept_s);
    const Int added = run(sql, "INSERT INTO nonces (vendor, jti, at) VALUES (:v, :j, :t) ON CONFLICT DO NOTHING",
                          call.vendor.id, call.request.head.jti, now);
    if (added == 0)
        return Refusal{403, "request-replayed", "That signed request was used", "Make a new one with a jti of its own."};
    return Done{};
}

Outcome<SignedBatch> verify_batch_of(Context& context, Sql& sql, std::string_view token) {
    auto vendor = claimed_signer(sql, token, Callers::suspended_too);
    if (!vendor) return vendor.refusal();
    auto batch = verify_batch(token, context.options.issuer, keys_at(sql, vendor->id, iat_of(token)));
    if (!batch) return refused(batch.error());
    return SignedBatch{std::move(*vendor), std::move(*batch), std::string(token)};
}

}  // namespace netpay::broker::vendors
