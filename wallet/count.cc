#include "wallet/count.h"

#include <algorithm>
#include <charconv>
#include <map>

namespace netpay::wallet {
namespace {

bool taken(const Count& c, std::uint32_t ticket) {
    if (c.used.contains(ticket)) return true;
    return std::any_of(c.open.begin(), c.open.end(),
                       [&](const OpenPayment& p) { return p.here && p.ticket == ticket; });
}

std::optional<std::uint32_t> unconfirmed(const Count& c, std::uint32_t from, std::uint32_t to) {
    std::optional<std::uint32_t> best;
    for (const auto& p : c.open) {
        if (p.live || !p.here || p.ticket < from || p.ticket > to || c.used.contains(p.ticket)) continue;
        const bool under_way = std::any_of(c.open.begin(), c.open.end(),
                                           [&](const OpenPayment& o) { return o.live && o.ticket == p.ticket; });
        if (!under_way && (!best || p.ticket < *best)) best = p.ticket;
    }
    return best;
}

void use(Count& c, std::uint32_t ticket) { c.used = join_used(std::move(c.used), {ticket}); }

// Takes payments away that fit; their ids.
template <class Fits>
std::vector<std::int64_t> drop(Count& c, Fits fits) {
    std::vector<std::int64_t> ids;
    for (const auto& p : c.open)
        if (fits(p)) ids.push_back(p.id);
    std::erase_if(c.open, fits);
    return ids;
}

// Moves up to `units` from the unknown payments of one ticket to S.
std::uint32_t settle_ticket(Count& c, std::uint32_t ticket, std::uint32_t units, Absorbed& out) {
    std::uint32_t most = 0;
    for (const auto& p : c.open)
        if (!p.live && p.ticket == ticket) most = std::max(most, p.units);
    const std::uint32_t moved = std::min(most, units);
    if (moved == 0) return 0;
    for (auto& p : c.open)
        if (!p.live && p.ticket == ticket) p.units -= std::min(p.units, moved);
    const auto ids = drop(c, [&](const OpenPayment& p) { return !p.live && p.ticket == ticket && p.units == 0; });
    out.settled.insert(out.settled.end(), ids.begin(), ids.end());
    c.spent += moved;
    return moved;
}

}  // namespace

std::string write_used(const std::set<std::uint32_t>& used) {
    std::string out;
    for (const auto i : used) out += (out.empty() ? "" : ",") + std::to_string(i);
    return out;
}

std::set<std::uint32_t> read_used(std::string_view text) {
    std::set<std::uint32_t> out;
    const char* at = text.data();
    const char* end = at + text.size();
    while (at < end) {
        std::uint32_t i = 0;
        const auto [next, ec] = std::from_chars(at, end, i);
        if (ec != std::errc{}) break;
        out.insert(out.end(), i);
        at = next + (next < end);
    }
    return out;
}

std::set<std::uint32_t> join_used(std::set<std::uint32_t> here, const std::set<std::uint32_t>& there) {
    here.insert(there.begin(), there.end());
    while (here.size() > most_used) here.erase(here.begin());
    return here;
}

std::uint32_t Count::live_units() const {
    std::uint32_t sum = 0;
    for (const auto& p : open)
        if (p.live) sum += p.units;
    return sum;
}

std::uint32_t Count::unknown_units() const {
    std::map<std::uint32_t, std::uint32_t> most;
    for (const auto& p : open)
        if (!p.live) most[p.ticket] = std::max(most[p.ticket], p.units);
    std::uint32_t sum = 0;
    for (const auto& [ticket, units] : most) sum += units;
    return sum;
}

Chosen choose(const Count& c, std::uint32_t units, std::uint32_t needed) {
    const std::uint64_t own = std::uint64_t{c.spent} + c.live_units() + units;
    if (own > c.n) return {std::nullopt, Refusal::coin_short};
    const auto target = static_cast<std::uint32_t>(own);
    const std::uint32_t highest = std::max(c.revealed, target);
    const std::uint32_t from = std::max(target, needed);
    if (from > highest) return {std::nullopt, Refusal::beyond};
    if (const auto again = unconfirmed(c, from, highest)) return {Choice{*again, true}};
    for (std::uint32_t i = from; i <= highest; ++i)
        if (!taken(c, i)) return {Choice{i, false}};
    if (needed > c.revealed) return {std::nullopt, Refusal::no_ticket};
    for (std::uint32_t i = target; i-- > c.base + 1 && target - i <= most_used;)
        if (!taken(c, i)) return {Choice{i, false}};
    return {std::nullopt, Refusal::no_ticket};
}

void open_payment(Count& c, const OpenPayment& p) {
    c.open.push_back(p);
    c.revealed = std::max(c.revealed, p.ticket);
}

std::vector<std::int64_t> paid(Count& c, std::int64_t id, std::uint32_t charged) {
    const auto p = std::find_if(c.open.begin(), c.open.end(), [&](const OpenPayment& o) { return o.id == id; });
    if (p == c.open.end()) return {};
    const std::uint32_t ticket = p->ticket;
    c.spent += std::min(charged, p->units);
    c.open.erase(p);
    use(c, ticket);
    return drop(c, [&](const OpenPayment& o) { return !o.live && o.here && o.ticket == ticket; });
}

void not_charged(Count& c, std::int64_t id) {
    drop(c, [&](const OpenPayment& p) { return p.id == id; });
}

void doubt(Count& c, std::int64_t id) {
    for (auto& p : c.open)
        if (p.id == id) p.live = false;
}

Absorbed absorb(Count& c, std::uint32_t claimed, std::uint32_t ticket, std::uint32_t allowance) {
    Absorbed out;
    const std::uint64_t own = std::uint64_t{c.spent} + c.live_units();
    const std::uint64_t most = own + c.unknown_units();
    if (claimed > c.n || claimed > most + allowance) return out;
    out.believed = true;
    if (claimed <= own) return out;
    auto excess = static_cast<std::uint32_t>(claimed - own);
    if (ticket) excess -= settle_ticket(c, ticket, excess, out);
    while (excess > 0) {
        const auto p = std::find_if(c.open.begin(), c.open.end(),
                                    [](const OpenPayment& o) { return !o.live && o.units > 0; });
        if (p == c.open.end()) break;
        excess -= settle_ticket(c, p->ticket, excess, out);
    }
    c.spent += excess;  // within the allowance
    return out;
}

std::uint32_t given_back(Count& c, std::uint32_t ticket, std::uint32_t units) {
    if (!c.used.contains(ticket)) return 0;
    const auto back = std::min(units, c.spent);
    c.spent -= back;
    return back;
}

std::vector<std::int64_t> ticket_used(Count& c, std::uint32_t ticket) {
    use(c, ticket);
    return drop(c, [&](const OpenPayment& p) { return !p.live && p.here && p.ticket == ticket; });
}

}  // namespace netpay::wallet
