// The store below the hot table: an LMDB environment `coins.mdb` in the
// till's directory. It has the papers of every coin, and of each the state as
// last written: at eviction from the hot table, at the checkpoint each second,
// or when custody changed. Every write is one transaction, synced when the
// call returns. Beside them: which coins have signed indices that the broker
// has still to be shown, and the names of signed requests seen of late.
//
// A record that cannot be decoded reads as damaged papers or as no state;
// the till does not serve such a coin (doc/till.md).
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lmdb.h>

#include "core/result.h"
#include "mod_netpay/till/disk.h"
#include "mod_netpay/till/snapshot.h"
#include "mod_netpay/till/till.h"

namespace netpay::till {

class ColdStore {
public:
    // LMDB allows an environment to be open once in a process: tills of one
    // process over one directory share it, and the first one's disk. Call it in
    // the process that uses it, after fork().
    static Result<std::shared_ptr<ColdStore>> open(const std::string& directory, Disk& disk);
    ~ColdStore();
    ColdStore(const ColdStore&) = delete;
    ColdStore& operator=(const ColdStore&) = delete;

    Result<std::optional<Papers>> papers(const Tag16& coin);
    Result<std::optional<Snapshot>> snapshot(const Tag16& coin);

    // Replaces both, or the papers alone (null). A coin's papers are changed
    // under its lock, but what was claimed or shown is marked without it:
    // `claimed`, `owed`, `shown` and what was given back are those that are
    // stored at this moment, and `adjust`, where there is one, is applied to
    // them. Runs within the transaction. False: adjust said so, and nothing is changed.
    using Adjust = std::function<bool(Papers&)>;
    Result<bool> put(Papers papers, const Snapshot* snapshot, const Adjust& adjust = nullptr);
    // A state from the hot table. One older than the one stored is passed over
    // (it was copied before a later eviction), and so is a coin without papers.
    using Saved = std::pair<Tag16, Snapshot>;
    Result<bool> save(std::span<const Saved> states);
    // The coin's state was lost: it is not served until it is taken with a later epoch.
    Result<bool> mark_damaged(std::span<const Tag16> coins);
    Result<bool> claim(std::span<const Till::Claimed> claims);
    // As Till::show(), in one transaction.
    Result<std::vector<bool>> show(std::span<const Till::Shown> shown);
    Result<bool> forget(const Tag16& coin);

    // Up to `most` coins after this one in the order of the store; null: from the first.
    Result<std::vector<Tag16>> coins_after(const Tag16* coin, std::size_t most) { return tags_after(papers_, coin, most); }
    // The same of those that have indices to report.
    Result<std::vector<Tag16>> unreported_after(const Tag16* coin, std::size_t most) {
        return tags_after(unreported_, coin, most);
    }

    // Notes a request's name as seen at `now`. False: it was within the last
    // seen_s. Errors: limit where so many were seen of late that no more fit.
    Result<bool> first_use(std::string_view name, UnixTime now);
    static constexpr UnixTime seen_s = 120;          // PROTOCOL.md section 4
    static constexpr std::size_t most_seen = 200000; // 1,600 a second, far beyond true traffic; some 60 MB
    static constexpr std::size_t longest_name = 400; // with a time it has to fit LMDB's 511 bytes of key

    // A commit failed in a way after which the files are not to be trusted
    // further by this process. Want of space is not one: that passes.
    bool broken() const;

private:
    ColdStore() = default;
    class Txn;
    Error error(const char* what, int code);
    Result<bool> commit(Txn& txn);
    Result<std::vector<Tag16>> tags_after(MDB_dbi db, const Tag16* coin, std::size_t most);
    void purge_seen(Txn& txn, UnixTime now);

    MDB_env* env_ = nullptr;
    MDB_dbi papers_ = 0, states_ = 0;
    MDB_dbi unreported_ = 0;         // tag → nothing: coins whose papers have indices
    MDB_dbi seen_ = 0, seen_at_ = 0; // name → time, and time ‖ name → nothing
    Disk* disk_ = nullptr;
    std::string path_;
    std::atomic<bool> broken_{false};
};

}  // namespace netpay::till
