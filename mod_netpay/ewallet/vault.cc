#include "mod_netpay/ewallet/vault.h"

namespace netpay::ewallet {
namespace {

constexpr std::string_view stem = "wallet";
constexpr std::string_view sealed_mark = "c.";    // no base64url, so no sid begins so
constexpr std::size_t sid_characters = 43;

std::optional<Wallet> wallet_of(const Secret& plain) {
    auto d = decode_document(plain.expose());
    if (!d) return std::nullopt;
    Wallet w;
    w.binding = binding_of(d->grant);
    w.document = std::move(*d);
    return w;
}

}  // namespace

Result<Vault::Found> Vault::open(std::string_view cookie_field, UnixTime now, bool server, bool cookie) {
    Found f;
    const auto value = cookies_.read(cookie_field, stem);
    if (!value || value->empty()) return f;
    const bool sealed = value->starts_with(sealed_mark);
    if (!(sealed ? cookie : server)) return f;
    f.presented = true;
    if (sealed) {
        const auto opened = cookies_.open(stem, std::string_view(*value).substr(sealed_mark.size()));
        if (!opened) return f;
        f.wallet = wallet_of(opened->plain);
        if (f.wallet && opened->old_key)
            if (auto again = in_cookie(*f.wallet, now)) f.cookies.push_back(std::move(*again));
        return f;
    }
    if (value->size() != sid_characters) return f;
    Secret sid(*value);
    const auto opened = store_.get(sid, now);
    if (!opened) return opened.error();
    if (!*opened) return f;
    f.wallet = wallet_of((*opened)->plain);
    if (!f.wallet) return f;
    if ((*opened)->old_key) (void)store_.update(sid, (*opened)->label, (*opened)->plain);
    f.wallet->sid = std::move(sid);
    return f;
}

Result<std::string> Vault::in_cookie(const Wallet& w, UnixTime now) {
    const auto sealed = cookies_.seal(stem, encode_document(w.document).expose());
    if (sealed.empty()) return {Code::malformed, "e-wallets: a cookie cannot be sealed"};
    if (sealed.size() + sealed_mark.size() > longest_cookie) return {Code::limit, "e-wallets: too long for a cookie"};
    return cookies_.set(stem, std::string(sealed_mark) + sealed, w.document.until - now);
}

Result<std::string> Vault::found(Wallet& w, bool as_cookie, UnixTime now) {
    if (as_cookie) return in_cookie(w, now);
    const auto sid = fresh_secret(random_);
    if (!sid) return {Code::malformed, "e-wallets: no entropy"};
    w.sid = Secret(*sid);
    if (auto put = store_.put(w.sid, label(w.document), encode_document(w.document)); !put) return put.error();
    return cookies_.set(stem, *sid, w.document.until - now);
}

Result<std::vector<std::string>> Vault::keep(const Wallet& w, UnixTime now) {
    if (w.in_cookie()) {
        auto cookie = in_cookie(w, now);
        if (!cookie) return cookie.error();
        return std::vector{std::move(*cookie)};
    }
    const auto kept = store_.update(w.sid, label(w.document), encode_document(w.document));
    if (!kept) return kept.error();
    if (!*kept) return {Code::expired, "e-wallets: it was taken away meanwhile"};
    return std::vector<std::string>();
}

std::string Vault::drop(const Wallet& w) {
    if (!w.in_cookie()) (void)store_.remove(w.sid);
    return clear();
}

std::string Vault::clear() const { return cookies_.clear(stem); }

void Vault::replace(const Wallet& old, UnixTime now) {
    if (!old.in_cookie()) (void)store_.shorten(old.sid, now + under_way_s);
}

}  // namespace netpay::ewallet
