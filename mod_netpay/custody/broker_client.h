// Signed calls to one broker's API (PROTOCOL.md sections 4, 7 and 9), with a
// breaker: while the broker is out of reach one call in a second finds out
// whether it is back, and all others are told at once. Where it takes no more
// of one call for now (429), that call alone is not made for as long.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "core/json.h"
#include "core/key.h"
#include "mod_netpay/custody/broker_keys.h"
#include "mod_netpay/custody/reply.h"

namespace netpay::custody {

class BrokerClient {
public:
    BrokerClient(std::string vendor, std::shared_ptr<const SigningKey> key, BrokerKeys& keys, World world);

    // POST {api}/{call} with {"request": netpay-request of these members} and
    // what else stands in `body`.
    Reply call(std::string_view call, const json::Object& members, json::Object body = {});

    BrokerKeys& keys() { return keys_; }
    const std::string& issuer() const { return keys_.issuer(); }

private:
    bool open(std::string_view call, Reply& out);
    void refused(std::string_view call, const Reply& why);
    void failed(const Reply& why);
    void answered();

    const std::string vendor_;
    const std::shared_ptr<const SigningKey> key_;
    BrokerKeys& keys_;
    const World world_;
    std::mutex mutex_;             // the breaker, below
    UnixTime closed_until_ = 0;
    std::uint32_t failures_ = 0;
    std::map<std::string, UnixTime, std::less<>> refused_until_;  // by call; as many as there are calls
};

}  // namespace netpay::custody
