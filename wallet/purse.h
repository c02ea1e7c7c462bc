// Payments in the store: which coin and ticket a payment gets, and what
// became of it. The rules are those of count.h; here they are made durable.
// A ticket is committed to the store before the caller sees it, so that a
// process killed at any instant has at most revealed what is on record, and
// several processes never get the same ticket.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "wallet/count.h"
#include "wallet/env.h"
#include "wallet/store.h"
#include "wallet/text.h"

namespace netpay::wallet {

// What the owner accepted to pay.
struct Want {
    std::string vendor, method, url;
    Amount amount;  // the price
    Amount limit;   // the most she accepts for this resource, ≥ amount
    Currency currency;
    std::vector<std::string> brokers;  // issuers the vendor takes
};

// A ticket on its way: everything a credential needs.
struct Ticket {
    std::int64_t payment = 0;  // its row; 0 for a reread
    Coin coin;
    std::uint32_t index = 0;
    Amount amount;             // accepted
    bool known = false;        // the vendor has this coin's touchstone
    bool reread = false;       // paid before: to be served again free
    bool switched = false;     // another coin than at first
};

// What the vendor answered to a ticket that was not taken.
struct Answer {
    std::optional<std::uint32_t> spent, needed;
    bool ticket_used = false;
};

// A page to be given back: what its site is shown, which it has seen before.
struct BackRequest {
    std::int64_t payment = 0;  // its row
    Coin coin;
    std::string vendor, url;
    std::uint32_t index = 0, units = 0;  // the ticket; what the page cost
    Payword payword;
    bool perhaps_done = false;  // asked before without an answer: the site may have done it then
};

struct GivenBack {
    Money amount;  // spendable again
    Coin coin;     // as it is afterwards
};

class Purse {
public:
    Purse(Store& store, Clock& clock, Process self) : store_(store), clock_(clock), self_(std::move(self)) {}

    // A ticket for a new payment. Preferred: the coin the vendor holds, then
    // a coin nobody has seen, then one that was spent elsewhere. A payment
    // for the same page whose outcome never arrived is tried again with its
    // own ticket. Failures: no_money; not_accepted (a budget is used up).
    Outcome<Ticket> reserve(const Want& w);

    // The same payment after the vendor's answer, perhaps at a new price
    // (w.amount): a better index, or another coin if this one is too short.
    // Failures as above; disputed: the vendor claims more than was accepted.
    Outcome<Ticket> reserve_again(const Want& w, const Ticket& before, const Answer& a);

    // A page that was paid a short while ago by GET: its ticket, to be shown again.
    Outcome<std::optional<Ticket>> reread(const std::string& vendor, const std::string& url);

    // Outcomes of a ticket. paid: charged is what the vendor's receipt says,
    // cut down to what was accepted; returns what counts. give_back_s: how long
    // the page may be given back, a day at most; 0: not at all.
    Outcome<Amount> paid(const Ticket& t, const std::string& vendor, Amount charged, std::uint32_t receipt_spent,
                         std::uint32_t give_back_s = 0);
    Outcome<Done> not_charged(const Ticket& t);
    Outcome<Done> doubt(const Ticket& t);
    // The vendor does not take this coin: it is not offered there again.
    Outcome<Done> refused(const Ticket& t, const std::string& vendor, const std::string& why);

    // The page that was bought last at a URL by GET, to be given back; put on
    // record before the site is asked. Failures: usage (nothing was bought
    // there, it was given back, its coin moved on); payment (not offered, or too late).
    Outcome<BackRequest> ask_back(const std::string& url);
    // The site gave back so many units: they count up to what the page cost.
    // Failures: usage (another process was faster, or the coin moved on).
    Outcome<GivenBack> gave_back(const BackRequest& r, std::uint32_t units);

    // Payments of processes that are no more become "unknown".
    Outcome<Done> bury_the_dead();

    // What may be spent at a vendor with its brokers, over all coins; all if brokers is empty.
    Outcome<Amount> balance(const Currency& c, const std::vector<std::string>& brokers);

private:
    struct Standing;
    Standing load(const Coin& c, const std::string& vendor);
    void save(const Coin& c, const std::string& vendor, const Standing& s);
    Outcome<Ticket> pick(const Want& w, const std::string& not_this_coin);
    Outcome<Ticket> take(const Want& w, const Coin& c, Standing& s, const Choice& choice);
    std::optional<Ticket> resume(const Want& w);
    Outcome<Done> within_budget(const Want& w);
    void close(std::int64_t id, const char* state);
    void close_all(const std::vector<std::int64_t>& ids, const char* state);
    void bury();

    Store& store_;
    Clock& clock_;
    Process self_;
};

}  // namespace netpay::wallet
