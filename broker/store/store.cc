#include "broker/store/store.h"

#include <fcntl.h>
#include <soci/sqlite3/soci-sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "broker/store/query.h"
#include "broker/store/schema.h"

namespace netpay::broker {
namespace {

// Readers beyond this many are closed after use: a session holds some 100 KB.
constexpr std::size_t pooled_readers = 8;

// SQLite makes its -wal and -shm files with the mode of the file itself.
Result<bool> make_private(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0) return {Code::malformed, "store " + path + ": " + std::strerror(errno)};
    ::close(fd);
    return true;
}

}  // namespace

std::unique_ptr<Sql> connect(const std::string& path) {
    auto sql = std::make_unique<Sql>(soci::sqlite3, path);
    run(*sql, "PRAGMA busy_timeout = 15000");
    run(*sql, "PRAGMA journal_mode = WAL");
    run(*sql, "PRAGMA synchronous = FULL");
    run(*sql, "PRAGMA foreign_keys = ON");
    return sql;
}

Transaction::Transaction(Sql& sql, Mode mode) : sql_(sql) {
    run(sql_, mode == Mode::write ? "BEGIN IMMEDIATE" : "BEGIN");
}

Transaction::~Transaction() {
    if (!open_) return;
    try {
        run(sql_, "ROLLBACK");
    } catch (const std::exception&) {
        // SQLite has rolled back by itself, which is why this failed.
    }
}

void Transaction::commit() {
    run(sql_, "COMMIT");
    open_ = false;
}

Savepoint::Savepoint(Sql& sql) : sql_(sql) { run(sql_, "SAVEPOINT part"); }

Savepoint::~Savepoint() {
    if (!open_) return;
    try {
        run(sql_, "ROLLBACK TO part");
        run(sql_, "RELEASE part");
    } catch (const std::exception&) {
        // The transaction is gone as a whole; its COMMIT will say so.
    }
}

void Savepoint::keep() {
    run(sql_, "RELEASE part");
    open_ = false;
}

Result<std::unique_ptr<Store>> Store::open(const std::string& path) {
    if (path.find('=') != std::string::npos) return {Code::malformed, "store " + path + ": a path without '=' is needed"};
    if (const auto made = make_private(path); !made) return made.error();
    try {
        std::unique_ptr<Store> store(new Store(path));
        store->writer_ = connect(path);
        if (const auto done = migrate(*store->writer_); !done)
            return {done.error().code, "store " + path + ": " + done.error().detail};
        return store;
    } catch (const soci::soci_error& e) {
        return {Code::malformed, "store " + path + ": " + e.get_error_message()};
    }
}

Store::~Store() = default;

std::unique_ptr<Sql> Store::take_reader() {
    {
        const std::lock_guard lock(readers_mutex_);
        if (!readers_.empty()) {
            auto sql = std::move(readers_.back());
            readers_.pop_back();
            return sql;
        }
    }
    return connect(path_);
}

void Store::give_reader(std::unique_ptr<Sql> sql) {
    const std::lock_guard lock(readers_mutex_);
    if (readers_.size() < pooled_readers) readers_.push_back(std::move(sql));
}

}  // namespace netpay::broker
