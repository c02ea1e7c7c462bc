#include "mod_netpay/till/cold_store.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include <sys/stat.h>
#include <unistd.h>

#include "mod_netpay/till/file.h"

namespace netpay::till {
namespace {

// Address space set aside, not disk: some four million coins.
constexpr std::size_t map_bytes = std::size_t{16} << 30;

// A thread in a read takes one of these, 64 bytes each: 32 processes of 128 threads.
constexpr unsigned max_readers = 4096;

MDB_val value(std::string_view s) { return {s.size(), const_cast<char*>(s.data())}; }
MDB_val value(const Tag16& t) { return {t.size(), const_cast<std::uint8_t*>(t.data())}; }
std::string_view view(const MDB_val& v) { return {static_cast<const char*>(v.mv_data), v.mv_size}; }

bool passes(int code) {
    return code == 0 || code == ENOSPC || code == EDQUOT || code == MDB_MAP_FULL || code == MDB_READERS_FULL ||
           code == ENOMEM || code == MDB_TXN_FULL || code == MDB_MAP_RESIZED;
}

// Environments open in this process, by the directory's identity.
struct Registry {
    std::mutex mutex;
    pid_t process = 0;
    std::map<std::pair<dev_t, ino_t>, std::weak_ptr<ColdStore>> stores;
};
Registry& registry() {
    static auto* r = new Registry;  // never destroyed: httpd runs static destructors in passes of its own
    return *r;
}

}  // namespace

class ColdStore::Txn {
public:
    Txn(ColdStore& store, unsigned flags) { code = mdb_txn_begin(store.env_, nullptr, flags, &txn); }
    ~Txn() {
        if (txn) mdb_txn_abort(txn);
    }
    Txn(const Txn&) = delete;
    Txn& operator=(const Txn&) = delete;
    template <class Key>
    std::optional<std::string_view> get(MDB_dbi db, const Key& key) {
        MDB_val k = value(key), v{};
        if (code == 0) code = mdb_get(txn, db, &k, &v);
        if (code == 0) return view(v);
        if (code == MDB_NOTFOUND) code = 0;
        return std::nullopt;
    }
    template <class Key>
    void put(MDB_dbi db, const Key& key, std::string_view bytes) {
        MDB_val k = value(key), v = value(bytes);
        if (code == 0) code = mdb_put(txn, db, &k, &v, 0);
    }
    template <class Key>
    void remove(MDB_dbi db, const Key& key) {
        MDB_val k = value(key);
        if (code == 0) code = mdb_del(txn, db, &k, nullptr);
        if (code == MDB_NOTFOUND) code = 0;
    }
    MDB_txn* release() { return std::exchange(txn, nullptr); }

    MDB_txn* txn = nullptr;
    int code = 0;
};

Error ColdStore::error(const char* what, int code) {
    if (!passes(code)) broken_.store(true);
    const bool space = code == ENOSPC || code == EDQUOT || code == MDB_MAP_FULL;
    return {space ? Code::limit : Code::malformed, "till: " + path_ + ": " + what + ": " + mdb_strerror(code)};
}

bool ColdStore::broken() const { return broken_.load(); }

Result<bool> ColdStore::commit(Txn& txn) {
    if (txn.code) return error("cannot write", txn.code);
    if (const int code = disk_->commit(txn.release())) return error("cannot commit", code);
    return true;
}

Result<std::shared_ptr<ColdStore>> ColdStore::open(const std::string& directory, Disk& disk) {
    struct stat d {};
    if (stat(directory.c_str(), &d) != 0) return disk_error(directory, "cannot find", errno);
    auto& known = registry();
    const std::lock_guard lock(known.mutex);
    if (known.process != getpid()) {  // what a parent had open is no use here
        known.stores.clear();
        known.process = getpid();
    }
    auto& place = known.stores[{d.st_dev, d.st_ino}];
    if (auto s = place.lock()) return s;

    std::shared_ptr<ColdStore> s(new ColdStore);
    s->path_ = directory + "/coins.mdb";
    s->disk_ = &disk;
    int code = mdb_env_create(&s->env_);
    if (!code) code = mdb_env_set_mapsize(s->env_, map_bytes);
    if (!code) code = mdb_env_set_maxreaders(s->env_, max_readers);
    if (!code) code = mdb_env_set_maxdbs(s->env_, 5);
    // NOTLS: a thread may write while it reads elsewhere, and threads come and go.
    if (!code) code = mdb_env_open(s->env_, s->path_.c_str(), MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD, 0600);
    if (code) return s->error("cannot open", code);
    give_to_owner_of(directory, s->path_);
    give_to_owner_of(directory, s->path_ + "-lock");
    mdb_reader_check(s->env_, nullptr);
    Txn txn(*s, 0);
    if (!txn.code) txn.code = mdb_dbi_open(txn.txn, "papers", MDB_CREATE, &s->papers_);
    if (!txn.code) txn.code = mdb_dbi_open(txn.txn, "states", MDB_CREATE, &s->states_);
    if (!txn.code) txn.code = mdb_dbi_open(txn.txn, "unreported", MDB_CREATE, &s->unreported_);
    if (!txn.code) txn.code = mdb_dbi_open(txn.txn, "seen", MDB_CREATE, &s->seen_);
    if (!txn.code) txn.code = mdb_dbi_open(txn.txn, "seen_at", MDB_CREATE, &s->seen_at_);
    if (auto done = s->commit(txn); !done) return done.error();
    place = s;
    return s;
}

ColdStore::~ColdStore() {
    if (env_) mdb_env_close(env_);
}

Result<std::optional<Papers>> ColdStore::papers(const Tag16& coin) {
    Txn txn(*this, MDB_RDONLY);
    const auto bytes = txn.get(papers_, coin);
    if (txn.code) return error("cannot read", txn.code);
    if (!bytes) return std::optional<Papers>();
    auto p = decode_papers(*bytes);
    if (p) return p;
    Papers damaged;
    damaged.coin.terms.tag = coin;
    damaged.coin.epoch = ~std::uint64_t{0};  // not known: no later one restores it
    damaged.damaged = true;
    return std::optional(damaged);
}

Result<std::optional<Snapshot>> ColdStore::snapshot(const Tag16& coin) {
    Txn txn(*this, MDB_RDONLY);
    const auto bytes = txn.get(states_, coin);
    if (txn.code) return error("cannot read", txn.code);
    return bytes ? decode_snapshot(*bytes) : std::optional<Snapshot>();
}

Result<bool> ColdStore::put(Papers p, const Snapshot* s, const Adjust& adjust) {
    const Tag16& coin = p.coin.terms.tag;
    Txn txn(*this, 0);
    const auto bytes = txn.get(papers_, coin);
    if (auto stored = bytes ? decode_papers(*bytes) : std::nullopt) {
        p.claimed = stored->claimed;
        p.owed = std::move(stored->owed);
        p.shown = std::max(p.shown, stored->shown);
        p.given_back = stored->given_back;
        p.given_day = stored->given_day;
        p.given = std::move(stored->given);
    }
    if (adjust && !adjust(p)) return false;
    txn.put(papers_, coin, encode(p));
    if (s) txn.put(states_, coin, encode(*s));
    if (p.coin.indices.empty())
        txn.remove(unreported_, coin);
    else
        txn.put(unreported_, coin, {});
    return commit(txn);
}

Result<bool> ColdStore::save(std::span<const Saved> states) {
    if (states.empty()) return true;
    Txn txn(*this, 0);
    for (const auto& [coin, s] : states) {
        if (!txn.get(papers_, coin)) continue;
        if (const auto old = txn.get(states_, coin))
            if (const auto o = decode_snapshot(*old); o && o->version > s.version) continue;
        txn.put(states_, coin, encode(s));
    }
    return commit(txn);
}

Result<bool> ColdStore::mark_damaged(std::span<const Tag16> coins) {
    if (coins.empty()) return true;
    Txn txn(*this, 0);
    for (const auto& coin : coins) {
        const auto bytes = txn.get(papers_, coin);
        auto p = bytes ? decode_papers(*bytes) : std::nullopt;
        if (!p) continue;
        p->damaged = true;
        txn.put(papers_, coin, encode(*p));
    }
    return commit(txn);
}

Result<bool> ColdStore::claim(std::span<const Till::Claimed> claims) {
    if (claims.empty()) return true;
    Txn txn(*this, 0);
    for (const auto& c : claims) {
        const auto bytes = txn.get(papers_, c.coin);
        auto p = bytes ? decode_papers(*bytes) : std::nullopt;
        if (!p) continue;
        p->claimed = std::max(p->claimed, c.to);
        std::erase_if(p->owed, [&](const Owed& o) { return o.to <= c.to; });
        for (auto& o : p->owed) o.from = std::max(o.from, c.to);
        txn.put(papers_, c.coin, encode(*p));
    }
    return commit(txn);
}

Result<std::vector<bool>> ColdStore::show(std::span<const Till::Shown> shown) {
    std::vector<bool> stands;
    Txn txn(*this, 0);
    for (const auto& s : shown) {
        const auto bytes = txn.get(papers_, s.coin);
        auto p = bytes ? decode_papers(*bytes) : std::nullopt;
        stands.push_back(p && p->given_back == s.given_back);
        if (!stands.back() || s.to <= p->floor_of_s()) continue;
        p->shown = s.to;
        txn.put(papers_, s.coin, encode(*p));
    }
    if (auto done = commit(txn); !done) return done.error();
    return stands;
}

Result<bool> ColdStore::forget(const Tag16& coin) {
    Txn txn(*this, 0);
    txn.remove(papers_, coin);
    txn.remove(states_, coin);
    txn.remove(unreported_, coin);
    return commit(txn);
}

Result<std::vector<Tag16>> ColdStore::tags_after(MDB_dbi db, const Tag16* coin, std::size_t most) {
    std::vector<Tag16> out;
    Txn txn(*this, MDB_RDONLY);
    MDB_cursor* cursor = nullptr;
    if (!txn.code) txn.code = mdb_cursor_open(txn.txn, db, &cursor);
    if (txn.code) return error("cannot read", txn.code);
    MDB_val k{}, v{};
    if (coin) k = value(*coin);
    int code = mdb_cursor_get(cursor, &k, &v, coin ? MDB_SET_RANGE : MDB_FIRST);
    while (code == 0 && out.size() < most) {
        Tag16 tag{};
        if (k.mv_size == tag.size()) {
            std::memcpy(tag.data(), k.mv_data, tag.size());
            if (!coin || tag != *coin) out.push_back(tag);
        }
        code = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (code != 0 && code != MDB_NOTFOUND) return error("cannot read", code);
    return out;
}

// ---------------------------------------------------------------- requests seen

namespace {

// Removed in one transaction: more than one comes in, so that the table shrinks.
constexpr int purged_at_once = 64;

// Big-endian, so that the order of keys is that of time.
std::string time_key(UnixTime t) {
    std::string out;
    const auto u = static_cast<std::uint64_t>(t);
    for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(u >> shift & 0xff));
    return out;
}

std::optional<UnixTime> time_of(std::string_view key) {
    if (key.size() < 8) return std::nullopt;
    std::uint64_t u = 0;
    for (const char c : key.substr(0, 8)) u = u << 8 | static_cast<std::uint8_t>(c);
    return static_cast<UnixTime>(u);
}

bool of_late(std::optional<UnixTime> at, UnixTime now) {
    return at && *at >= now - ColdStore::seen_s && *at <= now + ColdStore::seen_s;
}

}  // namespace

// Those too old to matter, and those that are later than the clock can say: it
// was set back since, and a request of that time is refused for its `iat`.
void ColdStore::purge_seen(Txn& txn, UnixTime now) {
    MDB_cursor* cursor = nullptr;
    if (!txn.code) txn.code = mdb_cursor_open(txn.txn, seen_at_, &cursor);
    if (txn.code) return;
    for (const auto end : {MDB_FIRST, MDB_LAST}) {
        MDB_val key{}, v{};
        for (int k = 0; k < purged_at_once && !txn.code && mdb_cursor_get(cursor, &key, &v, end) == 0; ++k) {
            if (of_late(time_of(view(key)), now)) break;
            const std::string name(view(key).substr(std::min<std::size_t>(key.mv_size, 8)));
            txn.code = mdb_cursor_del(cursor, 0);
            if (!name.empty()) txn.remove(seen_, std::string_view(name));
        }
    }
    mdb_cursor_close(cursor);
}

Result<bool> ColdStore::first_use(std::string_view name, UnixTime now) {
    if (name.empty() || name.size() > longest_name)
        return {Code::malformed, "till: a request's name has 1 to " + std::to_string(longest_name) + " bytes"};
    Txn txn(*this, 0);
    purge_seen(txn, now);
    if (const auto stored = txn.get(seen_, name)) {
        const auto at = time_of(*stored);
        if (of_late(at, now)) return false;
        const std::string dated = time_key(at.value_or(0)).append(name);
        txn.remove(seen_at_, std::string_view(dated));
    }
    MDB_stat count{};
    if (!txn.code) txn.code = mdb_stat(txn.txn, seen_, &count);
    if (!txn.code && count.ms_entries >= most_seen)
        return {Code::limit, "till: too many signed requests within " + std::to_string(seen_s) + " s"};
    const std::string at = time_key(now);
    txn.put(seen_, name, at);
    const std::string dated = at + std::string(name);
    txn.put(seen_at_, std::string_view(dated), {});
    return commit(txn);
}

}  // namespace netpay::till
