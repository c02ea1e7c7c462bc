#include "mod_netpay/discovery.h"

#include <algorithm>

#include "core/json.h"
#include "mod_netpay/directives.h"
#include "mod_netpay/gate.h"
#include "mod_netpay/handoff.h"
#include "mod_netpay/vendor.h"

namespace netpay::glue {
namespace {

constexpr std::string_view path = "/.well-known/netpay";
constexpr std::size_t most_prices = 200;  // a site with more has its prices shown by the pages' own challenges

struct Priced {
    std::string path;
    const DirConfig* config;
};

const DirConfig* netpay_of(ap_conf_vector_t* section) {
    const auto* d = static_cast<const DirConfig*>(ap_get_module_config(section, &netpay_module));
    return d && d->priced ? d : nullptr;
}

void collect(const apr_array_header_t* sections, std::string_view root, std::vector<Priced>& out) {
    if (!sections) return;
    auto* const* list = reinterpret_cast<ap_conf_vector_t**>(sections->elts);
    for (int i = 0; i < sections->nelts && out.size() < most_prices; ++i) {
        const DirConfig* d = netpay_of(list[i]);
        const auto* core = static_cast<const core_dir_config*>(ap_get_core_module_config(list[i]));
        if (!d || !core || !core->d) continue;
        std::string_view p = core->d;
        // A directory is known by its URL where it lies below the document root; a pattern is no path.
        if (!p.starts_with(root) || core->r || core->d_is_fnmatch) continue;
        p.remove_prefix(root.size());
        out.push_back({std::string(p.starts_with('/') ? "" : "/") + std::string(p), d});
    }
}

std::vector<Priced> priced_paths(const request_rec* r) {
    std::vector<Priced> out;
    const auto* core = static_cast<const core_server_config*>(ap_get_core_module_config(r->server->module_config));
    collect(core->sec_url, "", out);
    if (core->ap_document_root) collect(core->sec_dir, core->ap_document_root, out);
    if (const auto* d = netpay_of(r->server->lookup_defaults)) out.push_back({"/", d});
    return out;
}

std::vector<json::Object> price_list(const std::vector<Priced>& paths) {
    std::vector<json::Object> out;
    for (const auto& p : paths) {
        if (!p.config->prices) continue;  // an expression's price is each request's own
        for (const auto& rule : *p.config->prices) {
            json::Object o;
            o.set("path", p.path).set("amount", rule.price.amount.str()).set("currency", rule.price.currency.str());
            o.set("methods", rule.methods.empty() ? std::vector<std::string>{"*"} : rule.methods);
            if (!rule.type.empty()) o.set("type", rule.type);
            out.push_back(std::move(o));
        }
    }
    return out;
}

// The realm and a standing session challenge, as the first priced path that
// offers sessions would give it. Members are left out where there is none.
void add_challenge(request_rec* r, const Vendor& v, const std::vector<Priced>& paths, json::Object& out) {
    for (const auto& p : paths) {
        request_rec* sub = ap_sub_req_lookup_uri(ap_escape_uri(r->pool, p.path.c_str()), r, nullptr);
        const auto price = dir_config(sub).priced ? price_of(sub) : std::nullopt;
        if (!price || price->free()) continue;
        const Ask ask = ask_of(sub, v, *price);
        if (std::find(ask.intents->begin(), ask.intents->end(), intent_session) == ask.intents->end()) continue;
        const auto made = make_challenges(ask, {intent_session}, *v.secrets, apr_time_sec(apr_time_now()));
        if (!made) continue;
        out.set("realm", ask.realm).set("challenge", format_challenge(made->front()));
        return;
    }
}

int send(request_rec* r, int status, const char* type, const std::string& body) {
    r->status = status;
    ap_set_content_type(r, type);
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    ap_set_content_length(r, static_cast<apr_off_t>(body.size()));
    if (!r->header_only) ap_rwrite(body.data(), static_cast<int>(body.size()), r);
    return OK;
}

int send_refusal(request_rec* r, const Refusal& refusal) {
    if (refusal.retry_after_s)
        apr_table_setn(r->headers_out, "Retry-After", apr_itoa(r->pool, static_cast<int>(refusal.retry_after_s)));
    return send(r, refusal.status, "application/problem+json", problem_body(refusal));
}

}  // namespace

bool is_discovery(const request_rec* r) {
    const std::string_view uri = r->uri ? r->uri : "";
    if (!uri.starts_with(path) || (uri.size() > path.size() && uri[path.size()] != '/')) return false;
    return !r->main && server_config(r->server).resolved;
}

int claim_discovery(request_rec* r) {
    if (!is_discovery(r)) return DECLINED;
    if (!r->filename) r->filename = apr_pstrdup(r->pool, r->uri);
    return OK;
}

int answer_discovery(request_rec* r) {
    if (!is_discovery(r)) return DECLINED;
    if (std::string_view(r->uri) != path) return HTTP_NOT_FOUND;  // hand-overs were answered before
    ap_allow_standard_methods(r, REPLACE_ALLOW, M_GET, -1);
    if (r->method_number != M_GET) return HTTP_METHOD_NOT_ALLOWED;
    const Vendor& v = *server_config(r->server).resolved;
    if (dir_config(r).require_tls.value_or(true) && !is_private(r)) return send_refusal(r, refuse::insecure());
    if (!v.counter) return send_refusal(r, refuse::unavailable(Decision::custody_unavailable, 2));
    if (const auto why = closed(v.counter->desk())) return send_refusal(r, *why);
    const auto paths = priced_paths(r);
    json::Object o;
    o.set("vendor", v.origin).set("brokers", v.issuers).set("handoff", v.origin + std::string(handoff_path));
    o.set("prices", price_list(paths));
    add_challenge(r, v, paths, o);
    return send(r, HTTP_OK, "application/json", o.jcs());
}

}  // namespace netpay::glue
