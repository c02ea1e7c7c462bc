// The auditor over a store of a test, with its findings at hand.
#pragma once

#include <cppunit/TestAssert.h>

#include <string>
#include <vector>

#include "audit/audit.h"

namespace netpay::test {

class Findings final : public audit::Listener {
public:
    void fault(const audit::Fault& f) override { faults.push_back(f); }
    void note(const audit::Fault& n) override { notes.push_back(n); }
    void progress(const char*, std::uint64_t, std::uint64_t, const audit::Counts&) override {}

    // "code coin-or-subject: sentence", one a line.
    std::string text() const {
        std::string out;
        for (const auto& f : faults) out += f.code + " " + (f.coin.empty() ? f.subject : f.coin) + ": " + f.sentence + "\n";
        return out;
    }
    bool has(const std::string& code, const std::string& about) const {
        for (const auto& f : faults)
            if (f.code == code && (f.coin == about || f.subject == about)) return true;
        return false;
    }

    std::vector<audit::Fault> faults, notes;
};

inline Findings audited(const std::string& store, const KeySet& keys, UnixTime now, std::vector<std::string> tills = {}) {
    Findings found;
    const auto summary = audit::run({store, keys, std::move(tills), now}, found);
    CPPUNIT_ASSERT_MESSAGE(summary ? std::string() : summary.error().detail, summary.ok());
    CPPUNIT_ASSERT_EQUAL(summary->counts.faults, std::uint64_t{found.faults.size()});
    return found;
}

}  // namespace netpay::test
