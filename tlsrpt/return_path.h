// The envelope by which our own report mail is known when it comes back through this relay by way
// of the MTA (RFC 8460 §5.3: report mail is delivered despite any TLS failure and never counted):
// `tlsrpt+YYYYMMDD.MAC@REPORT-DOMAIN`. The MAC (HMAC-SHA-256 with a secret out of the state
// directory) is over date and recipient address, so that exactly that pair is freed and a guessed,
// old or redirected one is ordinary mail. A second, shorter MAC over the first says, without the
// recipient, that a bounce came for an address of our own. Pure; time and secret are passed in.
// Called by report/ (sending) and proxy/ (sessions).
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/domain.h"

namespace tlsrpt {

class ReturnPath {
 public:
  using Secret = std::array<std::uint8_t, 32>;
  ReturnPath(Secret secret, base::Domain report_domain);

  // "tlsrpt+20261125.MAC@example.com"; `date`: the UTC day on which the message was first made;
  // `recipient`: an addr-spec. MAC: lower-case letters and digits, the whole local part at most
  // 64 octets. The same arguments give the same address for ever.
  std::string make(std::chrono::sys_days date, std::string_view recipient) const;

  // Whether `reverse_path` was made by us for just this recipient, and not longer ago than
  // `lifetime` (nor for a day after tomorrow of `now`). The domains of both are compared without
  // regard to case, the local parts exactly but for our own, which is compared without (MTAs may
  // fold it). In constant time over the MAC.
  bool frees(std::string_view reverse_path, std::string_view recipient, base::WallTime now) const;

  // Whether `recipient` is such an address of ours, not older than `lifetime`: what comes there
  // from the null reverse-path is a bounce of report mail.
  bool is_own(std::string_view recipient, base::WallTime now) const;

  // 24 hours of tries and five days in an MTA's queue, and the rest of the days at both ends.
  static constexpr std::chrono::days lifetime{8};

 private:
  Secret secret_;
  base::Domain domain_;
};

}  // namespace tlsrpt
