// What the owner of a site is shown of it: certificate, takings, batches, what is owed.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "broker/accounts/accounts.h"
#include "broker/store/query.h"
#include "broker/store/store.h"

namespace netpay::broker::web {

inline constexpr Int listed_days = 100, listed_batches = 20;
// Batches whose answer is longer say how many claims were rejected, and not why.
inline constexpr Int readable_answer = 1 << 20;

struct OwnSite {
    Int id = 0;  // 0: its registration waits for the operator
    std::string origin, handoff, kid;
    std::string status;         // "approved", "suspended", "pending"
    std::string suspended_for;  // "operator", "fraud", or empty
    Int frauds = 0;             // proofs that stand
    UnixTime certificate_iat = 0, certificate_exp = 0;  // 0: none
};
// The sites that an account registered, by origin; waiting registrations after them.
std::vector<OwnSite> sites_of(Sql& sql, const accounts::Account& account);

// Micro-units in one currency.
struct Due {
    Int pending = 0, payable = 0, owes = 0, paid = 0;
};
std::map<std::string, Due> due_to(Sql& sql, const std::string& origin);  // by currency

struct Taken {
    UnixTime day = 0;
    std::string cur;
    Int micro = 0;     // credited, less what was taken back or paid for others
    Int paid_out = 0;
};
std::vector<Taken> taken_by_day(Sql& sql, const std::string& origin);  // newest first

struct SeenBatch {
    std::string batch;
    UnixTime at = 0;
    Int accepted = 0, rejected = 0;
    std::vector<std::pair<std::string, Int>> credited;    // by currency
    std::vector<std::pair<std::string_view, Int>> reasons;  // why claims were rejected, and how many
};
std::vector<SeenBatch> batches_of(Sql& sql, Int vendor);  // newest first

}  // namespace netpay::broker::web
