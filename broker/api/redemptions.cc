// POST /redemptions (PROTOCOL.md section 8).
#include <algorithm>

#include "broker/api/resource.h"
#include "broker/redeem/redemption.h"

namespace netpay::broker::api {
namespace {

// A million claims of at most 200 bytes, and as much again for members nobody asked for.
constexpr std::size_t body_bytes = 400u << 20;

// Answers whatever comes with one response.
class Refusing : public BodySink {
public:
    explicit Refusing(Response response) : response_(std::move(response)) {}
    std::optional<Response> chunk(std::string_view) override { return response_; }
    Response finish() override { return response_; }

private:
    Response response_;
};

class Redeeming : public BodySink {
public:
    Redeeming(Broker b, Request request, std::unique_ptr<redeem::Redemption> redemption)
        : broker_(b), request_(std::move(request)), redemption_(std::move(redemption)) {}

    std::optional<Response> chunk(std::string_view bytes) override {
        if (auto fed = redemption_->feed(bytes); !fed) return refuse(broker_, request_, fed.refusal());
        return std::nullopt;
    }

    Response finish() override {
        auto answer = redemption_->finish();
        if (!answer) return refuse(broker_, request_, answer.refusal());
        Response r;
        r.body = std::move(*answer);
        return std::move(r).no_store();
    }

private:
    Broker broker_;
    Request request_;
    std::unique_ptr<redeem::Redemption> redemption_;
};

bool is_ndjson(const Request& request) {
    const auto type = request.header("content-type").value_or("");
    constexpr std::string_view ndjson = "application/x-ndjson";
    auto name = type.substr(0, type.find(';'));
    while (!name.empty() && (name.back() == ' ' || name.back() == '\t')) name.remove_suffix(1);
    // Names of media types are case-insensitive (RFC 9110 section 8.3.1).
    return std::equal(name.begin(), name.end(), ndjson.begin(), ndjson.end(),
                      [](char a, char b) { return a == b || (a >= 'A' && a <= 'Z' && a - 'A' + 'a' == b); });
}

bool is_coded(const Request& request) {
    const auto coding = request.header("content-encoding").value_or("identity");
    return coding != "identity";
}

Outcome<std::unique_ptr<redeem::Redemption>> begin(Broker b, const Request& request) {
    if (!is_ndjson(request) || is_coded(request))
        return Refusal{415, "content-type", "The body has to be NDJSON",
                       "Send Content-Type: application/x-ndjson, without content coding."};
    const auto token = request.header("netpay-batch");
    if (!token)
        return Refusal{400, "malformed-request", "The NetPay-Batch header is missing",
                       "Send the signed netpay-batch over the body's digest."};
    return redeem::Redemption::begin(b.context, b.store, *token);
}

std::unique_ptr<BodySink> redeem_batch(Broker b, Request& request) {
    auto redemption = begin(b, request);
    if (!redemption) return std::make_unique<Refusing>(refuse(b, request, redemption.refusal()));
    return std::make_unique<Redeeming>(b, request, std::move(*redemption));
}

}  // namespace

void add_redemptions(Routes& routes, Broker b) {
    routes.add_stream("POST", path("/redemptions"), [b](Request& request) { return redeem_batch(b, request); },
                      {body_bytes, 5, 100});
}

}  // namespace netpay::broker::api
