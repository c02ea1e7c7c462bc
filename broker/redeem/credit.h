// Credits what a batch's good claims are worth, in one transaction, and signs
// the receipt.
#pragma once

#include <array>
#include <map>
#include <string>

#include "broker/context.h"
#include "broker/redeem/spool.h"
#include "broker/store/outcome.h"
#include "broker/store/store.h"
#include "broker/vendors/caller.h"
#include "core/claim.h"
#include "core/money.h"

namespace netpay::broker::redeem {

struct Credited {
    std::string answer;  // the response body
    std::uint64_t accepted = 0;
    std::array<std::uint64_t, 7> rejected{};  // by Reason
    std::map<Currency, Amount> amounts;
    bool again = false;  // the batch had been answered before
};

// The answer a batch got; nullopt if it is new. Refuses with 409
// batch-reused if it came with another digest.
Outcome<std::optional<std::string>> answered(Sql& sql, Int vendor, const Batch& batch);

// Disputed claims are kept, and compensated where that is due.
Outcome<Credited> credit(Context& context, Sql& sql, const vendors::SignedBatch& from, Spool& spool, UnixTime now);

}  // namespace netpay::broker::redeem
