// Who calls: netpay-request tokens of vendors (PROTOCOL.md section 4).
#pragma once

#include <string>
#include <string_view>

#include "broker/context.h"
#include "broker/store/outcome.h"
#include "broker/store/store.h"
#include "broker/vendors/vendors.h"
#include "core/claim.h"
#include "core/request.h"

namespace netpay::broker::vendors {

struct Call {
    Vendor vendor;
    netpay::Request request;
};

// Who may call: a suspended vendor may redeem what it holds and show what was
// signed for it, and nothing else.
enum class Callers { approved, suspended_too };

// The token of a vendor's call: signature, aud, call and time. Refuses with
// 400 malformed-request and 403 request-forged, request-stale,
// request-elsewhere, unknown-vendor, suspended-vendor.
Outcome<Call> verify_call(Context& context, Sql& sql, std::string_view token, std::string_view call, UnixTime now,
                          Callers callers = Callers::approved);

// Remembers the token's jti for 120 s in the store, where all hosts see it.
// Refuses with 403 request-replayed.
Outcome<Done> use_once(Sql& sql, const Call& call, UnixTime now);

struct SignedBatch {
    Vendor vendor;
    Batch batch;
    std::string token;  // as it came
};
// A NetPay-Batch header, by the same rules but without a time (batches are
// sent again much later; the key is judged by the token's own iat), and of
// suspended vendors too.
Outcome<SignedBatch> verify_batch_of(Context& context, Sql& sql, std::string_view token);

}  // namespace netpay::broker::vendors
