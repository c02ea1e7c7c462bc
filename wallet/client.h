// The paying fetch: one page, with what it takes to be let in (PROTOCOL.md
// section 5). Redirects are followed here, hop by hop: a credential is made
// for one origin and never goes to another.
#pragma once

#include <optional>
#include <string>

#include "core/challenge.h"
#include "core/receipt.h"
#include "wallet/failure.h"
#include "wallet/http.h"
#include "wallet/purse.h"
#include "wallet/text.h"

namespace netpay::wallet {

// A price the owner is asked about.
struct Offer {
    std::string site, path;
    Money price;
    Amount balance;           // of the coins that would do
    bool other_site = false;  // a redirect led away from the site that she named
};

// The owner of the wallet, or her standing orders.
class Owner {
public:
    virtual ~Owner() = default;
    // The most she accepts for this page, ≥ the price; or why she does not.
    virtual Outcome<Amount> accept(const Offer& o) = 0;
    // Whether accept() would answer without a person being asked.
    virtual bool decides_alone(const Offer& o) = 0;
    // Something worth knowing that is no failure. Safe to print.
    virtual void hear(const std::string& message) = 0;
};

// Where the page goes. begin() is called once, with the answer that is
// passed on (a 2xx, or an error that is not about payment).
class PageSink {
public:
    virtual ~PageSink() = default;
    virtual bool begin(const HttpHead& h) = 0;
    virtual bool data(std::string_view bytes) = 0;
};

struct PageRequest {
    std::string method = "GET";
    std::string url;      // normal_url()
    HeaderList headers;   // the owner's own
    std::optional<std::string> body;
    std::int64_t max_time_s = 0;  // for everything together; 0: no limit
    bool follow = true;           // redirects
};

struct Payment402 {
    Money price;
    std::string intent;
};

struct Page {
    int status = 0;
    std::string url;  // after redirects
    HttpHead head;
    int requests = 0;
    std::optional<Money> paid;     // set if a receipt came; amount 0: read again, free
    std::string coin;
    std::uint32_t ticket = 0;
    Amount coin_left;
    std::optional<Payment402> asked;  // a HEAD: what GET would cost
};

class Client {
public:
    Client(Transport& t, Store& s, Purse& p, Owner& o, Clock& c)
        : transport_(t), store_(s), purse_(p), owner_(o), clock_(c) {}

    Outcome<Page> get(const PageRequest& r, PageSink& sink);

    // GET /.well-known/netpay of a vendor: remembers its session challenge
    // and prices, so that even the first page is one round trip.
    struct Price { std::string path, methods; Money price; };
    struct Site { std::string vendor, realm; std::vector<std::string> brokers; std::vector<Price> prices; };
    Outcome<Site> discover(const std::string& origin, std::int64_t max_time_s);

private:
    struct Visit;
    struct Reply;
    class Receiver;

    // One hop. Sets v.redirect if the answer leads elsewhere.
    Outcome<Page> visit(Visit& v, PageSink& sink);
    void prepare(Visit& v);
    Outcome<Reply> exchange(Visit& v, PageSink& sink);
    Outcome<HttpRequest> request_of(const Visit& v);
    Outcome<Done> settle(Visit& v, const HttpHead& h, Page& page);
    Outcome<bool> answered(Visit& v, const Reply& r);  // whether to ask again
    Outcome<bool> no_answer(Visit& v, const Reply& r);
    Outcome<bool> unpaid(Visit& v);
    Outcome<bool> judged(Visit& v, const Reply& r);
    Outcome<bool> not_enough(Visit& v, const Reply& r, bool ticket_used);
    Outcome<bool> unfit(Visit& v, const std::string& reason);
    Outcome<Done> read_challenges(Visit& v, const HttpHead& h);
    Outcome<Amount> consent(Visit& v);
    Outcome<bool> busy(Visit& v, const Reply& r);
    bool may_pay(const Visit& v) const;
    Want want(const Visit& v) const;

    Transport& transport_;
    Store& store_;
    Purse& purse_;
    Owner& owner_;
    Clock& clock_;
};

}  // namespace netpay::wallet
