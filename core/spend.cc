#include "core/spend.h"

#include <algorithm>

#include "core/payword.h"

namespace netpay {

bool TicketSet::contains(std::uint32_t i) const {
    const auto* end = ranges_.data() + count_;
    const auto* r = std::lower_bound(ranges_.data(), end, i, [](const Range& a, std::uint32_t v) { return a.last < v; });
    return r != end && r->first <= i;
}

void TicketSet::insert(std::uint32_t i) {
    auto* begin = ranges_.data();
    auto* end = begin + count_;
    auto* r = std::lower_bound(begin, end, i, [](const Range& a, std::uint32_t v) { return a.last < v; });
    if (r != end && r->first <= i) return;
    const bool after = r != begin && (r - 1)->last + 1 == i;
    const bool before = r != end && r->first == i + 1;
    if (after && before) {
        (r - 1)->last = r->last;
        std::copy(r + 1, end, r);
        --count_;
    } else if (after) {
        (r - 1)->last = i;
    } else if (before) {
        r->first = i;
    } else if (count_ < ranges_.size()) {
        std::copy_backward(r, end, end + 1);
        *r = {i, i};
        ++count_;
    } else if (r == begin) {  // full, and the new one is the lowest: it merges with the next
        r->first = i;
    } else if (r == begin + 1) {  // the new one is the second lowest
        begin->last = i;
    } else {  // the lowest two merge and make room below the new one's place
        begin[0].last = begin[1].last;
        std::copy(begin + 2, r, begin + 1);
        *(r - 1) = {i, i};
    }
}

bool TicketSet::valid(std::uint32_t n) const {
    if (count_ > ranges_.size()) return false;
    std::uint64_t next = 1;
    for (std::uint32_t k = 0; k < count_; ++k) {
        if (ranges_[k].first < next || ranges_[k].last < ranges_[k].first || ranges_[k].last > n) return false;
        next = std::uint64_t{ranges_[k].last} + 2;
    }
    return true;
}

std::uint32_t Reservations::units() const {
    std::uint32_t sum = 0;
    for (const auto& r : open)
        if (r.index) sum += r.units;
    return sum;
}

const Reservation* Reservations::find(std::uint32_t index) const {
    for (const auto& r : open)
        if (r.index == index) return &r;
    return nullptr;
}

bool Reservations::add(const Reservation& r) {
    for (auto& place : open) {
        if (place.index) continue;
        place = r;
        return true;
    }
    return false;
}

void Reservations::remove(std::uint32_t index) {
    for (auto& r : open)
        if (r.index == index) r = {};
}

bool Reservations::empty() const {
    return std::all_of(open.begin(), open.end(), [](const Reservation& r) { return r.index == 0; });
}

SpendState SpendState::taken_over(const Salt& salt, std::uint32_t n, std::uint32_t start, const Payword& word,
                                  UnixTime exp, UnixTime lease) {
    SpendState s;
    s.salt = salt;
    s.n = n;
    s.start = s.spent = s.revealed = start;
    s.word = word;
    s.exp = exp;
    s.lease = lease;
    return s;
}

namespace {

RecentTicket bought(std::uint32_t index, std::uint32_t units, const Payment& p) {
    RecentTicket t;
    t.index = index;
    t.used_at = p.now & ((UnixTime{1} << 42) - 1);
    t.units = units & ((1u << 21) - 1);
    t.resource = p.resource;
    return t;
}

RecentTicket* find_recent(SpendState& s, std::uint32_t index) {
    for (auto& t : s.recent)
        if (t.index == index) return &t;
    return nullptr;
}

Judgement used_before(SpendState& s, const Payment& p, const SpendRules& rules) {
    RecentTicket* t = find_recent(s, static_cast<std::uint32_t>(p.index));
    if (!t || !p.is_get || t->resource != p.resource || p.now - t->used_at > rules.grace_s ||
        t->replays >= rules.grace_count)
        return {Verdict::already_spent};
    ++t->replays;
    return {Verdict::replayed, 0, true};
}

}  // namespace

Judgement reserve(SpendState& s, Reservations& open, const Payment& p, const SpendRules& rules, std::uint64_t owner) {
    // 1. Times.
    if (p.now > s.lease) return {Verdict::lease_over};
    if (p.now > s.exp) return {Verdict::expired};
    // 2. Place.
    if (p.index < 1 || p.index > s.n) return {Verdict::forged};
    const auto j = static_cast<std::uint32_t>(p.index);
    if ((j > s.revealed ? j - s.revealed : s.revealed - j) > rules.max_hop) return {Verdict::hop_too_long};
    // 3. The hash chain.
    bool raised = false;
    if (j > s.revealed) {
        if (walk_down(s.salt, j, p.word, s.revealed) != s.word) return {Verdict::forged};
        s.revealed = j;
        s.word = p.word;
        raised = true;
    } else if (walk_down(s.salt, s.revealed, s.word, j) != p.word) {
        return {Verdict::forged};
    }
    // 4. The ticket.
    if (j <= s.start || s.tickets.contains(j)) return used_before(s, p, rules);
    if (open.find(j)) return {Verdict::busy, 0, raised};
    // 5. The money, as if the payments under way were settled; if one of them
    // might still be released, the answer is not known yet.
    const std::uint32_t balance = s.revealed - s.spent;
    const std::uint32_t reserved = open.units();
    if (balance < p.units)
        return {Verdict::insufficient, s.spent + p.units, raised};
    if (std::uint64_t{reserved} + p.units > balance) return {Verdict::busy, 0, raised};
    // 6. A place among the payments under way.
    if (!open.add({j, p.units, owner})) return {Verdict::busy, 0, raised};
    return {Verdict::paid, 0, raised};
}

bool settle(SpendState& s, Reservations& open, const Payment& p) {
    const auto j = static_cast<std::uint32_t>(p.index);
    const Reservation* r = open.find(j);
    if (!r || j == 0) return false;
    const std::uint32_t units = r->units;
    open.remove(j);
    // s never passes r, even if the state was replaced meanwhile by one that spent more.
    if (units > s.revealed - s.spent) return false;
    s.spent += units;
    s.tickets.insert(j);
    s.recent[s.recent_at] = bought(j, units, p);
    s.recent_at = static_cast<decltype(s.recent_at)>((s.recent_at + 1) % limits::recent_tickets);
    return true;
}

void release(Reservations& open, std::uint32_t index) { open.remove(index); }

Unspent unspend(SpendState& s, const Unspending& page, std::uint32_t& units) {
    RecentTicket* t = page.index ? find_recent(s, page.index) : nullptr;
    if (!t || t->units == 0 || t->resource != page.resource) return Unspent::unknown;
    if (t->used_at < page.not_before) return Unspent::too_late;
    if (t->replays > 1) return Unspent::reread;
    const auto floor = std::max(page.floor, s.start);
    if (s.spent < floor || s.spent - floor < t->units) return Unspent::below;
    units = static_cast<std::uint32_t>(t->units);
    s.spent -= units;
    // Its place is kept: a place without a ticket would end those in use.
    t->replays = UINT32_MAX;
    t->units = 0;
    t->resource = {};
    return Unspent::done;
}

}  // namespace netpay
