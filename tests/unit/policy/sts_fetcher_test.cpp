// HttpsFetcher against a TLS server that does every wrong thing: RFC 8461 §3.2 (media type), §3.3
// (certificate, status, redirects, size, time) and §7.1 (SNI).
#include <boost/asio/detached.hpp>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "policy/sts_fetcher.h"
#include "tests/unit/policy/sts_https_server.h"
#include "tests/unit/policy/sts_support.h"

using namespace std::chrono_literals;
using namespace sts_test;
using tlsrpt::ResultType;

namespace {

const std::string policy_text = "version: STSv1\nmode: none\nmax_age: 86400\n";

std::string ok(const std::string& body, const std::string& more = "Content-Type: text/plain\r\n") {
  return "HTTP/1.1 200 OK\r\n" + more + "Content-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

HttpsServer::Script says(const std::string& answer) {
  return [answer](Peer& peer) {
    peer.read_request();
    peer.send(answer);
    peer.close_notify();
  };
}

policy::HttpsFetcher::Context trusting(const certs::Issued& root) {
  std::string file = (std::filesystem::temp_directory_path() / "sternpost-ca-XXXXXX").string();
  close(mkstemp(file.data()));
  std::ofstream(file) << certs::pem(root.cert);
  auto context = policy::make_fetch_context(file);
  std::filesystem::remove(file);
  return *context;
}

// A private CA, the DNS of one domain, and the fetcher.
struct Setting {
  Setting() {
    certs::Spec ca;
    ca.cn = "Test CA";
    ca.ca = true;
    root = certs::make(ca);
    tls = trusting(root);
    settings.timeout = 20s;
    settings.private_destinations.push_back(*base::Network::parse("127.0.0.0/8"));
    resolver.address("mta-sts.a.example", "127.0.0.1");
  }
  certs::Issued leaf(std::vector<std::string> dns) const {
    certs::Spec spec;
    spec.dns = std::move(dns);
    return certs::make(spec, &root);
  }
  certs::Issued good() const { return leaf({"mta-sts.a.example"}); }

  policy::StsBody fetch(std::uint16_t port) {
    settings.port = port;
    policy::HttpsFetcher fetcher(settings, resolver, clock, tls);
    return run(context, fetcher.fetch(domain));
  }
  policy::StsBody fetch_with(const certs::Issued& cert, HttpsServer::Script script) {
    HttpsServer server(cert, {}, std::move(script));
    return fetch(server.port());
  }
  void gets(const std::string& answer) {
    const auto body = fetch_with(good(), says(answer));
    if (!body) FAIL(body.error().reason);
    CHECK(*body == policy_text);
  }
  void refuses(const std::string& answer, const std::string& why) {
    const auto body = fetch_with(good(), says(answer));
    REQUIRE(!body.has_value());
    INFO(body.error().reason);
    CHECK(body.error().type == ResultType::sts_policy_fetch_error);
    CHECK(body.error().reason.find(why) != std::string::npos);
  }
  void distrusts(const certs::Issued& cert, const std::string& why) {
    const auto body = fetch_with(cert, says(ok(policy_text)));
    REQUIRE(!body.has_value());
    INFO(body.error().reason);
    CHECK(body.error().type == ResultType::sts_webpki_invalid);
    CHECK(body.error().reason.find(why) != std::string::npos);
  }

  certs::Issued root;
  FakeClock clock{certs::now};
  TableResolver resolver;
  boost::asio::io_context context;
  policy::StsFetchSettings settings;
  policy::HttpsFetcher::Context tls;
  base::Domain domain = *base::Domain::parse("a.example");
};

void no_policy(const policy::StsBody& body, ResultType type, const std::string& why) {
  REQUIRE(!body.has_value());
  INFO(body.error().reason);
  CHECK(body.error().type == type);
  CHECK(body.error().reason.find(why) != std::string::npos);
}

}  // namespace

TEST_CASE("RFC 8461 §3.2, §7.1: one GET for the well-known path, with Host and SNI") {
  Setting setting;
  std::string request;
  std::string sni;
  const auto body = setting.fetch_with(setting.good(), [&](Peer& peer) {
    sni = peer.sni();
    request = peer.read_request();
    peer.send(ok(policy_text));
    peer.close_notify();
  });
  REQUIRE(body.has_value());
  CHECK(*body == policy_text);
  CHECK(sni == "mta-sts.a.example");
  CHECK(request.find("GET /.well-known/mta-sts.txt HTTP/1.1\r\n") == 0);
  CHECK(request.find("Host: mta-sts.a.example:") != std::string::npos);
  CHECK(request.find("Connection: close\r\n") != std::string::npos);
  CHECK(request.find("If-") == std::string::npos);
  CHECK(setting.resolver.names() == std::vector<std::string>{"mta-sts.a.example"});
}

TEST_CASE("RFC 8461 §3.2: text/plain with whatever parameters") {
  Setting setting;
  setting.gets(ok(policy_text, "content-type: Text/Plain; charset=utf-8; x=\"y\"\r\n"));
  setting.gets(ok(policy_text, "Content-Type: text/plain;charset=latin1\r\n"));
  setting.refuses(ok(policy_text, "Content-Type: text/html\r\n"), "media type text/html");
  setting.refuses(ok(policy_text, "Content-Type: text/plainer\r\n"), "media type text/plainer");
  setting.refuses(ok(policy_text, ""), "no media type");
}

TEST_CASE("RFC 8461 §3.3: status 200 alone is a policy") {
  Setting setting;
  for (const char* status : {"201 Created", "203 Non", "206 Partial", "404 Not Found", "500 Oh"}) {
    setting.refuses(std::string("HTTP/1.1 ") + status +
                        "\r\nContent-Type: text/plain\r\nContent-Length: " +
                        std::to_string(policy_text.size()) + "\r\n\r\n" + policy_text,
                    std::string("HTTP ") + std::string(status, 3));
  }
  setting.refuses("HTTP/1.1 204 No Content\r\n\r\n", "HTTP 204");
  setting.gets("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + ok(policy_text));
}

TEST_CASE("RFC 8461 §3.3: a redirect is not followed, and where it led is told") {
  Setting setting;
  setting.refuses("HTTP/1.1 301 Moved\r\nLocation: https://b.example/\x01\r\n\r\n", "bad value");
  setting.refuses("HTTP/1.1 302 Found\r\nLocation: https://b.example/\r\nContent-Length: 0\r\n\r\n",
                  "redirect to https://b.example/ not followed");
}

TEST_CASE("RFC 8461 §3.3: chunked, closed by the end, and what breaks off") {
  Setting setting;
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";
  setting.gets(head + "Transfer-Encoding: chunked\r\n\r\n5\r\nversi\r\n24;x=y\r\n" +
               policy_text.substr(5) + "\r\n0\r\n\r\n");
  setting.gets(head + "\r\n" + policy_text);
  setting.gets("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n" + policy_text);
  setting.refuses(head + "Content-Length: 1000\r\n\r\n" + policy_text, "closed in the answer");
  setting.refuses(head + "Transfer-Encoding: chunked\r\n\r\n5\r\nversi\r\n", "closed");
  setting.refuses("", "closed before an answer");
  setting.refuses("220 mx.example ESMTP\r\n", "bad version");
}

TEST_CASE("a body that ends without close_notify may be cut short, and does not count") {
  Setting setting;
  const auto body = setting.fetch_with(setting.good(), [](Peer& peer) {
    peer.read_request();
    peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + policy_text);
  });
  no_policy(body, ResultType::sts_policy_fetch_error, "broke off");
}

TEST_CASE("RFC 8461 §3.3: a body over the limit is a failure, never cut") {
  Setting setting;
  setting.settings.max_body = 100;
  setting.gets(ok(policy_text));
  const std::string big(101, 'x');
  setting.refuses(ok(big), "longer than 100 octets");
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";
  setting.refuses(head + "\r\n" + big, "longer than 100 octets");
  setting.refuses(head + "Transfer-Encoding: chunked\r\n\r\n32\r\n" + std::string(50, 'x') +
                      "\r\n33\r\n" + std::string(51, 'x') + "\r\n0\r\n\r\n",
                  "longer than 100 octets");
  setting.refuses(head + "Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", "gzip");
  setting.refuses(head + "Transfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", "gzip");
}

TEST_CASE("a header without end is cut off at 16 KiB") {
  Setting setting;
  const auto body = setting.fetch_with(setting.good(), [](Peer& peer) {
    peer.read_request();
    peer.send("HTTP/1.1 200 OK\r\n");
    while (peer.send("X-More: and more and more and more\r\n")) {
    }
  });
  no_policy(body, ResultType::sts_policy_fetch_error, "header of more than 16384 octets");
}

TEST_CASE("drips, silence and a reset end in words, within the time for the whole") {
  Setting setting;
  SECTION("drip") {
    setting.settings.timeout = 400ms;
    no_policy(setting.fetch_with(setting.good(),
                                 [](Peer& peer) {
                                   peer.read_request();
                                   peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n");
                                   while (peer.send("x")) std::this_thread::sleep_for(20ms);
                                 }),
              ResultType::sts_policy_fetch_error, "timed out");
  }
  SECTION("silence") {
    setting.settings.timeout = 200ms;
    no_policy(setting.fetch_with(setting.good(), [](Peer& peer) { peer.wait_for_end(); }),
              ResultType::sts_policy_fetch_error, "timed out");
  }
  SECTION("reset") {
    no_policy(setting.fetch_with(setting.good(), [](Peer& peer) { peer.reset(); }),
              ResultType::sts_policy_fetch_error, "127.0.0.1: ");
  }
  SECTION("DNS does not answer") {
    setting.settings.timeout = 100ms;
    setting.resolver.hold("mta-sts.a.example");
    no_policy(setting.fetch(1), ResultType::sts_policy_fetch_error, "timed out");
  }
}

TEST_CASE("RFC 8461 §3.3: the certificate names the policy host by a DNS-ID") {
  Setting setting;
  const auto fine = [&](std::vector<std::string> dns) {
    const auto body = setting.fetch_with(setting.leaf(std::move(dns)), says(ok(policy_text)));
    CHECK(body.has_value());
  };
  fine({"other.example", "MTA-STS.A.EXAMPLE"});
  fine({"*.a.example"});
  setting.distrusts(setting.leaf({"provider.example", "www.a.example"}),
                    "certificate is for provider.example, www.a.example");
  setting.distrusts(setting.leaf({"a.example"}), "not for mta-sts.a.example");
  setting.distrusts(setting.leaf({"*.example"}), "not for mta-sts.a.example");
  setting.distrusts(setting.leaf({"mta-*.a.example"}), "not for mta-sts.a.example");
  certs::Spec common_name;
  common_name.cn = "mta-sts.a.example";
  setting.distrusts(certs::make(common_name, &setting.root), "common name does not count");
}

TEST_CASE("RFC 8461 §3.3: the certificate is in date and its chain ends at a trusted root") {
  Setting setting;
  certs::Spec spec;
  spec.dns = {"mta-sts.a.example"};
  spec.to = std::chrono::days(-1);
  setting.distrusts(certs::make(spec, &setting.root), "certificate expired on 2026-05-31");
  spec.from = std::chrono::days(1);
  spec.to = std::chrono::days(100);
  setting.distrusts(certs::make(spec, &setting.root), "not valid before 2026-06-02");
  spec.from = std::chrono::days(-1);
  setting.distrusts(certs::make(spec), "not trusted");
  certs::Spec ca;
  ca.cn = "Another CA";
  ca.ca = true;
  const auto other = certs::make(ca);
  setting.distrusts(certs::make(spec, &other), "not trusted");
  spec.usage = "clientAuth";
  setting.distrusts(certs::make(spec, &setting.root), "not trusted");
}

TEST_CASE("RFC 8461 §3.3: an expired intermediate certificate is told as such") {
  Setting setting;
  certs::Spec middle;
  middle.cn = "Intermediate";
  middle.ca = true;
  middle.to = std::chrono::days(-2);
  const auto intermediate = certs::make(middle, &setting.root);
  certs::Spec spec;
  spec.dns = {"mta-sts.a.example"};
  HttpsServer server(certs::make(spec, &intermediate), {intermediate}, says(ok(policy_text)));
  no_policy(setting.fetch(server.port()), ResultType::sts_webpki_invalid,
            "intermediate certificate expired on 2026-05-30");
}

TEST_CASE("RFC 8461 §7.2: TLS below 1.2 is refused") {
  Setting setting;
  HttpsServer server(setting.good(), {}, says(ok(policy_text)));
  SSL_CTX_set_min_proto_version(server.context(), TLS1_1_VERSION);
  SSL_CTX_set_max_proto_version(server.context(), TLS1_1_VERSION);
  no_policy(setting.fetch(server.port()), ResultType::sts_policy_fetch_error, "TLS handshake");
}

TEST_CASE("STS-3.3-o: a private address is refused unless the operator names its network") {
  Setting setting;
  HttpsServer server(setting.good(), {}, says(ok(policy_text)));
  setting.settings.private_destinations.clear();
  no_policy(setting.fetch(server.port()), ResultType::sts_policy_fetch_error,
            "outbound.private_destinations");
  CHECK(server.connections() == 0);
}

TEST_CASE("every address is tried; a certificate's failure outranks a connection's") {
  Setting setting;
  const certs::Issued good = setting.good();
  HttpsServer second(good, {}, says(ok(policy_text)), "127.0.0.3");
  setting.resolver.nothing("mta-sts.a.example", dns::Type::A);
  setting.resolver.address("mta-sts.a.example", "127.0.0.2");
  setting.resolver.address("mta-sts.a.example", "127.0.0.3");
  SECTION("the second has it") {
    CHECK(setting.fetch(second.port()).has_value());
  }
  SECTION("the first is silent and has its share of the time only") {
    HttpsServer first(good, {}, [](Peer& peer) { peer.wait_for_end(); }, "127.0.0.2",
                      second.port());
    setting.settings.timeout = 1000ms;
    CHECK(setting.fetch(second.port()).has_value());
  }
  SECTION("both fail") {
    HttpsServer first(setting.leaf({"x.example"}), {}, says(""), "127.0.0.2", second.port());
    setting.resolver.address("mta-sts.a.example", "127.0.0.4");
    setting.resolver.nothing("mta-sts.a.example", dns::Type::A);
    setting.resolver.address("mta-sts.a.example", "127.0.0.2");
    setting.resolver.address("mta-sts.a.example", "127.0.0.4");
    no_policy(setting.fetch(second.port()), ResultType::sts_webpki_invalid,
              "127.0.0.4: connect: Connection refused");
  }
}

TEST_CASE("policy host without an address, or with DNS that fails") {
  Setting setting;
  setting.resolver.nothing("mta-sts.a.example", dns::Type::A);
  no_policy(setting.fetch(1), ResultType::sts_policy_fetch_error, "has no address");
  setting.resolver.fails("mta-sts.a.example", dns::Type::A, dns::LookupError::Kind::servfail);
  no_policy(setting.fetch(1), ResultType::sts_policy_fetch_error, "SERVFAIL");
}

TEST_CASE("a family that fails does not hide the other") {
  Setting setting;
  HttpsServer server(setting.good(), {}, says(ok(policy_text)));
  setting.resolver.fails("mta-sts.a.example", dns::Type::AAAA, dns::LookupError::Kind::timeout);
  CHECK(setting.fetch(server.port()).has_value());
}

TEST_CASE("order_addresses follows outbound.ip_preference") {
  const auto v4 = *base::Ip::parse("192.0.2.1");
  const auto v6 = *base::Ip::parse("2001:db8::1");
  using policy::AddressOrder;
  using Ips = std::vector<base::Ip>;
  CHECK(policy::order_addresses({v4}, {v6}, AddressOrder::system) == Ips{v6, v4});
  CHECK(policy::order_addresses({v4}, {v6}, AddressOrder::ipv4) == Ips{v4, v6});
  CHECK(policy::order_addresses({v4}, {v6}, AddressOrder::ipv6) == Ips{v6, v4});
  CHECK(policy::order_addresses({v4}, {v6}, AddressOrder::ipv4_only) == Ips{v4});
  CHECK(policy::order_addresses({v4}, {v6}, AddressOrder::ipv6_only) == Ips{v6});
}

TEST_CASE("so many fetches to one address at once; the others wait in line") {
  Setting setting;
  setting.settings.per_address = 1;
  HttpsServer server(setting.good(), {}, says(ok(policy_text)));
  setting.settings.port = server.port();
  policy::HttpsFetcher fetcher(setting.settings, setting.resolver, setting.clock, setting.tls);
  int done = 0;
  for (int i = 0; i < 5; ++i) {
    boost::asio::co_spawn(setting.context, fetcher.fetch(setting.domain),
                          [&](std::exception_ptr, const policy::StsBody& body) {
                            done += body.has_value() ? 1 : 0;
                          });
  }
  setting.context.run();
  CHECK(done == 5);
  CHECK(server.connections() == 5);
}

TEST_CASE("a fetcher's world may go while fetches are under way and in line") {
  Setting setting;
  setting.settings.per_address = 1;
  setting.settings.at_once = 2;
  HttpsServer server(setting.good(), {}, [](Peer& peer) { peer.wait_for_end(); });
  setting.settings.port = server.port();
  auto context = std::make_unique<boost::asio::io_context>();
  auto fetcher = std::make_unique<policy::HttpsFetcher>(setting.settings, setting.resolver,
                                                        setting.clock, setting.tls);
  for (int i = 0; i < 4; ++i) {
    boost::asio::co_spawn(*context, fetcher->fetch(setting.domain), boost::asio::detached);
  }
  while (server.connections() == 0) context->run_one_for(10ms);
  fetcher.reset();
  context.reset();
  CHECK(server.connections() == 1);
}

TEST_CASE("a trust store that cannot be read is an error that names it") {
  const auto context = policy::make_fetch_context("/nonexistent/ca.pem");
  REQUIRE(!context.has_value());
  CHECK(context.error().text.find("/nonexistent/ca.pem: ") == 0);
}
