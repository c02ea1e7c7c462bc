// The broker's store: SOCI over SQLite (WAL, foreign keys, synchronous=FULL).
// One writer at a time within the process (a mutex) and across processes
// (BEGIN IMMEDIATE with a busy time-out), readers from a small pool. SQL in
// the rooms above is kept to what SQLite and PostgreSQL share.
#pragma once

#include <soci/soci.h>

#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "broker/store/outcome.h"
#include "core/result.h"

namespace netpay::broker {

using Sql = soci::session;

class Store {
public:
    // Opens the store, creating it (mode 0600) and bringing its schema to the
    // newest version. Errors: the file cannot be opened, or its schema is
    // newer than this program.
    static Result<std::unique_ptr<Store>> open(const std::string& path);
    ~Store();

    // Runs f(Sql&) → Outcome<T> in one transaction: committed and on disk if
    // it returns a value, rolled back if it refuses. A failing database is a
    // refusal with status 503; nothing was changed then.
    template <class F>
    auto write(F&& f) -> decltype(f(std::declval<Sql&>()));

    // Runs f(Sql&) → Outcome<T> on a consistent snapshot that sees every
    // commit before it. f does not write.
    template <class F>
    auto read(F&& f) -> decltype(f(std::declval<Sql&>()));

    const std::string& path() const { return path_; }

private:
    explicit Store(std::string path) : path_(std::move(path)) {}

    std::unique_ptr<Sql> take_reader();
    void give_reader(std::unique_ptr<Sql> sql);

    std::string path_;
    std::mutex writer_mutex_;
    std::unique_ptr<Sql> writer_;
    std::mutex readers_mutex_;
    std::vector<std::unique_ptr<Sql>> readers_;
};

// BEGIN … COMMIT, or ROLLBACK if it goes out of scope before commit().
class Transaction {
public:
    enum class Mode { read, write };
    Transaction(Sql& sql, Mode mode);
    ~Transaction();
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    void commit();

private:
    Sql& sql_;
    bool open_ = true;
};

// Part of a write that can be undone while the rest of its transaction
// stays: rolled back if it goes out of scope before keep().
class Savepoint {
public:
    explicit Savepoint(Sql& sql);
    ~Savepoint();
    Savepoint(const Savepoint&) = delete;
    Savepoint& operator=(const Savepoint&) = delete;
    void keep();

private:
    Sql& sql_;
    bool open_ = true;
};

// A connection with this store's settings. Throws soci::soci_error, whose
// get_error_message() names no bound value; its what() may, and is not to be
// shown or logged.
std::unique_ptr<Sql> connect(const std::string& path);

template <class F>
auto Store::write(F&& f) -> decltype(f(std::declval<Sql&>())) {
    const std::lock_guard lock(writer_mutex_);
    try {
        if (!writer_) writer_ = connect(path_);
        Transaction transaction(*writer_, Transaction::Mode::write);
        auto outcome = f(*writer_);
        if (outcome.ok()) transaction.commit();
        return outcome;
    } catch (const soci::soci_error& e) {
        // After a failed sync nothing more is done over this connection: the
        // next write opens the file anew, which recovers it.
        writer_.reset();
        return store_failed(e.get_error_message());
    } catch (const std::exception& e) {
        writer_.reset();
        return store_failed(e.what());
    }
}

template <class F>
auto Store::read(F&& f) -> decltype(f(std::declval<Sql&>())) {
    try {
        auto sql = take_reader();
        auto outcome = [&] {
            Transaction transaction(*sql, Transaction::Mode::read);
            return f(*sql);
        }();
        give_reader(std::move(sql));
        return outcome;
    } catch (const soci::soci_error& e) {
        return store_failed(e.get_error_message());
    } catch (const std::exception& e) {
        return store_failed(e.what());
    }
}

}  // namespace netpay::broker
