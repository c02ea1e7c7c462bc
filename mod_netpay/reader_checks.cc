#include "mod_netpay/reader_checks.h"

#include <util_cfgtree.h>

#include <vector>

#include "core/origin.h"
#include "mod_netpay/text.h"

namespace netpay::glue {
namespace {

struct Finding {
    const ap_directive_t* at;
    std::string text;
};

// A section, or a server, on the way down the tree.
struct Scope {
    bool sells = false;     // payment is required in it or in one around it
    bool contains = false;  // or in one within it
    bool own_page = false;  // NetPayPaywall is set in it or around it
    bool section = false;   // <Location> and the like; else a server
    bool wallets = true;    // e-wallets are offered to browsers
    bool teasers = false;   // some place in the configuration has NetPayTeaserFrom file
    std::vector<std::string_view> brokers;  // issuers of the server
};

bool is(const ap_directive_t* d, const char* name) { return equal_nocase(d->directive, name); }

std::vector<std::string_view> words(const ap_directive_t* d) {
    auto out = split(d->args ? d->args : "", ' ');
    for (auto& w : out)
        if (w.size() > 1 && w.front() == '"' && w.back() == '"') w = w.substr(1, w.size() - 2);
    return out;
}

bool first_is(const ap_directive_t* d, const char* word) {
    const auto w = words(d);
    return !w.empty() && equal_nocase(w[0], word);
}

bool asks_for_payment(const ap_directive_t* d) {
    return (is(d, "AuthType") && first_is(d, "NetPay")) || (is(d, "Require") && first_is(d, "netpay"));
}

bool sells_within(const ap_directive_t* d) {
    for (; d; d = d->next)
        if (asks_for_payment(d) || sells_within(d->first_child)) return true;
    return false;
}

bool sells_itself(const ap_directive_t* d) {
    for (; d; d = d->next) {
        if (asks_for_payment(d)) return true;
        // <RequireAny> and its like are no places of their own, nor is <Limit>.
        const std::string_view name = d->directive;
        const bool part = equal_nocase(name.substr(0, 8), "<Require") || equal_nocase(name.substr(0, 6), "<Limit");
        if (part && sells_itself(d->first_child)) return true;
    }
    return false;
}

// The first directive below d for which f holds, except in virtual hosts.
template <class F>
const ap_directive_t* find(const ap_directive_t* d, const F& f) {
    for (; d; d = d->next) {
        if (f(d)) return d;
        if (is(d, "<VirtualHost")) continue;
        if (const auto* found = find(d->first_child, f)) return found;
    }
    return nullptr;
}

// The trees that a server's configuration comes from: the main server's, and a virtual host's own.
std::vector<const ap_directive_t*> trees(const server_rec* s) {
    std::vector<const ap_directive_t*> out{ap_conftree};
    for (const auto* d = ap_conftree; s->is_virtual && s->defn_name && d; d = d->next)
        if (is(d, "<VirtualHost") && d->filename && std::string_view(d->filename) == s->defn_name &&
            d->line_num == static_cast<int>(s->defn_line_number))
            out.push_back(d->first_child);
    return out;
}

bool reads_files(const ap_directive_t* d) { return is(d, "NetPayTeaserFrom") && first_is(d, "file"); }

bool gives_pages_to_program(const ap_directive_t* d) {
    return (is(d, "Action") && (first_is(d, "text/html") || first_is(d, "application/xhtml+xml"))) || (is(d, "Script") && first_is(d, "GET"));
}

bool sets(const ap_directive_t* d, const char* name) {
    for (; d; d = d->next)
        if (is(d, name)) return true;
    return false;
}

bool wallets_said(const ap_directive_t* d, bool above) {
    for (; d; d = d->next)
        if (is(d, "NetPayWallets")) above = !first_is(d, "none");
    return above;
}

// What is said of e-wallets where pages are sold, and in sections of their own.
struct Offers {
    bool sells = false, wallets = false;
};

void look_for_offers(const ap_directive_t* d, bool wallets, Offers& out) {
    if (sells_itself(d)) {
        out.sells = true;
        out.wallets = out.wallets || wallets;
    }
    for (; d; d = d->next) {
        if (!d->first_child || is(d, "<VirtualHost")) continue;
        out.wallets = out.wallets || wallets_said(d->first_child, false);
        look_for_offers(d->first_child, wallets_said(d->first_child, wallets), out);
    }
}

void add_brokers(const ap_directive_t* d, std::vector<std::string_view>& out) {
    for (; d; d = d->next)
        if (const auto w = words(d); is(d, "NetPayBroker") && !w.empty()) out.push_back(w[0]);
}

// The field a Header directive changes.
std::string_view changed_field(const ap_directive_t* d) {
    auto w = words(d);
    if (!w.empty() && (equal_nocase(w[0], "always") || equal_nocase(w[0], "onsuccess"))) w.erase(w.begin());
    return w.size() > 1 ? w[1] : std::string_view();
}

void check_cache(const ap_directive_t* d, std::vector<Finding>& out) {
    if (!first_is(d, "on")) return;
    for (const char* name : {"CacheIgnoreCacheControl", "CacheStorePrivate", "CacheStoreNoStore"})
        if (is(d, name))
            out.push_back({d, std::string(name) + " On lets a cache keep answers that say they are for one reader: paid pages could be served to who has not paid"});
}

void check_fields(const ap_directive_t* d, const Scope& scope, std::vector<Finding>& out) {
    if (!is(d, "Header")) return;
    // At a server's own level it holds for what is sold within.
    if (!scope.sells && (scope.section || !scope.contains)) return;
    const auto field = changed_field(d);
    for (const char* name : {"Cache-Control", "Vary", "WWW-Authenticate", "Payment-Receipt"})
        if (equal_nocase(field, name))
            out.push_back({d, std::string("Header changes ") + name + " where pages are sold: the module sets it for caches and wallets; put Header into sections that sell nothing"});
}

void check_error_document(const ap_directive_t* d, const Scope& scope, std::vector<Finding>& out) {
    if (!is(d, "ErrorDocument") || !first_is(d, "402")) return;
    const auto w = words(d);
    const std::string_view document = w.size() > 1 ? w[1] : std::string_view();
    if (document.starts_with("http:") || document.starts_with("https:"))
        out.push_back({d, "ErrorDocument 402 at another URL would turn the answer into a redirect and is not used: name a local page, or use NetPayPaywall"});
    else if (scope.own_page && !equal_nocase(document, "default"))
        out.push_back({d, "ErrorDocument 402 takes the place of NetPayPaywall, which is not used here: leave one of them out"});
}

void check_vendor(const ap_directive_t* d, std::vector<Finding>& out) {
    if (!is(d, "NetPayVendor")) return;
    const auto w = words(d);
    if (!w.empty() && w[0].starts_with("http:") && !is_loopback(w[0]))
        out.push_back({d, "NetPayVendor " + std::string(w[0]) + " is plain http: wallets in browsers do not pay there; serve readers over https"});
}

void check_grace(const ap_directive_t* d, const Scope& scope, std::vector<Finding>& out) {
    if (!is(d, "NetPayGrace") || !first_is(d, "0") || !scope.wallets) return;
    if (!scope.sells && (scope.section || !scope.contains)) return;
    out.push_back({d, "NetPayGrace 0 makes a reader's e-wallet pay again for each reload, for the back button and for every tab: leave some minutes, or set NetPayWallets none here"});
}

// The site's own policy goes out beside the paywall's, and browsers keep to both.
void check_policy(const ap_directive_t* d, const Scope& scope, std::vector<Finding>& out) {
    const std::string_view line = d->args ? d->args : "";
    if (!is(d, "Header") || !scope.wallets || line.find("form-action") == std::string_view::npos) return;
    if (!scope.sells && (scope.section || !scope.contains)) return;
    for (const auto issuer : scope.brokers)
        if (line.find(issuer) == std::string_view::npos)
            out.push_back({d, "Header sets a Content-Security-Policy whose form-action does not name " + std::string(issuer) +
                                  ": the paywall's button leads there, and browsers would not follow"});
}

void check_limit(const ap_directive_t* d, std::vector<Finding>& out) {
    if (!is(d, "<Limit") && !is(d, "<LimitExcept")) return;
    const auto* gate = find(d->first_child, [](const ap_directive_t* q) { return is(q, "Require") && first_is(q, "netpay"); });
    if (!gate) return;
    out.push_back({gate, "Require netpay within " + std::string(d->directive) + " " + d->args +
                             " lets all other methods through unpaid, perhaps the POST of the paywall's own button: "
                             "write it outside, and NetPayPrice free methods=... for methods that cost nothing"});
}

// AllowMethods of one section, taken together as httpd does.
void check_methods(const ap_directive_t* d, const Scope& scope, std::vector<Finding>& out) {
    if (!scope.wallets || (!scope.sells && (scope.section || !scope.contains))) return;
    const ap_directive_t* last = nullptr;
    bool some = false, post = false;  // none named: all are allowed
    for (; d; d = d->next) {
        if (!is(d, "AllowMethods")) continue;
        last = d;
        for (const auto method : words(d)) {
            some = !equal_nocase(method, "reset");
            post = some && (post || method == "POST");
        }
    }
    if (some && !post)
        out.push_back({last, "AllowMethods leaves out POST where e-wallets are offered: the paywall's button sends one to the page's own address; "
                             "add POST, or set NetPayWallets none here"});
}

void check_action(const ap_directive_t* d, const Scope& scope, std::vector<Finding>& out) {
    if (scope.teasers && gives_pages_to_program(d))
        out.push_back({d, std::string(d->directive) + " gives pages to a program by their type or method: NetPayTeaserFrom file reads none in this server, for they may be its source"});
}

void check_proxy(const ap_directive_t* d, std::vector<Finding>& out) {
    const auto w = words(d);
    if (!is(d, "ProxyPass") || w.size() < 2 || w[1] == "!" || !w[0].starts_with("/.well-known/netpay")) return;
    out.push_back({d, "ProxyPass of " + std::string(w[0]) + " is passed by: the module itself answers there"});
}

// <Location "/"> is all of its server.
bool is_everything(const ap_directive_t* d) {
    const std::string_view path = d->args ? d->args : "";
    return is(d, "<Location") && (path == "/>" || path == "\"/\">");
}

void check(const ap_directive_t* d, const Scope& scope, std::vector<Finding>& out) {
    check_methods(d, scope, out);
    for (; d; d = d->next) {
        check_cache(d, out);
        check_fields(d, scope, out);
        check_error_document(d, scope, out);
        check_vendor(d, out);
        check_grace(d, scope, out);
        check_policy(d, scope, out);
        check_proxy(d, out);
        check_limit(d, out);
        check_action(d, scope, out);
        if (!d->first_child) continue;
        Scope inner = scope;
        const bool everything = is_everything(d);
        inner.section = !is(d, "<VirtualHost") && !everything;
        inner.sells = scope.sells || sells_itself(d->first_child);
        inner.contains = sells_within(d->first_child) || (everything && scope.contains);
        inner.own_page = scope.own_page || sets(d->first_child, "NetPayPaywall");
        inner.wallets = wallets_said(d->first_child, scope.wallets);
        if (is(d, "<VirtualHost")) add_brokers(d->first_child, inner.brokers);
        check(d->first_child, inner, out);
    }
}

}  // namespace

bool offers_wallets(const server_rec* s) {
    const auto all = trees(s);
    bool wallets = true;
    for (const auto* tree : all) wallets = wallets_said(tree, wallets);
    Offers found;
    for (const auto* tree : all) look_for_offers(tree, wallets, found);
    return found.wallets || (!found.sells && wallets);  // a .htaccess may sell
}

bool programs_for_pages(const server_rec* s) {
    for (const auto* tree : trees(s))
        if (find(tree, gives_pages_to_program)) return true;
    return false;
}

void check_for_readers(server_rec* s) {
    if (!sells_within(ap_conftree)) return;
    Scope main;
    main.sells = sells_itself(ap_conftree);
    main.contains = true;
    main.own_page = sets(ap_conftree, "NetPayPaywall");
    main.wallets = wallets_said(ap_conftree, true);
    add_brokers(ap_conftree, main.brokers);
    for (const auto* host = ap_conftree; host; host = host->next)
        if (is(host, "<VirtualHost") && find(host->first_child, reads_files)) main.teasers = true;
    main.teasers = main.teasers || find(ap_conftree, reads_files);
    std::vector<Finding> findings;
    check(ap_conftree, main, findings);
    for (const auto& f : findings)
        ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_WARNING, 0, s, "%s:%d: %s", f.at->filename ? f.at->filename : "",
                     f.at->line_num, f.text.c_str());
}

}  // namespace netpay::glue
