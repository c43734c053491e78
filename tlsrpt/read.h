// Reports that others sent about the operator's own domain (RFC 8460 §4.4, §5): from the octets of
// a file to values. Takes JSON, gzip, a whole mail message or an mbox of them, by content and not
// by label, in the shapes that reporters really send; whatever was odd is told as a note. Bounded
// everywhere, since anybody may send such a file. Pure: files and folders are cli/report_read's,
// the sum over many reports is sum.h's. Signatures (DKIM) are the mail server's to judge.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace tlsrpt {

// What a report says is text here, so that words no registry knows stay as they came. Every text
// is UTF-8, may be empty, and is hostile until a printer has escaped it.
struct ReadDetail {
  std::string result_type;
  std::string sending_mta_ip;  // RFC 5952 where it is an address
  std::string receiving_mx_hostname;
  std::string receiving_mx_helo;
  std::string receiving_ip;
  std::string additional_information;
  std::string failure_reason_code;
  std::uint64_t count = 0;
  bool operator==(const ReadDetail&) const = default;
};

struct ReadPolicy {
  std::string type;
  std::string domain;
  std::vector<std::string> strings;
  std::vector<std::string> mx_hosts;
  std::uint64_t successes = 0;
  std::uint64_t failures = 0;
  std::vector<ReadDetail> details;
  bool operator==(const ReadPolicy&) const = default;
};

struct ReadReport {
  std::string organization;  // without one: the domain of contact-info
  std::string contact;
  std::string id;
  std::optional<base::WallTime> begin;
  std::optional<base::WallTime> end;
  std::vector<ReadPolicy> policies;
  std::vector<std::string> notes;  // what was odd, each once
};

struct ReadLimits {
  std::size_t file = std::size_t{64} << 20;       // octets of a file, and of what a gzip holds
  std::size_t expanded = std::size_t{512} << 20;  // octets out of all gzips of one file
  std::size_t messages = 200000;                  // of an mbox
  std::size_t parts = 1000;                       // of one message
  std::size_t mime_depth = 8;
  std::size_t json_depth = 32;
  std::size_t json_tokens = 2500000;  // members, elements and openings of one JSON text
  std::size_t reports = 100000;       // of one file
  std::size_t policies = 10000;       // of one report
  std::size_t details = 100000;       // of one report
  std::size_t rows = 500000;          // policies and details of one file
  std::size_t strings = 1000;         // of one policy-string or mx-host
  std::size_t problems = 1000;        // told of one file; further ones are not
  std::size_t text = 2048;            // octets of one text; what is longer is cut and noted
};

struct ReadResult {
  std::vector<ReadReport> reports;
  // What wanted to be a report and could not be read, with its place in the file and why.
  std::vector<std::string> problems;
  std::size_t without_report = 0;  // messages in which nothing wanted to be one
};

// Never fails as a whole: each report, message and part stands for itself.
ReadResult read_reports(std::string_view octets, const ReadLimits& limits = {});

}  // namespace tlsrpt
