// Asking the broker for more of a grant: once for all tabs of a reader that
// need it at the same time, and not again at once where it said no.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "mod_netpay/custody/custody.h"
#include "mod_netpay/ewallet/answers.h"
#include "mod_netpay/ewallet/chains.h"
#include "mod_netpay/ewallet/document.h"

namespace netpay::ewallet {

// Safe from several threads.
class Refreshes {
public:
    // They outlive it.
    Refreshes(std::string vendor, custody::Keeper& keeper, Chains& chains, custody::Log& log)
        : vendor_(std::move(vendor)), keeper_(keeper), chains_(chains), log_(log) {}

    enum class Said {
        fresh,       // a document that is newer
        day_limit,
        too_little,
        ended,       // the grant is of no use any more
        silent,      // the broker does not answer, or says what cannot be used
    };
    struct Answer {
        Said said = Said::silent;
        std::optional<Document> document;  // of fresh
    };
    // Asks for what `price` needs of a coin of which `spent` units are spent
    // here. `enough`: whether a document would do that another request of this
    // process was given a moment ago.
    Answer ask(const Wallet& wallet, Amount price, std::uint32_t spent, UnixTime now,
               const std::function<bool(const Document&)>& enough);
    // What the broker said a moment ago for a page of at most this price.
    std::optional<Said> denied(const Wallet& wallet, Amount price, UnixTime now);

private:
    // How long an answer stands for others. A limit that the reader raises
    // comes with a new grant, which has another name here.
    static constexpr std::int64_t denial_s = 60, silence_s = 2, fresh_s = 60;
    // Threads of one process that ask or wait for one that asks. Each is one
    // of httpd's, 25 a process by default; what is beyond is told at once.
    static constexpr std::uint32_t most_asking = 12;

    struct Kept {
        Said said;
        Amount price;                              // the answer was for
        std::shared_ptr<const Document> document;  // of fresh
    };
    Answer call(const Wallet& wallet, Amount price, std::uint32_t spent, UnixTime now);

    const std::string vendor_;
    custody::Keeper& keeper_;
    Chains& chains_;
    custody::Log& log_;
    std::atomic<std::uint32_t> asking_ = 0;
    Answers<Kept> answers_;
};

}  // namespace netpay::ewallet
