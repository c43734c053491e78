#include "tlsrpt/result.h"

#include <openssl/evp.h>

#include <array>
#include <stdexcept>

#include "base/encode.h"

namespace tlsrpt {
namespace {

// Length before text, so that no two lists of texts run together to the same octets.
void append(std::string& out, std::string_view text) {
  out += std::to_string(text.size());
  out += ':';
  out += text;
  out += '\n';
}

}  // namespace

std::string_view to_string(PolicyType type) {
  switch (type) {
    case PolicyType::tlsa: return "tlsa";
    case PolicyType::sts: return "sts";
    case PolicyType::no_policy_found: break;
  }
  return "no-policy-found";
}

// RFC 8460 §4.3: the registry's words.
std::string_view to_string(ResultType type) {
  switch (type) {
    case ResultType::starttls_not_supported: return "starttls-not-supported";
    case ResultType::certificate_host_mismatch: return "certificate-host-mismatch";
    case ResultType::certificate_not_trusted: return "certificate-not-trusted";
    case ResultType::certificate_expired: return "certificate-expired";
    case ResultType::validation_failure: break;
    case ResultType::sts_policy_fetch_error: return "sts-policy-fetch-error";
    case ResultType::sts_policy_invalid: return "sts-policy-invalid";
    case ResultType::sts_webpki_invalid: return "sts-webpki-invalid";
    case ResultType::tlsa_invalid: return "tlsa-invalid";
    case ResultType::dnssec_invalid: return "dnssec-invalid";
    case ResultType::dane_required: return "dane-required";
  }
  return "validation-failure";
}

std::string sha256_hex(std::span<const std::string_view> texts) {
  std::string text;
  for (const std::string_view one : texts) append(text, one);
  std::array<std::uint8_t, 32> digest{};
  if (EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha256(), nullptr) != 1) {
    throw std::runtime_error("SHA-256 is not available");
  }
  return base::to_hex(digest);
}

std::optional<PolicyType> policy_type(std::string_view word) {
  for (const auto type : {PolicyType::tlsa, PolicyType::sts, PolicyType::no_policy_found}) {
    if (to_string(type) == word) return type;
  }
  return std::nullopt;
}

std::optional<ResultType> result_type(std::string_view word) {
  for (int i = 0; i <= static_cast<int>(ResultType::dane_required); ++i) {
    const auto type = static_cast<ResultType>(i);
    if (to_string(type) == word) return type;
  }
  return std::nullopt;
}

std::string policy_digest(const Policy& policy) {
  std::vector<std::string_view> texts{to_string(policy.type), policy.domain};
  texts.insert(texts.end(), policy.strings.begin(), policy.strings.end());
  return sha256_hex(texts);
}

}  // namespace tlsrpt
