// Where a vendor held a coin: the part of the chain it may claim.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "broker/store/query.h"
#include "broker/store/store.h"
#include "core/bytes.h"
#include "core/money.h"

namespace netpay::broker::redeem {

// Units lo < i ≤ hi of one epoch.
struct Span {
    Int lo = 0, hi = 0;
    Int epoch = 0;
    bool settled = false;  // credits in it are payable at once
};

// What a claim is judged by: a coin and one vendor's epochs of it, ascending.
struct Claimable {
    Int id = 0;
    std::string coin;
    Currency currency;
    Amount unit;
    Int n = 0;
    Salt salt{};
    Payword root;
    UnixTime exp = 0;
    std::vector<Span> spans;
};

// Looks coins up for one vendor, with statements prepared once: a batch may
// name a million of them. Throws soci::soci_error.
class Claimables {
public:
    Claimables(Sql& sql, Int vendor);

    std::optional<Claimable> by_name(const std::string& coin);
    std::optional<Claimable> by_id(Int coin);

private:
    using Columns = std::tuple<Int, std::string, std::string, Int, Int, std::string, std::string, Int>;
    std::optional<Claimable> from(const std::optional<Columns>& row);

    const Int vendor_;
    Prepared<Columns, std::string> by_name_;
    Prepared<Columns, Int> by_id_;
    Prepared<std::tuple<Int, Int, Int, Int>, Int, Int> epochs_;
};

// (from, to] cut at the borders of the epochs; nullopt if a unit of it lies in none.
std::optional<std::vector<Span>> cut(const std::vector<Span>& spans, Int from, Int to);

}  // namespace netpay::broker::redeem
