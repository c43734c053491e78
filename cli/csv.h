// CSV that a spreadsheet may open without obeying what a stranger wrote (RFC 4180): lines end in
// CRLF; a cell with a comma, a quotation mark or a line end is quoted; one that a spreadsheet would
// take for a formula gets an apostrophe in front. Pure. Called by cli/audit_query.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cli {

std::string csv_cell(std::string_view text);
std::string csv_line(const std::vector<std::string>& cells);  // with its CRLF

}  // namespace cli
