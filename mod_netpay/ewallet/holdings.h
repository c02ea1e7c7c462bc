// What a vendor holds of its readers' e-wallets, and by what: the records, the
// notes beside them, and the way to till and brokers. The ways of a reader
// (paying.h, journey.h) and her own page (wallets.cc) go over the same.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mod_netpay/ewallet/chains.h"
#include "mod_netpay/ewallet/cookies.h"
#include "mod_netpay/ewallet/document.h"
#include "mod_netpay/ewallet/notes.h"
#include "mod_netpay/ewallet/picks.h"
#include "mod_netpay/ewallet/sealed_store.h"
#include "mod_netpay/ewallet/vault.h"
#include "mod_netpay/ewallet/wallets.h"

namespace netpay::ewallet {

// How long a browser is asked to wait where this vendor or a broker has too
// much to do, and nothing better is known.
inline constexpr std::uint32_t busy_retry_s = 2;

// The e-wallet of a request; a debit keeps it until the page is made.
using Held = std::shared_ptr<const Wallet>;

// Safe from several threads and processes.
class Holdings {
public:
    // As Wallets::open().
    static Result<std::unique_ptr<Holdings>> open(Options options, till::Till& till, custody::Keeper& keeper,
                                                  custody::World world);

    // What the browser has; a copy of an e-wallet that was left here is none.
    // server, cookie: the kinds that are looked for. Errors: it cannot be read,
    // and nothing can be said.
    Result<Vault::Found> presented(std::string_view cookie_field, UnixTime now, bool server, bool cookie);

    struct Opening {
        Held wallet;
        std::string moved_from;            // it was one until now, of this broker
        std::vector<std::string> cookies;  // Set-Cookie values for the answer
    };
    enum class Over { taken, left_there };  // what becomes of one that is over
    // The browser's e-wallet, of a broker accepted here and with its coin. What
    // cannot be read is logged, and is none.
    Opening open_wallet(std::string_view cookie_field, UnixTime now, bool server, bool cookie, Over over = Over::taken);

    // The whole URL of a target here.
    std::string url(std::string_view target) const;
    void say(custody::Log::Level level, const std::string& text) const { world.log.write(level, text); }

    const Options options;
    till::Till& till;
    custody::Keeper& keeper;
    const custody::World world;
    const Cookies cookies;
    Chains chains;
    const std::string directory;  // of what lies on the disk here
    const std::unique_ptr<SealedStore> store;
    const std::unique_ptr<Picks> picks;
    const std::unique_ptr<Notes> notes;
    const std::unique_ptr<Vault> vault;

private:
    Holdings(Options options, till::Till& till, custody::Keeper& keeper, custody::World world, std::string directory,
             std::unique_ptr<SealedStore> store, std::unique_ptr<Picks> picks, std::unique_ptr<Notes> notes);
};

}  // namespace netpay::ewallet
