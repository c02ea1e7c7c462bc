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
    std::string suspended_for;  // "": it is not; "operator", "fraud"
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

// Remembers the jti of a registration that was signed by `kid`, for 120 s
// (section 4). Refuses with 403 request-replayed.
Outcome<Done> register_once(Sql& sql, std::string_view kid, std::string_view jti, UnixTime now);

// Approves what was registered for an origin, or reinstates a suspended
// vendor, and gives the certificate. A new key becomes the vendor's; the
// certificates over the old one stay listed, and the old key signs, until
// they end. Refuses with 404 if there is nothing to approve; with 409
// several-keys if several keys were registered and none is named (anybody may
// register any origin, the operator says whose it is); with 409 proven-fraud
// if the vendor is to be reinstated after a proof of fraud and no key is named.
Outcome<std::string> approve(Context& context, Sql& sql, const std::string& origin, const std::string& kid,
                             UnixTime now);

// Takes back every key of a vendor but its current one, which is to be done
// when one leaked: certificates over them are listed no more, and they sign no
// call from now on. Gives how many certificates that were.
Outcome<Int> revoke_old_keys(Sql& sql, const std::string& origin, UnixTime now);

// Proofs of fraud against a vendor that nothing has cleared.
Int open_frauds(Sql& sql, Int vendor);

// By the operator: off the list, no new certificate, no new custody. What it
// holds it may redeem and hand over.
Outcome<Done> suspend(Sql& sql, const std::string& origin);
// For a proof of fraud. A vendor that the operator has suspended stays
// suspended by the operator. True: it was approved until now.
bool suspend_for_fraud(Sql& sql, Int vendor);
// Takes that back once every proof against the vendor is cleared.
bool lift_fraud_suspension(Sql& sql, Int vendor);

// The certificate, made anew if less than half of its life is left. An
// approved vendor's only: else 404.
Outcome<std::string> certificate(Context& context, Sql& sql, std::string_view origin, UnixTime now);
// As the above for a vendor that need not be approved any more: who holds a
// coin is named by its last certificate.
std::string last_certificate(Context& context, Sql& sql, const Vendor& vendor, UnixTime now);

// What GET /vendors lists: every certificate of approved vendors that has not
// ended, by origin, a vendor's newest first. Its rows, so that a reader can
// tell whether the list has changed before it reads 1 KB for each.
std::vector<Int> listed(Sql& sql, UnixTime now);
std::vector<std::string> certificates(Sql& sql, UnixTime now);  // in the order of listed()
// Renews those of which less than half of the life is left.
Outcome<Done> renew_certificates(Context& context, Sql& sql, UnixTime now);

// The keys a vendor signs with: each for as long as a certificate over it lasts.
KeySet keys_of(Sql& sql, Int vendor, UnixTime now);
// The keys that were certified for a vendor at that time, by which what it
// signed then is judged (section 4). 60 s of skew before a certificate's iat,
// and after its revocation: what was signed until then binds, nothing since.
KeySet keys_at(Sql& sql, Int vendor, UnixTime iat);

}  // namespace netpay::broker::vendors
