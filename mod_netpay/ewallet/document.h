// What an e-wallet is: the grant of a reader's broker, and its form at rest.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/money.h"
#include "core/result.h"

namespace netpay::ewallet {

// A coin of which units 1 … granted may be spent.
struct GrantedCoin {
    std::string name;            // 22 characters
    Tag16 tag{};
    Salt salt{};
    std::uint32_t n = 0;
    Amount unit;
    std::string touchstone;      // JWS, verified when it came
    std::uint32_t spent = 0;     // as the broker knew it then
    std::uint32_t granted = 0;   // G, 1 … n
    Payword word;                // W_G
    std::optional<std::string> holder;  // who held it then, if not this vendor,
    std::uint32_t held = 0;             // and an index spent there
    std::uint64_t epoch = 0;     // handed over before this grant, as the till knew: that is no news; 0: none was
};

// A coin that was spent here before this one: pages bought by it are read
// again by it, and nothing more.
struct PastCoin {
    std::string name;
    Tag16 tag{};
    Salt salt{};
    std::uint32_t granted = 0;
    Payword word;
};

struct Document {
    std::string issuer;
    Secret grant;                // 43 characters: by it the broker knows the grant
    std::string reader;          // 22 characters: which of the broker's readers, at this vendor and nowhere else
    UnixTime at = 0, until = 0;  // when the broker said all this, and the end of the grant
    Currency currency = *Currency::parse("uusd");
    Amount per_page, per_day;
    bool automatic = false;
    GrantedCoin coin;
    std::optional<PastCoin> past;
};

// One that was opened for a request.
struct Wallet {
    Document document;
    std::string binding;         // names the grant in forms and orders; no secret
    Secret sid;                  // of the record on the server; empty: it lies in the reader's cookie
    bool in_cookie() const { return sid.empty(); }
};

// Under which things are counted by reader: the broker's name in it, as two
// brokers may give the same name.
Tag16 reader_tag(const Document& d);

// b64u of the first 16 bytes of SHA-256("netpay/ewallet/bind" ‖ grant).
std::string binding_of(const Secret& grant);

// The form at rest: JSON, to be sealed. Holds the grant and paywords.
Secret encode_document(const Document& d);
// Errors: malformed. Only for what was sealed by encode_document().
Result<Document> decode_document(std::string_view text);

// The same with another coin or limits. Move-only, for the grant's sake.
Document copy_document(const Document& d);

}  // namespace netpay::ewallet
