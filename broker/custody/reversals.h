// Credits taken back (PROTOCOL.md section 8): "a signed index shown later that
// contradicts it reverses it".
#pragma once

#include "broker/custody/epochs.h"
#include "broker/issue/coins.h"
#include "broker/store/outcome.h"
#include "broker/store/store.h"

namespace netpay::broker::custody {

// The highest unit of an epoch that was credited; 0 if there is none.
Int highest_credited(Sql& sql, const Epoch& epoch);

// Takes back what the epoch's vendor was credited above an index, by a signed
// index on file. What is not pending or payable any more the vendor owes.
Outcome<Done> reverse(Sql& sql, const issue::Coin& coin, const Epoch& epoch, std::uint32_t above, Int signed_index,
                      UnixTime now);

}  // namespace netpay::broker::custody
