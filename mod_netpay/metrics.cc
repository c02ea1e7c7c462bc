#include "mod_netpay/metrics.h"

#include <apr_shm.h>

#include <cstring>
#include <memory>

#include "mod_netpay/startup.h"

namespace netpay::glue {
namespace {

constexpr const char* retained_key = "mod_netpay-counters";
constexpr std::string_view handler_name = "netpay-metrics";

struct Retained {
    std::uint64_t layout;
    apr_shm_t* shm;
};

Counters* mapped = nullptr;

// apr_shm puts a size of its own before the memory, which leaves it aligned to
// that; the counters want a cache line.
constexpr std::size_t room = sizeof(Counters) + alignof(Counters);

void* aligned(void* base) {
    std::size_t space = room;
    return std::align(alignof(Counters), sizeof(Counters), base, space);
}

}  // namespace

bool make_counters(server_rec* s) {
    auto* kept = static_cast<Retained*>(ap_retained_data_get(retained_key));
    if (!kept) kept = static_cast<Retained*>(ap_retained_data_create(retained_key, sizeof(Retained)));
    if (!kept->shm || kept->layout != Counters::layout || apr_shm_size_get(kept->shm) < room) {
        apr_shm_t* shm = nullptr;
        const auto rv = apr_shm_create(&shm, room, nullptr, s->process->pool);
        if (rv != APR_SUCCESS) {
            ap_log_error(APLOG_MARK, APLOG_ERR, rv, s, "mod_netpay: no shared memory for the counters");
            return false;
        }
        std::memset(apr_shm_baseaddr_get(shm), 0, room);
        kept->shm = shm;
        kept->layout = Counters::layout;
    }
    mapped = static_cast<Counters*>(aligned(apr_shm_baseaddr_get(kept->shm)));
    return true;
}

Counters* counters() { return mapped; }

void count_exception() {
    if (mapped) mapped->count(Tick::exception);
}

int show_metrics(request_rec* r) {
    if (!r->handler || r->handler != handler_name) return DECLINED;
    ap_allow_standard_methods(r, REPLACE_ALLOW, M_GET, -1);
    if (r->method_number != M_GET) return HTTP_METHOD_NOT_ALLOWED;
    if (!mapped) return HTTP_SERVICE_UNAVAILABLE;
    const std::string text = mapped->prometheus() + prometheus(vendor_gauges());
    ap_set_content_type(r, "text/plain; version=0.0.4; charset=utf-8");
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    ap_set_content_length(r, static_cast<apr_off_t>(text.size()));
    if (!r->header_only) ap_rwrite(text.data(), static_cast<int>(text.size()), r);
    return OK;
}

}  // namespace netpay::glue
