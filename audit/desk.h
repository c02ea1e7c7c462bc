// What the stages of an audit share: the snapshot, the keys, and where
// findings go.
#pragma once

#include <map>
#include <string>

#include "audit/audit.h"
#include "audit/database.h"
#include "core/evidence.h"

namespace netpay::audit {

struct Desk {
    Database& db;
    const KeySet& keys;
    Listener& listener;
    Summary& summary;
    UnixTime opened = 0;  // when the snapshot was taken: what is signed later is not in it
    evidence::Certified certified{};
    std::map<std::int64_t, std::string> vendors{};  // rows → origins

    const std::string& issuer() const { return summary.broker; }
    const std::string& origin(std::int64_t vendor) const {
        static const std::string nobody;
        const auto at = vendors.find(vendor);
        return at == vendors.end() ? nobody : at->second;
    }
    void fault(Fault f) {
        ++summary.counts.faults;
        listener.fault(f);
    }
    void fault(std::string code, std::string subject, std::string sentence, std::uint64_t amount = 0, std::string currency = {}) {
        if (amount == 0) currency.clear();
        fault({std::move(code), {}, std::move(subject), amount, std::move(currency), std::move(sentence)});
    }
    void note(Fault n) {
        ++summary.counts.notes;
        listener.note(n);
    }
};

// The stages, in order. All throw Unreadable.
void check_file(Desk& desk);     // the file itself, and references that lead nowhere
void check_vendors(Desk& desk);  // certificates and keys; fills Desk::certified
void check_coins(Desk& desk);    // every coin from its touchstone to its refund
void check_batches(Desk& desk);  // receipts against movements
void check_ledger(Desk& desk);   // movements, balances, and money as a whole

// A vendor's till against the store. Errors: it cannot be read.
Result<bool> check_till(Desk& desk, const std::string& directory);

inline std::string text(std::int64_t n) { return std::to_string(n); }
inline std::uint64_t distance(std::int64_t a, std::int64_t b) { return static_cast<std::uint64_t>(a < b ? b - a : a - b); }

}  // namespace netpay::audit
