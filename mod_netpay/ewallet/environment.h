// An LMDB environment with a few tables, shared by the processes of a vendor.
// One file; a process killed at any instant leaves it whole.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <lmdb.h>

#include "core/result.h"

namespace netpay::ewallet {

class Environment {
public:
    enum class Sync {
        commit,  // on the disk when commit() returns
        never,   // as the system writes it: against death of processes, not of the machine
    };
    // LMDB wants an environment open once in a process: those of one path are
    // shared. Call it in the process that uses it, after fork(). Errors name
    // the file.
    static Result<std::shared_ptr<Environment>> open(const std::string& directory, const char* file, Sync sync,
                                                     std::size_t map_bytes, const std::vector<const char*>& tables);
    ~Environment();
    Environment(const Environment&) = delete;
    Environment& operator=(const Environment&) = delete;

    // One transaction. What get() returns holds until it ends. After an error
    // all calls do nothing.
    class Txn {
    public:
        enum class Kind { read, write };
        Txn(Environment& env, Kind kind);
        ~Txn();
        Txn(const Txn&) = delete;
        Txn& operator=(const Txn&) = delete;
        std::optional<std::string_view> get(std::size_t table, std::string_view key);
        void put(std::size_t table, std::string_view key, std::string_view value);
        void remove(std::size_t table, std::string_view key);
        // Entries from `from` on, in the order of keys, while f returns true.
        using Visitor = std::function<bool(std::string_view key, std::string_view value)>;
        void each(std::size_t table, std::string_view from, const Visitor& f);
        bool failed() const { return code_ != 0; }
        // Errors name the file and what LMDB said.
        Result<bool> commit();

    private:
        Environment& env_;
        MDB_txn* txn_ = nullptr;
        int code_ = 0;
    };

private:
    Environment() = default;
    Error error(const char* what, int code) const;
    MDB_env* env_ = nullptr;
    std::vector<MDB_dbi> tables_;
    std::string path_;
};

}  // namespace netpay::ewallet
