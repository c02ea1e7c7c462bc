// Short forms for SOCI statements. Values go in by position and are copied,
// so that temporaries are safe; NULL never comes out (columns are NOT NULL or
// read through COALESCE). All throw soci::soci_error.
#pragma once

#include <soci/soci.h>

#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

namespace netpay::broker {

using Int = long long;  // SQL BIGINT

namespace query {

template <class T>
auto bound(const T& v) {
    if constexpr (std::is_integral_v<T>) return static_cast<Int>(v);
    else return std::string(std::string_view(v));
}

template <class Tuple>
void use_all(soci::statement& st, const Tuple& values) {
    std::apply([&](const auto&... v) { (st.exchange(soci::use(v)), ...); }, values);
}

template <class Tuple>
void into_all(soci::statement& st, Tuple& row) {
    std::apply([&](auto&... v) { (st.exchange(soci::into(v)), ...); }, row);
}

inline bool start(soci::statement& st, std::string_view text) {
    st.alloc();
    st.prepare(std::string(text));
    st.define_and_bind();
    return st.execute(true);
}

}  // namespace query

// Runs a statement; the number of rows it changed.
template <class... In>
Int run(soci::session& sql, std::string_view text, const In&... in) {
    const auto values = std::make_tuple(query::bound(in)...);
    soci::statement st(sql);
    query::use_all(st, values);
    query::start(st, text);
    return st.get_affected_rows();
}

// The first row, or nullopt.
template <class... Out, class... In>
std::optional<std::tuple<Out...>> one(soci::session& sql, std::string_view text, const In&... in) {
    const auto values = std::make_tuple(query::bound(in)...);
    std::tuple<Out...> row;
    soci::statement st(sql);
    query::into_all(st, row);
    query::use_all(st, values);
    if (!query::start(st, text)) return std::nullopt;
    return row;
}

// All rows. For results known to be small.
template <class... Out, class... In>
std::vector<std::tuple<Out...>> all(soci::session& sql, std::string_view text, const In&... in) {
    const auto values = std::make_tuple(query::bound(in)...);
    std::tuple<Out...> row;
    std::vector<std::tuple<Out...>> rows;
    soci::statement st(sql);
    query::into_all(st, row);
    query::use_all(st, values);
    for (bool more = query::start(st, text); more; more = st.fetch()) rows.push_back(row);
    return rows;
}

// A single number; the query always gives a row.
template <class... In>
Int number(soci::session& sql, std::string_view text, const In&... in) {
    return std::get<0>(one<Int>(sql, text, in...).value_or(std::tuple<Int>(0)));
}

// A statement prepared once and run many times. Between runs it holds no
// lock and no snapshot.
template <class Out, class... In>
class Prepared;

template <class... Out, class... In>
class Prepared<std::tuple<Out...>, In...> {
public:
    Prepared(soci::session& sql, std::string_view text) : st_(sql) {
        query::into_all(st_, row_);
        query::use_all(st_, values_);
        st_.alloc();
        st_.prepare(std::string(text));
        st_.define_and_bind();
    }
    Prepared(const Prepared&) = delete;
    Prepared& operator=(const Prepared&) = delete;

    // The first row, or nullopt. Statements without result columns give nullopt.
    std::optional<std::tuple<Out...>> operator()(const In&... in) {
        values_ = std::tuple<In...>(in...);
        if (!st_.execute(true)) return std::nullopt;
        std::optional<std::tuple<Out...>> first(row_);
        while (st_.fetch()) {}
        return first;
    }

    // Every row.
    template <class F>
    void each(F f, const In&... in) {
        values_ = std::tuple<In...>(in...);
        for (bool more = st_.execute(true); more; more = st_.fetch()) f(row_);
    }

private:
    std::tuple<Out...> row_;
    std::tuple<In...> values_;
    soci::statement st_;
};

}  // namespace netpay::broker
