// Where secrets come from: a file only its owner can read, a program, or the
// configuration itself.
#pragma once

#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/result.h"

namespace netpay {

struct SecretSource {
    enum class Kind { none, file, program, text };
    Kind kind = Kind::none;
    std::string value;   // path; command line; empty for text
    Secret text;

    // "file:/path", "exec:/program arguments", a bare "/path" where
    // `bare_path`, or the secret itself where `bare_text`.
    static Result<SecretSource> parse(std::string_view argument, bool bare_path, bool bare_text);
    SecretSource clone() const;
};

// Whether the source could be read: a file that is there and not open to
// others, a program that is there and may be run. Runs nothing. Errors say
// what is wrong and what would be right.
Result<bool> check_secret(const SecretSource& source);

// The secret. A file's or program's single last line feed is dropped. A
// program is run without a shell, its arguments split at blanks, and has
// exec_timeout_s to end with status 0.
Result<Secret> read_secret(const SecretSource& source);

inline constexpr int exec_timeout_s = 10;            // long enough for a key service, short enough for a start
inline constexpr std::size_t secret_bytes = 65536;   // a PEM key is 120 bytes

// Whether others than owner and group may read a file.
bool world_readable(const std::string& path);

}  // namespace netpay
