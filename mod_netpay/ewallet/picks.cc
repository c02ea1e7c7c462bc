#include "mod_netpay/ewallet/picks.h"

#include <algorithm>

#include "mod_netpay/custody/lock.h"
#include "mod_netpay/custody/custody.h"

namespace netpay::ewallet {
namespace {

using Txn = Environment::Txn;

constexpr std::size_t pages = 0;      // coin ‖ resource → a page's ticket
constexpr std::size_t highest = 1;    // coin → the highest ticket given, and when
constexpr std::size_t days = 2;     // reader → what was paid unasked, and on which day
constexpr std::int64_t day_s = 86400;
constexpr std::size_t map_bytes = std::size_t{1} << 30;  // address space: some three million pages in two hours
constexpr std::size_t swept_at_once = 500;
constexpr std::size_t longest_target = 1000;  // a longer one is not listed for its reader
constexpr std::size_t head_bytes = 4 + 4 + 8 + 8 + 8 + 4;

template <class T>
void put_number(std::string& out, T v) {
    for (std::size_t i = 0; i < sizeof v; ++i) out.push_back(static_cast<char>(static_cast<std::uint64_t>(v) >> (8 * i)));
}

template <class T>
T number(std::string_view& in) {
    std::uint64_t v = 0;
    for (std::size_t i = sizeof(T); i-- > 0;) v = v << 8 | static_cast<std::uint8_t>(in[i]);
    in.remove_prefix(sizeof(T));
    return static_cast<T>(v);
}

std::string page_key(const Tag16& coin, const Tag16& resource) {
    return std::string(as_view(coin)).append(as_view(resource));
}

std::string encode(std::uint32_t ticket, const Picks::Wish& w) {
    std::string out;
    put_number(out, ticket);
    put_number(out, w.units);
    put_number(out, w.now);
    put_number(out, w.now + std::max(Picks::kept_s, w.grace_s + Picks::hold_s));
    put_number(out, w.price.amount.micro());
    out += w.price.currency.str();
    if (w.target.size() <= longest_target) out += w.target;
    return out;
}

std::optional<Picks::Picked> decode(std::string_view key, std::string_view bytes) {
    if (key.size() != 2 * sizeof(Tag16) || bytes.size() < head_bytes) return std::nullopt;
    Picks::Picked p;
    std::copy_n(key.begin() + sizeof(Tag16), p.resource.size(), p.resource.begin());
    p.ticket = number<std::uint32_t>(bytes);
    p.units = number<std::uint32_t>(bytes);
    p.at = number<UnixTime>(bytes);
    p.until = number<UnixTime>(bytes);
    const auto amount = Amount::from(number<std::uint64_t>(bytes));
    const auto currency = Currency::parse(bytes.substr(0, 4));
    if (!amount || !currency) return std::nullopt;
    p.price = {*amount, *currency};
    p.target = bytes.substr(4);
    return p;
}

struct Highest {
    std::uint32_t ticket = 0;
    UnixTime at = 0;
};

Highest decode_highest(std::string_view bytes) {
    Highest h;
    if (bytes.size() != 12) return h;
    h.ticket = number<std::uint32_t>(bytes);
    h.at = number<UnixTime>(bytes);
    return h;
}

// Micro-units taken on the day of `now`.
std::uint64_t taken_today(Txn& txn, const Tag16& reader, UnixTime now) {
    auto bytes = txn.get(days, as_view(reader)).value_or("");
    if (bytes.size() != 16) return 0;
    const auto day = number<std::int64_t>(bytes);
    return day == now / day_s ? number<std::uint64_t>(bytes) : 0;
}

std::vector<Picks::Picked> picked_of(Txn& txn, const Tag16& coin) {
    std::vector<Picks::Picked> out;
    txn.each(pages, as_view(coin), [&](std::string_view key, std::string_view bytes) {
        if (!key.starts_with(as_view(coin))) return false;
        if (auto p = decode(key, bytes)) out.push_back(std::move(*p));
        return true;
    });
    return out;
}

// A ticket for a page that has none.
std::optional<std::uint32_t> choose(Txn& txn, const Picks::Wish& w, std::uint32_t top) {
    const auto& s = *w.state;
    std::vector<std::uint32_t> taken;
    for (const auto& p : picked_of(txn, w.coin))
        if (p.at > w.now - Picks::hold_s) taken.push_back(p.ticket);
    std::sort(taken.begin(), taken.end());
    const auto is_free = [&](std::uint32_t i) {
        return i > s.start && !s.tickets.contains(i) && !std::binary_search(taken.begin(), taken.end(), i);
    };
    const std::uint64_t above = std::uint64_t{std::max({s.start, s.spent, top})} + w.units;
    for (auto i = std::max<std::uint64_t>(above, w.least); i <= w.granted; ++i)
        if (is_free(static_cast<std::uint32_t>(i))) return static_cast<std::uint32_t>(i);
    for (auto i = w.granted; i > s.start && i >= w.least; --i)
        if (is_free(i)) return i;
    return std::nullopt;
}

// What was never synced may be torn once the machine has failed: notes made
// before it started are thrown away. Others of this start may have them open,
// so that is for the first alone. False: the starts cannot be told apart.
Result<bool> forget_earlier_starts(const std::string& directory) {
    auto& disk = custody::system_disk();
    const auto lock = custody::ByteLock::take(directory + "/lock", 0, std::chrono::seconds(5));
    if (!lock) return lock.error();
    const std::string stamp = directory + "/picks.boot";
    const auto boot = disk.read("/proc/sys/kernel/random/boot_id", 100);
    if (!boot) return false;
    const auto before = disk.read(stamp, 100);
    if (before && *boot == *before) return true;
    for (const char* file : {"/picks.mdb", "/picks.mdb-lock"})
        if (auto gone = disk.remove(directory + file); !gone) return gone;
    return disk.replace(stamp, *boot);
}

}  // namespace

Result<std::unique_ptr<Picks>> Picks::open(const std::string& directory) {
    const auto ready = forget_earlier_starts(directory);
    if (!ready) return ready.error();
    auto env = Environment::open(directory, "picks.mdb", *ready ? Environment::Sync::never : Environment::Sync::commit, map_bytes,
                                 {"pages", "highest", "days"});
    if (!env) return env.error();
    return std::unique_ptr<Picks>(new Picks(std::move(*env)));
}

Result<Picks::Pick> Picks::pick(const Wish& w) {
    Txn txn(*env_, Txn::Kind::write);
    const auto key = page_key(w.coin, w.resource);
    bool counted = false;  // this page is, and was not paid since
    if (const auto bytes = txn.get(pages, key)) {
        const auto p = decode(key, *bytes);
        counted = p && p->at > w.now - hold_s && p->units == w.units && !w.state->tickets.contains(p->ticket);
        if (counted && p->ticket >= w.least && p->ticket <= w.granted && p->ticket > w.state->start) return Pick{p->ticket};
    }
    if (w.unasked && !counted) {
        const auto sum = taken_today(txn, w.unasked->reader, w.now) + w.price.amount.micro();
        if (sum > w.unasked->most.micro()) return Pick{std::nullopt, true};
        std::string day;
        put_number(day, w.now / day_s);
        put_number(day, sum);
        txn.put(days, as_view(w.unasked->reader), day);
    }
    const auto top = decode_highest(txn.get(highest, as_view(w.coin)).value_or(""));
    const auto ticket = choose(txn, w, top.ticket);
    if (!ticket) {
        if (txn.failed()) return {Code::malformed, "e-wallets: tickets cannot be read"};
        return Pick{};
    }
    txn.put(pages, key, encode(*ticket, w));
    std::string h;
    put_number(h, std::max(*ticket, top.ticket));
    put_number(h, w.now);
    txn.put(highest, as_view(w.coin), h);
    if (const auto done = txn.commit(); !done) return done.error();
    return Pick{ticket};
}

Amount Picks::taken(const Tag16& reader, UnixTime now) {
    Txn txn(*env_, Txn::Kind::read);
    return Amount::from(taken_today(txn, reader, now)).value_or(Amount());
}

std::vector<Picks::Picked> Picks::of(const Tag16& coin) {
    Txn txn(*env_, Txn::Kind::read);
    return picked_of(txn, coin);
}

std::optional<Picks::Picked> Picks::of(const Tag16& coin, const Tag16& resource) {
    Txn txn(*env_, Txn::Kind::read);
    const auto key = page_key(coin, resource);
    const auto bytes = txn.get(pages, key);
    return bytes ? decode(key, *bytes) : std::nullopt;
}

Result<bool> Picks::sweep(UnixTime now) {
    const auto old = now - kept_s;
    std::vector<std::pair<std::size_t, std::string>> dead;
    {
        Txn txn(*env_, Txn::Kind::read);
        txn.each(pages, {}, [&](std::string_view key, std::string_view bytes) {
            const auto p = decode(key, bytes);
            if (!p || p->until < now) dead.emplace_back(pages, key);
            return true;
        });
        txn.each(highest, {}, [&](std::string_view key, std::string_view bytes) {
            if (decode_highest(bytes).at < old) dead.emplace_back(highest, key);
            return true;
        });
        txn.each(days, {}, [&](std::string_view key, std::string_view bytes) {
            if (bytes.size() != 16 || number<std::int64_t>(bytes) < now / day_s) dead.emplace_back(days, key);
            return true;
        });
        if (txn.failed()) return {Code::malformed, "e-wallets: tickets cannot be read"};
    }
    for (std::size_t at = 0; at < dead.size();) {
        Txn txn(*env_, Txn::Kind::write);
        for (const auto end = std::min(dead.size(), at + swept_at_once); at < end; ++at)
            txn.remove(dead[at].first, dead[at].second);
        if (auto done = txn.commit(); !done) return done;
    }
    return true;
}

}  // namespace netpay::ewallet
