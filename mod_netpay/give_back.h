// Giving a page back by who paid it with a program or an extension
// (doc/readers.md): the ticket's payword tells that it was she. No httpd in here.
//
// Such readers are known by nothing but a coin, of which anybody can have many;
// so what is taken back of all of them together has a limit for the day.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "mod_netpay/custody/custody.h"
#include "mod_netpay/ewallet/wallets.h"
#include "mod_netpay/till/till.h"

namespace netpay {

inline constexpr std::string_view page_back_path = "/.well-known/netpay/give-back";

struct GiveBackRules {
    std::uint32_t within_s = 0;  // since the page was paid; 0: not at all
    std::uint32_t per_day = 3;   // pages of a coin, and of a reader with an e-wallet here
    std::uint32_t programs = 0;  // pages of all programs and extensions together; 0: none
};

struct PageBackAnswer {
    int status = 200;
    std::string body;                 // JSON; a problem document unless 200
    std::uint32_t retry_after_s = 0;
    // Of 200, and for the log.
    ewallet::Paid page;
    std::uint32_t units = 0;
    std::string why;                  // of 503
};

// POST of {"coin","index","payword","target"}: the ticket that paid GET target at
// this host. 200 {"coin","spent","revealed","units","amount","currency"}; 404 where it is not offered; 400;
// 409 with "reason": unknown, opened, too-late, booked, again (this payment),
// once-a-day (the page), too-many, busy; 503.
PageBackAnswer give_page_back(till::Till& till, ewallet::Wallets& wallets, const GiveBackRules& rules, std::string_view host,
                              std::string_view body, UnixTime now);

}  // namespace netpay
