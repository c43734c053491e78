// WalkFailure: one reason why a domain's mail did not get on, as the reply to the MTA, and which of
// several reasons is told: policies before a dead backup. Pure. Used by proxy/walk for a message
// and by check/, which must give the same words.
#pragma once

#include <optional>
#include <string>

#include "policy/plan.h"
#include "proxy/mx_connection.h"

namespace proxy {

struct WalkFailure {
  // The least telling first.
  enum class Rank { feature, no_address, dns, reach, refused, policy };
  Rank rank = Rank::reach;
  smtp::Reply reply;  // without ID
  std::optional<tlsrpt::ResultType> result;
};

// Keeps the more telling of both; of equals the first.
void keep_most_telling(std::optional<WalkFailure>& kept, WalkFailure one);

WalkFailure failure_of(const policy::Refused& refused);
WalkFailure failure_of(const policy::Excluded& excluded);
// `place`: "mx.example.com [192.0.2.1]".
WalkFailure failure_of(const MxFailure& failure, const std::string& place);
WalkFailure private_address(const std::string& place);
WalkFailure resolver_broken(const base::Domain& domain);
WalkFailure mx_not_in_time(const base::Domain& domain);
WalkFailure host_not_in_time(const base::Domain& host);

// "mx.example.com [192.0.2.1]"; an address literal without a host.
std::string place_of(const std::optional<base::Domain>& host, const base::Ip& ip);

// What is said when every host has failed: `kept`, unless no host of the domain has an address.
smtp::Reply last_word(const std::optional<WalkFailure>& kept);

}  // namespace proxy
