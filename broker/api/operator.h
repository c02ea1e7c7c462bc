// What the operator's commands do to the store. Another process may be
// serving from the same store meanwhile.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "broker/context.h"
#include "broker/store/store.h"
#include "core/money.h"
#include "core/result.h"

namespace netpay::broker {

struct MintOrder {
    Amount amount;                // of each voucher, ≥ 1
    Currency currency;
    std::uint32_t count = 1;      // 1 … 10000
    std::int64_t days = 365;      // until it expires, 1 … 3650
};
struct MintedVoucher {
    std::string code;             // shown once; the store keeps its hash
    Amount amount;
    Currency currency;
    UnixTime expires = 0;
};
Result<std::vector<MintedVoucher>> mint_vouchers(Context& context, Store& store, const MintOrder& order);

struct VoucherRow {
    std::int64_t id = 0;
    Amount amount;
    Currency currency;
    UnixTime minted = 0, expires = 0;
    UnixTime used = 0;            // 0: not yet
    std::string account;          // that used it, or empty
};
Result<std::vector<VoucherRow>> list_vouchers(Store& store);

struct VendorRow {
    std::string origin, handoff, kid;
    std::string status;           // "pending", "approved", "suspended"
    std::string suspended_for;    // "": it is not; "operator", "fraud"
    std::int64_t frauds = 0;      // proofs against it that stand
    std::string account;          // that registered it
    UnixTime registered = 0;
    UnixTime certificate_exp = 0; // 0: no certificate
    std::map<Currency, Amount> pending, payable;  // credits: epoch not ended; payable
    std::map<Currency, Amount> paid, owes;        // paid out until now; owed by the vendor
};
// Approved and suspended vendors, then registrations that wait.
Result<std::vector<VendorRow>> list_vendors(Store& store, UnixTime now);
// Approves what was registered for an origin, or reinstates a suspended
// vendor, and gives the certificate. Where several keys were registered, a
// new one is to take the place of the vendor's, or the vendor was proven a
// fraud, the kid of the vendor's own has to be named. revoke: its other keys
// count no more from now on.
Result<std::string> approve_vendor(Context& context, Store& store, const std::string& origin,
                                   const std::string& kid = {}, bool revoke = false);
Result<std::string> suspend_vendor(Context& context, Store& store, const std::string& origin);  // gives the new status
// The certificate of an approved vendor, renewed if less than half of its life is left.
Result<std::string> certificate_of(Context& context, Store& store, const std::string& origin);

// Books that a vendor was paid all that is payable to it, in one currency or
// in all; gives what that is. Refused for a vendor that was proven a fraud,
// unless `force`: others may be due to be paid from its balance.
Result<std::map<Currency, Amount>> pay_out(Context& context, Store& store, const std::string& origin,
                                           const std::optional<Currency>& only, bool force);
// Proofs of fraud that stand against a vendor; 0 if there is no such vendor.
Result<std::int64_t> frauds_of(Store& store, const std::string& origin);

struct FraudRow {
    UnixTime at = 0;
    std::string vendor, kind, coin;
    std::uint64_t epoch = 0;
    bool cleared = false;           // an index shown later founded the epoch
    std::vector<std::string> tokens;  // the signed indices that prove it
};
Result<std::vector<FraudRow>> list_frauds(Store& store);  // oldest first

// What is known of a coin, with every signature, as JSON (custody/evidence.h).
Result<std::string> evidence_of(Context& context, Store& store, const std::string& coin);

// The invariants of the ledger, each fault named in a sentence.
struct LedgerTotals {
    std::uint64_t issued = 0, spent = 0, unspent = 0, refunded = 0;  // micro-units, of coins
    std::uint64_t debits = 0, credits = 0;
};
struct LedgerReport {
    std::uint64_t movements = 0, entries = 0;
    std::map<Currency, LedgerTotals> totals;
    std::vector<std::string> faults;
    bool ok() const { return faults.empty(); }
};
Result<LedgerReport> check_ledger(Store& store);

// Brings a store to the newest schema (Store::open does so too).
struct Migration {
    int from = 0, to = 0;
};
Result<Migration> migrate_store(const std::string& path);

}  // namespace netpay::broker
