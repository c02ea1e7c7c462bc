#include "broker/redeem/spool.h"

#include <soci/sqlite3/soci-sqlite3.h>

namespace netpay::broker::redeem {
namespace {

using Mark = std::tuple<Int, std::string>;

std::optional<KnownPayword> known(const std::optional<Mark>& row) {
    if (!row) return std::nullopt;
    return KnownPayword{std::get<0>(*row), std::get<1>(*row)};
}

void each_of(soci::session& sql, const char* text, const std::function<void(const Verified&)>& f) {
    Verified c;
    soci::statement st(sql);
    st.exchange(soci::into(c.line));
    st.exchange(soci::into(c.coin));
    st.exchange(soci::into(c.from));
    st.exchange(soci::into(c.to));
    st.exchange(soci::into(c.payword));
    for (bool more = query::start(st, text); more; more = st.fetch()) f(c);
}

}  // namespace

struct Spool::Statements {
    explicit Statements(soci::session& sql)
        : add(sql, "INSERT INTO claims (line, coin, lo, hi, payword) VALUES (:l, :c, :f, :t, :p)"),
          reject(sql, "INSERT INTO rejected (line, coin, reason) VALUES (:l, :c, :r)"),
          dispute(sql, "INSERT INTO disputed (line, coin, lo, hi, payword) VALUES (:l, :c, :f, :t, :p)"),
          next(sql, "SELECT lo FROM claims WHERE coin = :c AND hi > :f ORDER BY hi LIMIT 1"),
          below(sql, "SELECT hi, payword FROM claims WHERE coin = :c AND hi <= :i ORDER BY hi DESC LIMIT 1"),
          above(sql, "SELECT hi, payword FROM claims WHERE coin = :c AND hi >= :i ORDER BY hi LIMIT 1") {}

    Prepared<std::tuple<>, Int, Int, Int, Int, std::string> add;
    Prepared<std::tuple<>, Int, std::string, Int> reject;
    Prepared<std::tuple<>, Int, Int, Int, Int, std::string> dispute;
    Prepared<std::tuple<Int>, Int, Int> next;
    Prepared<Mark, Int, Int> below, above;
};

// SQLite's empty name: a temporary file of this connection alone.
Spool::Spool() : sql_(soci::sqlite3, "") {
    run(sql_, "PRAGMA journal_mode = OFF");
    run(sql_, "PRAGMA synchronous = OFF");
    run(sql_, "CREATE TABLE claims (line INTEGER PRIMARY KEY, coin BIGINT, lo BIGINT, hi BIGINT, payword TEXT)");
    run(sql_, "CREATE INDEX claims_coin ON claims (coin, hi)");
    run(sql_, "CREATE TABLE rejected (line INTEGER PRIMARY KEY, coin TEXT, reason INTEGER)");
    run(sql_, "CREATE TABLE disputed (line INTEGER PRIMARY KEY, coin BIGINT, lo BIGINT, hi BIGINT, payword TEXT)");
    statements_ = std::make_unique<Statements>(sql_);
    run(sql_, "BEGIN");
}

Spool::~Spool() = default;

void Spool::add(const Verified& c) { statements_->add(c.line, c.coin, c.from, c.to, c.payword); }

void Spool::reject(Int line, const std::string& coin, Reason reason) {
    statements_->reject(line, coin, static_cast<Int>(reason));
}

void Spool::dispute(const Verified& c) { statements_->dispute(c.line, c.coin, c.from, c.to, c.payword); }

bool Spool::overlaps(Int coin, Int from, Int to) {
    // The claims are disjoint, so the first that ends above `from` is also the first to start.
    const auto next = statements_->next(coin, from);
    return next && std::get<0>(*next) < to;
}

std::optional<KnownPayword> Spool::below(Int coin, Int index) { return known(statements_->below(coin, index)); }
std::optional<KnownPayword> Spool::above(Int coin, Int index) { return known(statements_->above(coin, index)); }

void Spool::each(const std::function<void(const Verified&)>& f) {
    each_of(sql_, "SELECT line, coin, lo, hi, payword FROM claims ORDER BY coin, hi", f);
}

void Spool::each_dispute(const std::function<void(const Verified&)>& f) {
    each_of(sql_, "SELECT line, coin, lo, hi, payword FROM disputed ORDER BY line", f);
}

void Spool::each_rejection(const std::function<void(Int, const std::string&, Reason)>& f) {
    Int line = 0, reason = 0;
    std::string coin;
    soci::statement st(sql_);
    st.exchange(soci::into(line));
    st.exchange(soci::into(coin));
    st.exchange(soci::into(reason));
    for (bool more = query::start(st, "SELECT line, coin, reason FROM rejected ORDER BY line"); more; more = st.fetch())
        f(line, coin, static_cast<Reason>(reason));
}

}  // namespace netpay::broker::redeem
