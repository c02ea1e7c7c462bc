// The signed request (PROTOCOL.md section 4, `netpay-request+jwt`): how a
// vendor or broker authenticates a call.
#pragma once

#include <string>
#include <string_view>

#include "core/json.h"
#include "core/key.h"
#include "core/result.h"

namespace netpay {

struct RequestHead {
    std::string iss;   // caller
    std::string aud;   // origin or issuer called
    std::string call;  // "custody/acquire", "custody/renew", "custody/transfer", "handoff", "vendors", "return"
    UnixTime iat = 0;
    std::string jti;   // 1 … 64 characters, unique; the receiver keeps it 120 s
};

struct Request {
    RequestHead head;
    json::Document payload;  // with the call's own members
};

// members: the call's own; the head's names in it are overwritten.
std::string sign_request(const RequestHead& head, json::Object members, const SigningKey& caller);

// Checks signature, aud, call, |iat - now| ≤ 60 s, and that jti is there.
// That the jti is new, and that caller_keys are those of iss, is the
// caller's to see to.
Result<Request> verify_request(std::string_view token, std::string_view aud, std::string_view call,
                               const KeySet& caller_keys, UnixTime now);

}  // namespace netpay
