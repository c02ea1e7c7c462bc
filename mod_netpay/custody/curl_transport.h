// libcurl, set up once for all calls out of the module and of netpay-redeem.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "mod_netpay/custody/custody.h"

namespace netpay::custody {

class CurlTransport : public FileTransport {
public:
    struct Limits {
        std::uint32_t connect_timeout_ms, call_timeout_ms;
        std::size_t answer_bytes;
    };
    // ca_file: certificate authorities; empty: the system's. ca_of: others, by origin.
    CurlTransport(Limits limits, std::string ca_file, std::map<std::string, std::string> ca_of = {});
    ~CurlTransport() override;

    HttpAnswer get(const std::string& url) override;
    HttpAnswer post(const std::string& url, const std::string& json) override;
    HttpAnswer post_file(const std::string& url, const std::string& path,
                         const std::vector<std::string>& fields) override;

private:
    struct Pool;
    void prepare(void* handle, const std::string& url) const;
    const Limits limits_;
    const std::string ca_file_;
    const std::map<std::string, std::string> ca_of_;
    std::unique_ptr<Pool> pool_;  // idle handles keep their connections for the next call
};

}  // namespace netpay::custody
