#include "policy/plan_words.h"

#include <algorithm>

#include "base/overloaded.h"

namespace policy::words {

smtp::Reply not_reachable(int code, smtp::EnhancedCode enhanced, std::string_view text) {
  return smtp::make_reply(code, enhanced, text);
}
smtp::Reply no_answer(std::string_view text) {
  return smtp::make_reply(451, smtp::EnhancedCode{4, 4, 3}, text);
}
smtp::Reply no_route(std::string_view text) {
  return smtp::make_reply(451, smtp::EnhancedCode{4, 4, 4}, text);
}
smtp::Reply no_starttls(std::string_view text) {
  return smtp::make_reply(451, smtp::EnhancedCode{4, 7, 4}, text);
}
smtp::Reply not_verified(std::string_view text) {
  return smtp::make_reply(451, smtp::EnhancedCode{4, 7, 5}, text);
}

std::string sts(std::string_view domain, std::string_view id, StsMode mode) {
  std::string text = "the MTA-STS policy of ";
  text.append(domain).append(" (id ").append(id).append(", ").append(to_string(mode)).append(")");
  return text;
}

std::string tlsa(std::string_view base) {
  return "the TLSA records (DANE) of " + std::string(base);
}

std::string list(const std::vector<std::string>& items, std::size_t most) {
  std::string text;
  for (std::size_t i = 0; i < items.size() && i < most; ++i) {
    if (i > 0) text += ", ";
    text += items[i];
  }
  if (items.size() > most) text += " and " + std::to_string(items.size() - most) + " more";
  return text;
}

std::string count(std::size_t n, std::string_view noun) {
  return std::to_string(n) + " " + std::string(noun) + (n == 1 ? "" : "s");
}

std::string span(std::chrono::seconds time) {
  const auto n = static_cast<std::size_t>(std::max<std::int64_t>(time.count(), 0));
  if (n > 0 && n % 86400 == 0) return count(n / 86400, "day");
  if (n > 0 && n % 3600 == 0) return count(n / 3600, "hour");
  return count(n, "second");
}

namespace {

std::string dane_words(const Dane& dane) {
  std::string text = "DANE: " + count(dane.records.size(), "usable TLSA record");
  if (!dane.reference_ids.empty()) text += " at " + dane.reference_ids.front().str();
  return text;
}

std::string pkix_words(const Pkix& pkix) {
  std::string text = "PKIX: a trusted certificate for " + pkix.name.str();
  if (pkix.vouching && *pkix.vouching != pkix.name) text += " and " + pkix.vouching->str();
  if (pkix.ca_file) text += " from a CA of " + *pkix.ca_file;
  return text;
}

}  // namespace

std::string requirement(const TlsRequirement& requirement) {
  return std::visit(
      base::overloaded{
          [](const Opportunistic&) { return std::string("opportunistic: TLS if it can be had"); },
          [](const Encrypted&) { return std::string("encrypted: TLS, unauthenticated"); },
          [](const Dane& dane) { return dane_words(dane); },
          [](const Pkix& pkix) { return pkix_words(pkix); },
          [](const DaneAndPkix& both) {
            return dane_words(both.dane) + "; and " + pkix_words(both.pkix);
          },
          [](const Pinned& pinned) {
            std::string text = "pinned: one of " + count(pinned.spki_sha256.size(), "public key");
            if (pinned.dane) text += "; and " + dane_words(*pinned.dane);
            if (pinned.pkix) text += "; and " + pkix_words(*pinned.pkix);
            return text;
          },
      },
      requirement);
}

}  // namespace policy::words
