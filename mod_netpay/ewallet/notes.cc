#include "mod_netpay/ewallet/notes.h"

#include <utility>
#include <vector>

#include "core/hash.h"

namespace netpay::ewallet {
namespace {

using Txn = Environment::Txn;

constexpr std::size_t given = 0;   // day ‖ reader → the pages' resources
constexpr std::size_t states = 1;  // SHA-256 of a state → until when it is kept
constexpr std::size_t left = 2;    // an e-wallet's name → until when it is kept ‖ what is untold
constexpr std::size_t map_bytes = std::size_t{1} << 30;  // address space: some millions of each
constexpr std::size_t swept_at_once = 500;
constexpr std::int64_t day_s = 86400;
constexpr std::size_t number_bytes = 8;

// As LMDB orders keys: the older first.
std::string number(std::int64_t v) {
    std::string out;
    for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(static_cast<std::uint64_t>(v) >> shift));
    return out;
}

std::string reader_key(const Tag16& reader, UnixTime now) { return number(now / day_s).append(as_view(reader)); }

std::string state_key(std::string_view state) { return std::string(as_view(sha256({"netpay/ewallet/state\n", state}))); }

std::size_t find_page(std::string_view pages, const Tag16& resource) {
    for (std::size_t at = 0; at < pages.size(); at += resource.size())
        if (pages.substr(at, resource.size()) == as_view(resource)) return at;
    return std::string_view::npos;
}

Error unreadable() { return {Code::malformed, "e-wallets: notes cannot be read"}; }

}  // namespace

Result<std::unique_ptr<Notes>> Notes::open(const std::string& directory) {
    auto env = Environment::open(directory, "notes.mdb", Environment::Sync::commit, map_bytes, {"given", "states", "left"});
    if (!env) return env.error();
    return std::unique_ptr<Notes>(new Notes(std::move(*env)));
}

Result<Notes::Noted> Notes::give_back(const Tag16& reader, const Tag16& resource, std::uint32_t most, UnixTime now) {
    Txn txn(*env_, Txn::Kind::write);
    const auto key = reader_key(reader, now);
    std::string pages(txn.get(given, key).value_or(""));
    if (txn.failed()) return unreadable();
    if (find_page(pages, resource) != std::string::npos) return Noted::again;
    if (pages.size() / resource.size() >= most) return Noted::too_many;
    txn.put(given, key, pages.append(as_view(resource)));
    if (const auto done = txn.commit(); !done) return done.error();
    return Noted::noted;
}

Result<bool> Notes::gave_back(const Tag16& reader, const Tag16& resource, UnixTime now) {
    Txn txn(*env_, Txn::Kind::read);
    const auto pages = txn.get(given, reader_key(reader, now));
    const bool there = pages && find_page(*pages, resource) != std::string::npos;
    if (txn.failed()) return unreadable();
    return there;
}

Result<bool> Notes::forget_give_back(const Tag16& reader, const Tag16& resource, UnixTime now) {
    Txn txn(*env_, Txn::Kind::write);
    const auto key = reader_key(reader, now);
    std::string pages(txn.get(given, key).value_or(""));
    const auto at = find_page(pages, resource);
    if (txn.failed()) return unreadable();
    if (at == std::string::npos) return true;
    txn.put(given, key, pages.erase(at, resource.size()));
    return txn.commit();
}

Result<bool> Notes::use_state(std::string_view state, UnixTime until) {
    Txn txn(*env_, Txn::Kind::write);
    const auto key = state_key(state);
    if (txn.get(states, key)) return false;
    txn.put(states, key, number(until));
    return txn.commit();
}

Result<bool> Notes::forget_state(std::string_view state) {
    Txn txn(*env_, Txn::Kind::write);
    txn.remove(states, state_key(state));
    return txn.commit();
}

Result<bool> Notes::leave(const std::string& binding, std::string_view untold, UnixTime until) {
    Txn txn(*env_, Txn::Kind::write);
    txn.put(left, binding, number(until).append(untold));
    return txn.commit();
}

Result<bool> Notes::told(const std::string& binding) {
    Txn txn(*env_, Txn::Kind::write);
    const std::string known(txn.get(left, binding).value_or(""));
    if (txn.failed()) return unreadable();
    if (known.size() <= number_bytes) return true;
    txn.put(left, binding, std::string_view(known).substr(0, number_bytes));
    return txn.commit();
}

Result<bool> Notes::has_left(const std::string& binding) {
    Txn txn(*env_, Txn::Kind::read);
    const bool there = txn.get(left, binding).has_value();
    if (txn.failed()) return unreadable();
    return there;
}

std::vector<Notes::Untold> Notes::untold(std::size_t most) {
    std::vector<Untold> out;
    Txn txn(*env_, Txn::Kind::read);
    txn.each(left, {}, [&](std::string_view binding, std::string_view known) {
        if (known.size() > number_bytes) out.push_back({std::string(binding), std::string(known.substr(number_bytes))});
        return out.size() < most;
    });
    return out;
}

Result<bool> Notes::sweep(UnixTime now) {
    std::vector<std::pair<std::size_t, std::string>> dead;
    {
        Txn txn(*env_, Txn::Kind::read);
        const auto today = number(now / day_s), moment = number(now);
        txn.each(given, {}, [&](std::string_view key, std::string_view) {
            if (key.substr(0, today.size()) >= today) return false;
            dead.emplace_back(given, key);
            return true;
        });
        txn.each(states, {}, [&](std::string_view key, std::string_view until) {
            if (until < moment) dead.emplace_back(states, key);
            return true;
        });
        txn.each(left, {}, [&](std::string_view key, std::string_view known) {
            if (known.substr(0, number_bytes) < moment) dead.emplace_back(left, key);
            return true;
        });
        if (txn.failed()) return unreadable();
    }
    for (std::size_t at = 0; at < dead.size();) {
        Txn txn(*env_, Txn::Kind::write);
        for (const auto end = std::min(dead.size(), at + swept_at_once); at < end; ++at) txn.remove(dead[at].first, dead[at].second);
        if (auto done = txn.commit(); !done) return done;
    }
    return true;
}

}  // namespace netpay::ewallet
