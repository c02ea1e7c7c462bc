// httpd's C interface as the glue sees it. Only files of mod_netpay.la
// include this.
#pragma once

// httpd.h goes before the headers that stand on it.
#include <httpd.h>

#include <apr_strings.h>
#include <apr_tables.h>
#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>

#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

// In place of APLOG_USE_MODULE, which declares the module static in the file that defines it.
extern "C" __attribute__((visibility("default"))) module netpay_module;
[[maybe_unused]] static int* const aplog_module_index = &netpay_module.module_index;

namespace netpay::glue {

// A C++ object in a pool: destroyed with it.
template <class T, class... Arguments>
T* pool_new(apr_pool_t* pool, Arguments&&... arguments) {
    T* object = new (apr_palloc(pool, sizeof(T))) T(std::forward<Arguments>(arguments)...);
    if constexpr (!std::is_trivially_destructible_v<T>) {
        apr_pool_cleanup_register(
            pool, object,
            [](void* p) -> apr_status_t {
                static_cast<T*>(p)->~T();
                return APR_SUCCESS;
            },
            apr_pool_cleanup_null);
    }
    return object;
}

inline const char* pool_string(apr_pool_t* pool, std::string_view s) { return apr_pstrmemdup(pool, s.data(), s.size()); }

// A request's field, or an empty view.
inline std::string_view field(const apr_table_t* table, const char* name) {
    const char* value = apr_table_get(table, name);
    return value ? std::string_view(value) : std::string_view{};
}

// Notes that an exception was stopped; implemented by metrics.cc.
void count_exception();

// The guard at every hook and thread: no exception crosses into httpd. What
// stands for the answer if one tried is `failed`.
template <class F>
auto guarded(const request_rec* r, decltype(std::declval<F>()()) failed, F&& f) noexcept -> decltype(f()) {
    try {
        return f();
    } catch (const std::exception& e) {
        count_exception();
        if (r) ap_log_rerror(APLOG_MARK, APLOG_CRIT, 0, r, "mod_netpay: stopped an internal error: %s", e.what());
        else ap_log_error(APLOG_MARK, APLOG_CRIT, 0, nullptr, "mod_netpay: stopped an internal error: %s", e.what());
    } catch (...) {
        count_exception();
    }
    return failed;
}

}  // namespace netpay::glue
