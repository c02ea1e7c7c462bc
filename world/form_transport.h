// Calls whose body is a form, with the caller's own header lines.
#pragma once

#include <string>
#include <vector>

#include "world/world.h"

namespace netpay::world {

// As Transport: bounded, without redirects, safe from several threads.
struct FormTransport {
    virtual ~FormTransport() = default;
    // body: application/x-www-form-urlencoded. fields: whole header lines,
    // which may carry a credential and are not logged.
    virtual HttpAnswer post_form(const std::string& url, const std::string& body,
                                 const std::vector<std::string>& fields) = 0;
};

}  // namespace netpay::world
