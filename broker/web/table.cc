#include "broker/web/table.h"

#include "broker/web/site.h"
#include "core/html.h"
#include "core/timestamp.h"

namespace netpay::broker::web {

std::string table(std::string_view id, std::string_view heading, const std::vector<Column>& columns,
                  const std::vector<std::vector<std::string>>& rows, std::string_view none) {
    const std::string name(id);
    std::string out = "<section><h2 id=\"" + name + "\">" + html::escape(heading) + "</h2>\n";
    if (rows.empty()) return out.append("<p>").append(none).append("</p></section>\n");
    out += "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"" + name + "\"><table><thead><tr>";
    const auto number = [&](std::size_t i) { return columns[i].number ? " class=\"number\"" : ""; };
    for (std::size_t i = 0; i < columns.size(); ++i)
        out.append("<th scope=\"col\"").append(number(i)).append(">").append(columns[i].heading).append("</th>");
    out += "</tr></thead><tbody>\n";
    for (const auto& row : rows) {
        out += "<tr>";
        for (std::size_t i = 0; i < row.size(); ++i) out.append("<td").append(number(i)).append(">").append(row[i]).append("</td>");
        out += "</tr>\n";
    }
    return out + "</tbody></table></div></section>\n";
}

std::string money(Int micro, std::string_view cur) {
    const auto currency = Currency::parse(cur);
    const auto amount = Amount::from(static_cast<std::uint64_t>(micro < 0 ? -micro : micro));
    if (!currency || !amount) return {};
    return (micro < 0 ? "-" : "") + money(*amount, *currency);
}

std::string day(UnixTime t) { return format_rfc3339(t).substr(0, 10); }
std::string minute(UnixTime t) { return day(t) + " " + format_rfc3339(t).substr(11, 5); }

}  // namespace netpay::broker::web
