// Where e-wallets lie: in the sealed store, named by the reader's cookie, or
// sealed in the cookie itself.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "mod_netpay/ewallet/cookies.h"
#include "mod_netpay/ewallet/document.h"
#include "mod_netpay/ewallet/sealed_store.h"

namespace netpay::ewallet {

// Safe from several threads and processes.
class Vault {
public:
    // They outlive it.
    Vault(SealedStore& store, const Cookies& cookies, custody::Random& random) : store_(store), cookies_(cookies), random_(random) {}

    struct Found {
        bool presented = false;         // there is a cookie, whatever it is worth
        std::optional<Wallet> wallet;
        std::vector<std::string> cookies;  // to be sent: sealed anew under the current key
    };
    // server, cookie: the kinds that are looked for. Errors: the store cannot
    // be read, and nothing can be said.
    Result<Found> open(std::string_view cookie_field, UnixTime now, bool server, bool cookie);

    // A wallet for a browser that has just got it: laid down, and named or
    // held by the cookie returned. Errors: limit where a cookie cannot hold it.
    Result<std::string> found(Wallet& wallet, bool in_cookie, UnixTime now);
    // One that has changed. Nothing or the cookie that holds it now. Errors:
    // expired where it was dropped meanwhile.
    Result<std::vector<std::string>> keep(const Wallet& wallet, UnixTime now);
    // Out of the store; the cookie that takes it out of the browser.
    std::string drop(const Wallet& wallet);
    std::string clear() const;
    // Its place is taken by another wallet: requests under way may still open it.
    void replace(const Wallet& old, UnixTime now);

    static constexpr std::int64_t under_way_s = 60;
    // What a browser keeps of one cookie is 4096 bytes with its name and attributes.
    static constexpr std::size_t longest_cookie = 3900;

private:
    SealedStore::Label label(const Document& d) const { return {d.until, d.coin.tag, d.coin.epoch}; }
    Result<std::string> in_cookie(const Wallet& wallet, UnixTime now);

    SealedStore& store_;
    const Cookies& cookies_;
    custody::Random& random_;
};

}  // namespace netpay::ewallet
