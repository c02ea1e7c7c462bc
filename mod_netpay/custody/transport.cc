#include "core/origin.h"
#include "mod_netpay/custody/custody.h"
#include "world/curl_transport.h"

namespace netpay::custody {
namespace {

// The largest answer to the module is a broker's list of certificates: 1 KB a vendor.
constexpr std::size_t broker_answer_bytes = 8 << 20;
// The largest answer of another vendor is a touchstone and a signed index.
constexpr std::size_t peer_answer_bytes = 32 << 10;

}  // namespace

std::unique_ptr<Transport> make_broker_transport(const Options& o) {
    std::map<std::string, std::string> ca_of;
    for (const auto& b : o.brokers)
        if (!b.ca_file.empty()) ca_of.emplace(b.issuer, b.ca_file);
    return std::make_unique<world::CurlTransport>(
        world::CurlTransport::Limits{o.connect_timeout_ms, o.call_timeout_ms, broker_answer_bytes}, o.ca_file,
        std::move(ca_of));
}

std::unique_ptr<Transport> make_peer_transport(const Options& o) {
    using Reach = world::CurlTransport::Reach;
    const auto reach = o.private_peers ? Reach::anywhere
                       : is_loopback(o.vendor) ? Reach::public_or_loopback
                                               : Reach::public_only;
    return std::make_unique<world::CurlTransport>(
        world::CurlTransport::Limits{o.connect_timeout_ms, o.call_timeout_ms, peer_answer_bytes, reach}, o.ca_file);
}

}  // namespace netpay::custody
