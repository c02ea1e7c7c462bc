#include "mod_netpay/decision.h"

#include <array>

#include "core/problem.h"

namespace netpay {

const DecisionLabel& label(Decision d) {
    static constexpr std::array<DecisionLabel, decisions> labels = {{
        {"paid", ""},
        {"replayed", ""},
        {"free", ""},
        {"dry-run", ""},
        {"released", "answer"},
        {"ordered", ""},
        {"given-back", ""},
        {problem::payment_required, ""},
        {problem::malformed_credential, ""},
        {problem::invalid_payload, ""},
        {problem::invalid_challenge, ""},
        {problem::payment_expired, ""},
        {problem::payment_insufficient, ""},
        {problem::verification_failed, "forged"},
        {problem::verification_failed, "already-spent"},
        {problem::verification_failed, "hop-too-long"},
        {problem::verification_failed, "expired"},
        {problem::verification_failed, "lease-over"},
        {problem::verification_failed, "touchstone"},
        {problem::verification_failed, "currency"},
        {problem::verification_failed, "broker"},
        {problem::malformed_credential, "several"},
        {problem::method_unsupported, ""},
        {"insecure", ""},
        {problem::internal_payment_error, "price"},
        {problem::internal_payment_error, "till"},
        {problem::internal_payment_error, "custody"},
        {problem::internal_payment_error, "clock"},
        {problem::internal_payment_error, "settle"},
    }};
    return labels[static_cast<std::size_t>(d)];
}

}  // namespace netpay
