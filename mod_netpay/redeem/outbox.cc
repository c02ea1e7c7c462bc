#include "mod_netpay/redeem/outbox.h"

#include <set>

#include "core/hash.h"
#include "core/json.h"

namespace netpay::redeem {
namespace {

constexpr std::string_view body_end = ".ndjson", sidecar_end = ".json";
constexpr std::size_t sidecar_bytes = 65536;
// A claim line is some 170 bytes.
constexpr std::size_t body_bytes = std::size_t{most_claims} * 512;

std::string stem(const std::string& file, std::string_view end) {
    return file.ends_with(end) ? file.substr(0, file.size() - end.size()) : std::string{};
}

}  // namespace

Outbox::Outbox(std::string directory, world::Disk& disk)
    : out_(directory + "/outbox"), receipts_(directory + "/receipts"), disk_(&disk) {}

Result<Outbox> Outbox::open(const std::string& till_directory, world::Disk& disk) {
    Outbox o(till_directory, disk);
    for (const auto& d : {o.out_, o.receipts_})
        if (const auto made = disk.make_directory(d); !made) return made.error();
    const auto names = disk.list(o.out_);
    if (!names) return names.error();
    std::set<std::string> whole;
    for (const auto& n : *names)
        if (!stem(n, sidecar_end).empty()) whole.insert(stem(n, sidecar_end));
    for (const auto& n : *names) {
        const bool half = n.ends_with(".tmp") || (n.ends_with(body_end) && !whole.contains(stem(n, body_end)));
        if (half)
            if (const auto gone = disk.remove(o.out_ + "/" + n); !gone) return gone.error();
    }
    return o;
}

std::string Outbox::body_path(const Batch& b) const { return out_ + "/" + b.name + std::string(body_end); }

Result<Batch> Outbox::write(Batch b, const std::vector<Claim>& claims) {
    std::string body;
    for (const auto& c : claims) {
        body += format_claim(c) += '\n';
        ++b.claims;
        b.units += c.to - c.from;
    }
    b.digest = content_digest(sha256(body));
    if (const auto r = disk_->replace(body_path(b), body); !r) return r.error();
    const auto sidecar = json::Object()
                             .set("batch", b.name)
                             .set("broker", b.broker)
                             .set("claims", b.claims)
                             .set("digest", b.digest)
                             .set("units", b.units)
                             .set("vendor", b.vendor);
    if (const auto r = disk_->replace(sidecar_path(b.name), sidecar.jcs()); !r) return r.error();
    return b;
}

Result<std::vector<std::string>> Outbox::pending() {
    const auto names = disk_->list(out_);
    if (!names) return names.error();
    std::vector<std::string> out;
    for (const auto& n : *names)
        if (auto s = stem(n, sidecar_end); !s.empty()) out.push_back(std::move(s));
    return out;
}

Result<Batch> Outbox::load(const std::string& name) {
    const auto path = sidecar_path(name);
    const auto text = disk_->read(path, sidecar_bytes);
    if (!text) return text.error();
    const auto doc = json::Document::parse(*text);
    if (!doc) return {doc.error().code, path + ": " + doc.error().detail};
    const auto& v = doc->root();
    const auto batch = v.string("batch"), broker = v.string("broker"), vendor = v.string("vendor"),
               digest = v.string("digest");
    const auto claims = v.uint("claims"), units = v.uint("units");
    if (batch != name || !broker || !vendor || !digest || !claims || !units)
        return {Code::malformed, path + ": not what netpay-redeem writes there"};
    Batch b{name, std::string(*vendor), std::string(*broker), std::string(*digest), *claims, *units};
    const auto body = disk_->read(body_path(b), body_bytes);
    if (!body) return body.error();
    if (content_digest(sha256(*body)) != b.digest)
        return {Code::mismatch, body_path(b) + ": damaged, its digest is not the one in " + path};
    return b;
}

Result<std::vector<Claim>> Outbox::claims(const Batch& b) {
    const auto body = disk_->read(body_path(b), body_bytes);
    if (!body) return body.error();
    std::vector<Claim> out;
    std::string_view rest = *body;
    while (!rest.empty()) {
        const auto end = rest.find('\n');
        auto c = parse_claim(rest.substr(0, end));
        if (!c) return {c.error().code, body_path(b) + ": " + c.error().detail};
        out.push_back(std::move(*c));
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }
    return out;
}

// The receipt is on the disk before the sidecar goes. A death in between
// leaves both: the batch is sent once more and has the same answer.
Result<bool> Outbox::done(const Batch& b, std::string_view answer) {
    if (const auto r = disk_->replace(receipts_ + "/" + b.name + std::string(sidecar_end), answer); !r) return r;
    if (const auto r = disk_->remove(sidecar_path(b.name)); !r) return r;
    return disk_->remove(body_path(b));
}

}  // namespace netpay::redeem
