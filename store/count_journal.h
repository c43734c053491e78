// CountJournal: how the counts of a batch lie in the store until they are added to the day's rows,
// and how those of many batches become one row for each domain and policy. A row per domain in the
// store changes a page of its own; a batch in one piece changes the few it fills. Pure. The octets
// never leave the store's file, and a schema fixes them. Called by store/sqlite_counts alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "store/reports.h"

namespace store {

// PolicyCount and FailureCount without copies: they live as long as the octets they came from.
struct PolicyView {
  std::int64_t day = 0;  // since 1970
  std::string_view domain;
  std::string_view digest;
  std::string_view policy_type;
  std::string_view policy_domain;
  std::int64_t fine = 0;
  std::int64_t noted = 0;
  std::int64_t failed = 0;
};
struct FailureView {
  std::int64_t day = 0;
  std::string_view domain;
  std::string_view digest;
  std::string_view result_type;
  std::string_view reason;
  std::string_view mx;
  std::string_view helo;
  std::string_view ip;
  std::string_view source_ip;
  std::int64_t count = 0;
};

std::string encoded(const std::vector<PolicyCount>& rows);
std::string encoded(const std::vector<FailureCount>& rows);

// Appends the rows; false: the octets are none that encoded() made.
bool decode(std::string_view octets, std::vector<PolicyView>& rows);
bool decode(std::string_view octets, std::vector<FailureView>& rows);

// Adds up the rows of one key, and orders them by day and domain as the tables are. Those of one
// domain stay in the order in which they came: the first ones are those told apart.
void merge(std::vector<PolicyView>& rows);
void merge(std::vector<FailureView>& rows);

}  // namespace store
