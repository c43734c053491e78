#include "tlsrpt/result.h"

#include <catch2/catch.hpp>
#include <set>

using tlsrpt::Policy;
using tlsrpt::PolicyType;
using tlsrpt::ResultType;

TEST_CASE("RFC 8460 §4.3: result types are spelled as registered") {
  using enum ResultType;
  const std::pair<ResultType, std::string_view> words[] = {
      {starttls_not_supported, "starttls-not-supported"},
      {certificate_host_mismatch, "certificate-host-mismatch"},
      {certificate_not_trusted, "certificate-not-trusted"},
      {certificate_expired, "certificate-expired"},
      {validation_failure, "validation-failure"},
      {sts_policy_fetch_error, "sts-policy-fetch-error"},
      {sts_policy_invalid, "sts-policy-invalid"},
      {sts_webpki_invalid, "sts-webpki-invalid"},
      {tlsa_invalid, "tlsa-invalid"},
      {dnssec_invalid, "dnssec-invalid"},
      {dane_required, "dane-required"}};
  for (const auto& [type, word] : words) {
    CHECK(to_string(type) == word);
    CHECK(tlsrpt::result_type(word) == type);
  }
  CHECK_FALSE(tlsrpt::result_type("Validation-Failure"));
  CHECK_FALSE(tlsrpt::result_type(""));
}

TEST_CASE("RFC 8460 §4.4: policy types are spelled as in the report") {
  CHECK(to_string(PolicyType::tlsa) == "tlsa");
  CHECK(to_string(PolicyType::sts) == "sts");
  CHECK(to_string(PolicyType::no_policy_found) == "no-policy-found");
}

TEST_CASE("a policy's digest depends on type, domain and strings, and on where each ends") {
  Policy policy{PolicyType::sts, "example.com", {"version: STSv1", "mode: enforce"}, {}};
  const std::string digest = policy_digest(policy);
  CHECK(digest.size() == 64);
  CHECK(digest.find_first_not_of("0123456789abcdef") == std::string::npos);
  CHECK(policy_digest(policy) == digest);

  std::set<std::string> seen{digest};
  auto other = policy;
  other.type = PolicyType::tlsa;
  CHECK(seen.insert(policy_digest(other)).second);
  other = policy;
  other.domain = "example.org";
  CHECK(seen.insert(policy_digest(other)).second);
  other = policy;
  other.strings = {"version: STSv1mode: enforce"};
  CHECK(seen.insert(policy_digest(other)).second);
  other.strings = {"version: STSv1", "mode: enforce", ""};
  CHECK(seen.insert(policy_digest(other)).second);
  other.strings = {"mode: enforce", "version: STSv1"};
  CHECK(seen.insert(policy_digest(other)).second);
}
