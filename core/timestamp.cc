#include "core/timestamp.h"

#include <chrono>

namespace netpay {

std::string format_rfc3339(UnixTime t) {
    using namespace std::chrono;
    const sys_seconds s{seconds{t}};
    const auto day = floor<days>(s);
    const year_month_day d{day};
    const hh_mm_ss<seconds> c{s - day};
    std::string out = "0000-00-00T00:00:00Z";
    auto put = [&out](std::size_t at, std::size_t digits, long v) {
        for (std::size_t i = at + digits; i > at; v /= 10) out[--i] = static_cast<char>('0' + v % 10);
    };
    put(0, 4, static_cast<int>(d.year()));
    put(5, 2, static_cast<long>(static_cast<unsigned>(d.month())));
    put(8, 2, static_cast<long>(static_cast<unsigned>(d.day())));
    put(11, 2, c.hours().count());
    put(14, 2, c.minutes().count());
    put(17, 2, c.seconds().count());
    return out;
}

std::optional<UnixTime> parse_rfc3339(std::string_view s) {
    constexpr std::string_view form = "0000-00-00T00:00:00Z";
    if (s.size() != form.size()) return std::nullopt;
    for (std::size_t i = 0; i < form.size(); ++i) {
        const bool digit = s[i] >= '0' && s[i] <= '9';
        if (form[i] == '0' ? !digit : s[i] != form[i]) return std::nullopt;
    }
    auto num = [&](std::size_t at, std::size_t n) {
        int v = 0;
        for (std::size_t i = at; i < at + n; ++i) v = v * 10 + (s[i] - '0');
        return v;
    };
    using namespace std::chrono;
    const year_month_day d{year{num(0, 4)}, month{static_cast<unsigned>(num(5, 2))},
                           day{static_cast<unsigned>(num(8, 2))}};
    const int h = num(11, 2), m = num(14, 2), sec = num(17, 2);
    if (!d.ok() || h > 23 || m > 59 || sec > 59) return std::nullopt;
    return (sys_days{d}.time_since_epoch() + hours{h} + minutes{m} + seconds{sec}) / seconds{1};
}

}  // namespace netpay
