// In the canary build alone (make sim-canary).
#include "core/rules.h"

namespace netpay::rules {

#ifdef NETPAY_CANARY
Rule left_out = Rule::none;
#endif

}  // namespace netpay::rules
