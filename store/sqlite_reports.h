// SqliteReports: store/reports.h in the same SQLite file as SqliteStore, through one connection of
// its own. The file and its schema are SqliteStore's: open that one first. For one thread.
#pragma once

#include <memory>
#include <string>

#include "store/reports.h"

namespace store {

base::Result<std::unique_ptr<Reports>, base::Error> open_sqlite_reports(
    const std::string& file, std::chrono::milliseconds busy_timeout);

}  // namespace store
