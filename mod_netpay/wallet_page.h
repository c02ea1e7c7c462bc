// The page on which a reader sees the e-wallet that this site serves her, and
// leaves it. No httpd in here.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "mod_netpay/ewallet/wallets.h"

namespace netpay {

inline constexpr std::string_view leave_path = "/.well-known/netpay/wallet/leave";
inline constexpr std::string_view give_back_path = "/.well-known/netpay/wallet/give-back";

// The page's forms; read by wallet_pages.cc.
namespace wallet_field {
inline constexpr const char* token = "token";
inline constexpr const char* then = "then";      // leave; "coins": on to the broker, where the coin can be returned
inline constexpr const char* coins = "coins";
inline constexpr const char* ticket = "ticket";  // give-back
}  // namespace wallet_field

struct WalletPageText {
    std::string_view vendor;                // origin
    std::optional<ewallet::Sight> sight;    // nothing: this browser has no e-wallet here
    std::string token;                      // of the forms
    UnixTime now = 0;
    std::int64_t give_back_s = 0;           // pages of `sight` may be given back for so long; 0: not at all
    std::string notice;                     // what became of a form; empty: nothing to say
    bool done = false;                      // it did what it should
};

// A whole HTML document, as those of page.h.
std::string render_wallet_page(const WalletPageText& text);

// The query of the wallet's page for who came back from a broker and was not
// expected, and what she is told then.
inline constexpr std::string_view late_query = "late=1";
std::string late_notice();

// What a reader is told of a page that she wanted to give back.
std::string give_back_notice(const till::Till::GiveBackOutcome& outcome, const ewallet::Paid& page);

}  // namespace netpay
