// One attempt to get a coin into custody (PROTOCOL.md section 7): whom to ask,
// in which order, and what their answers come to. The caller sees to it that
// there is one at a time for a coin.
#pragma once

#include "mod_netpay/custody/flights.h"
#include "mod_netpay/custody/handover.h"
#include "mod_netpay/custody/leases.h"
#include "mod_netpay/custody/reports.h"

namespace netpay::custody {

// Whether the coin may be sold from now.
bool till_holds(till::Till& till, const Tag16& coin, UnixTime now);

class Acquisition {
public:
    // What it works with; they outlive it.
    struct Parts {
        const Options& options;
        till::Till& till;
        Handover& handover;
        Reports& reports;
        Leases& leases;
        const World& world;
    };
    // end: nobody further is asked after it but the broker.
    Acquisition(const Parts& parts, Line& line, const Wanted& wanted, std::uint32_t max_hop, Deadline end)
        : p_(parts), line_(line), wanted_(wanted), max_hop_(max_hop), end_(end), known_(p_.till.find(wanted.terms.tag)) {}

    Flights::Outcome run();

private:
    // Nothing: somebody else is to be asked.
    std::optional<Flights::Outcome> ask_named();
    std::optional<Flights::Outcome> ask_receiver();
    std::optional<Flights::Outcome> follow(Lead lead);
    Flights::Outcome ask_broker();
    Flights::Outcome ask_holder(const Reply& reply);
    Flights::Outcome taken(const Followed& f);
    Flights::Outcome take(std::string_view custody);
    Flights::Outcome held(std::string_view way);
    Acquired silent() const;

    const Parts& p_;
    Line& line_;
    const Wanted& wanted_;
    const std::uint32_t max_hop_;
    const Deadline end_;
    // What came of each party asked, so that nobody is asked twice.
    const std::optional<till::Entry> known_;  // what the till knew before
    std::string silent_;                      // the vendor that did not answer, or not now
    Followed silence_;
    bool asked_receiver_ = false;             // the one this vendor gave the coin to
};

}  // namespace netpay::custody
