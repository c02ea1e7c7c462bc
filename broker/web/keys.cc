#include "broker/web/keys.h"

#include <sys/stat.h>

#include <array>

#include "broker/files.h"
#include "core/base64url.h"
#include "core/hash.h"

namespace netpay::broker::web {
namespace {

constexpr const char* file_name = "web.key";
constexpr std::size_t file_bytes = 256;  // 43 characters and room for blanks

Secret derived(const Secret& key, std::string_view purpose) {
    const auto mac = Hmac(key).mac(purpose);
    return Secret(as_view(mac));
}

std::vector<Secret> one(Secret key) {
    std::vector<Secret> keys;
    keys.push_back(std::move(key));
    return keys;
}

Result<Secret> make(const std::string& dir, Random& random) {
    const Secret text(std::string_view(b64u_encode(random.bytes<32>())));
    const auto written = write_private_file(dir, file_name, std::string(text.expose()) + "\n");
    if (!written) return written.error();
    return text.clone();
}

std::string_view line_of(const Secret& file) {
    auto text = file.expose();
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.remove_suffix(1);
    return text;
}

}  // namespace

WebKeys::WebKeys(const Secret& key) : sealer_(one(derived(key, "netpay/site/1"))), pepper_(derived(key, "netpay/pepper/1")) {}

Result<std::unique_ptr<WebKeys>> WebKeys::open(const std::string& dir, Random& random) {
    const auto lock = DirectoryLock::take(dir);
    if (!lock) return lock.error();
    const std::string path = dir + "/" + file_name;
    struct stat st{};
    const auto text = ::stat(path.c_str(), &st) == 0 ? read_private_file(path, file_bytes) : make(dir, random);
    if (!text) return text.error();
    const auto bytes = b64u_decode_array<32>(line_of(*text));
    if (!bytes) return {Code::malformed, path + " is not 32 bytes in base64url; put back the file that was there"};
    return std::unique_ptr<WebKeys>(new WebKeys(Secret(as_view(*bytes))));
}

}  // namespace netpay::broker::web
