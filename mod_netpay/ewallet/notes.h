// What a vendor has to remember of readers beside their e-wallets: which pages
// a reader gave back today, which ways from the broker were used, and which
// e-wallets were left here, of which there may be copies.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/result.h"
#include "mod_netpay/ewallet/environment.h"

namespace netpay::ewallet {

// Safe from several threads and processes. On the disk when a call returns.
class Notes {
public:
    // directory/notes.mdb
    static Result<std::unique_ptr<Notes>> open(const std::string& directory);

    enum class Noted {
        noted,
        again,     // that page was given back today
        too_many,  // `most` were
    };
    // A reader gives a page back, whichever coin or browser paid it. Days are of UTC.
    Result<Noted> give_back(const Tag16& reader, const Tag16& resource, std::uint32_t most, UnixTime now);
    // Whether it is noted for today.
    Result<bool> gave_back(const Tag16& reader, const Tag16& resource, UnixTime now);
    // It was not taken back after all.
    Result<bool> forget_give_back(const Tag16& reader, const Tag16& resource, UnixTime now);

    // False: it was used before. Kept until `until`.
    Result<bool> use_state(std::string_view state, UnixTime until);
    Result<bool> forget_state(std::string_view state);

    // The e-wallet of that name (Wallet::binding) is no good here any more.
    // untold: what the broker is still to be told of it, sealed.
    Result<bool> leave(const std::string& binding, std::string_view untold, UnixTime until);
    Result<bool> told(const std::string& binding);
    Result<bool> has_left(const std::string& binding);
    struct Untold {
        std::string binding, what;
    };
    std::vector<Untold> untold(std::size_t most);

    // Deletes what is over.
    Result<bool> sweep(UnixTime now);

private:
    explicit Notes(std::shared_ptr<Environment> env) : env_(std::move(env)) {}
    const std::shared_ptr<Environment> env_;
};

}  // namespace netpay::ewallet
