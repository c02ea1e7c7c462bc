// Judges claims one by one while a batch streams in. What it passes has a
// good payword; the ranges are checked again when the batch is credited,
// because another batch may come first.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "broker/redeem/reason.h"
#include "broker/redeem/spans.h"
#include "broker/redeem/spool.h"
#include "broker/store/store.h"
#include "core/claim.h"

namespace netpay::broker::redeem {

// Throws soci::soci_error.
class Judge {
public:
    Judge(const std::string& store_path, Int vendor, UnixTime now);
    ~Judge();

    // Judges one line of the body (numbered from 1) and puts it into the spool.
    void line(Int number, std::string_view text, Spool& spool);

private:
    struct Statements;
    std::optional<Reason> objection(const Claim& claim, Spool& spool);
    bool know(const std::string& coin);
    bool credited(Int from, Int to);
    bool is_payword(const Claim& claim, Spool& spool);
    std::optional<KnownPayword> nearest_below(Int index, Spool& spool);
    std::optional<KnownPayword> nearest_above(Int index, Spool& spool);

    std::unique_ptr<Sql> sql_;
    std::unique_ptr<Statements> statements_;
    const UnixTime now_;
    std::optional<Claimable> coin_;  // of the line before: claims of one coin stand together
    std::uint32_t forged_ = 0;
};

}  // namespace netpay::broker::redeem
