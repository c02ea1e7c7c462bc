// The site's own secret: seals the seeds of coins that are kept here, makes
// form tokens, and salts passphrases. One file beside the signing keys: who has
// it and the store has the coins that are kept here, and without it nobody can
// sign in any more.
#pragma once

#include <memory>
#include <string>

#include "broker/random.h"
#include "core/bytes.h"
#include "core/result.h"
#include "core/seal.h"

namespace netpay::broker::web {

class WebKeys {
public:
    // KEYS/web.key: 32 random bytes in base64url, mode 0600; made if it is not there.
    // Errors: malformed, with path and remedy.
    static Result<std::unique_ptr<WebKeys>> open(const std::string& keys_dir, Random& random);

    const Sealer& sealer() const { return sealer_; }
    // Part of what passphrases are hashed with.
    const Secret& pepper() const { return pepper_; }

private:
    explicit WebKeys(const Secret& key);
    Sealer sealer_;
    Secret pepper_;
};

}  // namespace netpay::broker::web
