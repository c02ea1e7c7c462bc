// The hot table: the file `hot.tbl`, mapped by every process that has the
// till open. Coins in use have a slot of 8 KiB each, in sets of eight places;
// the others rest in the cold store.
//
// A slot has two images of its coin, each in its own page. The active one is
// never written to: a change is made in the spare one, sealed with a checksum,
// and becomes active by one store. So a process that is killed at any
// instruction leaves the old state or the new one.
//
// File:  header page | sets, 384 bytes each | dirty bits | padding to a page | slots
// Slot:  image A, reservations (first page) | image B (second page)
//
// The file's contents matter as long as some process has it open, and until
// the next opening after all were killed or power was lost: that one folds
// what is newer here than in the cold store into it (images()), and starts
// with an empty table. What a set holds is guarded by lock number stripe().
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/bytes.h"
#include "core/money.h"
#include "core/result.h"
#include "core/spend.h"
#include "mod_netpay/till/disk.h"
#include "mod_netpay/till/file.h"
#include "mod_netpay/till/snapshot.h"

namespace netpay::till {

// What a payment is checked against besides the state.
struct HotTerms {
    Tag16 coin{};
    Tag16 issuer{};          // issuer_tag()
    std::uint64_t unit = 0;  // micro-units
    Currency currency;
    // How the vendor stands to the coin. 0: its custody is confirmed, as it was
    // in every table of the first format.
    std::uint32_t custody = 0;
    std::uint64_t epoch = 0;

    static constexpr std::uint32_t most_pages = (1u << 30) - 1;
    // Somebody is changing the coin's papers, or died at it: what they say counts, not this image.
    bool in_doubt() const { return (custody & doubt_bit) != 0; }
    void doubt() { custody |= doubt_bit; }
    // Unconfirmed custody, and the pages that may still be sold under it.
    bool unconfirmed() const { return (custody & unconfirmed_bit) != 0; }
    std::uint32_t pages_left() const { return unconfirmed() ? custody & most_pages : 0; }
    // Both anew, and no doubt.
    void stand(bool unconfirmed, std::uint32_t pages_left) {
        custody = unconfirmed ? unconfirmed_bit | std::min(pages_left, most_pages) : 0;
    }

private:
    static constexpr std::uint32_t doubt_bit = 1u << 31, unconfirmed_bit = 1u << 30;
};

// XXH3-128 of an issuer, so that a payment compares sixteen bytes.
Tag16 issuer_tag(std::string_view issuer);

struct Image {
    std::uint64_t checksum = 0;  // XXH3-64 of what follows, without unused ranges and places; 0: unsealed
    std::uint64_t run = 0;       // Header::run of the opening it was written under
    std::uint64_t version = 0;
    UnixTime last_used = 0;
    HotTerms terms;
    SpendState state;

    void seal();
    bool intact() const;
};
static_assert(std::is_trivially_copyable_v<Image>);

class HotTable {
public:
    static constexpr std::uint32_t ways = 8;
    static constexpr std::uint32_t max_slots = 1u << 22;  // 32 GiB

    // A coin's place in the table. Valid while the set's lock is held.
    class Slot {
    public:
        const Image& active() const;
        Reservations& open() const;
        std::uint32_t number() const { return number_; }

        // The spare image, made equal to the active one but unsealed.
        Image& begin() const;
        // It becomes active, with the next version.
        void commit() const;
        // The image before the last commit() becomes active again.
        void revert() const;
        // Writes the active image's page to the disk. 0 or an errno value.
        int sync(Disk& disk) const;

        std::uint64_t saved() const;           // version last written to the cold store
        void set_saved(std::uint64_t v) const;
        void touch() const;                    // it is the set's most recently used

    private:
        friend class HotTable;
        Slot(const HotTable* t, std::uint32_t n) : table_(t), number_(n) {}
        const HotTable* table_;
        std::uint32_t number_;
    };

    // fresh: nobody else has it open. It is then made anew where its size or
    // form does not fit (slots 0: keeps its size), and emptied. Call images()
    // first: this forgets them. slots is rounded up to whole sets.
    static Result<HotTable> open(const std::string& directory, std::uint32_t slots, Disk& disk, bool fresh,
                                 bool always);

    // What an opening finds before it: every intact image, and the coins of
    // places of which none is (lost). Nothing if the table was closed in
    // order. Errors: written by another version of this program.
    struct Found {
        std::function<Result<bool>(const Image&)> image;
        std::function<Result<bool>(const Tag16&)> lost;
    };
    static Result<bool> images(const std::string& directory, const Found& found);

    // The same for a program that only looks, while others have the table open
    // or after all left it: writes nothing and takes no lock. One whole image of
    // every coin in the table, of the version it came upon; `busy` for a place
    // that changed too often to be read. Errors: cannot be read, another version.
    struct Seen {
        std::function<void(const Image&)> image;
        std::function<void(const Tag16&)> busy;
    };
    static Result<bool> look(const std::string& directory, const Seen& seen);

    std::uint32_t sets() const { return sets_; }
    std::uint32_t slots() const { return sets_ * ways; }
    std::uint32_t set_of(const Tag16& coin) const;

    // With the set's lock held:
    std::optional<Slot> find(const Tag16& coin) const;
    // A free place of the set, or null.
    std::optional<Slot> vacant(std::uint32_t set) const;
    // The places of a set that are taken, least recently used first.
    std::vector<Slot> by_age(std::uint32_t set) const;
    // Puts a coin there. always: both pages reach the disk in this order: no
    // image, the new image. 0 or an errno value; on an error it is vacant.
    int insert(Slot slot, const HotTerms& terms, const Snapshot& s, bool always, Disk& disk) const;
    void remove(Slot slot) const;
    // The slot by number if it is taken.
    std::optional<Slot> at(std::uint32_t number) const;

    // Slots changed since the last call, at most; each is in `f` once.
    void take_dirty(const std::function<void(std::uint32_t)>& f) const;
    void mark_dirty(std::uint32_t slot) const;
    void mark_all_dirty() const;

    // Shared by all processes.
    std::uint64_t next_owner() const;
    bool failed() const;
    void fail() const;               // after a failed sync: until all have closed it
    bool stalled() const;            // the cold store cannot be written for want of space
    void set_stalled(bool on) const;
    void closed_in_order() const;    // the last one leaves, and everything is in the cold store

private:
    struct Header;
    struct Way;
    struct Set;
    HotTable() = default;
    void place();
    Header& header() const;
    Set& set(std::uint32_t s) const;
    Way& way(std::uint32_t slot) const;
    Image& image(std::uint32_t slot, std::uint32_t which) const;
    Slot slot(std::uint32_t n) const { return {this, n}; }

    Mapping map_;
    std::uint32_t sets_ = 0;
    std::size_t dirty_at_ = 0, slots_at_ = 0;
};

}  // namespace netpay::till
