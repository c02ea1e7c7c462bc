// libcurl, set up once for all calls of servers to servers: no redirects,
// bounded time and size, TLS verified.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "world/form_transport.h"
#include "world/world.h"

namespace netpay::world {

class CurlTransport : public FileTransport, public FormTransport {
public:
    // Which addresses a host's name may stand for. A URL that came from
    // another party must not reach into this server's own network.
    enum class Reach {
        anywhere,             // for URLs that the operator wrote
        public_or_loopback,   // and loopback, where this server's own origin is a loopback one
        public_only,          // globally routed unicast addresses
    };
    struct Limits {
        std::uint32_t connect_timeout_ms, call_timeout_ms;
        std::size_t answer_bytes;
        Reach reach = Reach::anywhere;
    };
    // ca_file: certificate authorities; empty: the system's. ca_of: others, by origin.
    CurlTransport(Limits limits, std::string ca_file, std::map<std::string, std::string> ca_of = {});
    ~CurlTransport() override;

    HttpAnswer get(const std::string& url) override;
    HttpAnswer post(const std::string& url, const std::string& json) override;
    HttpAnswer post_file(const std::string& url, const std::string& path,
                         const std::vector<std::string>& fields) override;
    HttpAnswer post_form(const std::string& url, const std::string& body,
                         const std::vector<std::string>& fields) override;

private:
    struct Pool;
    HttpAnswer post_text(const std::string& url, const std::string& body, std::vector<std::string> fields);
    void prepare(void* handle, const std::string& url) const;
    const Limits limits_;
    const std::string ca_file_;
    const std::map<std::string, std::string> ca_of_;
    std::unique_ptr<Pool> pool_;  // idle handles keep their connections for the next call
};

}  // namespace netpay::world
