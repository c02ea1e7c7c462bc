// The broker's signing keys and their rotation (PROTOCOL.md sections 4 and 9):
// a directory of mode 0700 with one PKCS #8 PEM a key, KID.pem, and keys.json
// with the state of each; all files 0600, replaced atomically.
//
//   next     listed in the JWK set, not yet signing: vendors learn it first
//   active   signs; there is exactly one
//   retired  signs no more; listed until `listed_until`, the end of the last
//            coin it can have signed
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/key.h"
#include "core/result.h"

namespace netpay::broker {

enum class KeyState { next, active, retired };
std::string_view name_of(KeyState s);

struct KeyEntry {
    std::string kid;
    KeyState state = KeyState::next;
    UnixTime created = 0;
    UnixTime activated = 0;     // 0: never
    UnixTime retired = 0;       // 0: not
    UnixTime listed_until = 0;  // retired: last second in the JWK set
    bool listed(UnixTime now) const { return state != KeyState::retired || now <= listed_until; }
};

class KeyStore {
public:
    // A new key is listed this long before it may be activated, so that
    // vendors, who fetch the set hourly, know it before they meet it.
    static constexpr std::int64_t lead_s = 3600;

    // Opens an existing directory. Errors: malformed (missing, readable by
    // others, no active key, a damaged file), with the path and the remedy.
    static Result<std::unique_ptr<KeyStore>> open(const std::string& dir, UnixTime now);
    // Makes directory and first active key where there is none; else opens.
    static Result<std::unique_ptr<KeyStore>> init(const std::string& dir, UnixTime now);

    // The signing key in use. Never null. Safe from several threads; the
    // caller's copy stays good over a rotation.
    std::shared_ptr<const SigningKey> current() const;
    // Every listed key: what jwks_uri answers and what own signatures are judged by.
    std::shared_ptr<const KeySet> listed() const;
    std::vector<KeyEntry> entries() const;

    // Reads the directory again; on an error the keys in memory stay.
    Result<bool> reload(UnixTime now);  // true: something changed

    // Operator commands: durable when they return, seen by a running daemon
    // when it reloads. add() gives the new kid.
    Result<std::string> add(UnixTime now);
    // The active key becomes retired, listed until now + coin_life_s.
    // Errors: mismatch (no `next` key of that kid; listed for less than
    // lead_s, unless force).
    Result<bool> activate(std::string_view kid, UnixTime now, std::int64_t coin_life_s, bool force);
    // Takes a key out of the set. Errors: mismatch (the active key; a retired
    // one whose coins may still live, unless force).
    Result<bool> retire(std::string_view kid, UnixTime now, bool force);

private:
    struct Loaded;
    explicit KeyStore(std::string dir) : dir_(std::move(dir)) {}

    const std::string dir_;
    mutable std::mutex mutex_;
    std::shared_ptr<const Loaded> loaded_;
};

}  // namespace netpay::broker
