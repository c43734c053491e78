// Counts: the running counts of TLS-RPT in the store's file. A batch is appended to a journal in
// one piece, in one transaction with the number of its last line: on disk at once, yet without
// touching the rows of a few thousand domains each second. The journal is added to those rows from
// time to time, and before anything reads them. store/reports.h says what the calls mean. Called
// by store/sqlite_reports alone.
#pragma once

#include <string_view>

#include "store/connection.h"
#include "store/reports.h"

namespace store {

struct PolicyView;
struct FailureView;

class Counts {
 public:
  explicit Counts(Connection& connection) : connection_(connection) {}

  base::Result<Progress, base::Error> progress();
  Outcome count_from(std::optional<std::uint64_t> counted);
  Outcome begin_counting(std::uint64_t counted, Day closed);
  Outcome add(const CountBatch& batch);
  Outcome close_through(Day day);
  base::Result<std::optional<Day>, base::Error> oldest_counted(Day last);
  base::Result<std::vector<DomainCounts>, base::Error> counts(Day day, const std::string& after,
                                                              std::size_t most);
  base::Result<std::optional<DomainCounts>, base::Error> counts_of(Day day,
                                                                   const std::string& domain);
  // Afterwards the tables hold all that was counted of days up to `day`.
  Outcome settle(Day day);
  // Within the caller's transaction; settle() comes first.
  Outcome erase(Day day, const std::string& domain);

 private:
  // How many rows the domain has that came last. They come domain by domain, and counting them anew
  // for each of an attacker's rows would hold the write lock for seconds.
  struct Seen {
    std::int64_t day = -1;
    std::string_view domain;
    std::int64_t rows = 0;
  };

  // Folds the journal where it would grow beyond its bounds with so many rows more.
  Outcome make_room(std::int64_t rows);
  // What the journal holds goes into the tables, and is gone from it.
  Outcome fold();
  Outcome append(const CountBatch& batch);
  Outcome add_policy(const PolicyView& row, Seen& seen);
  Outcome add_failure(const FailureView& row, Seen& seen);
  base::Result<bool, base::Error> add_to_policy(const PolicyView& row, std::string_view digest);
  base::Result<bool, base::Error> add_to_failure(const FailureView& row);
  Outcome look(const char* sql, std::int64_t day, std::string_view domain, Seen& seen);
  Outcome read_counts(Day day, DomainCounts& into);

  Connection& connection_;
};

}  // namespace store
