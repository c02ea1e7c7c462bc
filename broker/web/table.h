// Tables of the site's pages, and what stands in their cells.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "broker/store/query.h"
#include "core/bytes.h"

namespace netpay::broker::web {

struct Column {
    std::string_view heading;
    bool number = false;
};
// A section with a heading and a table. Of more than two columns each row is a
// block on a narrow screen; what is too wide all the same scrolls by itself.
// Cells are text or one element, HTML. Without rows: `none`, a sentence, in its place.
std::string table(std::string_view id, std::string_view heading, const std::vector<Column>& columns,
                  const std::vector<std::vector<std::string>>& rows, std::string_view none);

// A name that machines gave, its first characters if it is long; the whole is its title. HTML.
std::string short_name(std::string_view name);

// As money() of site.h, with a minus sign below zero. micro: micro-units of cur.
std::string money(Int micro, std::string_view cur);
// A moment that is not broken across lines. HTML.
std::string moment(UnixTime t);
// "2026-11-22", and "2026-11-22 12:05" (UTC).
std::string day(UnixTime t);
std::string minute(UnixTime t);

}  // namespace netpay::broker::web
