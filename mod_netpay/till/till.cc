#include "mod_netpay/till/till.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <thread>
#include <utility>


#include "core/payword.h"
#include "core/rules.h"
#include "mod_netpay/till/cold_store.h"
#include "mod_netpay/till/disk.h"
#include "mod_netpay/till/file.h"
#include "mod_netpay/till/hot_table.h"
#include "mod_netpay/till/locks.h"
#include "world/background.h"

namespace netpay::till {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// How long an opener waits for another that is opening: it may be folding a
// table of many coins into the cold store.
constexpr milliseconds open_wait{30000};

// States copied under their locks for one transaction of the checkpoint.
constexpr std::size_t checkpoint_batch = 256;

// Claims marked in one transaction.
constexpr std::size_t claim_batch = 4096;

// Checkpoints that may fail for want of space before the till stops selling:
// until then a loss of power could take this many seconds of payments.
constexpr int stalled_after = 10;

// More mutexes than this would be memory without use: two coins share one by chance.
constexpr std::uint32_t most_stripes = 8192;

constexpr milliseconds busy_pause{1};

// The coin's state as the till goes on from when it takes custody at
// coin.start: what was someone else's is spent, its own is kept. Again gives
// the same, so that a take() that was cut short can be repeated.
void regain(SpendState& s, const Coin& coin) {
    const bool keeps = rules::holds(rules::Rule::monotone_index);
    if (coin.start > s.revealed || !keeps) {
        s.revealed = coin.start;
        s.word = coin.word;
    }
    if (coin.start > s.spent || !keeps) s.spent = s.start = coin.start;
}

// Units sold before the custody that begins at coin.start stay claimable, by
// themselves: the broker judges every claim as a whole, and may not credit
// what was sold in the epoch before, nor what is sold from now on if it decides
// against this custody.
void keep_owed(Papers& p, const SpendState& s, const Coin& coin) {
    const auto owe = [&](std::uint32_t to) {
        if (p.claimed < to) p.owed.push_back({p.claimed, to, walk_down(s.salt, s.revealed, s.word, to)});
    };
    owe(std::min(s.spent, coin.start));
    p.claimed = std::max(p.claimed, coin.start);
    owe(s.spent);
    p.claimed = std::max(p.claimed, s.spent);
}

// Whether both came by the same index.
bool same_index(const Coin& a, const Coin& b) {
    if (a.indices.empty() || b.indices.empty()) return a.indices.empty() && b.indices.empty();
    return a.indices.back() == b.indices.back();
}

// The earliest epoch by which a coin can come back after one that turns out void.
std::uint64_t floor_after(const Papers& p) {
    switch (p.standing) {
        case Standing::held: return p.coin.epoch;
        case Standing::handed_over:
            if (p.void_epoch == p.coin.epoch) return p.floor;
            return p.coin.epoch + 1;
        case Standing::dropped: break;
    }
    return p.floor;
}

// Whether a coin is offered by the very index that the broker refused.
bool is_refused(const Coin& coin, const Papers& p) {
    return coin.custody.empty() && !coin.indices.empty() && coin.indices.back() == p.refused;
}

// Of the index a coin is handed over at.
Till::Leaving leaving_at(const Coin& coin, const SpendState& s) {
    return {coin.terms.coin, coin.epoch, s.spent, walk_down(s.salt, s.revealed, s.word, s.spent), coin.lease};
}

bool same_terms(const Touchstone& a, const Touchstone& b) {
    return a.tag == b.tag && a.iss == b.iss && a.cur == b.cur && a.unit == b.unit && a.n == b.n && a.salt == b.salt;
}

class MappedTill final : public Till {
public:
    MappedTill(const Options& o, File users, File gate, HotTable hot, Locks locks, Owners owners,
               std::shared_ptr<ColdStore> cold, Disk& disk)
        : options_(o), disk_(disk), users_(std::move(users)), gate_(std::move(gate)), hot_(std::move(hot)),
          locks_(std::move(locks)), owners_(std::move(owners)), cold_(std::move(cold)) {}
    ~MappedTill() override;
    bool start_keeper() {
        return keeper_.start([this] { keep(); });
    }

    void observe(Observer observer) override { observer_ = std::move(observer); }
    Outcome reserve(Charge& charge) override;
    bool settle(const Charge& charge, Outcome& out) override;
    void release(const Charge& charge) override;
    GiveBackOutcome give_back(const GiveBack& page) override;
    Result<std::vector<bool>> show(std::span<const Shown> shown) override;
    Result<bool> take(const Coin& coin) override;
    HandoverOutcome hand_over(const Tag16& coin, std::uint64_t epoch, UnixTime now, bool unconfirmed_too,
                              const Sign& sign) override;
    Result<bool> drop(const Tag16& coin, std::uint64_t epoch) override;
    std::vector<Tag16> unreported(std::size_t most) override;
    Result<bool> first_use(std::string_view name, UnixTime now) override;
    std::optional<Entry> find(const Tag16& coin) override;
    bool hot(const Tag16& coin) override;
    void each(const std::function<void(const Entry&)>& f) override;
    Result<bool> claim(std::span<const Claimed> claims) override;
    Result<bool> forget(const Tag16& coin) override;
    bool flush() override { return checkpoint(); }
    bool usable() const override { return !hot_.failed() && !hot_.stalled(); }

private:
    using Slot = HotTable::Slot;
    Locks::Guard lock(const Tag16& coin) { return lock_set(hot_.set_of(coin)); }
    Locks::Guard lock_set(std::uint32_t set) { return locks_.lock(set, options_.busy_wait_ms); }

    struct Place {
        std::optional<Slot> slot;
        Answer answer = Answer::unavailable;  // where there is no slot
        const char* why = "";
    };
    Place place_of(const Tag16& coin);
    Place load(const Tag16& coin);
    Place recover(const Slot& slot);
    Result<std::optional<Slot>> slot_of(const Tag16& coin);
    Result<std::optional<Snapshot>> snapshot_of(const Tag16& coin, const std::optional<Slot>& slot);
    Result<bool> renew(const Coin& coin, Papers papers, const std::optional<Snapshot>& now, const std::optional<Slot>& slot);
    Result<bool> begin_custody(const Coin& coin, const Papers* known, const std::optional<Snapshot>& now,
                               const std::optional<Slot>& slot);
    Result<bool> change(const Papers& papers, Snapshot next, const std::optional<Slot>& slot,
                        const ColdStore::Adjust& adjust = nullptr);
    bool doubt(const std::optional<Slot>& slot);
    bool may_sell(const Slot& slot);
    std::optional<Slot> make_room(std::uint32_t set);
    bool drop_dead(Reservations& open);
    Outcome attempt(Charge& charge, bool& wait);
    bool make_durable(const Slot& slot);
    void tell(const Image& i) {
        if (observer_) observer_(i.terms.coin, i.state, i.version);
    }

    template <class T>
    const Result<T>& watched(const Result<T>& r) {
        if (!r && cold_->broken()) hot_.fail();
        return r;
    }
    bool checkpoint();
    bool save(std::span<const std::uint32_t> slots);
    void keep();

    const Options options_;
    Disk& disk_;
    File users_, gate_;
    HotTable hot_;
    Locks locks_;
    Owners owners_;
    std::shared_ptr<ColdStore> cold_;
    Observer observer_;

    std::atomic<std::uint32_t> waiting_ = 0;  // in reserve()

    std::mutex unreported_mutex_;
    std::optional<Tag16> last_unreported_;  // where unreported() goes on

    std::mutex checkpoint_mutex_;
    int failures_ = 0;  // of checkpoints in a row
    world::Background keeper_;
};

Error closed() {
    return {Code::malformed, "till: stopped after a failed write to the disk; it opens again when every process that "
                             "has it open has closed it"};
}

Outcome unavailable(const char* why) {
    Outcome o;
    o.why = why;
    return o;
}

constexpr const char* why_failed = "stopped after a failed write to the disk";
constexpr const char* why_stalled = "no space for the checkpoint";
constexpr const char* why_locked = "a process holds the coin's lock";
constexpr const char* why_store = "the store cannot be read";
constexpr const char* why_damaged = "the coin's state was damaged on the disk";
constexpr const char* why_unwritten = "the store cannot be written";

// ---------------------------------------------------------------- places

// What the image of a coin says besides its state.
HotTerms hot_terms(const Papers& p, std::uint32_t pages_left) {
    HotTerms terms;
    terms.coin = p.coin.terms.tag;
    terms.issuer = issuer_tag(p.coin.terms.iss);
    terms.unit = p.coin.terms.unit.micro();
    terms.currency = p.coin.terms.cur;
    terms.epoch = p.coin.epoch;
    terms.stand(p.unconfirmed(), pages_left);
    return terms;
}

Snapshot snapshot_in(const Image& i) { return {i.version, i.last_used, i.state, i.terms.pages_left()}; }

MappedTill::Place MappedTill::place_of(const Tag16& coin) {
    const auto s = hot_.find(coin);
    if (!s) return load(coin);
    return s->active().terms.in_doubt() ? recover(*s) : Place{s, Answer::judged, ""};
}

// The image of one who died while changing the coin's papers. They say what
// became of it: either they were written, or nothing happened.
MappedTill::Place MappedTill::recover(const Slot& slot) {
    const Tag16 coin = slot.active().terms.coin;
    const auto papers = cold_->papers(coin);
    const auto snapshot = cold_->snapshot(coin);
    if (!watched(papers) || !watched(snapshot)) return {std::nullopt, Answer::unavailable, why_store};
    if (!*papers || (*papers)->standing != Standing::held) {
        if (slot.open().empty()) hot_.remove(slot);
        return {std::nullopt, *papers ? Answer::not_held : Answer::unknown, ""};
    }
    if ((*papers)->damaged) return {std::nullopt, Answer::unavailable, why_damaged};
    Image& i = slot.begin();
    if (*snapshot && (*snapshot)->version > i.version) {
        i.version = (*snapshot)->version;
        i.last_used = (*snapshot)->last_used;
        i.state = (*snapshot)->state;
        i.terms = hot_terms(**papers, (*snapshot)->pages_left);
    } else {
        i.terms = hot_terms(**papers, i.terms.pages_left());
    }
    slot.commit();
    if (!make_durable(slot)) return {std::nullopt, Answer::unavailable, why_failed};
    return {slot, Answer::judged, ""};
}

MappedTill::Place MappedTill::load(const Tag16& coin) {
    const auto papers = cold_->papers(coin);
    if (!watched(papers)) return {std::nullopt, Answer::unavailable, why_store};
    if (!*papers) return {std::nullopt, Answer::unknown, ""};
    if ((*papers)->standing != Standing::held) return {std::nullopt, Answer::not_held, ""};
    const auto snapshot = cold_->snapshot(coin);
    if (!watched(snapshot)) return {std::nullopt, Answer::unavailable, why_store};
    if ((*papers)->damaged || !*snapshot)
        return {std::nullopt, Answer::unavailable, why_damaged};
    const auto room = make_room(hot_.set_of(coin));
    if (!room) return {std::nullopt, Answer::unavailable, "every place for this coin has payments under way"};
    const HotTerms terms = hot_terms(**papers, (*snapshot)->pages_left);
    if (hot_.insert(*room, terms, **snapshot, options_.sync == Sync::always, disk_) != 0) {
        hot_.fail();
        return {std::nullopt, Answer::unavailable, why_failed};
    }
    return {room, Answer::judged, ""};
}

// A free place, if need be that of the coin not used for longest, whose state
// is in the cold store before the place is given away.
std::optional<HotTable::Slot> MappedTill::make_room(std::uint32_t set) {
    if (auto s = hot_.vacant(set)) return s;
    for (const auto& s : hot_.by_age(set)) {
        drop_dead(s.open());
        if (!s.open().empty()) continue;
        const Image& i = s.active();
        if (s.saved() != i.version) {
            const ColdStore::Saved saved{i.terms.coin, snapshot_in(i)};
            if (!watched(cold_->save(std::span(&saved, 1)))) return std::nullopt;
        }
        hot_.remove(s);
        return s;
    }
    return std::nullopt;
}

// Reservations whose owner is gone are void. True if there was one.
bool MappedTill::drop_dead(Reservations& open) {
    bool any = false;
    for (auto& r : open.open) {
        if (r.index == 0 || owners_.alive(r.owner)) continue;
        r = {};
        any = true;
    }
    return any;
}

// ---------------------------------------------------------------- payments

bool MappedTill::make_durable(const Slot& slot) {
    if (options_.sync != Sync::always || slot.sync(disk_) == 0) return true;
    hot_.fail();
    return false;
}

// Whether the payments under way, of which one is new, are within the pages
// that may be sold before the custody is confirmed.
bool MappedTill::may_sell(const Slot& slot) {
    const HotTerms& terms = slot.active().terms;
    if (!terms.unconfirmed()) return true;
    const auto under_way = [&slot] {
        const auto& all = slot.open().open;
        return std::count_if(all.begin(), all.end(), [](const Reservation& r) { return r.index != 0; });
    };
    if (under_way() <= terms.pages_left()) return true;
    drop_dead(slot.open());
    return under_way() <= terms.pages_left();
}

Outcome MappedTill::attempt(Charge& charge, bool& wait) {
    const auto guard = lock(charge.coin);
    if (!guard) return unavailable(why_locked);
    if (hot_.failed()) return unavailable(why_failed);
    if (hot_.stalled()) return unavailable(why_stalled);
    const Place place = place_of(charge.coin);
    Outcome out;
    out.answer = place.answer;
    out.why = place.why;
    if (!place.slot) return out;
    const Slot& slot = *place.slot;
    const HotTerms terms = slot.active().terms;
    if (terms.currency != charge.currency) {
        out.answer = Answer::currency;
        return out;
    }
    if (std::none_of(charge.brokers.begin(), charge.brokers.end(),
                     [&](const std::string& b) { return issuer_tag(b) == terms.issuer; })) {
        out.answer = Answer::broker;
        return out;
    }
    const auto unit = Amount::from(terms.unit);
    charge.payment.units = units_for(charge.price, *unit).value_or(slot.active().state.n + 1);
    slot.touch();
    Judgement j{};
    do {
        Image& next = slot.begin();
        j = netpay::reserve(next.state, slot.open(), charge.payment, charge.rules, owners_.self());
        out.spent = next.state.spent;
        out.revealed = next.state.revealed;
        if (j.changed) {
            slot.commit();
            if (!make_durable(slot)) {
                netpay::release(slot.open(), static_cast<std::uint32_t>(charge.payment.index));
                slot.revert();
                return unavailable(why_failed);
            }
            if (j.verdict != Verdict::paid) tell(next);
        }
    } while (j.verdict == Verdict::busy && drop_dead(slot.open()));
    if (j.verdict == Verdict::paid && !may_sell(slot)) {
        netpay::release(slot.open(), static_cast<std::uint32_t>(charge.payment.index));
        out.answer = Answer::unconfirmed;
        return out;
    }
    out.verdict = j.verdict;
    out.needed = j.needed;
    out.units = charge.payment.units;
    wait = j.verdict == Verdict::busy;
    return out;
}

Outcome MappedTill::reserve(Charge& charge) {
    bool wait = false;
    Outcome out = attempt(charge, wait);
    if (!wait) return out;
    // A duplicate of a payment under way waits for a handler, which may be slow.
    struct Turn {
        std::atomic<std::uint32_t>& taken;
        const std::uint32_t before = taken.fetch_add(1);
        ~Turn() { taken.fetch_sub(1); }
    } const turn{waiting_};
    const bool stay = turn.before < options_.most_waiting;
    const auto until = Clock::now() + milliseconds(stay ? options_.busy_wait_ms : 0);
    while (wait && Clock::now() < until) {
        std::this_thread::sleep_for(busy_pause);
        wait = false;
        out = attempt(charge, wait);
    }
    if (wait) {
        out.answer = Answer::unavailable;
        out.why = "payments of the same coin are under way";
    }
    return out;
}

bool MappedTill::settle(const Charge& charge, Outcome& out) {
    const auto refuse = [&out](const char* why) {
        out.answer = Answer::unavailable;
        out.why = why;
        return false;
    };
    const auto guard = lock(charge.coin);
    if (!guard) return refuse(why_locked);
    if (hot_.failed()) return refuse(why_failed);
    auto slot = hot_.find(charge.coin);
    const auto index = static_cast<std::uint32_t>(charge.payment.index);
    const Reservation* r = slot ? slot->open().find(index) : nullptr;
    if (!r || r->index == 0 || r->owner != owners_.self()) return refuse("no such reservation");
    // A coin with payments under way is not handed over, but may have been dropped.
    if (slot->active().terms.in_doubt() && rules::holds(rules::Rule::reservations_before_release)) {
        const Place place = recover(*slot);
        if (!place.slot) return refuse(*place.why ? place.why : "the coin was given up meanwhile");
    }
    Image& next = slot->begin();
    if (!netpay::settle(next.state, slot->open(), charge.payment)) return refuse("the reservation's units are gone");
    next.last_used = charge.payment.now;
    if (const auto left = next.terms.pages_left()) next.terms.stand(true, left - 1);
    slot->commit();
    if (!make_durable(*slot)) {
        slot->revert();
        return refuse(why_failed);
    }
    out.spent = next.state.spent;
    out.revealed = next.state.revealed;
    tell(next);
    return true;
}

void MappedTill::release(const Charge& charge) {
    const auto guard = lock(charge.coin);
    if (!guard) return;  // void when this process ends; the payments that wait for it give up before
    const auto slot = hot_.find(charge.coin);
    const auto index = static_cast<std::uint32_t>(charge.payment.index);
    const Reservation* r = slot ? slot->open().find(index) : nullptr;
    if (r && r->index != 0 && r->owner == owners_.self()) netpay::release(slot->open(), index);
}

// ---------------------------------------------------------------- given back

Till::GivenBack answer_to(Unspent u) {
    using enum Till::GivenBack;
    switch (u) {
        case Unspent::done: return given;
        case Unspent::reread: return reread;
        case Unspent::too_late: return too_late;
        case Unspent::below: return booked;
        case Unspent::unknown: break;
    }
    return unknown;
}

constexpr std::int64_t day_s = 86400;

// What was told to anybody is above no s that this vendor ever says later.
std::uint32_t floor_of(const Papers& p) {
    return rules::holds(rules::Rule::told_is_not_given_back) ? p.floor_of_s() : p.coin.start;
}

// Whether one more may be given back of the coin today, of that resource. A
// clock that was set back begins no new day.
Till::GivenBack within_the_day(Papers& p, const Till::GiveBack& page) {
    using enum Till::GivenBack;
    if (const auto today = page.now / day_s; today > p.given_day) {
        p.given_day = today;
        p.given.clear();
    }
    if (std::find(p.given.begin(), p.given.end(), page.resource) != p.given.end()) return again;
    if (p.given.size() >= std::min(page.per_day, Till::most_given_back)) return too_many;
    return given;
}

Till::GiveBackOutcome MappedTill::give_back(const GiveBack& page) {
    using enum GivenBack;
    const auto refuse = [](GivenBack result, const char* why = "") { return GiveBackOutcome{result, 0, 0, 0, why}; };
    const auto guard = lock(page.coin);
    if (!guard) return refuse(unavailable, why_locked);
    if (hot_.failed()) return refuse(unavailable, why_failed);
    const auto slot = slot_of(page.coin);
    if (!slot) return refuse(unavailable, why_store);
    const auto known = cold_->papers(page.coin);
    if (!watched(known)) return refuse(unavailable, why_store);
    if (!*known || (*known)->standing != Standing::held || (*known)->unconfirmed()) return refuse(not_held);
    const Papers& papers = **known;
    if (papers.damaged) return refuse(unavailable, why_damaged);
    if (page.now > papers.coin.lease || page.now > papers.coin.terms.exp) return refuse(not_held);
    const auto now = snapshot_of(page.coin, *slot);
    if (!now) return refuse(unavailable, why_store);
    if (!*now) return refuse(unavailable, why_damaged);
    if (*slot) {
        drop_dead((*slot)->open());
        if (!(*slot)->open().empty()) return refuse(busy);
    }
    Snapshot next = **now;
    GiveBackOutcome out;
    const auto judged = unspend(next.state, {page.ticket, page.resource, page.now - page.within_s, floor_of(papers)}, out.units);
    out.result = answer_to(judged);
    if (out.result != given) return out;
    // What was claimed or shown since it was looked at above counts too: the
    // transaction sees what every process has marked.
    const auto done = change(papers, next, *slot, [&](Papers& p) {
        out.result = next.state.spent < floor_of(p) ? booked : within_the_day(p, page);
        if (out.result != given) return false;
        p.given.push_back(page.resource);
        p.given_back += out.units;
        return true;
    });
    if (!done) return refuse(unavailable, why_unwritten);
    if (!*done) return refuse(out.result);
    out.spent = next.state.spent;
    out.revealed = next.state.revealed;
    return out;
}

Result<std::vector<bool>> MappedTill::show(std::span<const Shown> shown) {
    if (hot_.failed()) return closed();
    std::vector<bool> stands;
    while (!shown.empty()) {
        const auto now = shown.first(std::min(shown.size(), claim_batch));
        const auto r = cold_->show(now);
        if (!watched(r)) return r.error();
        stands.insert(stands.end(), r->begin(), r->end());
        shown = shown.subspan(now.size());
    }
    return stands;
}

// ---------------------------------------------------------------- custody

// The coin's place if it is hot, its image free of doubt.
Result<std::optional<MappedTill::Slot>> MappedTill::slot_of(const Tag16& coin) {
    const auto slot = hot_.find(coin);
    if (!slot || !slot->active().terms.in_doubt()) return slot;
    const Place place = recover(*slot);
    if (place.answer == Answer::unavailable) return Error{Code::malformed, std::string("till: ") + place.why};
    return place.slot;
}

Result<std::optional<Snapshot>> MappedTill::snapshot_of(const Tag16& coin, const std::optional<Slot>& slot) {
    if (slot) return std::optional(snapshot_in(slot->active()));
    const auto snapshot = cold_->snapshot(coin);
    return watched(snapshot);
}

bool MappedTill::doubt(const std::optional<Slot>& slot) {
    if (!slot) return true;
    slot->begin().terms.doubt();
    slot->commit();
    return make_durable(*slot);  // the other page is written next: one of them rests on the disk
}

// Papers and state below together, in an order that a death at any instant
// does no harm to: the image is doubted, so that nobody sells by it; the
// papers are written; the image follows them. Where the first two happened and
// not the third, or the papers could not be written, whoever finds the doubt
// asks the papers (recover()). False: `adjust` said so, and nothing was changed.
Result<bool> MappedTill::change(const Papers& papers, Snapshot next, const std::optional<Slot>& slot,
                                const ColdStore::Adjust& adjust) {
    if (!doubt(slot)) return closed();
    next.version += 2;  // above the doubted image, which may be folded into the store
    const auto put = cold_->put(papers, &next, adjust);
    if (!watched(put)) return put.error();
    if (!*put) {
        if (slot && recover(*slot).answer == Answer::unavailable) return closed();
        return false;
    }
    if (slot && papers.standing == Standing::held) {
        Image& i = slot->begin();
        i.state = next.state;
        i.version = next.version - 1;
        i.terms = hot_terms(papers, next.pages_left);
        slot->commit();
        slot->set_saved(next.version);
        if (!make_durable(*slot)) return closed();
    } else if (slot && slot->open().empty()) {
        hot_.remove(*slot);
    }
    if (observer_) observer_(papers.coin.terms.tag, next.state, next.version);
    return true;
}

Result<bool> MappedTill::take(const Coin& coin) {
    const Tag16& tag = coin.terms.tag;
    const auto guard = lock(tag);
    if (!guard) return {Code::malformed, std::string("till: ") + why_locked};
    if (hot_.failed()) return closed();
    const auto slot = slot_of(tag);
    if (!slot) return slot.error();
    const auto known = cold_->papers(tag);
    if (!watched(known)) return known.error();
    const auto now = *known ? snapshot_of(tag, *slot) : Result<std::optional<Snapshot>>(std::nullopt);
    if (!now) return now.error();

    if (!*known) return begin_custody(coin, nullptr, *now, *slot);
    const Papers& papers = **known;
    if (papers.damaged || !*now) {
        if (coin.epoch > papers.coin.epoch) return begin_custody(coin, nullptr, *now, *slot);
        return {Code::mismatch, "till: the coin's state was damaged on the disk; only a later epoch restores it"};
    }
    if (!same_terms(papers.coin.terms, coin.terms)) return {Code::mismatch, "till: the coin has other terms here"};
    if (papers.standing == Standing::dropped) {
        if (coin.epoch < papers.floor || coin.epoch == papers.void_epoch || is_refused(coin, papers)) return false;
        return begin_custody(coin, &papers, *now, *slot);
    }
    // What a void index said of epochs counts for nothing here either, but that
    // this vendor signed one for it.
    if (papers.standing == Standing::handed_over && papers.void_epoch == papers.coin.epoch && !coin.custody.empty() &&
        coin.epoch >= papers.floor && coin.epoch != papers.void_epoch)
        return begin_custody(coin, &papers, *now, *slot);
    if (coin.epoch == papers.void_epoch && coin.epoch != papers.coin.epoch) return false;
    if (coin.epoch < papers.coin.epoch) return false;
    if (coin.epoch > papers.coin.epoch) return begin_custody(coin, &papers, *now, *slot);
    if (coin.custody.empty()) {
        // A signed index founds a custody and renews none: else whoever signs
        // one for an epoch that was held here long ago could make it last.
        if (!papers.unconfirmed()) return papers.standing == Standing::held;
        if (!same_index(papers.coin, coin)) return false;
    }
    return renew(coin, papers, *now, *slot);
}

// A custody that was not known. known: null where there is no state to go on from.
Result<bool> MappedTill::begin_custody(const Coin& coin, const Papers* known, const std::optional<Snapshot>& now,
                                       const std::optional<Slot>& slot) {
    Papers papers;
    papers.coin = coin;
    if (!coin.custody.empty()) papers.coin.indices.clear();
    if (known) {
        papers.floor = floor_after(*known);
        papers.refused = known->refused;
        papers.void_epoch = known->void_epoch;
    }
    Snapshot next;
    if (now) next = *now;
    const SpendState before = next.state;
    const auto& t = coin.terms;
    if (known) {
        regain(next.state, coin);
        next.state.lease = coin.lease;
        next.state.exp = papers.coin.terms.exp = std::max(next.state.exp, t.exp);
    } else {
        next.state = SpendState::taken_over(t.salt, t.n, coin.start, coin.word, t.exp, coin.lease);
    }
    // From one unconfirmed custody to the next the pages are not counted anew.
    if (papers.unconfirmed() && known && known->unconfirmed())
        papers.coin.pages = std::min(coin.pages, now->pages_left);
    // Nor does who deceived this vendor once get a page before the broker has spoken.
    if (papers.unconfirmed() && papers.was_deceived()) papers.coin.pages = 0;
    next.pages_left = papers.unconfirmed() ? papers.coin.pages : 0;
    return change(papers, next, slot, [&, known = known != nullptr](Papers& p) {
        if (known) {
            keep_owed(p, before, coin);
        } else {
            p.owed.clear();
            p.claimed = coin.start;
        }
        return true;
    });
}

// The custody that is known: confirmed now, or with a longer lease. One that
// was handed over can be confirmed, no more.
Result<bool> MappedTill::renew(const Coin& coin, Papers papers, const std::optional<Snapshot>& now,
                               const std::optional<Slot>& slot) {
    auto& c = papers.coin;
    const bool held = papers.standing == Standing::held;
    // The lease until now was the releasing vendor's; the broker's own counts, even where it is shorter.
    const bool confirming = papers.unconfirmed() && !coin.custody.empty();
    if (!coin.custody.empty()) {
        c.custody = coin.custody;
        c.indices.clear();
    }
    if (!held) {
        const auto put = cold_->put(papers, nullptr);
        if (!watched(put)) return put.error();
        return false;
    }
    Snapshot next = *now;
    const SpendState before = next.state;
    regain(next.state, coin);
    c.touchstone = coin.touchstone;
    c.start = coin.start;
    c.word = coin.word;
    c.lease = next.state.lease = confirming ? coin.lease : std::max(coin.lease, c.lease);
    c.terms = coin.terms;
    c.terms.exp = next.state.exp = std::max(next.state.exp, coin.terms.exp);
    if (!papers.unconfirmed()) next.pages_left = 0;
    return change(papers, next, slot, [&](Papers& p) {
        if (coin.start > before.spent) keep_owed(p, before, coin);
        return true;
    });
}

Till::HandoverOutcome MappedTill::hand_over(const Tag16& coin, std::uint64_t epoch, UnixTime now, bool unconfirmed_too,
                                            const Sign& sign) {
    using enum Handover;
    const auto failed = [](const char* why) { return HandoverOutcome{unavailable, {}, why}; };
    const auto guard = lock(coin);
    if (!guard) return failed(why_locked);
    if (hot_.failed()) return failed(why_failed);
    const auto slot = slot_of(coin);
    if (!slot) return failed(why_store);
    const auto known = cold_->papers(coin);
    if (!watched(known)) return failed(why_store);
    if (!*known || (*known)->standing == Standing::dropped) return {unknown, {}, ""};
    Papers papers = **known;
    if (papers.damaged && !papers.handed_over) return failed(why_damaged);
    if (papers.coin.epoch != epoch) return {other_epoch, {}, ""};
    if (papers.handed_over) return {given, *papers.handed_over, ""};
    if (now > papers.coin.lease) return {lease_over, {}, ""};
    auto state = snapshot_of(coin, *slot);
    if (!state) return failed(why_store);
    if (!*state) return failed(why_damaged);
    if (papers.unconfirmed() && (!unconfirmed_too || papers.was_deceived() || (*state)->pages_left != papers.coin.pages))
        return {unconfirmed, {}, ""};
    if (*slot) {
        drop_dead((*slot)->open());
        if (!(*slot)->open().empty() && rules::holds(rules::Rule::reservations_before_release)) return {busy, {}, ""};
    }
    papers.shown = std::max(papers.shown, (*state)->state.spent);
    papers.handed_over = sign(leaving_at(papers.coin, (*state)->state));
    if (papers.handed_over->index.empty()) return failed("the index cannot be signed");
    if (rules::holds(rules::Rule::refuse_before_release)) papers.standing = Standing::handed_over;
    if (const auto done = change(papers, **state, *slot); !done) return failed(why_unwritten);
    return {given, std::move(*papers.handed_over), ""};
}

Result<bool> MappedTill::drop(const Tag16& coin, std::uint64_t epoch) {
    const auto guard = lock(coin);
    if (!guard) return {Code::malformed, std::string("till: ") + why_locked};
    if (hot_.failed()) return closed();
    const auto slot = slot_of(coin);
    if (!slot) return slot.error();
    const auto known = cold_->papers(coin);
    if (!watched(known)) return known.error();
    if (!*known || (*known)->coin.epoch != epoch) return false;
    Papers papers = **known;
    if (!papers.coin.indices.empty()) papers.refused = papers.coin.indices.back();
    papers.coin.indices.clear();
    // What was given to someone stays given: who asks again is told the same, and
    // no second index is ever signed for that epoch, not even where the broker
    // gives this vendor the true epoch of its number.
    if (papers.standing == Standing::held) papers.standing = Standing::dropped;
    else if (papers.standing == Standing::handed_over && papers.coin.custody.empty()) papers.void_epoch = papers.coin.epoch;
    if (*slot) (*slot)->open() = Reservations{};  // what is under way is not sold any more
    const auto state = snapshot_of(coin, *slot);
    if (!state) return state.error();
    const auto done = *state ? change(papers, **state, *slot) : cold_->put(papers, nullptr);
    if (!watched(done)) return done.error();
    return true;
}

// Goes on where the last call ended, so that coins whose report fails again
// and again do not keep the others waiting.
std::vector<Tag16> MappedTill::unreported(std::size_t most) {
    const std::lock_guard one(unreported_mutex_);
    if (hot_.failed()) return {};
    auto coins = cold_->unreported_after(last_unreported_ ? &*last_unreported_ : nullptr, most);
    if (!watched(coins)) return {};
    if (coins->size() < most && last_unreported_) {
        const auto first = cold_->unreported_after(nullptr, most - coins->size());
        if (!watched(first)) return {};
        for (const auto& c : *first)
            if (c <= *last_unreported_) coins->push_back(c);
    }
    last_unreported_ = coins->empty() ? std::nullopt : std::optional(coins->back());
    return std::move(*coins);
}

Result<bool> MappedTill::first_use(std::string_view name, UnixTime now) {
    if (hot_.failed()) return closed();
    auto r = cold_->first_use(name, now);
    return watched(r);
}

std::optional<Entry> MappedTill::find(const Tag16& coin) {
    const auto guard = lock(coin);
    if (!guard || hot_.failed()) return std::nullopt;
    const auto hot = slot_of(coin);
    if (!hot) return std::nullopt;
    const auto papers = cold_->papers(coin);
    if (!watched(papers) || !*papers) return std::nullopt;
    Entry e;
    e.coin = (*papers)->coin;
    e.standing = (*papers)->standing;
    e.handed_over = (*papers)->handed_over;
    e.claimed = (*papers)->claimed;
    e.owed = (*papers)->owed;
    e.shown = (*papers)->shown;
    e.given_back = (*papers)->given_back;
    e.damaged = (*papers)->damaged;
    const auto state = snapshot_of(coin, *hot);
    if (!state) return std::nullopt;
    if (!*state) {
        e.damaged = true;
        return e;
    }
    e.state = (*state)->state;
    e.version = (*state)->version;
    e.last_used = (*state)->last_used;
    if ((*papers)->unconfirmed()) e.pages_left = (*state)->pages_left;
    return e;
}

// Without the coin's lock, which a payment takes twice as it is: whoever reads
// while a place changes hands gets the wrong hint, and asks the cache in vain.
bool MappedTill::hot(const Tag16& coin) { return hot_.find(coin).has_value(); }

void MappedTill::each(const std::function<void(const Entry&)>& f) {
    std::optional<Tag16> last;
    for (;;) {
        const auto coins = cold_->coins_after(last ? &*last : nullptr, 256);
        if (!watched(coins) || coins->empty()) return;
        for (const auto& coin : *coins)
            if (const auto e = find(coin)) f(*e);
        last = coins->back();
    }
}

Result<bool> MappedTill::claim(std::span<const Claimed> claims) {
    if (hot_.failed()) return closed();
    while (!claims.empty()) {
        const auto now = claims.first(std::min(claims.size(), claim_batch));
        if (const auto r = cold_->claim(now); !watched(r)) return r.error();
        claims = claims.subspan(now.size());
    }
    return true;
}

Result<bool> MappedTill::forget(const Tag16& coin) {
    const auto guard = lock(coin);
    if (!guard) return {Code::malformed, std::string("till: ") + why_locked};
    if (hot_.failed()) return closed();
    if (const auto r = cold_->forget(coin); !watched(r)) return r.error();
    if (const auto slot = hot_.find(coin)) hot_.remove(*slot);
    return true;
}

// ---------------------------------------------------------------- the checkpoint

// Copies the states of these slots under their locks and writes them
// afterwards: a transaction never waits for a coin's lock. The cold store
// passes over a copy that an eviction overtook meanwhile.
bool MappedTill::save(std::span<const std::uint32_t> slots) {
    std::vector<ColdStore::Saved> states;
    bool good = true;
    for (const auto n : slots) {
        const auto guard = lock_set(n / HotTable::ways);
        if (!guard) good = false;
        const auto slot = guard ? hot_.at(n) : std::nullopt;
        if (!slot || slot->saved() == slot->active().version) continue;
        const Image& i = slot->active();
        states.push_back({i.terms.coin, snapshot_in(i)});
    }
    if (const auto r = cold_->save(states); !watched(r)) return false;
    for (const auto& [coin, snapshot] : states) {
        const auto guard = lock(coin);
        const auto slot = guard ? hot_.find(coin) : std::nullopt;
        if (slot && slot->saved() < snapshot.version) slot->set_saved(snapshot.version);
    }
    return good;
}

// Writes what changed since the last one into the cold store, so that a loss
// of power takes no more than a second of payments.
bool MappedTill::checkpoint() {
    const std::lock_guard one(checkpoint_mutex_);
    if (hot_.failed()) return false;
    std::vector<std::uint32_t> dirty;
    hot_.take_dirty([&](std::uint32_t n) { dirty.push_back(n); });
    bool good = true;
    for (std::span<const std::uint32_t> rest(dirty); !rest.empty();) {
        const auto now = rest.first(std::min(rest.size(), checkpoint_batch));
        rest = rest.subspan(now.size());
        if (good && save(now)) continue;
        good = false;
        for (const auto n : now) hot_.mark_dirty(n);
    }
    failures_ = good ? 0 : failures_ + 1;
    if (good != !hot_.stalled() && (good || failures_ >= stalled_after)) hot_.set_stalled(!good);
    return good;
}

void MappedTill::keep() {
    bool was_keeper = false;
    while (keeper_.pause(std::chrono::seconds(1))) {
        if (!owners_.become_keeper()) continue;
        // The one before may have died with slots taken off the list and not yet written.
        if (!was_keeper) hot_.mark_all_dirty();
        was_keeper = true;
        checkpoint();
    }
}

MappedTill::~MappedTill() {
    keeper_.end();
    const bool saved = checkpoint();
    // The last one to leave notes that nothing in the table is needed any more.
    if (!gate_.lock_exclusive()) return;
    users_.unlock();
    if (users_.lock_exclusive() && saved && checkpoint()) hot_.closed_in_order();
}

// ---------------------------------------------------------------- opening

// Carries what a table holds that was not closed in order into the cold store.
Result<bool> fold(const std::string& directory, ColdStore& cold) {
    std::vector<ColdStore::Saved> states;
    std::vector<Tag16> lost;
    HotTable::Found found;
    found.image = [&](const Image& i) -> Result<bool> {
        states.push_back({i.terms.coin, snapshot_in(i)});
        if (states.size() < checkpoint_batch) return true;
        auto r = cold.save(states);
        states.clear();
        return r;
    };
    found.lost = [&](const Tag16& coin) -> Result<bool> {
        lost.push_back(coin);
        return true;
    };
    if (auto r = HotTable::images(directory, found); !r) return r;
    if (auto r = cold.save(states); !r) return r;
    return cold.mark_damaged(lost);
}

bool wait_for(const File& gate) {
    for (const auto until = Clock::now() + open_wait; !gate.lock_exclusive();) {
        if (Clock::now() > until) return false;
        std::this_thread::sleep_for(milliseconds(5));
    }
    return true;
}

}  // namespace

// Of all who open and close, one at a time does (init.lock). The one that
// finds no other user (users.lock, held shared while a till is open) makes
// locks and table anew.
Result<std::unique_ptr<Till>> Till::open(const Options& o) {
    Disk& disk = o.disk ? *o.disk : Disk::real();
    auto gate = File::open(o.directory, "init.lock");
    if (!gate) return gate.error();
    auto users = File::open(o.directory, "users.lock");
    if (!users) return users.error();
    if (!wait_for(*gate)) return {Code::malformed, "till: " + gate->path() + ": another process is opening it for too long"};
    auto cold = ColdStore::open(o.directory, disk);
    if (!cold) return cold.error();
    const bool fresh = users->lock_exclusive();
    if (fresh)
        if (auto r = fold(o.directory, **cold); !r) return r.error();
    auto hot = HotTable::open(o.directory, o.slots, disk, fresh, o.sync == Sync::always);
    if (!hot) return hot.error();
    if (hot->failed()) return closed();
    auto locks = Locks::open(o.directory, std::min(hot->sets(), most_stripes), fresh);
    if (!locks) return locks.error();
    auto owners = Owners::open(o.directory, hot->next_owner());
    if (!owners) return owners.error();
    users->unlock();
    if (!users->lock_shared()) return disk_error(users->path(), "cannot lock", EWOULDBLOCK);
    gate->unlock();
    auto till = std::make_unique<MappedTill>(o, std::move(*users), std::move(*gate), std::move(*hot), std::move(*locks),
                                             std::move(*owners), *cold, disk);
    if (!till->start_keeper()) return {Code::limit, "till: the thread that writes it to the disk cannot be started"};
    return std::unique_ptr<Till>(std::move(till));
}

}  // namespace netpay::till
