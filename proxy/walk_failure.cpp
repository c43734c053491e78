#include "proxy/walk_failure.h"

namespace proxy {

namespace {

using smtp::EnhancedCode;
using smtp::make_reply;
using Rank = WalkFailure::Rank;

constexpr EnhancedCode no_answer{4, 4, 1}, broke_off{4, 4, 2}, dns_failed{4, 4, 3},
    unroutable{4, 4, 4};

WalkFailure unknown(const std::string& text) {
  return {Rank::dns, make_reply(451, dns_failed, text), std::nullopt};
}

}  // namespace

void keep_most_telling(std::optional<WalkFailure>& kept, WalkFailure one) {
  if (kept && kept->rank >= one.rank) return;
  kept = std::move(one);
}

WalkFailure failure_of(const policy::Refused& refused) {
  return {Rank::policy, refused.reply, refused.result};
}

WalkFailure failure_of(const policy::Excluded& excluded) {
  const Rank rank = excluded.no_address ? Rank::no_address
                    : excluded.result   ? Rank::policy
                                        : Rank::dns;
  return {rank, excluded.reply, excluded.result};
}

WalkFailure failure_of(const MxFailure& failure, const std::string& place) {
  const std::string text = place + ": " + failure.text;
  switch (failure.kind) {
    case MxFailure::Kind::refused:
      return {Rank::refused, make_reply(451, no_answer, text), std::nullopt};
    case MxFailure::Kind::unreachable:
      return {Rank::reach, make_reply(451, no_answer, text), std::nullopt};
    case MxFailure::Kind::broken:
    case MxFailure::Kind::garbled:
    case MxFailure::Kind::tls: break;
  }
  return {Rank::reach, make_reply(451, broke_off, text), std::nullopt};
}

WalkFailure private_address(const std::string& place) {
  const std::string text = place + " is a private or reserved address, which "
                                   "outbound.private_destinations does not allow";
  return {Rank::refused, make_reply(451, unroutable, text), std::nullopt};
}

WalkFailure resolver_broken(const base::Domain& domain) {
  return unknown("the resolver of this relay does not validate DNSSEC, so that it cannot tell "
                 "whether " + domain.str() + " uses DANE");
}

WalkFailure mx_not_in_time(const base::Domain& domain) {
  return unknown("the MX look-up of " + domain.str() + " did not end in time");
}

WalkFailure host_not_in_time(const base::Domain& host) {
  return unknown("the look-ups for " + host.str() + " did not end in time");
}

std::string place_of(const std::optional<base::Domain>& host, const base::Ip& ip) {
  return host ? host->str() + " [" + ip.str() + "]" : ip.literal();
}

smtp::Reply last_word(const std::optional<WalkFailure>& kept) {
  if (kept) return kept->reply;
  return make_reply(451, no_answer, "no host of the domain could be tried");
}

}  // namespace proxy
