// What is known of one request's way through the gate. Kept at the topmost
// request of a chain of internal redirects and subrequests, because hooks run
// for each of them and a visitor pays once.
#pragma once

#include <string>
#include <vector>

#include "mod_netpay/ewallet/wallets.h"
#include "mod_netpay/httpd_api.h"
#include "mod_netpay/presented.h"
#include "mod_netpay/refusal.h"
#include "mod_netpay/till/till.h"
#include "mod_netpay/vendor.h"

namespace netpay::glue {

struct Passage {
    enum class Stage {
        fresh,     // not judged yet
        refused,
        free,      // costs nothing, or dry run
        reserved,  // paid for, to be settled when a 2xx leaves
        settled,
        replayed,
        released,  // reserved, but the answer was none to charge for
    };
    Stage stage = Stage::fresh;
    Presented presented;
    request_rec* required = nullptr;  // the request for which `Require netpay` wanted a user

    // The judgement.
    const Vendor* vendor = nullptr;
    bool decided = false;
    Decision decision = Decision::required;
    Price price;
    bool priced = false;
    const char* user = nullptr;
    bool looking = false;     // the price of a look-up is being found
    apr_time_t latency_us = 0;

    // Of a payment.
    std::string coin;
    till::Charge charge;
    till::Outcome outcome;
    bool answered = false;    // the settle filter has seen the answer begin
    bool discarding = false;  // the answer was taken back; its rest goes nowhere

    // Of a reader's e-wallet. Its cookies are taken off the request with the credential.
    std::string wallet_cookies;              // as a Cookie field
    std::string query;                       // of an address that a broker sent her to: a code is in it
    bool considered = false;                 // asked once a request
    std::string_view wallet;                 // what is paid is paid by one: "server" or "cookie"
    ewallet::Standing standing;
    std::vector<std::string> paid_cookies;   // Set-Cookie values for when the page was paid

    // Of a refusal.
    std::string_view notice;  // a literal: to the reader, in place of what programs are told
    std::string body, media_type;
    bool own_body = false;    // no ErrorDocument of the operator's stands for it

    bool paid_for() const { return stage == Stage::reserved || stage == Stage::settled || stage == Stage::replayed; }
    bool let_in() const { return stage == Stage::free || paid_for(); }
    void decide(Decision d) {
        decided = true;
        decision = d;
    }
    // A page that was paid before is given back; for the log.
    void gave_back(const Vendor& by, const ewallet::Paid& page, std::uint32_t units);
};

// The request that a client sent, above subrequests and internal redirects.
request_rec* topmost(request_rec* r);

// The passage of r's chain, or null if none was begun.
Passage* passage_of(request_rec* r);
Passage& begin_passage(request_rec* r);

// Gives a reservation back that was not settled. Harmless otherwise.
void release(Passage& p);

// Whether r is an ErrorDocument, or part of one: its answer is not sold.
bool in_error_document(const request_rec* r);

}  // namespace netpay::glue
