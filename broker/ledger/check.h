// The proof that the books are right, from what was sold, claimed and
// refunded up to the ledger.
#pragma once

#include "broker/api/operator.h"
#include "broker/store/store.h"

namespace netpay::broker::ledger {

// Every fault is named in a sentence; after 100 of one kind the rest of that
// kind is counted only.
LedgerReport check(Sql& sql);

}  // namespace netpay::broker::ledger
