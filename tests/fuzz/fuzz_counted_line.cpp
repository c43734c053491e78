// The enforcement log as report/counter reads it: any line at all is read within its bounds, and
// whatever texts peers send, a line of ours gives back its number, its domain, its digests and its
// result types.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "audit/counted.h"
#include "audit/follow.h"

namespace {

void must(bool holds) {
  if (!holds) std::abort();
}

void read_any(std::string_view line) {
  (void)audit::line_number(line);
  const auto session = audit::counted_session(line);
  if (!session) return;
  must(!session->domain.empty() && !session->results.empty());
  for (const audit::PolicyResult& one : session->results) {
    must(audit::reasons_of(one).size() == one.result_types.size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view whole(reinterpret_cast<const char*>(data), size);
  read_any(whole);

  const std::string text(whole.substr(0, 700));  // more of it is cut and costs time
  tlsrpt::SessionResult result;
  result.policy = {tlsrpt::PolicyType::sts, "recv.example", {text}, {}};
  result.failures = {{tlsrpt::ResultType::certificate_host_mismatch, text},
                     {tlsrpt::ResultType::validation_failure, text.substr(0, text.size() / 2)}};
  const audit::PolicyResult entry = audit::policy_result(result);
  audit::Record record;
  record.event = audit::Event::session;
  record.counted = true;
  record.domain = *base::Domain::parse("recv.example");
  record.results = {entry, entry};
  record.mx = "mx.recv.example";
  record.id = record.queue_id = record.helo = record.reply = record.reason = text;
  const std::string line = audit::to_json_line(record, 4711, "", base::WallTime());
  must(audit::line_number(line) == 4711);
  const auto read = audit::counted_session(line);
  must(read.has_value());
  must(read->domain == "recv.example" && read->mx == "mx.recv.example");
  must(read->results.size() == 2);
  for (const audit::PolicyResult& one : read->results) {
    must(one.policy_digest == entry.policy_digest && one.result_types == entry.result_types);
  }
  read_any(line.substr(0, line.size() * (1 + size % 7) / 8));
  return 0;
}
