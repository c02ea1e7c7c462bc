// Whether a reader's word still stands: she may have signed out at her broker,
// or changed what a page may cost, where the site learns nothing of it.
#pragma once

#include "mod_netpay/custody/custody.h"
#include "mod_netpay/ewallet/answer.h"
#include "mod_netpay/ewallet/answers.h"
#include "mod_netpay/ewallet/document.h"

namespace netpay::ewallet {

// Safe from several threads.
class Consents {
public:
    // They outlive it.
    Consents(custody::Keeper& keeper, custody::Log& log) : keeper_(keeper), log_(log) {}

    // What the broker said is believed so long: by then at the latest whoever
    // has a copy of her cookie spends no more of what she took back.
    static constexpr std::int64_t good_s = 300;

    enum class Said {
        stands,
        ended,
        silent,  // the broker does not answer, or says what cannot be used
    };
    struct Answer {
        Said said = Said::silent;
        Terms terms;  // of stands; at most good_s old
    };
    // Once for all tabs and copies that ask at the same time.
    Answer ask(const Wallet& wallet, UnixTime now);

private:
    static constexpr std::int64_t silence_s = 60;  // not asked again for so long

    Answer call(const Wallet& wallet, UnixTime now);

    custody::Keeper& keeper_;
    custody::Log& log_;
    Answers<Answer> answers_;
};

}  // namespace netpay::ewallet
