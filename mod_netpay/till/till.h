// The till: the durable truth about every coin a vendor holds (PROTOCOL.md
// section 6). One till belongs to one vendor; several processes (httpd's
// children, netpay-redeem) have it open at once.
//
// Durable here means: survives kill -9 of any process at any instant, and
// with Sync::always a loss of power too. A payment is reserved, then settled
// or released; a reservation whose process died is void.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/money.h"
#include "core/result.h"
#include "core/spend.h"
#include "core/touchstone.h"

namespace netpay::till {

// What becomes durable when.
enum class Sync {
    interval,  // against kill -9 at once, against a loss of power within a second (the default)
    always,    // against both before the answer leaves
};

class Disk;

struct Options {
    std::string directory;             // exists, owned by the user the server runs as, mode 0700
    std::uint32_t slots = 0;           // coins kept hot, 8 KiB each, the others rest in the store below; rounded up
                                       // to whole sets of 8. 0: as the table is, default_slots if there is none
    Sync sync = Sync::interval;
    std::uint32_t busy_wait_ms = 2000; // how long reserve() waits for payments of the same coin under way
    std::uint32_t most_waiting = 16;   // of one process that wait so; more are told at once. Each holds a thread of
                                       // httpd's, which has 25 a process by default: nine are left
    Disk* disk = nullptr;              // for tests that make it fail (disk.h); null: the real one. Outlives the till
};
inline constexpr std::uint32_t default_slots = 16384;  // 128 MiB

// A coin as it is taken into custody.
struct Coin {
    Touchstone terms;
    std::string touchstone;  // the JWS
    std::string custody;     // the JWS of the broker, or empty while it is unconfirmed
    std::uint64_t epoch = 0; // while unconfirmed: the releasing vendor's, and one
    std::uint32_t start = 0; // index taken over
    Payword word;            // W_start
    UnixTime lease = 0;      // end of the custody, inclusive; while unconfirmed, of the releasing vendor's
    // Unconfirmed custody (PROTOCOL.md section 7 step 3): the signed indices it
    // was taken over by, oldest first. The broker has still to be shown them.
    std::vector<std::string> indices;
    std::uint32_t pages = 0; // that may be sold until it is confirmed
};

// Whether this vendor may accept the coin.
enum class Standing : std::uint8_t {
    held = 0,         // while the lease lasts
    handed_over = 1,  // to who is named in HandedOver
    dropped = 2,      // taken over by a signed index for which the broker did not decide
};

// Whom a coin was handed over to. Kept while the coin is known: the same
// asker gets the same index again, byte for byte, and others learn where to ask.
struct HandedOver {
    std::string index;        // the netpay-index given
    std::string to;           // a vendor's origin, or the broker's issuer
    std::string certificate;  // of that vendor; empty: the broker
};

// Units (from, to] that were sold in an earlier epoch and are in no batch yet;
// W_to proves them. By themselves, for the broker judges a claim as a whole.
struct Owed {
    std::uint32_t from = 0, to = 0;
    Payword word;
};

// Everything known of one coin.
struct Entry {
    Coin coin;
    SpendState state;
    Standing standing = Standing::held;
    std::optional<HandedOver> handed_over;  // of the epoch known, where it stands so
    std::uint32_t pages_left = 0;           // unconfirmed custody: that may still be sold
    std::vector<Owed> owed;      // to be claimed as well as (claimed, state.spent]; mostly empty
    bool damaged = false;        // the state was lost to damage on the disk (doc/till.md): not served until a later epoch
    std::uint64_t version = 0;   // rises with each durable change
    std::uint32_t claimed = 0;   // units 1 … claimed are in a batch that was written, or lie below start
    std::uint32_t shown = 0;     // the highest s that the broker or another vendor was told, or may have been
    std::uint64_t given_back = 0;  // units, ever: rises with each give_back()
    UnixTime last_used = 0;
};

struct Charge {
    Tag16 coin{};
    Payment payment;             // units are filled in by reserve() from price and the coin's unit
    Amount price;                // ≥ 1
    Currency currency;
    std::span<const std::string> brokers;  // issuers accepted here
    SpendRules rules;
};

enum class Answer {
    judged,       // see verdict
    unknown,      // this till never held the coin
    not_held,     // it did, and handed it over or dropped it
    unconfirmed,  // every page that may be sold before the broker confirms the custody is sold
    currency,     // the coin is of another currency
    broker,       // the coin is of a broker not accepted here
    unavailable,  // the till cannot answer (disk, lock, busy too long): 503, nothing charged
};

struct Outcome {
    Answer answer = Answer::unavailable;
    Verdict verdict = Verdict::busy;
    std::uint32_t needed = 0;
    std::uint32_t spent = 0, revealed = 0;  // state as the customer may see it
    std::uint32_t units = 0;                // p
    const char* why = "";                   // unavailable: for the log
};

// Called after each durable change with the coin's new state (not for a
// reservation: its settling follows), from the request's thread while the
// coin is locked: must not block, throw or call the till. Copies for the
// cache are made here.
using Observer = std::function<void(const Tag16& coin, const SpendState& state, std::uint64_t version)>;

class Till {
public:
    // Errors say which file and why. Creates what is missing in the directory.
    // Not inherited over fork(): a process opens its own (httpd: in child_init).
    static Result<std::unique_ptr<Till>> open(const Options& options);
    virtual ~Till() = default;

    virtual void observe(Observer observer) = 0;

    // Steps 1 to 5 of section 6. On `paid` a reservation is open until
    // settle() or release() is called with the same charge, by this process.
    // A price of more units than a chain has is `insufficient`, with `needed`
    // beyond the coin's n. Never Verdict::busy: it waits, then `unavailable`;
    // at once where too many wait.
    virtual Outcome reserve(Charge& charge) = 0;
    // Step 6, durable when it returns true. False: nothing was charged; `out`
    // says why. Fills spent and revealed after the payment.
    virtual bool settle(const Charge& charge, Outcome& out) = 0;
    virtual void release(const Charge& charge) = 0;

    // A page bought by mistake, whose reader says so in time: s falls by what it
    // cost, so that the units are the customer's again, here and wherever the
    // coin goes. The ticket stays used and buys nothing more, the page no more
    // readings of it. Only while nobody outside can have been told of that s.
    // Durable, synced to disk when it is `given`. Nothing is waited for but the
    // coin's lock.
    static constexpr std::uint32_t most_given_back = 16;  // of a coin in a day (UTC); their resources are kept with its papers
    struct GiveBack {
        Tag16 coin{};
        std::uint32_t ticket = 0;
        Tag16 resource{};             // what it bought
        UnixTime now = 0;
        std::int64_t within_s = 0;    // since it was settled
        std::uint32_t per_day = 0;    // of this coin, whoever asks; at most most_given_back
    };
    enum class GivenBack {
        given,
        unknown,      // that ticket did not buy that here of late, or was given back before
        reread,       // the page was answered again more than once
        too_late,     // it was settled longer ago
        booked,       // its units are claimed, or the broker was told of them
        again,        // that resource was given back today
        too_many,     // per_day were given back today
        not_held,     // unknown coin, handed over, dropped, unconfirmed, or its lease is over
        busy,         // payments are under way
        unavailable,  // the till cannot answer
    };
    struct GiveBackOutcome {
        GivenBack result = GivenBack::unavailable;
        std::uint32_t units = 0;               // given: what the page had cost
        std::uint32_t spent = 0, revealed = 0; // given: afterwards
        const char* why = "";                  // unavailable: for the log
    };
    virtual GiveBackOutcome give_back(const GiveBack& page) = 0;

    // s of these coins is about to be told to the broker: it will never fall
    // below `to` again. One answer a coin: false where something was given back
    // since find() told `to` (or the coin is not known): it must not be told.
    // Durable, synced. hand_over() does the same by itself.
    struct Shown {
        Tag16 coin{};
        std::uint32_t to = 0;
        std::uint64_t given_back = 0;  // Entry's
    };
    virtual Result<std::vector<bool>> show(std::span<const Shown> shown) = 0;

    // The coin into custody, or again with a later epoch or lease. s never
    // falls: state is kept where the till knows a higher one, and what was sold
    // in an earlier epoch is owed. With a custody of the broker it is confirmed,
    // and its indices are shown no more; the same unconfirmed custody again
    // gives no more pages, nor does another after it. An index changes nothing
    // in an epoch that is confirmed, or that came by another index. Durable,
    // synced to disk when it returns. False: it is not held by this: an epoch
    // older than the one known, or by another index (nothing changed), or one
    // that was handed over (at most confirmed). After a dropped one any epoch will do
    // that is not older than what was held before it, by another index than the
    // one that was refused: what a void index says of epochs counts for nothing.
    // After a dropped one an unconfirmed custody has no pages and is not passed
    // on; where the dropped one had been passed on, no other of its number is held.
    // Errors: what the disk said; mismatch if the terms are not those known.
    virtual Result<bool> take(const Coin& coin) = 0;

    // The end of this vendor's custody by hand-over (section 7 step 2). From
    // the instant the coin is `given` no payment of it is accepted, whatever
    // dies: that is on the disk before the index is returned. Nothing is waited
    // for but the coin's lock. `epoch`: of the custody as find() told it.
    struct Leaving {              // what the signed index says
        std::string_view coin;
        std::uint64_t epoch = 0;
        std::uint32_t index = 0;  // s
        Payword payword;          // W_s
        UnixTime lease = 0;
    };
    // Called at most once, with the coin locked: must not block or call the till.
    // An empty index: it could not be signed, and nothing was changed.
    using Sign = std::function<HandedOver(const Leaving&)>;
    enum class Handover {
        given,        // now, or before in that epoch: HandedOver is what was given then, to whomever
        unknown,      // never held, or dropped
        other_epoch,  // known in another epoch than the one named
        lease_over,
        busy,         // payments are under way
        unconfirmed,  // and `unconfirmed_too` is not set, or something was sold under it
        unavailable,  // the till cannot answer
    };
    struct HandoverOutcome {
        Handover result = Handover::unavailable;
        HandedOver given;
        const char* why = "";     // unavailable: for the log
    };
    virtual HandoverOutcome hand_over(const Tag16& coin, std::uint64_t epoch, UnixTime now, bool unconfirmed_too,
                                      const Sign& sign) = 0;

    // The broker decided for another than this vendor in that epoch: the coin
    // is not accepted any more, and its indices are shown no more. What was
    // sold stays to be claimed. Durable. False: not the epoch known.
    virtual Result<bool> drop(const Tag16& coin, std::uint64_t epoch) = 0;

    // Coins with indices that the broker has still to be shown, at most; those
    // of other processes too; each call goes on where the last one ended, and
    // from the beginning after the end. Cheap where there are none.
    virtual std::vector<Tag16> unreported(std::size_t most) = 0;

    // Whether a signed request of that name was never seen in the last 120 s
    // by any process or start of this vendor; it counts as seen from now on.
    // `name`: 1 … 400 bytes. One synced write: check the signature first.
    // Errors: limit where too many were seen of late; what the disk said.
    virtual Result<bool> first_use(std::string_view name, UnixTime now) = 0;

    // Null: unknown, or the store cannot be read (then usable() is false too).
    virtual std::optional<Entry> find(const Tag16& coin) = 0;
    // Whether the coin is in the hot table, so that reserve() reads no store. A hint.
    virtual bool hot(const Tag16& coin) = 0;
    // Every coin, in no order. The callback may call find(), take() and claim().
    virtual void each(const std::function<void(const Entry&)>& f) = 0;
    // Marks units up to `to` as claimed in a written batch, owed ones too; never
    // falls. Durable. Many at once cost one sync; coins unknown are passed over.
    struct Claimed {
        Tag16 coin{};
        std::uint32_t to = 0;
    };
    virtual Result<bool> claim(std::span<const Claimed> claims) = 0;
    Result<bool> claim(const Tag16& coin, std::uint32_t to) {
        const Claimed one{coin, to};
        return claim(std::span(&one, 1));
    }
    // Forgets a coin past its use (expired, redeemed and out of custody). Durable.
    virtual Result<bool> forget(const Tag16& coin) = 0;

    // Writes what is only in mapped memory to the disk.
    virtual bool flush() = 0;

    // False after a failed sync: nothing is retried on such a file, and
    // every answer is `unavailable` until all processes have closed the till
    // and one opens it again.
    virtual bool usable() const = 0;
};

}  // namespace netpay::till
