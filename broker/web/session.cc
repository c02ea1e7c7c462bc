#include "broker/web/session.h"

#include "broker/store/query.h"
#include "broker/web/keys.h"
#include "core/base64url.h"
#include "core/form.h"
#include "core/hash.h"

namespace netpay::broker::web {
namespace {

constexpr std::string_view session_stem = "site", visitor_stem = "form";
constexpr std::size_t id_characters = 43;  // 32 bytes

// `seen` is written this seldom, so that pages are read without a write.
constexpr std::int64_t seen_step_s = 300;

std::string hash_of(std::string_view id) { return b64u_encode(sha256({"netpay/session/1", id})); }

std::string cookie(const Context& context, std::string_view stem, std::string_view value) {
    std::string out = form::cookie_name(context.options.issuer, stem);
    out.append("=").append(value).append("; Path=/; Secure; HttpOnly; SameSite=Lax");
    if (value.empty()) out += "; Max-Age=0";
    return out;
}

std::optional<std::string> cookie_of(const Context& context, const Request& request, std::string_view stem) {
    const auto field = request.header("cookie");
    auto value = field ? form::cookie(*field, form::cookie_name(context.options.issuer, stem)) : std::nullopt;
    if (!value || value->size() != id_characters) return std::nullopt;
    return value;
}

struct Row {
    Session session;
    UnixTime seen = 0;
};

std::optional<Row> row_of(Sql& sql, const std::string& id_hash, UnixTime now) {
    const auto row = one<Int, std::string, std::string, Int>(
        sql,
        "SELECT a.id, a.name, s.family, s.seen FROM web_sessions s JOIN accounts a ON a.id = s.account "
        "WHERE s.id_hash = :h AND s.expires > :n AND s.seen > :i",
        id_hash, now, now - session_idle_s);
    if (!row) return std::nullopt;
    const auto& [account, name, family, seen] = *row;
    return Row{{{account, name}, id_hash, family, {}}, seen};
}

// A form that was shown before the session was renewed is good still.
std::string csrf_of(const Context& context, std::string_view family) { return context.web->sealer().mac("csrf", family); }

// family: empty for a new one.
Started add_session(Context& context, Sql& sql, const accounts::Account& account, std::string family, UnixTime began, UnixTime now) {
    const std::string id = b64u_encode(context.random.bytes<32>());
    const std::string id_hash = hash_of(id);
    if (family.empty()) family = id_hash;
    run(sql, "INSERT INTO web_sessions (id_hash, account, family, created, seen, expires) VALUES (:h, :a, :f, :c, :s, :e)", id_hash,
        account.id, family, began, now, began + session_life_s);
    return {{account, id_hash, family, csrf_of(context, family)}, cookie(context, session_stem, id)};
}

}  // namespace

Outcome<std::optional<Session>> session_of(api::Broker b, const Request& request) {
    if (!b.context.web) return std::optional<Session>();
    const auto id = cookie_of(b.context, request, session_stem);
    if (!id) return std::optional<Session>();
    const UnixTime now = b.context.clock.now();
    auto row = b.store.read([&](Sql& sql) -> Outcome<std::optional<Row>> { return row_of(sql, hash_of(*id), now); });
    if (!row) return row.refusal();
    if (!*row) return std::optional<Session>();
    auto& found = **row;
    found.session.csrf = csrf_of(b.context, found.session.family);
    if (found.seen + seen_step_s <= now) {
        const auto seen = b.store.write([&](Sql& sql) -> Outcome<Int> {
            return run(sql, "UPDATE web_sessions SET seen = :n WHERE id_hash = :h", now, found.session.id_hash);
        });
        if (!seen) return seen.refusal();
    }
    return std::optional(std::move(found.session));
}

Started start_session(Context& context, Sql& sql, const accounts::Account& account, UnixTime now) {
    return add_session(context, sql, account, {}, now, now);
}

Started renew_session(Context& context, Sql& sql, const Session& session, UnixTime now) {
    const Int began = number(sql, "SELECT COALESCE(MAX(created), 0) FROM web_sessions WHERE id_hash = :h", session.id_hash);
    run(sql, "UPDATE web_sessions SET expires = :e WHERE id_hash = :h AND expires > :f", now + session_overlap_s,
        session.id_hash, now + session_overlap_s);
    return add_session(context, sql, session.account, session.family, began, now);
}

std::string end_session(Context& context, Sql& sql, const Session& session, bool all) {
    if (all) run(sql, "DELETE FROM web_sessions WHERE account = :a", session.account.id);
    else run(sql, "DELETE FROM web_sessions WHERE account = :a AND family = :f", session.account.id, session.family);
    return cookie(context, session_stem, {});
}

Int forget_sessions(Sql& sql, UnixTime now) {
    return run(sql, "DELETE FROM web_sessions WHERE expires <= :n OR seen <= :i", now, now - session_idle_s);
}

Visitor visitor_of(Context& context, const Request& request) {
    const auto known = cookie_of(context, request, visitor_stem);
    const std::string id = known ? *known : b64u_encode(context.random.bytes<32>());
    return {context.web->sealer().mac("visitor", id), known ? std::string() : cookie(context, visitor_stem, id)};
}

bool visitor_ok(const Context& context, const Request& request, std::string_view csrf) {
    const auto id = cookie_of(context, request, visitor_stem);
    return id && context.web->sealer().mac_ok("visitor", *id, csrf);
}

}  // namespace netpay::broker::web
