#include "mod_netpay/page.h"

namespace netpay {

std::string escape_html(std::string_view text) {
    std::string out;
    out.reserve(text.size() + 16);
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

std::string render_paywall(const PaywallText& t) {
    const std::string realm = escape_html(t.realm), vendor = escape_html(t.vendor), target = escape_html(t.target);
    std::string out =
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta name=\"robots\" content=\"noindex\">\n<title>";
    out += escape_html(t.title) + " – " + realm;
    out +=
        "</title>\n<style>\n"
        ":root { color-scheme: light dark; }\n"
        "body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 12vh auto; padding: 0 1rem; }\n"
        "dt { font-weight: bold; } dd { margin: 0 0 .8rem; overflow-wrap: anywhere; }\n"
        "code { font-size: .9em; overflow-wrap: anywhere; }\n"
        "</style>\n</head>\n<body>\n<main>\n<h1>";
    out += escape_html(t.title) + "</h1>\n<p>" + escape_html(t.detail) + "</p>\n<dl>\n";
    if (!t.price.empty()) out += "<dt>Price</dt>\n<dd>" + escape_html(t.price) + "</dd>\n";
    out += "<dt>Sold by</dt>\n<dd>" + vendor + " (" + realm + ")</dd>\n</dl>\n";
    out += "<h2>How to pay</h2>\n<p>With a NetPay e-wallet that holds e-coins:</p>\n<p><code>netpay get '" + vendor +
           target + "'</code></p>\n</main>\n</body>\n</html>\n";
    return out;
}

}  // namespace netpay
