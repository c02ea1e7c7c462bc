#include "mod_netpay/ewallet/sealed_store.h"

#include <algorithm>

#include "mod_netpay/ewallet/cookies.h"

namespace netpay::ewallet {
namespace {

using Txn = Environment::Txn;

constexpr std::size_t records = 0;                            // the only table
constexpr std::size_t map_bytes = std::size_t{4} << 30;       // address space: some two million e-wallets
constexpr std::size_t swept_at_once = 500;                    // deleted in one transaction: readers' writes get between
constexpr char format = 1;
constexpr std::size_t label_bytes = 1 + 8 + 16 + 8;

std::string key_of(const Secret& sid) { return std::string(as_view(sha256({"netpay/ewallet/sid", sid.expose()}))); }

void put_number(std::string& out, std::uint64_t v) {
    for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>(v >> (8 * i)));
}

std::uint64_t number(std::string_view at) {
    std::uint64_t v = 0;
    for (std::size_t i = 8; i-- > 0;) v = v << 8 | static_cast<std::uint8_t>(at[i]);
    return v;
}

std::string encode(const SealedStore::Label& l, std::string_view sealed) {
    std::string out(1, format);
    put_number(out, static_cast<std::uint64_t>(l.until));
    out += as_view(l.coin);
    put_number(out, l.epoch);
    return out.append(sealed);
}

std::optional<SealedStore::Label> label_of(std::string_view record) {
    if (record.size() < label_bytes || record[0] != format) return std::nullopt;
    SealedStore::Label l;
    l.until = static_cast<UnixTime>(number(record.substr(1)));
    std::copy_n(record.begin() + 9, l.coin.size(), l.coin.begin());
    l.epoch = number(record.substr(25));
    return l;
}

}  // namespace

Result<std::unique_ptr<SealedStore>> SealedStore::open(const std::string& directory, const std::string& origin,
                                                       const std::vector<Secret>& keys, custody::Random& random) {
    auto env = Environment::open(directory, "records.mdb", Environment::Sync::commit, map_bytes, {"records"});
    if (!env) return env.error();
    return std::unique_ptr<SealedStore>(new SealedStore(std::move(*env), origin, keys, random));
}

SealedStore::SealedStore(std::shared_ptr<Environment> env, const std::string& origin, const std::vector<Secret>& keys,
                         custody::Random& random)
    : env_(std::move(env)), context_("record|" + origin), random_(random) {
    for (const auto& k : keys) keys_.emplace_back(k);
}

Sealer SealedStore::sealer_of(const Secret& sid) const {
    std::string text = "netpay/ewallet/record/1";
    text += sid.expose();
    std::vector<Secret> keys;
    for (const auto& k : keys_) keys.emplace_back(as_view(k.mac(text)));
    cleanse(text.data(), text.size());
    return Sealer(keys);
}

Result<bool> SealedStore::put(const Secret& sid, const Label& label, const Secret& plain) {
    const auto salt = fresh_salt(random_);
    const auto sealed = salt ? sealer_of(sid).seal(*salt, context_, plain.expose()) : std::string();
    if (sealed.empty()) return {Code::limit, "e-wallets: a record cannot be sealed"};
    Txn txn(*env_, Txn::Kind::write);
    txn.put(records, key_of(sid), encode(label, sealed));
    return txn.commit();
}

Result<bool> SealedStore::update(const Secret& sid, Label label, const Secret& plain) {
    const auto salt = fresh_salt(random_);
    const auto sealed = salt ? sealer_of(sid).seal(*salt, context_, plain.expose()) : std::string();
    if (sealed.empty()) return {Code::limit, "e-wallets: a record cannot be sealed"};
    Txn txn(*env_, Txn::Kind::write);
    const auto key = key_of(sid);
    const auto before = label_of(txn.get(records, key).value_or(""));
    if (!before && txn.failed()) return {Code::malformed, "e-wallets: records cannot be read"};
    if (!before) return false;
    label.until = std::min(label.until, before->until);
    txn.put(records, key, encode(label, sealed));
    return txn.commit();
}

Result<std::optional<SealedStore::Opened>> SealedStore::get(const Secret& sid, UnixTime now) {
    std::string record;
    {
        Txn txn(*env_, Txn::Kind::read);
        const auto found = txn.get(records, key_of(sid));
        if (txn.failed()) return {Code::malformed, "e-wallets: records cannot be read"};
        if (found) record = *found;
    }
    const auto label = label_of(record);
    if (!label || label->until < now) return std::optional<Opened>();
    auto plain = sealer_of(sid).open(context_, std::string_view(record).substr(label_bytes));
    if (!plain) return std::optional<Opened>();
    return std::optional<Opened>(Opened{*label, std::move(plain->plain), plain->old_key});
}

Result<bool> SealedStore::remove(const Secret& sid) {
    Txn txn(*env_, Txn::Kind::write);
    txn.remove(records, key_of(sid));
    return txn.commit();
}

Result<bool> SealedStore::shorten(const Secret& sid, UnixTime until) {
    Txn txn(*env_, Txn::Kind::write);
    const auto key = key_of(sid);
    const auto found = txn.get(records, key);
    auto label = label_of(found.value_or(""));
    if (!label || label->until <= until) return !txn.failed();
    label->until = until;
    txn.put(records, key, encode(*label, std::string(found->substr(label_bytes))));
    return txn.commit();
}

Result<bool> SealedStore::sweep(UnixTime now, const std::function<bool(const Label&)>& gone) {
    std::vector<std::string> dead;
    {
        Txn txn(*env_, Txn::Kind::read);
        txn.each(records, {}, [&](std::string_view key, std::string_view record) {
            const auto label = label_of(record);
            if (!label || label->until < now || gone(*label)) dead.emplace_back(key);
            return true;
        });
        if (txn.failed()) return {Code::malformed, "e-wallets: records cannot be read"};
    }
    for (std::size_t at = 0; at < dead.size();) {
        Txn txn(*env_, Txn::Kind::write);
        for (const auto end = std::min(dead.size(), at + swept_at_once); at < end; ++at) txn.remove(records, dead[at]);
        if (auto done = txn.commit(); !done) return done;
    }
    return true;
}

}  // namespace netpay::ewallet
