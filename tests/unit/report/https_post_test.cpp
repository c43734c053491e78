// HttpsPost against a TLS server that does every wrong thing (RFC 8460 §5.4).
#include "report/https_post.h"

#include <catch2/catch.hpp>
#include <chrono>

#include "tests/unit/policy/sts_https_server.h"
#include "tests/unit/policy/sts_support.h"

using namespace std::chrono_literals;
using namespace sts_test;
using report::Sent;

namespace {

// Octets that a text protocol would stumble over.
const std::string report_octets = std::string("\x1f\x8b\x08\x00\r\n\r\n.\r\n\0\xff", 13);

std::size_t content_length(const std::string& request) {
  const std::string field = "Content-Length: ";
  const std::size_t at = request.find(field);
  return at == std::string::npos ? 0 : std::stoul(request.substr(at + field.size()));
}

HttpsServer::Script says(const std::string& answer) {
  return [answer](Peer& peer) {
    const std::string request = peer.read_request();
    peer.read_body(content_length(request));
    peer.send(answer);
    peer.close_notify();
  };
}

certs::Issued self_signed() {
  certs::Spec spec;
  spec.cn = "Nobody";
  spec.to = std::chrono::days(-50);  // Expired, for another name, and its own issuer.
  return certs::make(spec);
}

struct Setting {
  Setting() {
    settings.timeout = 20s;
    settings.private_destinations.push_back(*base::Network::parse("127.0.0.0/8"));
    resolver.address("rua.example", "127.0.0.1");
    endpoint.scheme = tlsrpt::Endpoint::Scheme::https;
    endpoint.host = "rua.example";
    endpoint.target = "/v1/tlsrpt?for=a.example";
  }
  Sent post(std::uint16_t port) {
    endpoint.port = port;
    report::HttpsPost sink(settings, resolver);
    return run(context, sink.post(endpoint, body));
  }
  Sent post_to(HttpsServer::Script script) {
    HttpsServer server(certificate, {}, std::move(script));
    return post(server.port());
  }
  void accepts(const std::string& answer, const std::string& words) {
    const Sent sent = post_to(says(answer));
    INFO(answer);
    CHECK(sent.accepted);
    CHECK(sent.answer == words);
  }
  void refuses(const std::string& answer, const std::string& words) {
    not_accepted(post_to(says(answer)), words);
  }
  void not_accepted(const Sent& sent, const std::string& words) const {
    INFO(sent.answer);
    CHECK_FALSE(sent.accepted);
    CHECK(sent.answer.find(words) != std::string::npos);
    CHECK(sent.answer.find_first_of("\r\n") == std::string::npos);
  }

  certs::Issued certificate = self_signed();
  TableResolver resolver;
  boost::asio::io_context context;
  report::HttpsPostSettings settings;
  tlsrpt::Endpoint endpoint;
  std::string body = report_octets;
};

}  // namespace

TEST_CASE("RFC 8460 §5.4: one POST of the octets, with Host, SNI, media type and length") {
  Setting setting;
  std::string request, received, sni;
  const Sent sent = setting.post_to([&](Peer& peer) {
    sni = peer.sni();
    request = peer.read_request();
    received = peer.read_body(content_length(request));
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    peer.close_notify();
  });
  CHECK(sent.accepted);
  CHECK(sent.answer == "HTTP 200 OK");
  CHECK(received == report_octets);
  CHECK(sni == "rua.example");
  CHECK(request ==
        "POST /v1/tlsrpt?for=a.example HTTP/1.1\r\n"
        "Host: rua.example:" + std::to_string(setting.endpoint.port) + "\r\n"
        "User-Agent: Sternpost/" STERNPOST_VERSION "\r\n"
        "Content-Type: application/tlsrpt+gzip\r\n"
        "Connection: close\r\n"
        "Content-Length: 13\r\n\r\n");
}

TEST_CASE("RFC 8460 §5.4: a report of megabytes arrives whole") {
  Setting setting;
  setting.body.assign(5 << 20, 'x');
  setting.body += "end";
  std::string received;
  const Sent sent = setting.post_to([&](Peer& peer) {
    received = peer.read_body(content_length(peer.read_request()));
    peer.send("HTTP/1.1 201 Created\r\n\r\n");
  });
  CHECK(sent.accepted);
  CHECK(received == setting.body);
}

TEST_CASE("RFC 8460 §5.4: any 2xx is acceptance, whatever comes with it") {
  Setting setting;
  setting.accepts("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP 200 OK");
  setting.accepts("HTTP/1.1 201 Created\r\nLocation: /r/1\r\nContent-Length: 2\r\n\r\nhi",
                  "HTTP 201 Created");
  setting.accepts("HTTP/1.1 202 Accepted\r\nContent-Type: text/html\r\n\r\n<p>",
                  "HTTP 202 Accepted");
  setting.accepts("HTTP/1.1 204 No Content\r\n\r\n", "HTTP 204 No Content");
  setting.accepts("HTTP/1.1 299 \r\n\r\n", "HTTP 299");
  setting.accepts("HTTP/1.0 200 OK\r\n\r\nThanks", "HTTP 200 OK");
  setting.accepts("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP 200 OK");
  setting.accepts("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nx", "HTTP 200 OK");
  setting.accepts("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
                  "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
                  "HTTP 200 OK");
}

TEST_CASE("RFC 8460 §5.4: every other status is a refusal that is told") {
  Setting setting;
  setting.refuses("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "HTTP 400 Bad Request");
  setting.refuses("HTTP/1.1 404 Not Found\r\n\r\n<html>", "HTTP 404 Not Found");
  setting.refuses("HTTP/1.1 413 Too Large\r\n\r\n", "HTTP 413 Too Large");
  setting.refuses("HTTP/1.1 500 " + std::string(300, 'o') + "\r\n\r\n", "HTTP 500 ooo");
  setting.refuses("HTTP/1.1 503 \r\n\r\n", "HTTP 503");
  setting.refuses("HTTP/1.1 600 More\r\n\r\n", "HTTP 600");
  setting.refuses("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "HTTP 101");
}

TEST_CASE("a redirect is not followed, and where it led is told") {
  Setting setting;
  setting.resolver.address("b.example", "127.0.0.1");
  for (const char* status : {"301", "302", "303", "307", "308"}) {
    setting.refuses(std::string("HTTP/1.1 ") + status +
                        " Go\r\nLocation: https://b.example/r\r\nContent-Length: 0\r\n\r\n",
                    std::string("HTTP ") + status +
                        ", redirect to https://b.example/r not followed");
  }
  setting.refuses("HTTP/1.1 304 Not Modified\r\n\r\n", "redirect to nowhere not followed");
  CHECK(setting.resolver.asked("b.example") == 0);
}

TEST_CASE("what is no HTTP answer is no acceptance") {
  Setting setting;
  setting.refuses("", "rua.example, 127.0.0.1: the connection was closed before an answer");
  setting.refuses("220 mx.example ESMTP\r\n", "bad version");
  setting.refuses("HTTP/1.1 2000 OK\r\n\r\n", "bad status");
  setting.refuses("HTTP/1.1 20 OK\r\n\r\n", "bad status");
  setting.refuses("HTTP/2 200\r\n\r\n", "bad version");
  setting.refuses(std::string("\x15\x03\x01\x00\x02\x02\x28", 7), "closed in the answer");
  setting.refuses("HTTP/1.1 200 OK\r\nContent-Length: 4", "closed in the answer");
  setting.refuses("HTTP/1.1 200 OK\r\nbad header\r\n\r\n", "bad field");
  setting.refuses("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "bad Content-Length");
  std::string interim;
  for (int i = 0; i < 10; ++i) interim += "HTTP/1.1 102 Processing\r\n\r\n";
  setting.refuses(interim + "HTTP/1.1 200 OK\r\n\r\n", "too many interim HTTP answers");
}

TEST_CASE("a header without end is cut off at 16 KiB, interim answers without end at eight") {
  Setting setting;
  setting.not_accepted(setting.post_to([](Peer& peer) {
    peer.read_request();
    peer.send("HTTP/1.1 200 OK\r\n");
    while (peer.send("X-More: and more and more and more\r\n")) {
    }
  }),
                       "header of more than 16384 octets");
  setting.not_accepted(setting.post_to([](Peer& peer) {
    peer.read_request();
    while (peer.send("HTTP/1.1 100 Continue\r\n\r\n")) {
    }
  }),
                       "too many interim HTTP answers");
}

TEST_CASE("silence, drips, resets and a mute DNS end in words, within the time for the whole") {
  Setting setting;
  setting.settings.timeout = 300ms;
  Sent sent;
  SECTION("silence before the answer") {
    sent = setting.post_to([](Peer& peer) { peer.wait_for_end(); });
    setting.not_accepted(sent, "127.0.0.1: timed out");
  }
  SECTION("nothing is read, so the report cannot be written") {
    setting.body.assign(20 << 20, 'x');
    sent = setting.post_to([](Peer& peer) {
      peer.read_request();
      std::this_thread::sleep_for(800ms);
    });
    setting.not_accepted(sent, "timed out");
  }
  SECTION("a header in drips") {
    sent = setting.post_to([](Peer& peer) {
      peer.read_request();
      peer.send("HTTP/1.1 200 OK\r\nX: ");
      while (peer.send("x")) std::this_thread::sleep_for(20ms);
    });
    setting.not_accepted(sent, "timed out");
  }
  SECTION("interim answers in drips") {
    sent = setting.post_to([](Peer& peer) {
      peer.read_request();
      peer.send("HTTP/1.1 100 Continue\r\n\r\n");
      peer.wait_for_end();
    });
    setting.not_accepted(sent, "timed out");
  }
  SECTION("reset") {
    sent = setting.post_to([](Peer& peer) { peer.reset(); });
    setting.not_accepted(sent, "rua.example, 127.0.0.1: ");
  }
  SECTION("DNS does not answer") {
    setting.resolver.hold("rua.example");
    setting.not_accepted(setting.post(1), "addresses of rua.example: timed out");
  }
  SECTION("nobody listens") {
    setting.not_accepted(setting.post(1), "127.0.0.1: connect: Connection refused");
  }
}

TEST_CASE("a listener that never accepts, and one that speaks no TLS, are left in time") {
  Setting setting;
  setting.settings.timeout = 300ms;
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  inet_pton(AF_INET, "127.0.0.1", &where.sin_addr);
  socklen_t size = sizeof where;
  REQUIRE(bind(listener, reinterpret_cast<sockaddr*>(&where), size) == 0);
  REQUIRE(listen(listener, 4) == 0);
  getsockname(listener, reinterpret_cast<sockaddr*>(&where), &size);
  SECTION("silent") {
    setting.not_accepted(setting.post(ntohs(where.sin_port)), "TLS handshake: timed out");
  }
  SECTION("SMTP") {
    bool greeted = false;
    std::thread server([listener, &greeted] {
      const int connection = accept(listener, nullptr, nullptr);
      const std::string greeting = "220 mx.example ESMTP\r\n";
      greeted = write(connection, greeting.data(), greeting.size()) > 0;
      char octets[512];
      while (read(connection, octets, sizeof octets) > 0) {
      }
      close(connection);
    });
    setting.not_accepted(setting.post(ntohs(where.sin_port)), "TLS handshake: ");
    server.join();
    CHECK(greeted);
  }
  close(listener);
}

TEST_CASE("RFC 8460 §5.4: status line and header decide; a body without end is not waited for") {
  Setting setting;
  Sent sent;
  SECTION("flood") {
    sent = setting.post_to([](Peer& peer) {
      peer.read_body(content_length(peer.read_request()));
      peer.send("HTTP/1.1 200 OK\r\n\r\n");
      while (peer.send(std::string(10000, 'x'))) {
      }
    });
  }
  SECTION("drips") {
    sent = setting.post_to([](Peer& peer) {
      peer.read_body(content_length(peer.read_request()));
      peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      while (peer.send("1\r\nx\r\n")) std::this_thread::sleep_for(20ms);
    });
  }
  SECTION("silence") {
    sent = setting.post_to([](Peer& peer) {
      peer.read_body(content_length(peer.read_request()));
      peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n");
      peer.wait_for_end();
    });
  }
  CHECK(sent.accepted);
  CHECK(sent.answer == "HTTP 200 OK");
}

TEST_CASE("an answer before the whole report was taken is no acceptance") {
  Setting setting;
  setting.body.assign(20 << 20, 'x');
  const auto early = [&](const std::string& answer) {
    return setting.post_to([answer](Peer& peer) {
      peer.read_request();
      peer.send(answer);
      peer.close_notify();
      // The client's octets are in the way of a quiet close, so a reset follows.
      std::this_thread::sleep_for(50ms);
    });
  };
  CHECK_FALSE(early("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").accepted);
  CHECK_FALSE(early("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n").accepted);
}

TEST_CASE("RFC 8460 §5.4: TLS below 1.2 is refused") {
  Setting setting;
  HttpsServer server(setting.certificate, {}, says("HTTP/1.1 200 OK\r\n\r\n"));
  SSL_CTX_set_min_proto_version(server.context(), TLS1_1_VERSION);
  SSL_CTX_set_max_proto_version(server.context(), TLS1_1_VERSION);
  setting.not_accepted(setting.post(server.port()), "TLS handshake: ");
}

TEST_CASE("a private address is refused unless the operator names its network") {
  Setting setting;
  HttpsServer server(setting.certificate, {}, says("HTTP/1.1 200 OK\r\n\r\n"));
  setting.settings.private_destinations.clear();
  for (const char* host : {"rua.example", "127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1",
                           "169.254.169.254", "fe80::1", "0.0.0.0"}) {
    setting.endpoint.host = host;
    setting.not_accepted(setting.post(server.port()), "not in outbound.private_destinations");
  }
  CHECK(server.connections() == 0);
}

TEST_CASE("RFC 6066 §3: an address literal has no SNI; its Host field is the literal") {
  Setting setting;
  std::string request;
  std::string sni = "none seen";
  setting.endpoint.host = "127.0.0.1";
  const Sent sent = setting.post_to([&](Peer& peer) {
    sni = peer.sni();
    request = peer.read_request();
    peer.read_body(content_length(request));
    peer.send("HTTP/1.1 200 OK\r\n\r\n");
  });
  CHECK(sent.accepted);
  CHECK(sni.empty());
  CHECK(request.find("\r\nHost: 127.0.0.1:" + std::to_string(setting.endpoint.port) + "\r\n") !=
        std::string::npos);
  CHECK(setting.resolver.names().empty());
}

TEST_CASE("a target or host that would break the request is never sent") {
  Setting setting;
  HttpsServer server(setting.certificate, {}, says("HTTP/1.1 200 OK\r\n\r\n"));
  for (const char* target : {"", "r", "/a b", "/a\r\nX: y", "/\x7f", "/\xc3\xa9", "*"}) {
    setting.endpoint.target = target;
    setting.not_accepted(setting.post(server.port()), "no usable path");
  }
  setting.endpoint.target = "/";
  for (const char* host : {"", "a b", "rua.example\r\nX", "rua..example", "127.1", "[::1]"}) {
    setting.endpoint.host = host;
    setting.not_accepted(setting.post(server.port()), "is no host name");
  }
  CHECK(server.connections() == 0);
}

TEST_CASE("every address is tried in turn until one answers") {
  Setting setting;
  setting.resolver.nothing("rua.example", dns::Type::A);
  setting.resolver.address("rua.example", "127.0.0.2");
  setting.resolver.address("rua.example", "127.0.0.3");
  HttpsServer second(setting.certificate, {}, says("HTTP/1.1 200 OK\r\n\r\n"), "127.0.0.3");
  const auto first = [&](HttpsServer::Script script) {
    return std::make_unique<HttpsServer>(setting.certificate, std::vector<certs::Issued>{},
                                         std::move(script), "127.0.0.2", second.port());
  };
  SECTION("the first does not listen") {
    CHECK(setting.post(second.port()).accepted);
  }
  SECTION("the first is silent and has its share of the time only") {
    const auto silent = first([](Peer& peer) { peer.wait_for_end(); });
    setting.settings.timeout = 1s;
    CHECK(setting.post(second.port()).accepted);
  }
  SECTION("the first refuses: that is the endpoint's answer") {
    const auto refusing = first(says("HTTP/1.1 503 Later\r\n\r\n"));
    setting.not_accepted(setting.post(second.port()), "HTTP 503 Later");
    CHECK(second.connections() == 0);
  }
  SECTION("the first is private and refused") {
    setting.settings.private_destinations = {*base::Network::parse("127.0.0.3")};
    CHECK(setting.post(second.port()).accepted);
  }
  SECTION("none answers") {
    setting.not_accepted(setting.post(1),
                         "rua.example, 127.0.0.2: connect: Connection refused; "
                         "127.0.0.3: connect: Connection refused");
  }
}

TEST_CASE("a host without an address, or with DNS that fails") {
  Setting setting;
  setting.resolver.nothing("rua.example", dns::Type::A);
  setting.not_accepted(setting.post(1), "rua.example has no address");
  setting.resolver.fails("rua.example", dns::Type::A, dns::LookupError::Kind::servfail);
  setting.not_accepted(setting.post(1), "SERVFAIL");
}
