// Why a request is not served: the answers of PROTOCOL.md section 5, each
// with its status, problem type, reason and members.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"
#include "core/spend.h"
#include "mod_netpay/decision.h"

namespace netpay {

struct Refusal {
    Decision decision = Decision::required;  // what is counted and logged
    int status = 402;
    std::string_view problem;                // a name of core/problem.h, or a whole URI
    std::string detail;                      // for people; no secrets
    std::string_view reason;                 // verification-failed; empty: none
    std::string coin;                        // insufficient; empty: none
    std::optional<std::uint32_t> spent, revealed, needed, max_hop;
    std::uint32_t retry_after_s = 0;         // 503
    bool with_challenges() const { return status == 402; }
};

namespace refuse {
Refusal payment_required();
Refusal several_credentials();              // 400
Refusal insecure();                         // 403: plain HTTP
// What parse_credential() said.
Refusal unreadable(const Error& error);
Refusal invalid_challenge(std::string detail);
Refusal challenge_expired();
Refusal verification_failed(Decision decision, std::string detail);
Refusal insufficient(std::string coin, std::uint32_t spent, std::uint32_t revealed, std::uint32_t needed,
                     std::string detail);
// 503: nothing is charged and the ticket is not used. The detail goes to the
// customer and names no inner part.
Refusal unavailable(Decision decision, std::uint32_t retry_after_s);
// What the spend machine said, for any verdict but paid and replayed.
Refusal judged(Verdict verdict, std::string coin, std::uint32_t spent, std::uint32_t revealed, std::uint32_t needed,
               std::uint32_t max_hop);
}  // namespace refuse

// The application/problem+json body (RFC 9457).
std::string problem_body(const Refusal& refusal);

}  // namespace netpay
