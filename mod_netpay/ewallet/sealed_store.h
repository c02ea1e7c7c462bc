// E-wallets kept on the server. A record is sealed under a key made of the
// vendor's and of the name (sid) that only the reader's cookie has: neither
// the disk nor the vendor's key opens it without her.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/hash.h"
#include "core/seal.h"
#include "mod_netpay/custody/custody.h"
#include "mod_netpay/ewallet/environment.h"

namespace netpay::ewallet {

// Safe from several threads and processes.
class SealedStore {
public:
    // directory/records.mdb. random outlives it.
    static Result<std::unique_ptr<SealedStore>> open(const std::string& directory, const std::string& origin,
                                                     const std::vector<Secret>& keys, custody::Random& random);

    // What stands beside the sealed text, for sweep().
    struct Label {
        UnixTime until = 0;       // not opened later
        Tag16 coin{};
        std::uint64_t epoch = 0;  // GrantedCoin::epoch
    };
    // Replaces what is there. On the disk when it returns. The seal is made by the current key.
    Result<bool> put(const Secret& sid, const Label& label, const Secret& plain);
    // The same for one that is there still: what was removed meanwhile stays
    // so (false), and what was shortened is not prolonged.
    Result<bool> update(const Secret& sid, Label label, const Secret& plain);
    struct Opened {
        Label label;
        Secret plain;
        bool old_key = false;
    };
    // Nothing: not there, past its time, or not ours. Errors: it cannot be read.
    Result<std::optional<Opened>> get(const Secret& sid, UnixTime now);
    Result<bool> remove(const Secret& sid);
    // Not opened after `until` any more, if it would have been.
    Result<bool> shorten(const Secret& sid, UnixTime until);
    // Deletes what is past its time, and what `gone` says is.
    Result<bool> sweep(UnixTime now, const std::function<bool(const Label&)>& gone);

private:
    SealedStore(std::shared_ptr<Environment> env, const std::string& origin, const std::vector<Secret>& keys,
                custody::Random& random);
    Sealer sealer_of(const Secret& sid) const;

    const std::shared_ptr<Environment> env_;
    const std::string context_;
    std::vector<Hmac> keys_;
    custody::Random& random_;
};

}  // namespace netpay::ewallet
