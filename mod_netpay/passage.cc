#include "mod_netpay/passage.h"

#include "core/base64url.h"

namespace netpay::glue {

void Passage::gave_back(const Vendor& by, const ewallet::Paid& page, std::uint32_t units) {
    vendor = &by;
    coin = b64u_encode(as_view(page.coin));
    price = page.price;
    priced = true;
    outcome.units = units;
    decide(Decision::given_back);
}

request_rec* topmost(request_rec* r) {
    while (r->main || r->prev) r = r->main ? r->main : r->prev;
    return r;
}

Passage* passage_of(request_rec* r) {
    return static_cast<Passage*>(ap_get_module_config(topmost(r)->request_config, &netpay_module));
}

Passage& begin_passage(request_rec* r) {
    if (auto* p = passage_of(r)) return *p;
    request_rec* top = topmost(r);
    auto* p = pool_new<Passage>(top->pool);
    ap_set_module_config(top->request_config, &netpay_module, p);
    // Registered after the destructor's, so it runs before it: a client that
    // went away, or a handler that never answered, leaves nothing reserved.
    apr_pool_cleanup_register(
        top->pool, p,
        [](void* passage) -> apr_status_t {
            release(*static_cast<Passage*>(passage));
            return APR_SUCCESS;
        },
        apr_pool_cleanup_null);
    return *p;
}

void release(Passage& p) {
    if (p.stage != Passage::Stage::reserved) return;
    p.stage = Passage::Stage::released;
    p.decide(Decision::released);
    guarded(nullptr, 0, [&] {
        if (p.vendor && p.vendor->counter) p.vendor->counter->desk().till.release(p.charge);
        return 0;
    });
}

bool in_error_document(const request_rec* r) {
    for (const request_rec* q = r; q; q = q->main)
        if (q->prev && ap_is_HTTP_ERROR(q->prev->status)) return true;
    return false;
}

}  // namespace netpay::glue
