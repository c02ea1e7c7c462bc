// The claims of one batch while it streams in: a private temporary database
// that SQLite keeps in a deleted file beyond a small cache, so that memory
// stays flat over a million claims. Gone with the object.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "broker/redeem/reason.h"
#include "broker/store/query.h"
#include "core/bytes.h"

namespace netpay::broker::redeem {

// A claim whose payword is W_to of the coin.
struct Verified {
    Int line = 0, coin = 0;
    Int from = 0, to = 0;
    std::string payword;  // base64url
};

struct KnownPayword {
    Int index = 0;
    std::string payword;  // base64url
};

// All throw soci::soci_error.
class Spool {
public:
    Spool();
    ~Spool();

    void add(const Verified& claim);
    void reject(Int line, const std::string& coin, Reason reason);
    // A claim that verified and is not the vendor's to make. Rejected besides.
    void dispute(const Verified& claim);

    // Whether (from, to] meets a claim that was added. Those are disjoint.
    bool overlaps(Int coin, Int from, Int to);
    // The added claim's end nearest to an index, at or below and at or above it.
    std::optional<KnownPayword> below(Int coin, Int index);
    std::optional<KnownPayword> above(Int coin, Int index);

    // Every added claim, coin by coin.
    void each(const std::function<void(const Verified&)>& f);
    // Every disputed claim, by line.
    void each_dispute(const std::function<void(const Verified&)>& f);
    // Every rejection by line. The order of the answer.
    void each_rejection(const std::function<void(Int line, const std::string& coin, Reason)>& f);

private:
    struct Statements;
    soci::session sql_;
    std::unique_ptr<Statements> statements_;
};

}  // namespace netpay::broker::redeem
