// Signed calls to other vendors (PROTOCOL.md section 7 step 2). A vendor may
// be dead, slow or hostile: a breaker leaves alone the one that does not
// answer, and a bulkhead keeps a slow one from occupying this server's
// threads.
#pragma once

#include <map>
#include <mutex>
#include <string>

#include "core/certificate.h"
#include "mod_netpay/custody/directory.h"
#include "mod_netpay/custody/reply.h"

namespace netpay::custody {

class PeerClient {
public:
    PeerClient(Self self, World world, Transport& peers) : self_(std::move(self)), world_(world), peers_(peers) {}

    // POST to the hand-over URL of this certificate, and nowhere else: {"request":
    // netpay-request of these members} and what else stands in `body`.
    // Where status is 0, retry_after_s grows with the failures of this vendor.
    Reply hand_over(const Certificate& holder, const json::Object& members, json::Object body);

private:
    struct Line {
        UnixTime closed_until = 0;
        std::uint32_t failures = 0;
        std::uint32_t under_way = 0;
    };
    class Place;  // a call under way

    bool enter(const std::string& vendor, Reply& out);
    void leave(const std::string& vendor);
    void failed(const std::string& vendor, Reply& why);
    void answered(const std::string& vendor);

    const Self self_;
    const World world_;
    Transport& peers_;
    std::mutex mutex_;  // below
    std::map<std::string, Line> lines_;
    std::uint32_t under_way_ = 0;
};

}  // namespace netpay::custody
