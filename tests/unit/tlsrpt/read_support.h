// What the tests of reading reports share: fixtures, and one report's JSON out of its parts.
#pragma once

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/source_folder.h"
#include "tlsrpt/read.h"

inline std::string fixture(const std::string& name) {
  const std::string path = tests_folder() + "/fixtures/tlsrpt/" + name;
  std::ifstream in(path, std::ios::binary);
  INFO(path);
  REQUIRE(in);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// A report with these policies, and nothing odd about the rest of it.
inline std::string report_json(const std::string& policies, const std::string& id = "1") {
  return R"({"organization-name":"Org","contact-info":"a@org.example","report-id":")" + id +
         R"(","date-range":{"start-datetime":"2026-11-18T00:00:00Z",)"
         R"("end-datetime":"2026-11-18T23:59:59Z"},"policies":)" +
         policies + "}";
}

inline std::string policy_json(const std::string& rest = "") {
  return R"({"policy":{"policy-type":"sts","policy-domain":"example.com"},)"
         R"("summary":{"total-successful-session-count":2,"total-failure-session-count":1})" +
         rest + "}";
}

// The one report that the file holds, without any problem.
inline tlsrpt::ReadReport the_report(const std::string& octets) {
  const tlsrpt::ReadResult read = tlsrpt::read_reports(octets);
  for (const std::string& why : read.problems) UNSCOPED_INFO(why);
  REQUIRE(read.problems.empty());
  REQUIRE(read.reports.size() == 1);
  return read.reports[0];
}
