#include "broker/custody/handoff.h"

#include <algorithm>
#include <atomic>

#include "core/base64url.h"
#include "core/jws.h"
#include "core/payword.h"
#include "core/request.h"
#include "world/curl_transport.h"

namespace netpay::broker::custody {
namespace {

constexpr unsigned connect_ms = 1000, call_ms = 3000;
// A touchstone and a signed index, or an index and a certificate; each is below 4 KiB.
constexpr std::size_t answer_bytes = 32 << 10;

// Lets a number of calls through and refuses the rest.
class Few : public world::Transport {
public:
    Few(std::unique_ptr<world::Transport> owned, world::Transport& transport, unsigned calls)
        : owned_(std::move(owned)), transport_(transport), free_(static_cast<int>(calls)) {}

    world::HttpAnswer get(const std::string& url) override {
        return in_turn([&] { return transport_.get(url); });
    }
    world::HttpAnswer post(const std::string& url, const std::string& json) override {
        return in_turn([&] { return transport_.post(url, json); });
    }

private:
    template <class F>
    world::HttpAnswer in_turn(F f) {
        struct Turn {
            std::atomic<int>& free;
            bool mine = free.fetch_sub(1) > 0;
            ~Turn() { free.fetch_add(1); }
        };
        const Turn turn{free_};
        if (turn.mine) return f();
        world::HttpAnswer answer;
        answer.error = busy_error;
        return answer;
    }

    std::unique_ptr<world::Transport> owned_;
    world::Transport& transport_;
    std::atomic<int> free_;
};

std::string body_of(Context& context, const Ask& a, UnixTime now) {
    json::Object members;
    members.set("coin", a.coin).set("epoch", static_cast<std::uint64_t>(a.epoch));
    if (a.proof) members.set("index", std::uint64_t{a.proof->index}).set("payword", encode_payword(a.proof->payword));
    const auto jti = b64u_encode(context.random.bytes<16>());
    json::Object body;
    body.set("request", sign_request({context.options.issuer, a.vendor, "handoff", now, jti}, std::move(members),
                                     *context.keys.current()));
    if (!a.index.empty()) body.set("index", a.index);
    if (!a.releaser.empty()) body.set("releaser", a.releaser);
    if (!a.touchstone.empty()) body.set("touchstone", a.touchstone);
    return body.jcs();
}

// The kind of a problem document (RFC 9457), for the log.
std::string kind_of(const std::string& body) {
    const auto doc = json::Document::parse(body);
    const auto type = doc && doc->root().is_object() ? doc->root().string("type") : std::nullopt;
    return type ? " " + std::string(*type) : std::string();
}

Told read(const world::HttpAnswer& answer) {
    if (answer.status == 0) {
        const bool busy = answer.error == busy_error;
        return {busy ? Told::What::busy : Told::What::silent, {}, answer.error};
    }
    Told told{Told::What::silent, {}, "status " + std::to_string(answer.status)};
    if (answer.status == 200 || answer.status == 410) {
        const auto doc = json::Document::parse(answer.body);
        const auto index = doc && doc->root().is_object() ? doc->root().string("index") : std::nullopt;
        if (!index) {
            told.why += " without an index";
            return told;
        }
        told.what = answer.status == 200 ? Told::What::given : Told::What::elsewhere;
        told.index = *index;
    } else if (answer.status >= 400 && answer.status < 500 && answer.status != 429) {
        told.what = Told::What::refused;
    }
    if (answer.status >= 400 && told.index.empty()) told.why += kind_of(answer.body);
    return told;
}

}  // namespace

Told ask(Context& context, const Ask& a, UnixTime now) {
    if (!context.peers) return {Told::What::busy, {}, busy_error};
    return read(context.peers->post(a.handoff, body_of(context, a, now)));
}

std::unique_ptr<world::Transport> make_peers(const Options& o) {
    using Reach = world::CurlTransport::Reach;
    const auto reach = o.private_vendors      ? Reach::anywhere
                       : o.allow_http_vendors ? Reach::public_or_loopback
                                              : Reach::public_only;
    auto transport = std::make_unique<world::CurlTransport>(
        world::CurlTransport::Limits{connect_ms, call_ms, answer_bytes, reach}, std::string());
    auto& reference = *transport;
    return std::make_unique<Few>(std::move(transport), reference, std::max(1u, o.threads / 2));
}

std::unique_ptr<world::Transport> few_at_once(world::Transport& transport, unsigned calls) {
    return std::make_unique<Few>(nullptr, transport, calls);
}

}  // namespace netpay::broker::custody
