// POST {issuer}/webhooks/card: what the card provider tells of payments, in
// the form of Stripe's events and signatures
// (https://docs.stripe.com/webhooks). Nothing a browser says credits anything;
// this alone does.
#pragma once

#include <string_view>

#include "broker/api/resource.h"
#include "core/bytes.h"

namespace netpay::broker::topup {

// How far a signature's time may lie from ours, seconds.
inline constexpr std::int64_t signature_tolerance_s = 300;

// Whether a Stripe-Signature field, "t=SECONDS,v1=HEX[,v1=HEX]…", signs these
// bytes under the secret: HMAC-SHA256 over t, "." and the body, compared in
// constant time; while a secret is replaced there are several v1. Schemes
// other than v1 are ignored.
bool signature_holds(std::string_view field, std::string_view body, const Secret& secret, UnixTime now);

void add_webhook(Routes& routes, api::Broker broker);

}  // namespace netpay::broker::topup
