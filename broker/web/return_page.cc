#include "broker/web/return_page.h"

#include "broker/custody/returns.h"
#include "core/hash.h"
#include "core/timestamp.h"

namespace netpay::broker::web {
namespace {

// A token has 43 characters and a coin's name 22, each perhaps escaped.
constexpr std::size_t body_bytes = 2048;

constexpr std::string_view style =
    ":root{color-scheme:light dark}"
    "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:2rem auto;padding:0 1rem}"
    "label,input,button{display:block;width:100%;box-sizing:border-box;font:inherit}"
    "input{margin:.2rem 0 1rem;padding:.5rem}button{padding:.6rem}"
    ".done,.fault{border-left:.3rem solid;padding:.2rem 0 .2rem .8rem}.fault{border-left-style:double}";

// The style's own hash, as base64 with padding (CSP level 3 section 2.3.1).
std::string style_hash() {
    static constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const auto d = sha256(style);
    std::string out;
    for (std::size_t i = 0; i < d.size(); i += 3) {
        const unsigned b1 = i + 1 < d.size() ? d[i + 1] : 0u, b2 = i + 2 < d.size() ? d[i + 2] : 0u;
        const unsigned bits = static_cast<unsigned>(d[i]) << 16 | b1 << 8 | b2;
        for (int shift = 18; shift >= 0; shift -= 6) out += digits[bits >> shift & 63];
    }
    out.back() = '=';  // 32 bytes leave one place of the last four
    return out;
}

std::string policy() {
    return "default-src 'none'; style-src 'sha256-" + style_hash() +
           "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
}

std::string page(const Options& o, std::string_view message) {
    std::string html;
    html.append("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
                "<title>Return a coin</title><style>")
        .append(style)
        .append("</style></head>\n<body><h1>Return a coin</h1>\n")
        .append(message)
        .append("<p>What is unspent of a coin that was bought at ")
        .append(escape_html(o.issuer))
        .append(" goes back into the account that bought it. The coin cannot be spent any more then.</p>\n"
                "<form method=\"post\" action=\"/return\" autocomplete=\"off\">\n"
                "<label for=\"token\">Token of the account</label>"
                "<input id=\"token\" name=\"token\" type=\"password\" autocomplete=\"off\" required maxlength=\"200\">\n"
                "<label for=\"coin\">Name of the coin</label>"
                "<input id=\"coin\" name=\"coin\" type=\"text\" autocomplete=\"off\" autocapitalize=\"off\" "
                "spellcheck=\"false\" required maxlength=\"64\">\n"
                "<button type=\"submit\">Return it</button>\n</form></body></html>\n");
    return html;
}

Response answer(const Options& o, int status, std::string_view message) {
    Response r;
    r.status = status;
    r.content_type = "text/html; charset=utf-8";
    r.body = page(o, message);
    r.headers.emplace_back("Content-Security-Policy", policy());
    r.headers.emplace_back("Referrer-Policy", "no-referrer");
    r.headers.emplace_back("X-Frame-Options", "DENY");
    return std::move(r).no_store();
}

std::string said(std::string_view kind, std::string_view text) {
    return "<p class=\"" + std::string(kind) + "\" role=\"status\">" + escape_html(text) + "</p>\n";
}

std::string without_blanks(std::string_view text) {
    std::string out;
    for (const char c : text)
        if (c != ' ' && c != '\t' && c != '\r' && c != '\n') out += c;
    return out;
}

Response report(const Options& o, const custody::Returned& returned) {
    if (const auto* refunded = std::get_if<custody::Refunded>(&returned))
        return answer(o, 200, said("done", refunded->amount.pretty(refunded->currency) +
                                               " went back into the account that bought the coin."));
    return answer(o, 202, said("done", "A site holds the coin and has not let it go yet. It is asked again; what is unspent "
                                       "is refunded by " + format_rfc3339(std::get<custody::Waiting>(returned).due) +
                                       " at the latest. Send the form again to see."));
}

Response fault(api::Broker b, const Request& request, const Refusal& r) {
    if (!r.internal) return answer(b.context.options, r.status, said("fault", r.title + ". " + r.detail));
    (void)api::refuse(b, request, r);  // logs it
    return answer(b.context.options, r.status, said("fault", r.title + ". Nothing was changed; try again."));
}

Response give_back(api::Broker b, const Request& request) {
    const auto fields = form_fields(request.body);
    const auto field = [&](const char* name) {
        const auto i = fields ? fields->find(name) : std::map<std::string, std::string>::const_iterator();
        return fields && i != fields->end() ? without_blanks(i->second) : std::string();
    };
    const auto token = field("token"), coin = field("coin");
    if (token.empty() || coin.empty())
        return answer(b.context.options, 400, said("fault", "Both the token and the coin's name are needed."));
    const auto account = b.store.read([&](Sql& sql) { return accounts::authenticate(sql, token); });
    if (!account) {
        auto refusal = account.refusal();
        // This form is no bearer scheme: 401 would need a challenge (RFC 9110 section 11.6.1).
        if (refusal.status == 401) refusal = {403, {}, "No account of this broker has that token", "Check what you typed."};
        return fault(b, request, refusal);
    }
    const auto returned = custody::give_back(b.context, b.store, *account, coin, std::nullopt, b.context.clock.now());
    if (!returned) return fault(b, request, returned.refusal());
    return report(b.context.options, *returned);
}

int hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::optional<std::string> decode(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i] == '+' ? ' ' : text[i];
            continue;
        }
        if (i + 2 >= text.size() || hex(text[i + 1]) < 0 || hex(text[i + 2]) < 0) return std::nullopt;
        out += static_cast<char>(hex(text[i + 1]) * 16 + hex(text[i + 2]));
        i += 2;
    }
    return out;
}

}  // namespace

std::optional<std::map<std::string, std::string>> form_fields(std::string_view body) {
    std::map<std::string, std::string> out;
    while (!body.empty()) {
        const auto end = std::min(body.find('&'), body.size());
        const auto pair = body.substr(0, end);
        body.remove_prefix(std::min(end + 1, body.size()));
        if (pair.empty()) continue;
        const auto eq = std::min(pair.find('='), pair.size());
        auto name = decode(pair.substr(0, eq)), value = decode(pair.substr(std::min(eq + 1, pair.size())));
        if (!name || !value || !out.emplace(std::move(*name), std::move(*value)).second) return std::nullopt;
    }
    return out;
}

std::string escape_html(std::string_view text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '"': out += "&quot;"; break;
            case '\'': out += "&#39;"; break;
            default: out += c;
        }
    }
    return out;
}

void add_return_page(Routes& routes, api::Broker b) {
    routes.add("GET", "/return", [b](Request&) { return answer(b.context.options, 200, ""); }, {0, 5, 50});
    // A person's pace: each may ask a vendor.
    routes.add("POST", "/return", [b](Request& request) { return give_back(b, request); },
               {body_bytes, 0.5, 20, "application/x-www-form-urlencoded"});
}

}  // namespace netpay::broker::web
