// Every hard limit in one table, with its source. Limits that an operator may set are in config/.
#pragma once

#include <chrono>
#include <cstddef>

namespace base::limits {

// SMTP (RFC 5321 §4.5.3.1); command lines are allowed more, for parameters of extensions.
inline constexpr std::size_t local_part = 256;          // §4.5.3.1.1 asks for 64; VERP has more
inline constexpr std::size_t domain = 255;
inline constexpr std::size_t command_line = 2048;       // RFC 5321 §4.5.3.1.4 asks for 512
inline constexpr std::size_t reply_line_out = 512;      // RFC 5321 §4.5.3.1.5
inline constexpr std::size_t reply_line_in = 8192;      // what we read of a peer's one line
inline constexpr std::size_t reply_lines = 256;         // lines of one reply
inline constexpr std::size_t reply_total = 65536;       // octets of one reply
inline constexpr std::size_t recipients = 1000;         // one transaction; §4.5.3.1.8 asks for 100
inline constexpr std::size_t domains_per_transaction = 100;
inline constexpr std::size_t received_fields = 100;     // RFC 5321 §6.3
inline constexpr std::size_t bad_commands = 20;         // one session
inline constexpr std::chrono::minutes command_wait{5};  // RFC 5321 §4.5.3.2.7
inline constexpr std::chrono::minutes client_data_wait{5};

// DNS.
inline constexpr std::size_t mx_hosts = 50;
inline constexpr std::size_t addresses_per_host = 16;
inline constexpr std::size_t tlsa_records = 64;
inline constexpr std::size_t dns_in_flight = 4096;

// MTA-STS (RFC 8461 §3).
inline constexpr std::size_t sts_txt = 4096;
inline constexpr long long sts_max_age = 31557600;
inline constexpr std::size_t http_header = 16384;
inline constexpr std::size_t fetches_at_once = 64;
inline constexpr std::size_t fetches_per_address = 4;

// Policy map: one question, what is read at once, domains asked about at once, replies made anew at
// once before they end, replies kept in each dialect, clients of one listener.
inline constexpr std::size_t map_question = 2048;
inline constexpr std::size_t map_buffer = 16384;
inline constexpr std::size_t map_searches = 1000;
inline constexpr std::size_t map_renewals = 32;
inline constexpr std::size_t map_octets = 16 << 20;
inline constexpr std::size_t map_clients = 1000;

// [admin]: clients at a time, octets of a request, and what is read of one that is too long.
inline constexpr std::size_t admin_clients = 64;
inline constexpr std::size_t admin_request = 8192;
inline constexpr std::size_t admin_ignored = 65536;
inline constexpr std::size_t admin_page = 1000;         // policies of one answer

// The body: octets held between a client and the slowest MX.
inline constexpr std::size_t body_chunk = 65536;

// Memories; the oldest entry goes when one is full.
inline constexpr std::size_t host_memory = 10000;
inline constexpr std::size_t domain_facts = 20000;
inline constexpr std::size_t domain_plans = 20000;  // made of them and kept, of all workers
inline constexpr std::size_t advisor_facts = 500;      // besides the answers made of them
inline constexpr std::size_t tls_sessions = 10000;
inline constexpr std::size_t verified_chains = 5000;  // some 200 octets each, a worker
inline constexpr std::size_t idle_connections = 1000;

}  // namespace base::limits
