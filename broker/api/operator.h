// What the operator's commands do to the store. Another process may be
// serving from the same store meanwhile.
#pragma once

#include <cstdint>
#include <map>
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
    std::string account;          // that registered it
    UnixTime registered = 0;
    UnixTime certificate_exp = 0; // 0: no certificate
    std::map<Currency, Amount> pending, payable;  // credits: epoch not ended; payable
};
// Approved and suspended vendors, then registrations that wait.
Result<std::vector<VendorRow>> list_vendors(Store& store, UnixTime now);
// Approves what was registered for an origin, or reinstates a suspended
// vendor, and gives the certificate. Where several keys were registered, the
// kid of the vendor's own has to be named.
Result<std::string> approve_vendor(Context& context, Store& store, const std::string& origin,
                                   const std::string& kid = {});
Result<std::string> suspend_vendor(Context& context, Store& store, const std::string& origin);  // gives the new status
// The certificate of an approved vendor, renewed if less than half of its life is left.
Result<std::string> certificate_of(Context& context, Store& store, const std::string& origin);

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
