// The module record and its hooks; what they do is in the files they call.
#include <mod_auth.h>
#include <ap_provider.h>

#include "mod_netpay/directives.h"
#include "mod_netpay/discovery.h"
#include "mod_netpay/framing.h"
#include "mod_netpay/gate.h"
#include "mod_netpay/give_back_call.h"
#include "mod_netpay/handoff.h"
#include "mod_netpay/metrics.h"
#include "mod_netpay/order.h"
#include "mod_netpay/passage.h"
#include "mod_netpay/paywall.h"
#include "mod_netpay/settle.h"
#include "mod_netpay/startup.h"
#include "mod_netpay/teaser.h"
#include "mod_netpay/wallet_pages.h"

namespace {

using namespace netpay::glue;

// Each hook behind the guard.
template <int (*F)(request_rec*)>
int hook(request_rec* r) {
    return guarded(r, HTTP_INTERNAL_SERVER_ERROR, [r] { return F(r); });
}

// `Require netpay`. It does nothing itself: without a user it asks for one,
// which brings check_authn; with one it says whether the visitor was let in.
authz_status require_netpay(request_rec* r, const char*, const void*) {
    return guarded(r, AUTHZ_GENERAL_ERROR, [r] {
        if (is_discovery(r)) return AUTHZ_GRANTED;
        if (!r->user) {
            begin_passage(r).required = r;
            return AUTHZ_DENIED_NO_USER;
        }
        return may_pass(r) ? AUTHZ_GRANTED : AUTHZ_DENIED;
    });
}

const char* parse_require(cmd_parms*, const char* line, const void**) {
    return line && *line ? "Require netpay takes no arguments" : nullptr;
}

const authz_provider require_provider = {require_netpay, parse_require};

void add_paywall(request_rec* r) {
    guarded(r, 0, [r] {
        insert_paywall(r);
        return 0;
    });
}

void register_hooks(apr_pool_t* pool) {
    // Before whoever copies or logs the header fields of a request.
    static const char* const who_reads_fields[] = {"mod_setenvif.c", "mod_log_forensic.c", nullptr};
    static const char* const who_looks_up[] = {"mod_dir.c", "mod_rewrite.c", nullptr};
    ap_hook_check_config(check_configuration, nullptr, nullptr, APR_HOOK_MIDDLE);
    ap_hook_open_logs(open_logs, nullptr, nullptr, APR_HOOK_MIDDLE);
    ap_hook_post_config(prepare, nullptr, nullptr, APR_HOOK_MIDDLE);
    ap_hook_child_init(start_child, nullptr, nullptr, APR_HOOK_MIDDLE);
    ap_hook_post_read_request(hook<take_credential>, nullptr, who_reads_fields, APR_HOOK_REALLY_FIRST);
    ap_hook_post_read_request(hook<limit_framing>, nullptr, nullptr, APR_HOOK_REALLY_FIRST);
    ap_hook_translate_name(hook<claim_discovery>, nullptr, nullptr, APR_HOOK_REALLY_FIRST);
    ap_hook_map_to_storage(hook<claim_discovery>, nullptr, nullptr, APR_HOOK_REALLY_FIRST);
    ap_hook_check_authn(hook<admit_handoff>, nullptr, nullptr, APR_HOOK_REALLY_FIRST, AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_check_authz(hook<admit_handoff>, nullptr, nullptr, APR_HOOK_REALLY_FIRST, AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_check_authn(hook<admit_give_back>, nullptr, nullptr, APR_HOOK_REALLY_FIRST, AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_check_authz(hook<admit_give_back>, nullptr, nullptr, APR_HOOK_REALLY_FIRST, AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_check_authn(hook<admit_wallet_page>, nullptr, nullptr, APR_HOOK_REALLY_FIRST, AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_check_authz(hook<admit_wallet_page>, nullptr, nullptr, APR_HOOK_REALLY_FIRST, AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_check_authn(hook<check_payment>, nullptr, nullptr, APR_HOOK_FIRST, AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_fixups(hook<answer_handoff>, nullptr, nullptr, APR_HOOK_REALLY_FIRST);
    ap_hook_fixups(hook<answer_give_back>, nullptr, nullptr, APR_HOOK_REALLY_FIRST);
    ap_hook_fixups(hook<answer_wallet_page>, nullptr, nullptr, APR_HOOK_REALLY_FIRST);
    ap_hook_fixups(hook<finish_lookup>, who_looks_up, nullptr, APR_HOOK_REALLY_LAST);
    ap_hook_handler(hook<answer_discovery>, nullptr, nullptr, APR_HOOK_REALLY_FIRST);
    ap_hook_handler(hook<close_side_doors>, nullptr, nullptr, APR_HOOK_REALLY_FIRST);
    ap_hook_handler(hook<show_metrics>, nullptr, nullptr, APR_HOOK_MIDDLE);
    ap_hook_insert_error_filter(add_paywall, nullptr, nullptr, APR_HOOK_LAST);
    ap_hook_log_transaction(hook<note_outcome>, nullptr, nullptr, APR_HOOK_MIDDLE);
    ap_register_auth_provider(pool, AUTHZ_PROVIDER_GROUP, "netpay", AUTHZ_PROVIDER_VERSION, &require_provider,
                              AP_AUTH_INTERNAL_PER_CONF);
    register_settle_filter();
    register_paywall_filter();
    register_teaser_filter();
    register_order_filter();
    register_framing_filter();
}

}  // namespace

module netpay_module = {
    STANDARD20_MODULE_STUFF, create_dir_config, merge_dir_config, create_server_config, merge_server_config,
    directive_table, register_hooks, 0,
};
