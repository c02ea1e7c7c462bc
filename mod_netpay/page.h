// The pages a browser is shown in place of what it asked for: the paywall, and
// what went wrong.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mod_netpay/ewallet/wallets.h"
#include "mod_netpay/template.h"

namespace netpay {

// What the paywall's forms are made of, where e-wallets are offered here.
struct WalletForms {
    bool server = false, cookie = false;  // the kinds offered; none: no forms
    bool in_cookie = false;               // the one this browser has, or had, is in a cookie
    ewallet::Standing standing;
    std::string token;                    // Wallets::form_token
    bool any() const { return (server || cookie) && !token.empty(); }
};

// Names and values of the forms' fields; read by order.cc. By action and token
// our forms are told from the site's own.
namespace form_field {
inline constexpr const char* action = "netpay";
inline constexpr const char* broker = "broker";
inline constexpr const char* token = "token";
inline constexpr const char* pay = "pay";        // with what she has
inline constexpr const char* wallet = "wallet";  // to the broker, for one that is kept here
inline constexpr const char* cookie = "cookie";  // to the broker, for one in her browser
}  // namespace form_field

struct PaywallText {
    std::string_view realm;   // what the site calls this part of itself
    std::string_view vendor;  // origin
    std::string_view target;  // the resource, origin form
    std::string price;        // for people: "2 ¢"; empty: not known
    std::string title, teaser;  // of what is behind; empty: not told
    const std::vector<std::string>* brokers = nullptr;  // issuers
    WalletForms forms;
    bool opened = true;       // by GET; else something was sent
    bool tried = false;       // a payment came and was refused
    std::string_view status;  // what is the matter, and more of it; shown if tried
    std::string_view detail;
    std::string_view notice;  // to the reader, in place of both; empty: none
    std::string_view back;    // of a fault: a URL of this site where she may go on; empty: none
};

// Brokers that the paywall names: one clear action; more are in the challenges.
inline constexpr std::size_t most_brokers = 3;

// The origins that the paywall's forms lead to, for form-action of its policy.
std::vector<std::string> form_origins(const PaywallText& text);

// Whole HTML documents, every value escaped. No script, no outside resource;
// they read well without styles and in a screen reader. The style is html::kit.

// Status 402; with a template, the operator's page.
std::string render_paywall(const PaywallText& text, const Template* own = nullptr);

// Statuses 400, 403, 409 and 503.
std::string render_fault(const PaywallText& text);

}  // namespace netpay
