// A request's way through the gate: parse → challenge id → coin state →
// spend → reserved. The settle filter does the rest when the answer leaves.
#pragma once

#include <optional>

#include "mod_netpay/httpd_api.h"
#include "mod_netpay/offer.h"
#include "mod_netpay/passage.h"

namespace netpay::glue {

// post_read_request: takes the credential off the request before any other
// module, handler or log can see it.
int take_credential(request_rec* r);

// check_authn: lets r through (OK), refuses it, or leaves it to others (DECLINED).
int check_payment(request_rec* r);

// For `Require netpay` once there is a user: whether r was let in.
bool may_pass(request_rec* r);

// fixups, last: a page found by a look-up (DirectoryIndex, MultiViews) that
// the visitor still has to pay for, and what a sold request may not ask.
int finish_lookup(request_rec* r);

// handler, first: DECLINED to let the handler work, or a refusal.
int close_side_doors(request_rec* r);

// log_transaction: counts the decision and writes the payment log.
int note_outcome(request_rec* r);

// Answers with `refusal`: sets the headers, keeps the body for the error
// filter, and returns the status for httpd. Used by the settle filter too.
int refuse_request(request_rec* r, Passage& p, Refusal refusal);

// What the resource of r asks for, at a known price. Views live as long as
// the request.
Ask ask_of(request_rec* r, const Vendor& vendor, const Price& price);

// What a payment for that is bound to, and its replays.
Tag16 resource_of(request_rec* r, const Ask& ask);

// The price of r, by its directives; nullopt, and a line in the error log, if
// it is not known.
std::optional<Price> price_of(request_rec* r);

// Whether payments may be asked for and taken on r's connection.
bool is_private(const request_rec* r);

}  // namespace netpay::glue
