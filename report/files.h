// ReportFiles: the reports as the operator keeps them, DIRECTORY/YYYY-MM-DD/DOMAIN.json.gz, one for
// each recipient domain and UTC day. A file appears whole or not at all. Blocking; for the report
// thread. Called by report/service and report/sender.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"
#include "store/reports.h"

namespace report {

class ReportFiles {
 public:
  explicit ReportFiles(std::filesystem::path directory) : directory_(std::move(directory)) {}

  // A domain too long for a file's name (over 247 octets) is cut there and told apart by a hash.
  std::filesystem::path path(store::Day day, std::string_view domain) const;
  struct WriteError {
    std::string text;
    bool one_file = false;  // it is about this file's name, and others can be written
  };
  // Not on disk before sync().
  base::Result<void, WriteError> write(store::Day day, std::string_view domain,
                                       std::string_view octets) const;
  // All that was written, at once: a day has many thousand files.
  base::Result<void, base::Error> sync() const;
  base::Result<std::string, base::Error> read(store::Day day, std::string_view domain) const;
  // Takes the folders of days before `day` away; whatever else lies there stays.
  void remove_before(store::Day day) const;

 private:
  std::filesystem::path directory_;
};

}  // namespace report
