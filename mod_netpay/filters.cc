#include "mod_netpay/filters.h"

#include <mod_core.h>
#include <util_filter.h>

#include "mod_netpay/passage.h"

namespace netpay::glue {
namespace {

ap_filter_t* made(request_rec* r, ap_filter_rec_t* handle, void* context) {
    auto* mine = static_cast<ap_filter_t*>(apr_pcalloc(topmost(r)->pool, sizeof(ap_filter_t)));
    mine->frec = handle;
    mine->ctx = context;
    mine->r = r;
    mine->c = r->connection;
    return mine;
}

// Where `first`, the first filter of the protocol, stands in the request's whole chain.
void put_before(ap_filter_t** chain, const ap_filter_t* first, ap_filter_t* mine) {
    while (*chain && *chain != first) chain = &(*chain)->next;
    *chain = mine;
}

}  // namespace

void add_before_header(request_rec* r, ap_filter_rec_t* handle, void* context) {
    auto* mine = made(r, handle, context);
    for (auto* f = r->proto_output_filters; f; f = f->next) {
        if (f->frec != ap_byterange_filter_handle) continue;
        mine->next = f->next;
        f->next = mine;
        return;
    }
    mine->next = r->proto_output_filters;
    put_before(&r->output_filters, r->proto_output_filters, mine);
    r->proto_output_filters = mine;
}

void add_above_body(request_rec* r, ap_filter_rec_t* handle, void* context) {
    auto* mine = made(r, handle, context);
    mine->next = r->proto_input_filters;
    put_before(&r->input_filters, r->proto_input_filters, mine);
    r->proto_input_filters = mine;
}

}  // namespace netpay::glue
