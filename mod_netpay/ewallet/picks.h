// Which ticket of a coin goes to which page: so that ten tabs opened at once
// pay ten pages with ten tickets, and ten of one page share one ticket and pay
// once. Notes of what is under way, and no money: what is lost here costs at
// most a page that is paid a second time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/spend.h"
#include "mod_netpay/ewallet/environment.h"
#include "mod_netpay/price.h"

namespace netpay::ewallet {

// Safe from several threads and processes.
class Picks {
public:
    // directory/picks.mdb. Not synced to the disk: after the machine has
    // started anew it begins empty. (Synced where /proc does not tell starts apart.)
    static Result<std::unique_ptr<Picks>> open(const std::string& directory);

    struct Wish {
        Tag16 coin{}, resource{};
        const SpendState* state = nullptr;  // of the coin, as the till knows it
        std::uint32_t granted = 0;          // G: no ticket beyond it
        std::uint32_t units = 0;            // of the price
        std::uint32_t least = 0;            // no ticket below it; 0: any
        std::string_view target;            // for the reader's list of pages
        Price price;
        UnixTime now = 0;
        std::int64_t grace_s = 0;           // how long the page may be read again once it is paid
        // She was not asked: then all such pages of a reader in a day (UTC) come to at most this.
        struct Unasked {
            Tag16 reader{};
            Amount most;
        };
        std::optional<Unasked> unasked = {};
    };
    struct Pick {
        std::optional<std::uint32_t> ticket;  // nothing: none is free
        bool over = false;                    // the day is full; no ticket then
    };
    // A ticket nobody uses. The one this page was given in the last hold_s,
    // unless it is used or below `least`; else one above all others, so that it
    // shows enough units by itself; where the grant ends before that, the highest
    // that is free. What was not asked for is counted for the day; a page that
    // then fails stays counted, and is not counted again if it is tried again.
    Result<Pick> pick(const Wish& wish);
    static constexpr std::int64_t hold_s = 300;  // longer than a page may take to be made

    struct Picked {
        Tag16 resource{};
        std::uint32_t ticket = 0, units = 0;
        UnixTime at = 0, until = 0;  // when it was picked, and how long that is known
        Price price;
        std::string target;
    };
    std::vector<Picked> of(const Tag16& coin);
    std::optional<Picked> of(const Tag16& coin, const Tag16& resource);
    // What a reader's pages of today came to for which she was not asked.
    Amount taken(const Tag16& reader, UnixTime now);
    // Deletes what is older than kept_s and than its page's grace time.
    Result<bool> sweep(UnixTime now);
    static constexpr std::int64_t kept_s = 7200;  // beyond the time in which a page may be given back

private:
    explicit Picks(std::shared_ptr<Environment> env) : env_(std::move(env)) {}
    const std::shared_ptr<Environment> env_;
};

}  // namespace netpay::ewallet
