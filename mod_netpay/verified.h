// The last session challenge this thread verified. A session's credentials
// share their challenge byte for byte; comparing 400 bytes costs a tenth of
// reading and authenticating them again.
#pragma once

#include "core/bytes.h"
#include "core/challenge.h"

namespace netpay {

struct VerifiedChallenge {
    UnixTime expires = 0;

    // Keeps what is known of c, whose id verified under `secrets` and whose
    // recipient is theirs. One is kept a thread.
    void remember(const Challenge& c, const void* secrets) const;
    // True, and `out` filled, if c is the one kept for these secrets, whole.
    static bool recall(const Challenge& c, const void* secrets, VerifiedChallenge& out);
};

}  // namespace netpay
