// Signed calls to one broker's API (PROTOCOL.md sections 4, 7 and 9), with a
// breaker: while the broker is out of reach one call in a second finds out
// whether it is back, and all others are told at once.
#pragma once

#include <mutex>
#include <string>
#include <string_view>

#include "core/json.h"
#include "core/key.h"
#include "mod_netpay/custody/broker_keys.h"

namespace netpay::custody {

struct Reply {
    // 0: no answer that can be used: out of reach, 408, 429, 5xx, a redirect,
    // or a body that is no JSON object. Else 200 or another 4xx.
    int status = 0;
    std::optional<json::Document> body;  // of 200 always
    std::string detail;                  // what was wrong, with the problem's own detail; no secrets
    std::string kind;                    // last part of the problem's type URI
    std::uint32_t retry_after_s = 2;     // of status 0
};

class BrokerClient {
public:
    BrokerClient(std::string vendor, std::shared_ptr<const SigningKey> key, BrokerKeys& keys, World world);

    // POST {api}/{call} with {"request": netpay-request of these members}.
    Reply call(std::string_view call, const json::Object& members);

    BrokerKeys& keys() { return keys_; }
    const std::string& issuer() const { return keys_.issuer(); }

private:
    bool open(Reply& out);
    void failed(const Reply& why);
    void answered();
    Reply read(HttpAnswer answer, std::string_view call) const;

    const std::string vendor_;
    const std::shared_ptr<const SigningKey> key_;
    BrokerKeys& keys_;
    const World world_;
    std::mutex mutex_;             // the breaker, below
    UnixTime closed_until_ = 0;
    std::uint32_t failures_ = 0;
};

}  // namespace netpay::custody
