// The challenges a resource offers, and whether one that comes back is its
// own (PROTOCOL.md section 5).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/challenge.h"
#include "core/hash.h"
#include "core/result.h"
#include "mod_netpay/price.h"
#include "mod_netpay/refusal.h"

namespace netpay {

// The keys of challenge ids: the current one signs, both verify.
struct ChallengeSecrets {
    Hmac current;
    std::optional<Hmac> previous;
    const Hmac* older() const { return previous ? &*previous : nullptr; }
};

// What a resource asks for. Views live as long as the request.
struct Ask {
    std::string_view realm;
    std::string_view vendor;                  // origin
    const std::vector<std::string>* brokers;  // issuers
    Price price;
    const std::vector<std::string_view>* intents;  // offered here, in the operator's order
    std::int64_t life_s = limits::default_session_s;
    bool own_field = false;                   // the credential comes in Payment-Authorization
    std::string_view method;                  // of the request
    std::string_view target;                  // raw request-target in origin form, with its query
};

// One challenge for each of `intents`. Errors: malformed (the realm contains '|').
Result<std::vector<Challenge>> make_challenges(const Ask& ask, const std::vector<std::string_view>& intents,
                                               const ChallengeSecrets& secrets, UnixTime now);

// Whether a challenge that came back in a credential is this resource's own
// and still good; else why not. `own_field`: where the credential came.
std::optional<Refusal> check_challenge(const Challenge& c, bool own_field, const Ask& ask,
                                       const ChallengeSecrets& secrets, UnixTime now);

// A request-target in origin form: an absolute one loses scheme and authority.
std::string_view origin_form(std::string_view target);

}  // namespace netpay
