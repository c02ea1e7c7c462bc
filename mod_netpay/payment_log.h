// The payment log: opened in the parent, written by every child in one
// write() a line.
#pragma once

#include <string>

#include "mod_netpay/httpd_api.h"

namespace netpay::glue {

struct PayLog {
    apr_file_t* file = nullptr;
};

// Opens a file for appending, or starts a program ("|program"). Null, and a
// line in the error log, if it cannot.
PayLog* open_payment_log(apr_pool_t* pool, server_rec* s, const std::string& target);

// A whole line, without its line feed.
void write_payment_log(PayLog& log, std::string line);

}  // namespace netpay::glue
