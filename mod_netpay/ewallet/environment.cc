#include "mod_netpay/ewallet/environment.h"

#include <map>
#include <mutex>
#include <utility>

#include <unistd.h>

#include "mod_netpay/till/file.h"

namespace netpay::ewallet {
namespace {

// A thread in a read takes one of these, as in the till's store.
constexpr unsigned max_readers = 4096;

MDB_val value(std::string_view s) { return {s.size(), const_cast<char*>(s.data())}; }
std::string_view view(const MDB_val& v) { return {static_cast<const char*>(v.mv_data), v.mv_size}; }

struct Registry {
    std::mutex mutex;
    pid_t process = 0;
    std::map<std::string, std::weak_ptr<Environment>> open;
};
Registry& registry() {
    static auto* r = new Registry;  // never destroyed: httpd runs static destructors in passes of its own
    return *r;
}

}  // namespace

Error Environment::error(const char* what, int code) const {
    const bool space = code == ENOSPC || code == EDQUOT || code == MDB_MAP_FULL;
    return {space ? Code::limit : Code::malformed, "e-wallets: " + path_ + ": " + what + ": " + mdb_strerror(code)};
}

Result<std::shared_ptr<Environment>> Environment::open(const std::string& directory, const char* file, Sync sync,
                                                       std::size_t map_bytes, const std::vector<const char*>& tables) {
    const std::string path = directory + "/" + file;
    auto& known = registry();
    const std::lock_guard lock(known.mutex);
    if (known.process != getpid()) {  // what a parent had open is no use here
        known.open.clear();
        known.process = getpid();
    }
    auto& place = known.open[path];
    if (auto e = place.lock()) return e;
    std::shared_ptr<Environment> e(new Environment);
    e->path_ = path;
    int code = mdb_env_create(&e->env_);
    if (!code) code = mdb_env_set_mapsize(e->env_, map_bytes);
    if (!code) code = mdb_env_set_maxreaders(e->env_, max_readers);
    if (!code) code = mdb_env_set_maxdbs(e->env_, static_cast<MDB_dbi>(tables.size()));
    const unsigned flags = MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD | (sync == Sync::never ? MDB_NOSYNC : 0u);
    if (!code) code = mdb_env_open(e->env_, path.c_str(), flags, 0600);
    if (code) return e->error("cannot open", code);
    till::give_to_owner_of(directory, path);
    till::give_to_owner_of(directory, path + "-lock");
    mdb_reader_check(e->env_, nullptr);
    MDB_txn* txn = nullptr;
    code = mdb_txn_begin(e->env_, nullptr, 0, &txn);
    for (const char* name : tables) {
        MDB_dbi table = 0;
        if (!code) code = mdb_dbi_open(txn, name, MDB_CREATE, &table);
        e->tables_.push_back(table);
    }
    if (!code) code = mdb_txn_commit(std::exchange(txn, nullptr));
    if (txn) mdb_txn_abort(txn);
    if (code) return e->error("cannot open its tables", code);
    place = e;
    return e;
}

Environment::~Environment() {
    if (env_) mdb_env_close(env_);
}

Environment::Txn::Txn(Environment& env, Kind kind) : env_(env) {
    code_ = mdb_txn_begin(env.env_, nullptr, kind == Kind::read ? MDB_RDONLY : 0u, &txn_);
}

Environment::Txn::~Txn() {
    if (txn_) mdb_txn_abort(txn_);
}

std::optional<std::string_view> Environment::Txn::get(std::size_t table, std::string_view key) {
    MDB_val k = value(key), v{};
    if (code_) return std::nullopt;
    const int code = mdb_get(txn_, env_.tables_[table], &k, &v);
    if (code == 0) return view(v);
    if (code != MDB_NOTFOUND) code_ = code;
    return std::nullopt;
}

void Environment::Txn::put(std::size_t table, std::string_view key, std::string_view bytes) {
    MDB_val k = value(key), v = value(bytes);
    if (!code_) code_ = mdb_put(txn_, env_.tables_[table], &k, &v, 0);
}

void Environment::Txn::remove(std::size_t table, std::string_view key) {
    MDB_val k = value(key);
    if (code_) return;
    const int code = mdb_del(txn_, env_.tables_[table], &k, nullptr);
    if (code != MDB_NOTFOUND) code_ = code;
}

void Environment::Txn::each(std::size_t table, std::string_view from, const Visitor& f) {
    if (code_) return;
    MDB_cursor* cursor = nullptr;
    code_ = mdb_cursor_open(txn_, env_.tables_[table], &cursor);
    if (code_) return;
    MDB_val k = value(from), v{};
    int code = mdb_cursor_get(cursor, &k, &v, from.empty() ? MDB_FIRST : MDB_SET_RANGE);
    while (code == 0 && f(view(k), view(v))) code = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    mdb_cursor_close(cursor);
    if (code && code != MDB_NOTFOUND) code_ = code;
}

Result<bool> Environment::Txn::commit() {
    if (!code_) code_ = mdb_txn_commit(std::exchange(txn_, nullptr));
    if (code_) return env_.error("cannot write", code_);
    return true;
}

}  // namespace netpay::ewallet
