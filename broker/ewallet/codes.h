// Codes by which a site gets an e-wallet: the authorisation code flow of RFC
// 6749 section 4.1 with the proof of RFC 7636. A code is 32 random bytes of
// which the store keeps a hash; it is good for one try, for 60 seconds, for
// the site it was made for, and for who knows the verifier.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "broker/context.h"
#include "broker/store/outcome.h"
#include "broker/store/store.h"
#include "broker/vendors/vendors.h"
#include "core/bytes.h"
#include "core/money.h"

namespace netpay::broker::ewallet {

// Where every vendor takes codes, at its origin.
inline constexpr std::string_view callback_path = "/.well-known/netpay/wallet/callback";
// Where every vendor shows its readers their e-wallets there.
inline constexpr std::string_view wallet_path = "/.well-known/netpay/wallet";
inline constexpr std::int64_t code_life_s = 60;

// What a site asks a reader's browser to ask for.
struct Wanted {
    vendors::Vendor vendor;
    std::string state;
    std::string challenge;  // base64url of SHA-256(verifier)
    std::string kind;       // "server", "cookie"
    Amount amount;          // of the page
    Currency currency;
    std::string redirect() const { return vendor.origin + std::string(callback_path); }
};

// confirmed: the reader agreed to this amount. The code, to be shown to nobody but the browser.
std::string make_code(Context& context, Sql& sql, Int account, const Wanted& wanted, bool confirmed, UnixTime now);

// What a code stands for; it is used up by this, whatever comes of it. nullopt:
// it is not good for that vendor and verifier now. A code that is shown a
// second time ends the e-wallet of the first (RFC 6749 section 4.1.2).
struct Authorized {
    std::string code_hash;
    Int account = 0;
    std::string kind;
    Amount amount;
    Currency currency;
    bool confirmed = false;
};
std::optional<Authorized> use_code(Sql& sql, const vendors::Vendor& vendor, std::string_view code, std::string_view verifier,
                                   UnixTime now);

void forget_codes_of(Sql& sql, Int account);
void forget_codes_for(Sql& sql, Int account, const std::string& site);  // that site's
Int forget_codes(Sql& sql, UnixTime now);  // that are over; how many

}  // namespace netpay::broker::ewallet
