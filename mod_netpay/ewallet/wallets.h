// E-wallets that this vendor serves: held for readers on the server, or given
// to their browsers sealed in a cookie (doc/ewallets.md). What is held is a
// grant of the reader's broker: a coin's touchstone and one payword W_G, with
// which units 1 … G may be spent, never the coin's seed.
//
// A debit is an ordinary payment: it becomes a PaymentPayload that goes through
// purchase() as a program's credential does. The till alone decides, and counts.
// Nothing in here charges, and no count of money is kept here.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base64url.h"
#include "core/bytes.h"
#include "core/credential.h"
#include "core/form.h"
#include "core/money.h"
#include "core/result.h"
#include "mod_netpay/counters.h"
#include "mod_netpay/custody/custody.h"
#include "mod_netpay/price.h"
#include "mod_netpay/refusal.h"
#include "mod_netpay/till/till.h"

namespace netpay::ewallet {

struct Wallet;  // one that was opened (document.h)

// Where the broker sends the reader back to, and the wallet's own page.
inline constexpr std::string_view callback_path = "/.well-known/netpay/wallet/callback";
inline constexpr std::string_view wallet_path = "/.well-known/netpay/wallet";

struct Options {
    std::string origin;                // the vendor's
    std::vector<std::string> issuers;  // brokers accepted
    std::vector<Secret> keys;          // of sealed values; the current first, at least one, 32 bytes or more each
    std::string directory;             // the till's; records lie in its subdirectory ewallets
    Counters* counters = nullptr;
};

// What a reader's browser asks for, and how. Views live as long as the call.
struct Visit {
    std::string_view cookies;          // the Cookie field
    std::string_view target;           // in origin form, as in Ask
    Tag16 resource{};                  // as in till::Payment
    Price price;
    bool unasked = false;              // may be paid by "automatic" (reader.h)
    bool ordered_ok = false;           // may be paid by an order
    std::int64_t grace_s = limits::default_grace_s;
    std::uint32_t max_hop = limits::default_max_hop;
    UnixTime now = 0;
    bool server = true, cookie = false;  // kinds of e-wallets of this place
};

struct Standing {
    enum class Kind {
        none,       // no e-wallet here, or of another currency
        held,       // and there is enough in it, as far as is known
        day_limit,  // what may be spent today is used up
        too_little, // coin and balance do not suffice
        moved,      // it was taken elsewhere, or its time is over
    };
    Kind kind = Kind::none;
    std::string issuer;                // of which broker; empty: no e-wallet
    Currency currency = *Currency::parse("uusd");
    Amount balance;                    // left of the coin
    Amount today;                      // of that, what this vendor may still take before it asks the broker
    Amount per_page, per_day;          // the reader's limits here
    bool automatic = false;            // pages within per_page are paid without a click
    bool broker_silent = false;        // more is needed than this vendor may take, and the broker does not answer now
};

// A payment to be made. After a settled or replayed answer send `cookies`.
struct Debit {
    PaymentPayload payload;
    std::vector<std::string> cookies;  // Set-Cookie values: the order is done
    std::shared_ptr<const Wallet> wallet;
    bool again = false;                // the page was paid for: the till replays it or refuses, and takes nothing
};

struct Considered {
    std::optional<Debit> debit;
    Standing standing;                 // for the paywall, without a debit or when the debit was refused
    std::vector<std::string> cookies;  // Set-Cookie values for the answer, whatever it is
    std::optional<Refusal> refusal;    // 503, nothing charged: holder or broker does not answer. No debit then
};

// Where to send the browser next (303) with which cookies.
struct Begun {
    std::string location;              // whole URL
    std::vector<std::string> cookies;
    // Instead, to be told: with status 503 it is to be tried again at the same
    // URL; else nothing came of it, and she may go on to `location`.
    std::optional<Refusal> refusal;
};

// A page paid for lately, as till and picks know it.
struct Paid {
    std::string target;
    Tag16 coin{};
    std::uint32_t ticket = 0;
    Tag16 resource{};
    std::uint32_t units = 0;
    Price price;
    UnixTime at = 0;
    // Tells it from the other pages of its reader, in a form.
    std::string name() const { return std::to_string(ticket) + "." + b64u_encode(coin); }
};

// The e-wallet of one browser, for its own page.
struct Sight {
    Standing standing;                 // kind held or moved
    UnixTime until = 0;                // end of the grant
    bool in_cookie = false;
    Tag16 reader{};                    // whose it is (Wallets::note_given_back)
    std::vector<Paid> paid;            // by the coin in it and the one before; the newest first
};

// Safe from several threads. Calls to brokers last as the Keeper's do.
class Wallets {
public:
    // Call it in the process that uses it, after fork(). till, keeper and what
    // world names outlive it. Errors name the file and what is wrong.
    static Result<std::unique_ptr<Wallets>> open(Options options, till::Till& till, custody::Keeper& keeper,
                                                 custody::World world);
    virtual ~Wallets() = default;

    // What the browser's e-wallet does for this visit. Asks the broker only
    // where a payment is allowed and the grant does not suffice, or the coin is
    // not held here yet. Once a request.
    virtual Considered consider(const Visit& visit) = 0;
    // After `refusal` of `debit`: another try, or nothing.
    virtual std::optional<Debit> next(const Visit& visit, const Debit& debit, const Refusal& refusal) = 0;

    // For the form on the paywall and on the wallet's page (there with the
    // page's own path as target and a price of 0). Bound to the browser's
    // e-wallet, target and price; good for an hour.
    virtual std::string form_token(const Visit& visit) = 0;
    // The price that the form showed; nothing: not our token for this target
    // and e-wallet. visit.price is not looked at.
    virtual std::optional<Price> form_token_ok(const Visit& visit, std::string_view token) = 0;

    // The reader's click: a Set-Cookie value by which her next GET of
    // visit.target is paid if it costs at most visit.price. One minute.
    virtual std::string order(const Visit& visit) = 0;
    // To the broker for an e-wallet, with which visit.target is then paid at
    // visit.price. Errors: mismatch for a broker or kind not offered here;
    // limit for a target too long.
    virtual Result<Begun> begin(const Visit& visit, const std::string& issuer, bool cookie_kind) = 0;
    // GET callback_path, with its query parsed: the reader comes back. peer: her
    // address; of one, so many are heard.
    virtual Begun finish(std::string_view cookies, const form::Fields& query, std::string_view peer, UnixTime now) = 0;
    // The e-wallet out of this browser and of the store, and no copy of it is
    // taken here any more; the broker is told, later where it does not answer.
    // Leads to wallet_path.
    virtual Begun leave(std::string_view cookies, UnixTime now) = 0;
    // Nothing: this browser has none here. Pages of the last window_s seconds. Changes nothing.
    virtual std::optional<Sight> look(std::string_view cookies, UnixTime now, std::int64_t window_s) = 0;

    // A reader is about to give a page back: at most `most` a day (UTC) whatever
    // coins she has, each page once. On the disk when it returns `given`; to be
    // forgotten again where the till took nothing back. What stands against it:
    // again, too_many, unavailable; given: nothing.
    virtual till::Till::GivenBack note_given_back(const Tag16& reader, const Tag16& page, std::uint32_t most, UnixTime now) = 0;
    // Whether that is noted of today; false as well where the notes cannot be read, which is logged.
    virtual bool noted_given_back(const Tag16& reader, const Tag16& page, UnixTime now) = 0;
    virtual void forget_given_back(const Tag16& reader, const Tag16& page, UnixTime now) = 0;

    // Records past their time are deleted, and brokers told what they did not
    // hear. Cheap to call often: does its work about once a minute in one
    // process. From the housekeeping thread.
    virtual void sweep(UnixTime now) = 0;
};

}  // namespace netpay::ewallet
