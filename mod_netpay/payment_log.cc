#include "mod_netpay/payment_log.h"

namespace netpay::glue {

PayLog* open_payment_log(apr_pool_t* pool, server_rec* s, const std::string& target) {
    auto* log = pool_new<PayLog>(pool);
    if (target.starts_with('|')) {
        piped_log* pipe = ap_open_piped_log(pool, target.c_str() + 1);
        if (!pipe) {
            ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, "NetPayLog: cannot start %s", target.c_str() + 1);
            return nullptr;
        }
        log->file = ap_piped_log_write_fd(pipe);
        return log;
    }
    const auto rv = apr_file_open(&log->file, target.c_str(), APR_WRITE | APR_APPEND | APR_CREATE,
                                  APR_UREAD | APR_UWRITE | APR_GREAD, pool);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, rv, s, "NetPayLog: cannot open %s", target.c_str());
        return nullptr;
    }
    return log;
}

void write_payment_log(PayLog& log, std::string line) {
    line += '\n';
    apr_size_t n = line.size();
    apr_file_write(log.file, line.data(), &n);
}

}  // namespace netpay::glue
