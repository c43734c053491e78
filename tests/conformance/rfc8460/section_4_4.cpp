// RFC 8460 §4.4, §4.5: the report's JSON, member by member.
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "tlsrpt/report.h"

using namespace std::chrono_literals;
using tlsrpt::FailureRow;
using tlsrpt::PolicyRows;
using tlsrpt::PolicyType;
using tlsrpt::Report;
using tlsrpt::ResultType;

namespace {

Report report(std::vector<PolicyRows> policies) {
  Report out;
  out.submitter = {"Sender Example Ltd", "reports@sender.example", "sender.example"};
  out.domain = "recv.example";
  out.day = std::chrono::sys_days{2026y / 11 / 21};
  out.id = "20261121.recv.example.7f3a@sender.example";
  out.policies = std::move(policies);
  return out;
}

nlohmann::json read(std::vector<PolicyRows> policies) {
  return nlohmann::json::parse(tlsrpt::to_json(report(std::move(policies))));
}

PolicyRows sts() {
  PolicyRows rows;
  rows.policy = {PolicyType::sts,
                 "recv.example",
                 {"version: STSv1", "mode: enforce", "mx: *.recv.example", "max_age: 86400"},
                 {"*.recv.example"}};
  rows.successes = 812;
  rows.failures = 4;
  FailureRow row;
  row.type = ResultType::certificate_host_mismatch;
  row.sending_mta_ip = "2001:db8:10::25";
  row.receiving_mx_hostname = "mx1.recv.example";
  row.receiving_mx_helo = "b1.recv.example";
  row.receiving_ip = "2001:db8:99::1";
  row.failure_reason_code = "names-differ";
  row.count = 4;
  rows.details = {row};
  return rows;
}

PolicyRows tlsa() {
  return {{PolicyType::tlsa, "mx1.recv.example", {"3 1 1 00ff", "3 1 1 01ff"}, {}}, 806, 0, {}};
}

const char* const whole = R"({
  "organization-name": "Sender Example Ltd",
  "date-range": {
    "start-datetime": "2026-11-21T00:00:00Z",
    "end-datetime": "2026-11-21T23:59:59Z"
  },
  "contact-info": "reports@sender.example",
  "report-id": "20261121.recv.example.7f3a@sender.example",
  "policies": [
    {
      "policy": {
        "policy-type": "sts",
        "policy-string": [
          "version: STSv1",
          "mode: enforce",
          "mx: *.recv.example",
          "max_age: 86400"
        ],
        "policy-domain": "recv.example",
        "mx-host": [
          "*.recv.example"
        ]
      },
      "summary": {
        "total-successful-session-count": 812,
        "total-failure-session-count": 4
      },
      "failure-details": [
        {
          "result-type": "certificate-host-mismatch",
          "sending-mta-ip": "2001:db8:10::25",
          "receiving-mx-hostname": "mx1.recv.example",
          "receiving-mx-helo": "b1.recv.example",
          "receiving-ip": "2001:db8:99::1",
          "failed-session-count": 4,
          "failure-reason-code": "names-differ"
        }
      ]
    },
    {
      "policy": {
        "policy-type": "tlsa",
        "policy-string": [
          "3 1 1 00ff",
          "3 1 1 01ff"
        ],
        "policy-domain": "mx1.recv.example"
      },
      "summary": {
        "total-successful-session-count": 806,
        "total-failure-session-count": 0
      }
    }
  ]
}
)";

}  // namespace

TEST_CASE("RFC 8460 §4.4: a report octet for octet, members in the order of the example") {
  CHECK(tlsrpt::to_json(report({sts(), tlsa()})) == whole);
}

TEST_CASE("RFC 8460 §4.4: policies and mx-host are arrays, also with one entry") {
  const auto json = read({sts()});
  CHECK(json["policies"].is_array());
  CHECK(json["policies"][0]["policy"]["mx-host"] == nlohmann::json::array({"*.recv.example"}));
}

TEST_CASE("RFC 8460 §4.4: mx-host belongs to sts alone") {
  PolicyRows rows = tlsa();
  rows.policy.mx_hosts = {"mx1.recv.example"};
  CHECK_FALSE(read({rows})["policies"][0]["policy"].contains("mx-host"));
}

TEST_CASE("RFC 8460 §4.5: without a policy there is no policy-string, yet a policy-domain") {
  const auto json = read({{{PolicyType::no_policy_found, "recv.example", {}, {}}, 3, 0, {}}});
  const auto policy = json["policies"][0]["policy"];
  CHECK(policy == nlohmann::json{{"policy-type", "no-policy-found"},
                                 {"policy-domain", "recv.example"}});
  CHECK_FALSE(json["policies"][0].contains("failure-details"));
}

TEST_CASE("RFC 8460 §4.3.2.2: a policy that could not be fetched has neither strings nor hosts") {
  PolicyRows rows;
  rows.policy = {PolicyType::sts, "recv.example", {}, {}};
  rows.failures = 2;
  FailureRow row;
  row.type = ResultType::sts_policy_fetch_error;
  row.failure_reason_code = "http-503";
  row.count = 2;
  rows.details = {row};
  const auto json = read({rows})["policies"][0];
  CHECK(json["policy"] ==
        nlohmann::json{{"policy-type", "sts"}, {"policy-domain", "recv.example"}});
  // No host was met: no address and no name is invented.
  CHECK(json["failure-details"] ==
        nlohmann::json::array({{{"result-type", "sts-policy-fetch-error"},
                                {"failed-session-count", 2},
                                {"failure-reason-code", "http-503"}}}));
}

TEST_CASE("RFC 8460 §4.4: details need not add up to the summary") {
  PolicyRows rows = sts();
  rows.details.push_back(rows.details[0]);
  rows.details[1].type = ResultType::certificate_expired;
  const auto json = read({rows})["policies"][0];
  CHECK(json["summary"]["total-failure-session-count"] == 4);
  CHECK(json["failure-details"].size() == 2);
}
