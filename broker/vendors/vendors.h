// Vendors (PROTOCOL.md sections 4 and 9): registered by somebody with an
// account, approved by the operator, known to the world by a certificate.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/accounts/accounts.h"
#include "broker/context.h"
#include "broker/store/outcome.h"
#include "broker/store/query.h"
#include "broker/store/store.h"
#include "core/key.h"

namespace netpay::broker::vendors {

struct Vendor {
    Int id = 0;
    std::string origin, handoff;
    std::string kid;     // of the key the certificate is over
    std::string status;  // "approved", "suspended"
};
std::optional<Vendor> find(Sql& sql, std::string_view origin);
std::optional<Vendor> find(Sql& sql, Int id);

struct Registration {
    std::string origin, handoff;
    PublicKey key;
};
// Registrations an account may have waiting: keeps the operator's list short.
inline constexpr Int waiting_registrations = 20;

// Gives "pending", or "approved" where exactly this is approved. Refuses with
// 422 origin, handoff; 409 too-many-registrations.
Outcome<std::string> enrol(Sql& sql, const Options& options, const accounts::Account& account,
                           const Registration& registration, UnixTime now);

// Approves what was registered for an origin, or reinstates a suspended
// vendor, and gives the certificate. Refuses with 404 if there is nothing to
// approve, and with 409 if several keys were registered and none is named:
// anybody may register any origin, the operator says whose it is.
Outcome<std::string> approve(Context& context, Sql& sql, const std::string& origin, const std::string& kid,
                             UnixTime now);
Outcome<Done> suspend(Sql& sql, const std::string& origin);

// The certificate, made anew if less than half of its life is left. An
// approved vendor's only: else 404.
Outcome<std::string> certificate(Context& context, Sql& sql, std::string_view origin, UnixTime now);
// As the above for a vendor that need not be approved any more: who holds a
// coin is named by its last certificate.
std::string last_certificate(Context& context, Sql& sql, const Vendor& vendor, UnixTime now);

// Certificates of all approved vendors.
std::vector<std::string> certificates(Sql& sql, UnixTime now);
// Renews those of which less than half of the life is left.
Outcome<Done> renew_certificates(Context& context, Sql& sql, UnixTime now);

// The keys a vendor signs with: each for as long as a certificate over it lasts.
KeySet keys_of(Sql& sql, Int vendor, UnixTime now);

}  // namespace netpay::broker::vendors
