#include "report/collector.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/encode.h"

namespace report {

namespace {

// libtlsrpt's numbers for the policy types.
int code_of(tlsrpt::PolicyType type) {
  switch (type) {
    case tlsrpt::PolicyType::tlsa: return 1;
    case tlsrpt::PolicyType::sts: return 2;
    case tlsrpt::PolicyType::no_policy_found: break;
  }
  return 9;
}

// And for the result types of RFC 8460 §4.3: 2xx for the handshake, 3xx for policies.
int code_of(tlsrpt::ResultType type) {
  switch (type) {
    case tlsrpt::ResultType::starttls_not_supported: return 201;
    case tlsrpt::ResultType::certificate_host_mismatch: return 202;
    case tlsrpt::ResultType::certificate_not_trusted: return 203;
    case tlsrpt::ResultType::certificate_expired: return 204;
    case tlsrpt::ResultType::validation_failure: break;
    case tlsrpt::ResultType::sts_policy_fetch_error: return 301;
    case tlsrpt::ResultType::sts_policy_invalid: return 302;
    case tlsrpt::ResultType::sts_webpki_invalid: return 303;
    case tlsrpt::ResultType::tlsa_invalid: return 304;
    case tlsrpt::ResultType::dnssec_invalid: return 305;
    case tlsrpt::ResultType::dane_required: return 306;
  }
  return 205;
}

void append_escaped(std::string& out, char c) {
  static constexpr char digits[] = "0123456789abcdef";
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\b': out += "\\b"; return;
    case '\t': out += "\\t"; return;
    case '\n': out += "\\n"; return;
    case '\f': out += "\\f"; return;
    case '\r': out += "\\r"; return;
    default: break;
  }
  const auto octet = static_cast<unsigned char>(c);
  if (octet >= 0x20 && octet != 0x7f) {
    out += c;
    return;
  }
  out += "\\u00";
  out += digits[octet >> 4];
  out += digits[octet & 15];
}

void append_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const std::size_t length = base::utf8_length_at(text);
    if (length == 0) {
      out += "\xef\xbf\xbd";
    } else if (length == 1) {
      append_escaped(out, text.front());
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  out += '"';
}

// A member with a string: libtlsrpt puts a space behind its colon, and behind no other.
void append_member(std::string& out, std::string_view key, std::string_view value) {
  out += '"';
  out += key;
  out += "\": ";
  append_string(out, value);
}

void append_optional(std::string& out, std::string_view key, std::string_view value) {
  if (value.empty()) return;
  out += ',';
  append_member(out, key, value);
}

void append_list(std::string& out, std::string_view key, const std::vector<std::string>& values) {
  if (values.empty()) return;
  out += ",\"";
  out += key;
  out += "\":";
  char before = '[';
  for (const std::string& value : values) {
    out += before;
    append_string(out, value);
    before = ',';
  }
  out += ']';
}

void append_failure(std::string& out, const CollectedFailure& failure) {
  out += "{\"c\":" + std::to_string(code_of(failure.type));
  append_optional(out, "s", failure.sending_mta_ip);
  append_optional(out, "n", failure.receiving_mx_hostname);
  append_optional(out, "h", failure.receiving_mx_helo);
  append_optional(out, "r", failure.receiving_ip);
  append_optional(out, "f", failure.failure_reason_code);
  out += '}';
}

void append_policy(std::string& out, const CollectedPolicy& one) {
  out += "{\"policy-type\":" + std::to_string(code_of(one.policy.type));
  append_optional(out, "policy-domain", one.policy.domain);
  append_list(out, "policy-string", one.policy.strings);
  append_list(out, "mx-host", one.policy.mx_hosts);
  if (!one.failures.empty()) {
    out += ",\"failure-details\":";
    char before = '[';
    for (const CollectedFailure& failure : one.failures) {
      out += before;
      append_failure(out, failure);
      before = ',';
    }
    out += ']';
  }
  out += ",\"t\":" + std::to_string(one.failures.size());
  out += one.success ? ",\"f\":0}" : ",\"f\":1}";
}

}  // namespace

std::string collector_datagram(std::string_view domain, std::string_view record_text,
                               std::span<const CollectedPolicy> policies) {
  if (policies.empty()) return {};
  std::string out = "{";
  append_member(out, "dpv", "1");
  out += ',';
  append_member(out, "d", domain);
  out += ',';
  append_member(out, "pr", record_text);
  out += ",\"policies\":";
  char before = '[';
  for (const CollectedPolicy& policy : policies) {
    out += before;
    append_policy(out, policy);
    before = ',';
  }
  out += "]}";
  return out;
}

base::Result<std::unique_ptr<Collector>, base::Error> Collector::make(std::string path) {
  constexpr std::size_t most = sizeof(sockaddr_un::sun_path) - 1;
  if (path.empty() || path.find('\0') != std::string::npos) {
    return base::fail("the collector's socket has no path");
  }
  if (path.size() > most) {
    return base::fail(path + ": a socket's path has at most " + std::to_string(most) + " octets");
  }
  return std::unique_ptr<Collector>(new Collector(std::move(path)));
}

Collector::~Collector() {
  if (socket_ >= 0) ::close(socket_);
}

bool Collector::send(std::string_view datagram) noexcept {
  if (datagram.empty()) return true;
  const int error = send_once(datagram);
  if (error == 0) return true;
  last_error_ = error;
  ++lost_;
  return false;
}

// The address is given each time and not connected to, so that a collector that was started anew
// is found by its path.
int Collector::send_once(std::string_view datagram) noexcept {
  const std::lock_guard<std::mutex> held(lock_);
  if (socket_ < 0) {
    socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket_ < 0) return errno;
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.data(), path_.size());
  for (;;) {
    const ssize_t sent =
        ::sendto(socket_, datagram.data(), datagram.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(&address), sizeof address);
    if (sent >= 0) return 0;
    const int error = errno;
    if (error == EINTR) continue;
    // A full queue and a datagram that is too long say nothing against the socket.
    if (error != EAGAIN && error != EMSGSIZE) {
      ::close(socket_);
      socket_ = -1;
    }
    return error;
  }
}

}  // namespace report
