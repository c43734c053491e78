// Records of the enforcement log as `audit query` prints them: a table of what matters most, the
// lines as they are, or CSV with all keys. Neither a terminal nor a spreadsheet obeys what stands
// in a record. Called by cli/audit_query.
#pragma once

#include <iosfwd>
#include <memory>
#include <string_view>

#include "audit/members.h"

namespace cli {

enum class RecordForm { table, json, csv };

class RecordPrinter {
 public:
  virtual ~RecordPrinter() = default;
  // `members`: of `line`.
  virtual void print(std::string_view line, const audit::Members& members) = 0;
  virtual void finish() {}
};

std::unique_ptr<RecordPrinter> record_printer(RecordForm form, std::ostream& out);

}  // namespace cli
