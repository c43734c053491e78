#include <catch2/catch.hpp>

#include "admin/access.h"
#include "base/encode.h"

using admin::Access;
using admin::Gate;
using admin::gate;

namespace {

std::string basic(const std::string& user_and_password) {
  const auto* octets = reinterpret_cast<const std::uint8_t*>(user_and_password.data());
  return "Basic " + base::to_base64({octets, user_and_password.size()});
}

}  // namespace

TEST_CASE("RFC 6750 §2.1, RFC 7617 §2: the token as bearer and as a browser's password") {
  Access access;
  access.token = "0123456789abcdef";
  const auto good = [&](const std::string& field) {
    INFO(field);
    CHECK(gate(access, "/metrics", "localhost", field) == Gate::open);
  };
  const auto bad = [&](const std::string& field) {
    INFO(field);
    CHECK(gate(access, "/metrics", "localhost", field) == Gate::no_token);
  };
  good("Bearer 0123456789abcdef");
  good("bearer   0123456789abcdef");
  good(basic("anybody:0123456789abcdef"));
  good(basic(":0123456789abcdef"));
  bad("");
  bad("Bearer");
  bad("Bearer ");
  bad("Bearer 0123456789abcdeg");
  bad("Bearer 0123456789abcde");
  bad("Bearer 0123456789abcdef0");
  bad("Digest 0123456789abcdef");
  bad("0123456789abcdef");
  bad("Basic not*base64");
  bad(basic("0123456789abcdef"));
  bad(basic("0123456789abcdef:"));
}

TEST_CASE("with a token only /healthz is open, and its name in the Host field is free") {
  Access access;
  access.token = "0123456789abcdef";
  CHECK(gate(access, "/healthz", "localhost", "") == Gate::open);
  for (const char* path : {"/", "/readyz", "/metrics", "/api/v1/status", "/console.css",
                           "/healthz/", "/healthzz", "//healthz"}) {
    INFO(path);
    CHECK(gate(access, path, "localhost", "") == Gate::no_token);
  }
  CHECK(gate(access, "/", "sternpost.monitoring.svc", "Bearer 0123456789abcdef") == Gate::open);
}

TEST_CASE("without a token the Host field names an address, localhost or the server") {
  Access access;
  access.host_name = "Edge.example.com";
  for (const char* host : {"localhost", "LOCALHOST:8470", "127.0.0.1", "127.0.0.1:8470", "[::1]",
                           "[::1]:8470", "edge.example.com", "edge.example.com.:8470"}) {
    INFO(host);
    CHECK(gate(access, "/metrics", host, "") == Gate::open);
  }
  for (const char* host : {"rebound.attacker.example", "rebound.attacker.example:8470", "",
                           "localhost.attacker.example", "127.0.0.1.attacker.example",
                           "edge.example.com.attacker.example", "[::1", ":8470"}) {
    INFO(host);
    CHECK(gate(access, "/metrics", host, "") == Gate::wrong_host);
  }
  CHECK(gate(access, "/metrics", std::nullopt, "") == Gate::open);  // HTTP/1.0
  access.holds_host = false;  // a Unix socket
  CHECK(gate(access, "/metrics", "anything", "") == Gate::open);
}
