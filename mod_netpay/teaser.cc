#include "mod_netpay/teaser.h"

#include <ap_expr.h>

#include "mod_netpay/directives.h"
#include "mod_netpay/passage.h"
#include "mod_netpay/text.h"

namespace netpay::glue {
namespace {

constexpr const char* teaser_note = "netpay-teaser";

ap_filter_rec_t* filter_handle = nullptr;

std::string evaluated(request_rec* r, const ap_expr_info_t* expr, const char* directive) {
    if (!expr) return {};
    const char* error = nullptr;
    const char* value = ap_expr_str_exec(r, expr, &error);
    if (error) ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "%s: %s", directive, error);
    return !error && value ? value : "";
}

// Whether r may be given to a program by mod_actions, by its media type, which
// shows in no handler: where the configuration says so, or where a .htaccess
// might.
bool may_be_acted_on(const request_rec* r) {
    if (server_config(r->server).programs_for_pages) return true;
    if (!ap_find_linked_module("mod_actions.c")) return false;
    for (const auto* h = r->htaccess; h; h = h->next) {
        const bool listed = h->override_list && (apr_table_get(h->override_list, "Action") || apr_table_get(h->override_list, "Script"));
        if (h->htaccess && ((h->override & OR_FILEINFO) || listed)) return true;
    }
    return false;
}

// Whether what httpd would serve is the file itself, as HTML: a program's
// source is nobody's business.
bool plain_page(const request_rec* r) {
    const std::string_view type = r->content_type ? r->content_type : "", handler = r->handler ? r->handler : "";
    const auto bare = lower(trim(type.substr(0, type.find(';'))));
    return r->status == HTTP_OK && r->finfo.filetype == APR_REG && !(r->path_info && *r->path_info) && !r->content_encoding &&
           (bare == "text/html" || bare == "application/xhtml+xml") &&
           (handler.empty() || handler == "default-handler" || handler == type) && !may_be_acted_on(r);
}

// Whether teasers of the place that r ends at, an index page perhaps, come from there.
bool told_by(const request_rec* r, TeaserFrom way) { return dir_config(r).teaser_from.value_or(TeaserFrom::none) == way; }

Excerpt from_file(request_rec* r) {
    Excerpt out;
    request_rec* sub = ap_sub_req_lookup_uri(ap_escape_uri(r->pool, r->uri), r, nullptr);
    apr_file_t* file = nullptr;
    if (sub && plain_page(sub) && told_by(sub, TeaserFrom::file) &&
        apr_file_open(&file, sub->filename, APR_READ | APR_BINARY, APR_OS_DEFAULT, sub->pool) == APR_SUCCESS) {
        std::string page(excerpt_bytes, '\0');
        apr_size_t size = 0;
        (void)apr_file_read_full(file, page.data(), page.size(), &size);
        apr_file_close(file);
        page.resize(size);
        out = excerpt(page, dir_config(sub).teaser_characters);
    }
    if (sub) ap_destroy_sub_req(sub);
    return out;
}

std::string_view said(const request_rec* r, const char* name) {
    const auto value = field(r->headers_out, name);
    return value.empty() ? field(r->err_headers_out, name) : value;
}

// Asks the page's own handler by HEAD, past the gate. Nothing it writes may
// reach the visitor, whatever way it takes: every filter of the subrequest, and
// of what it redirects to, ends in one that swallows.
Excerpt from_page(request_rec* r) {
    Excerpt out;
    auto* sink = static_cast<ap_filter_t*>(apr_pcalloc(r->pool, sizeof(ap_filter_t)));
    sink->frec = filter_handle;
    sink->r = r;
    sink->c = r->connection;
    const char* uri = ap_escape_uri(r->pool, r->uri);
    if (r->args) uri = apr_pstrcat(r->pool, uri, "?", r->args, nullptr);
    request_rec* sub = ap_sub_req_method_uri("HEAD", uri, r, sink);
    if (!sub) return out;
    sub->header_only = 1;
    sub->proto_output_filters = sink;  // where internal redirects begin
    sub->headers_in = apr_table_copy(sub->pool, sub->headers_in);  // which may be r's own
    for (const char* name : {"Upgrade", "Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"})
        apr_table_unset(sub->headers_in, name);  // the whole answer's fields are wanted, over HTTP
    apr_table_setn(sub->notes, teaser_note, "1");
    if (sub->status == HTTP_OK && told_by(sub, TeaserFrom::page) && ap_run_sub_req(sub) == OK && ap_is_HTTP_SUCCESS(sub->status)) {
        out.title = said(sub, "NetPay-Title");
        out.teaser = said(sub, "NetPay-Teaser");
    }
    ap_destroy_sub_req(sub);
    return out;
}

}  // namespace

Excerpt teaser_of(request_rec* r) {
    const auto& d = dir_config(r);
    Excerpt out;
    const bool by_get = topmost(r)->method_number == M_GET;
    if (by_get && !r->main && d.teaser_from == TeaserFrom::file)
        out = from_file(r);
    else if (by_get && !r->main && d.teaser_from == TeaserFrom::page)
        out = from_page(r);
    if (auto title = evaluated(r, d.title, "NetPayTitle"); !title.empty()) out.title = std::move(title);
    if (auto teaser = evaluated(r, d.teaser, "NetPayTeaser"); !teaser.empty()) out.teaser = std::move(teaser);
    out.title = shortened(out.title, title_characters);
    out.teaser = shortened(out.teaser, teaser_characters + 2);  // an excerpt's own "…" stays
    return out;
}

bool asked_for_teaser(const request_rec* r) {
    for (const request_rec* q = r; q; q = q->prev ? q->prev : q->main)
        if (apr_table_get(q->notes, teaser_note)) return true;
    return false;
}

void register_teaser_filter() {
    filter_handle = ap_register_output_filter(
        "NETPAY_NOWHERE",
        [](ap_filter_t*, apr_bucket_brigade* bb) -> apr_status_t {
            apr_brigade_cleanup(bb);
            return APR_SUCCESS;
        },
        nullptr, AP_FTYPE_NETWORK);  // behind all others
}

}  // namespace netpay::glue
