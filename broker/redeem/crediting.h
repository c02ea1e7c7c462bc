// Writes good claims into the books: ranges, epochs, coins, and the ledger
// (PROTOCOL.md section 8).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "broker/redeem/reason.h"
#include "broker/redeem/spool.h"
#include "broker/store/outcome.h"
#include "broker/store/store.h"
#include "broker/vendors/vendors.h"
#include "core/bytes.h"
#include "core/money.h"

namespace netpay::broker::redeem {

// What was credited in one currency: in epochs that are settled, and in others.
struct Money {
    Amount pending, payable;
};

// Claims of one vendor, coin by coin and ascending within each, whose paywords
// are known to be good. Throws soci::soci_error.
class Crediting {
public:
    Crediting(Sql& sql, const vendors::Vendor& vendor, UnixTime now);
    ~Crediting();

    // nullopt: credited.
    std::optional<Reason> claim(const Verified& claim);
    void finish();
    // Of the claim before.
    const std::string& coin() const;
    const std::map<Currency, Money>& money() const;
    // One movement for each currency. Refuses as the ledger does (409 amount-limit).
    Outcome<Done> book(std::string_view kind, const std::string& reference);

private:
    class Books;
    std::unique_ptr<Books> books_;
    Sql& sql_;
    const std::string origin_;
    const UnixTime now_;
};

// Claims that were rejected as not-held because the broker had not been shown
// yet by which index their vendor held the coin: those that lie in its epochs
// by now are credited. The vendor counts them as lost and does not claim them again.
Outcome<Done> credit_late(Sql& sql, Int coin, const vendors::Vendor& vendor, UnixTime now);

}  // namespace netpay::broker::redeem
