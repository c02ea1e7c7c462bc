// The vendor certificate (PROTOCOL.md section 4): the broker's word for a
// vendor's origin, key (RFC 7800) and hand-over address.
#pragma once

#include <string>
#include <string_view>

#include "core/key.h"
#include "core/result.h"

namespace netpay {

struct Certificate {
    std::string iss, sub;  // broker; vendor origin
    PublicKey key;
    std::string handoff;   // URL on the vendor's origin
    UnixTime iat = 0, exp = 0;
};

std::string sign_certificate(const Certificate& c, const SigningKey& broker);

// Checks signature, issuer, members and iat - 60 s ≤ now ≤ exp.
Result<Certificate> verify_certificate(std::string_view token, std::string_view issuer, const KeySet& broker,
                                       UnixTime now);

// Whether a hand-over URL belongs to an origin: https on it, or plain http
// where the origin is a loopback one.
bool handoff_fits(std::string_view url, std::string_view origin);

}  // namespace netpay
