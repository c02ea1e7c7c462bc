// One batch on its way: lines are judged as the body streams in, and credited
// once it is whole and its digest right (PROTOCOL.md section 8).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "broker/context.h"
#include "broker/redeem/credit.h"
#include "broker/redeem/judge.h"
#include "broker/redeem/spool.h"
#include "broker/store/outcome.h"
#include "broker/store/store.h"
#include "broker/vendors/caller.h"
#include "core/hash.h"

namespace netpay::broker::redeem {

class Redemption {
public:
    // Refuses with what vendors::verify_batch_of does, and 409 batch-reused.
    static Outcome<std::unique_ptr<Redemption>> begin(Context& context, Store& store, std::string_view token);

    // Refuses with 413 too-many-claims. Memory does not grow with the body.
    Outcome<Done> feed(std::string_view bytes);
    // Refuses with 400 digest. Gives the response body.
    Outcome<std::string> finish();

private:
    Redemption(Context& context, Store& store, vendors::SignedBatch from)
        : context_(context), store_(store), from_(std::move(from)) {}
    void take(std::string_view bytes);
    void line_done();
    Outcome<Done> within_limit() const;
    void count(const Credited& credited);

    Context& context_;
    Store& store_;
    vendors::SignedBatch from_;
    std::optional<std::string> before_;  // the answer this batch got already: the body is only hashed
    std::unique_ptr<Spool> spool_;
    std::unique_ptr<Judge> judge_;
    Sha256 digest_;
    std::string line_;   // the line under way, at most a byte over the limit
    Int lines_ = 0;
};

}  // namespace netpay::broker::redeem
