// The releasing side of a hand-over (PROTOCOL.md section 7 step 2): who may
// have a coin of this vendor, and what it is told.
#pragma once

#include <atomic>
#include <mutex>

#include "mod_netpay/custody/handover.h"

namespace netpay::custody {

class Release {
public:
    Release(const Options& options, till::Till& till, Lines& lines, Handover& handover, Reports& reports, World world)
        : o_(options), till_(till), lines_(lines), handover_(handover), reports_(reports), world_(world) {}

    HandoffAnswer answer(std::string_view body);

private:
    struct Caller {
        Line* line = nullptr;
        std::string name;         // a vendor's origin, or the broker's issuer
        std::string certificate;  // empty: the broker
        bool is_broker() const { return certificate.empty(); }
    };
    struct Asked {
        Caller caller;
        std::string coin;
        Tag16 tag{};
        std::optional<std::uint64_t> epoch;
        std::uint32_t index = 0;            // 0: no payword, from the broker
        Payword word;
        std::optional<std::string> index_token, releaser, touchstone;
        std::optional<json::Document> body;
    };
    using Refused = std::optional<HandoffAnswer>;

    Refused read(std::string_view body, Asked& out);
    Refused authenticate(const std::string& request, const std::string& certificate, Asked& out);
    Refused read_members(const json::Value& members, Asked& out);
    Refused judge_payword(const Asked& a, const till::Entry& e);
    Refused take_over_by_index(const Asked& a, std::optional<till::Entry>& e);
    std::optional<Touchstone> terms_of(const Asked& a, const std::optional<till::Entry>& e, std::string& token);
    bool may_be_passed_on(const Asked& a, const till::Entry& e) const;
    till::Till::HandoverOutcome let_go(const Asked& a, const till::Entry& e, bool& now);
    HandoffAnswer tell(const Asked& a, const till::Entry& e, const till::Till::HandoverOutcome& o, bool now);

    const Options& o_;
    till::Till& till_;
    Lines& lines_;
    Handover& handover_;
    Reports& reports_;
    const World world_;
    std::mutex asking_;     // for a touchstone that a caller did not enclose
    std::mutex long_walk_;  // one at a time: bounds what strangers can make this process hash
    std::atomic<int> waiting_ = 0;
};

}  // namespace netpay::custody
