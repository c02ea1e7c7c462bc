// A broker's store (SQLite) for reading: nothing is ever written to it, and
// what is read is one consistent state of it, while the broker goes on.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "core/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace netpay::audit {

// The store could not be read to the end: no verdict. Thrown by everything
// here after open(), and caught in audit.cc; the text names no value of a row.
class Unreadable : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

class Statement;

class Database {
public:
    // Opens the store and takes a snapshot, which lasts as long as this object.
    //
    // Where a broker has it open, its -wal and -shm files are there, and the
    // snapshot is held by SQLite's own lock in the latter; checkpoints wait for
    // it. Where there is no -wal file nobody has it open; it is read without any
    // lock then, so that no file is made beside it, and unchanged() says whether
    // somebody wrote to it after all.
    // Errors: no such file, not a store, locked by another program.
    static Result<std::unique_ptr<Database>> open(const std::string& path);
    ~Database();
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;

    Statement prepare(std::string_view sql);
    // A single number; 0 if there is no row.
    std::int64_t number(std::string_view sql);

    // False: read without a lock, and the file was written to meanwhile.
    bool unchanged() const;

private:
    Database() = default;
    struct Stamp {
        std::int64_t size = -1, seconds = 0, nanoseconds = 0;
        bool wal = false;
        bool operator==(const Stamp&) const = default;
    };
    static Stamp stamp(const std::string& path);

    std::string path_;
    sqlite3* db_ = nullptr;
    bool unlocked_ = false;
    Stamp opened_;
};

// A prepared query. Columns are read by number, from 0, of the row step() came to.
class Statement {
public:
    Statement(Statement&& o) noexcept;
    ~Statement();
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;

    // Begins anew with these values for its parameters, in order.
    template <class... Values>
    Statement& with(const Values&... values) {
        reset();
        int at = 0;
        (bind(++at, values), ...);
        return *this;
    }
    bool step();  // false: no more rows
    std::int64_t number(int column) const;
    // Valid until the next step(). Empty for NULL.
    std::string_view view(int column) const;
    std::string text(int column) const { return std::string(view(column)); }

private:
    friend class Database;
    Statement(sqlite3* db, sqlite3_stmt* st) : db_(db), st_(st) {}
    void reset();
    void bind(int at, std::int64_t value);
    void bind(int at, std::string_view value);
    sqlite3* db_;
    sqlite3_stmt* st_;
};

}  // namespace netpay::audit
