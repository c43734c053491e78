// SubmitMail against a scripted server that refuses, vanishes or speaks too early at every step.
#include "proxy/report_mail.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <thread>

#include "tests/unit/proxy/run.h"

using namespace std::chrono_literals;
using proxy::SubmitMail;
using proxy::SubmitTimes;
using report::Sent;

namespace {

const std::string and_closes = "\x04";

// What the server says, step by step. A text that ends with `and_closes` is its last; "silence":
// it says nothing and waits for the end.
struct Script {
  std::string greeting = "220 mta.example ESMTP\r\n";
  std::string ehlo = "250-mta.example\r\n250-PIPELINING\r\n250 SIZE 1000000\r\n";
  std::string mail = "250 2.1.0 Ok\r\n";
  std::string rcpt = "250 2.1.5 Ok\r\n";
  std::string data = "354 End data with <CR><LF>.<CR><LF>\r\n";
  std::string dot = "250 2.0.0 Ok: queued as 4F\r\n";
};
using Step = std::string Script::*;
const std::vector<std::pair<Step, std::string>> steps = {
    {&Script::greeting, "greeting"}, {&Script::ehlo, "EHLO"}, {&Script::mail, "MAIL"},
    {&Script::rcpt, "RCPT"},         {&Script::data, "DATA"}, {&Script::dot, "the final dot"}};

// One connection, in a thread of its own.
class Server {
 public:
  explicit Server(Script script, bool over_unix = false) : script_(std::move(script)) {
    signal(SIGPIPE, SIG_IGN);
    if (over_unix) {
      listen_unix();
    } else {
      listen_tcp();
    }
    thread_ = std::thread([this] { run(); });
  }
  ~Server() {
    join();
    if (!dir_.empty()) std::filesystem::remove_all(dir_);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  config::Address address() const { return address_; }
  // All commands and the message, once the client is gone.
  std::string heard() {
    join();
    return heard_;
  }

 private:
  void listen_tcp() {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in where{};
    where.sin_family = AF_INET;
    inet_pton(AF_INET, "127.0.0.1", &where.sin_addr);
    socklen_t size = sizeof where;
    if (bind(listener_, reinterpret_cast<sockaddr*>(&where), size) != 0 ||
        listen(listener_, 4) != 0) {
      throw std::runtime_error("listen");
    }
    getsockname(listener_, reinterpret_cast<sockaddr*>(&where), &size);
    address_ = config::Tcp{base::Ip::v4({127, 0, 0, 1}), ntohs(where.sin_port)};
  }
  void listen_unix() {
    dir_ = (std::filesystem::temp_directory_path() / "sternpost-submit-XXXXXX").string();
    if (!mkdtemp(dir_.data())) throw std::runtime_error("mkdtemp");
    const std::string path = dir_ + "/smtp";
    listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un where{};
    where.sun_family = AF_UNIX;
    path.copy(where.sun_path, sizeof where.sun_path - 1);
    if (bind(listener_, reinterpret_cast<sockaddr*>(&where), sizeof where) != 0 ||
        listen(listener_, 4) != 0) {
      throw std::runtime_error("listen");
    }
    address_ = config::Unix{path};
  }
  void join() {
    shutdown(listener_, SHUT_RDWR);  // Where nobody came, accept() ends.
    if (thread_.joinable()) thread_.join();
    close(listener_);
    listener_ = -1;
  }

  // False: over.
  bool say(const std::string& text) {
    if (text.ends_with(and_closes)) {
      say(text.substr(0, text.size() - and_closes.size()));
      return false;
    }
    if (text == "silence") {
      while (hear("\xff")) {
      }
      return false;
    }
    return write(connection_, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  }
  // Reads until what was read from here on ends with `end`.
  bool hear(const std::string& end) {
    const std::size_t from = heard_.size();
    char octet = 0;
    while (read(connection_, &octet, 1) == 1) {
      heard_ += octet;
      if (heard_.size() - from >= end.size() && heard_.ends_with(end)) return true;
    }
    return false;
  }
  void run() {
    connection_ = accept(listener_, nullptr, nullptr);
    if (connection_ < 0) return;
    const bool whole = say(script_.greeting) && hear("\r\n") && say(script_.ehlo) &&
                       hear("\r\n") && say(script_.mail) && hear("\r\n") && say(script_.rcpt) &&
                       hear("\r\n") && say(script_.data) && hear("\r\n.\r\n") &&
                       say(script_.dot);
    if (whole) hear("QUIT\r\n");
    while (whole && hear("\xff")) {
    }
    close(connection_);
  }

  Script script_;
  config::Address address_;
  std::string dir_;
  int listener_ = -1;
  int connection_ = -1;
  std::string heard_;
  std::thread thread_;
};

const std::string message = "Subject: Report\r\n\r\n.leading\r\n..two\r\nend.\r\n.\r\n";

SubmitTimes each_step(std::chrono::milliseconds time) {
  SubmitTimes times;
  times.connect = times.command = times.block = times.final_dot = time;
  return times;
}

Sent submit_to(const config::Address& where, const std::string& text = message,
               const std::string& recipient = "tls@rua.example",
               const std::string& reverse_path = "tlsrpt+1.x@sender.example",
               SubmitTimes times = each_step(10s)) {
  boost::asio::io_context io(1);
  SubmitMail sink(where, "edge.example", times);
  Sent sent;
  auto work = [&]() -> boost::asio::awaitable<void> {
    auto submitting = sink.submit(reverse_path, recipient, text);
    sent = co_await std::move(submitting);
  };
  run_to_end(io, work());
  return sent;
}

void not_accepted(const Sent& sent, const std::string& words) {
  INFO(sent.answer);
  CHECK_FALSE(sent.accepted);
  CHECK(sent.answer.find(words) != std::string::npos);
  CHECK(sent.answer.find_first_of("\r\n") == std::string::npos);
}

void refuses(Step step, const std::string& reply, const std::string& words) {
  Script script;
  script.*step = reply;
  Server server(script);
  not_accepted(submit_to(server.address()), words);
}

}  // namespace

TEST_CASE("RFC 5321 §3.3, §4.5.2: one transaction, SIZE as offered, dots stuffed, QUIT") {
  Server server(Script{}, GENERATE(false, true));
  const Sent sent = submit_to(server.address());
  CHECK(sent.accepted);
  CHECK(sent.answer == "250 2.0.0 Ok: queued as 4F");
  CHECK(server.heard() ==
        "EHLO edge.example\r\n"
        "MAIL FROM:<tlsrpt+1.x@sender.example> SIZE=" + std::to_string(message.size()) + "\r\n"
        "RCPT TO:<tls@rua.example>\r\n"
        "DATA\r\n"
        "Subject: Report\r\n\r\n..leading\r\n...two\r\nend.\r\n..\r\n.\r\n"
        "QUIT\r\n");
}

TEST_CASE("RFC 1870 §6: no SIZE where it is not offered; the null reverse-path; a missing CRLF") {
  Script script;
  script.ehlo = "250 mta.example\r\n";
  Server server(script);
  CHECK(submit_to(server.address(), ".no end", "tls@rua.example", "").accepted);
  CHECK(server.heard() ==
        "EHLO edge.example\r\nMAIL FROM:<>\r\nRCPT TO:<tls@rua.example>\r\nDATA\r\n"
        "..no end\r\n.\r\nQUIT\r\n");
}

TEST_CASE("a message of megabytes arrives whole") {
  std::string text;
  std::string stuffed;
  for (int i = 0; i < 20000; ++i) {
    const std::string line = ".line " + std::to_string(i) + " of a long report\r\n";
    text += line;
    stuffed += "." + line;
  }
  Script script;
  script.ehlo = "250-mta.example\r\n250 SIZE 0\r\n";  // RFC 1870 §3: no limit
  Server server(script);
  CHECK(submit_to(server.address(), text).accepted);
  CHECK(server.heard().find("DATA\r\n" + stuffed + ".\r\n") != std::string::npos);
}

TEST_CASE("RFC 5321 §4.2.1: a reply of several lines, in pieces, with any 2yz") {
  Script script;
  script.greeting = "220-mta.example\r\n220-has much\r\n220 to say\r\n";
  script.rcpt = "251-2.1.5 forwarded\r\n251 2.1.5 elsewhere\r\n";
  script.dot = "250-2.0.0 Ok\r\n250 2.0.0 thanks\x01\r\n";
  Server server(script);
  const Sent sent = submit_to(server.address());
  CHECK(sent.accepted);
  CHECK(sent.answer == "250 2.0.0 Ok thanks?");
}

TEST_CASE("RFC 5321 §4.2: every refusal is told with its step") {
  for (const auto& [step, name] : steps) {
    for (const char* reply : {"421 4.3.2 shutting down", "450 4.7.1 later", "550 5.7.1 never"}) {
      refuses(step, std::string(reply) + "\r\n", reply);
      refuses(step, std::string(reply) + "\r\n", name);
    }
    refuses(step, "999 what\r\n", name);
    refuses(step, "no reply\r\n", name);
    refuses(step, "550-5.1.1 a\r\n550 5.1.1 b\r\n", "550 5.1.1 a b");
  }
}

TEST_CASE("RFC 5321 §4.3.2: a code that belongs to another step is no acceptance") {
  refuses(&Script::greeting, "250 ok\r\n", "greeting: 250 ok");
  refuses(&Script::ehlo, "354 go on\r\n", "EHLO answered 354");
  refuses(&Script::mail, "354 go on\r\n", "MAIL answered 354");
  refuses(&Script::rcpt, "354 go on\r\n", "RCPT answered 354");
  refuses(&Script::data, "250 ok\r\n", "DATA answered 250 ok");
  refuses(&Script::data, "355 odd\r\n", "DATA answered 355 odd");
  refuses(&Script::dot, "354 more\r\n", "the final dot answered 354 more");
}

TEST_CASE("after a refusal QUIT is said and nothing else") {
  Script script;
  script.rcpt = "550 5.1.1 no such user\r\n";
  Server server(script);
  not_accepted(submit_to(server.address()), "RCPT answered 550 5.1.1 no such user");
  const std::string heard = server.heard();
  CHECK(heard.find("DATA") == std::string::npos);
  CHECK(heard.ends_with("RCPT TO:<tls@rua.example>\r\nQUIT\r\n"));
}

TEST_CASE("a server that closes, at whatever step, accepts nothing") {
  for (const auto& [step, name] : steps) {
    refuses(step, and_closes, name);
    refuses(step, "25" + and_closes, name);              // in the middle of a code
    refuses(step, "250-one of\r\n" + and_closes, name);  // and of a reply
  }
}

TEST_CASE("a server that falls silent, at whatever step, is left in time") {
  for (const auto& [step, name] : steps) {
    for (const char* reply : {"silence", "250-one of\r\n"}) {
      Script script;
      script.*step = reply;
      Server server(script);
      const auto start = std::chrono::steady_clock::now();
      const Sent sent =
          submit_to(server.address(), message, "tls@rua.example", "", each_step(200ms));
      not_accepted(sent, name);
      CHECK(std::chrono::steady_clock::now() - start < 5s);
    }
  }
}

TEST_CASE("the time for the whole ends what each step alone would allow") {
  SubmitTimes times = each_step(10s);
  times.whole = 200ms;
  Script script;
  script.rcpt = "silence";
  Server server(script);
  not_accepted(submit_to(server.address(), message, "tls@rua.example", "", times),
               "RCPT: it did not answer in time");
}

TEST_CASE("a message that the server does not read ends with its block's time") {
  Script script;
  script.ehlo = "250 mta.example\r\n";
  script.data = "354 go on\r\n";
  // Reads up to DATA and then nothing.
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  inet_pton(AF_INET, "127.0.0.1", &where.sin_addr);
  socklen_t size = sizeof where;
  REQUIRE(bind(listener, reinterpret_cast<sockaddr*>(&where), size) == 0);
  REQUIRE(listen(listener, 1) == 0);
  getsockname(listener, reinterpret_cast<sockaddr*>(&where), &size);
  std::atomic<bool> over{false};
  std::thread server([&] {
    const int connection = accept(listener, nullptr, nullptr);
    for (const std::string& reply : {script.greeting, script.ehlo, script.mail, script.rcpt,
                                     script.data}) {
      if (write(connection, reply.data(), reply.size()) < 0) break;
      if (reply == script.data) break;
      char octet = 0;
      while (read(connection, &octet, 1) == 1 && octet != '\n') {
      }
    }
    while (!over) std::this_thread::sleep_for(5ms);
    close(connection);
  });
  std::string text;
  while (text.size() < (16U << 20)) text += std::string(998, 'x') + "\r\n";
  const config::Address address = config::Tcp{base::Ip::v4({127, 0, 0, 1}), ntohs(where.sin_port)};
  not_accepted(submit_to(address, text, "tls@rua.example", "", each_step(200ms)),
               "message: it did not answer in time");
  over = true;
  server.join();
  close(listener);
}

TEST_CASE("a reply sent before its time stands for nothing") {
  const std::string early = "answered before it was asked";
  refuses(&Script::greeting, "220 mta.example\r\n250 mta.example\r\n", "EHLO: it " + early);
  refuses(&Script::ehlo, "250 mta.example\r\n250 ok\r\n", "MAIL: it " + early);
  refuses(&Script::mail, "250 ok\r\n250 ok\r\n", "RCPT: it " + early);
  refuses(&Script::rcpt, "250 ok\r\n354 go on\r\n", "DATA: it " + early);
  refuses(&Script::data, "354 go on\r\n250 2.0.0 queued\r\n", "the final dot: it " + early);
  refuses(&Script::data, "354 go on\r\n250-2.0.0 que" + and_closes, "the final dot: ");
  // RFC 5321 §3.8: but for 421, by which a server says that it goes.
  refuses(&Script::data, "354 go on\r\n421 4.3.2 bye\r\n", "the final dot answered 421 4.3.2 bye");
}

TEST_CASE("RFC 6531 §3.2: SMTPUTF8 where path or message needs it, and only there") {
  Script script;
  script.ehlo = "250-mta.example\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n";
  const auto heard = [&](const std::string& text, const std::string& recipient) {
    Server server(script);
    const Sent sent = submit_to(server.address(), text, recipient, "");
    INFO(sent.answer);
    CHECK(sent.accepted);
    return server.heard();
  };
  const std::string to = "To: m\xc3\xbcller@rua.example\r\n\r\nx\r\n";
  CHECK(heard(message, "tls@rua.example").find("MAIL FROM:<>\r\n") != std::string::npos);
  const std::string with = heard(to, "m\xc3\xbcller@rua.example");
  CHECK(with.find("MAIL FROM:<> BODY=8BITMIME SMTPUTF8\r\n") != std::string::npos);
  CHECK(with.find("RCPT TO:<m\xc3\xbcller@rua.example>\r\n") != std::string::npos);
  CHECK(heard(to, "tls@rua.example").find("SMTPUTF8\r\n") != std::string::npos);
  CHECK(heard(message, "tls@m\xc3\xbcller.example").find("SMTPUTF8\r\n") != std::string::npos);
}

TEST_CASE("RFC 6531 §3.2: nothing is sent where SMTPUTF8 is needed and not offered") {
  Server server{Script{}};
  not_accepted(submit_to(server.address(), message, "m\xc3\xbcller@rua.example"),
               "it needs SMTPUTF8, which the server does not offer");
  CHECK(server.heard() == "EHLO edge.example\r\nQUIT\r\n");
}

TEST_CASE("RFC 1870 §6.1: a message over the server's SIZE is not sent") {
  Script script;
  script.ehlo = "250-mta.example\r\n250 SIZE 10\r\n";
  Server server(script);
  not_accepted(submit_to(server.address(), "123456789\r\n"),
               "the message has 11 octets, the server takes 10");
  CHECK(server.heard() == "EHLO edge.example\r\nQUIT\r\n");
}

TEST_CASE("what is no path never becomes part of a command") {
  const config::Address nobody = config::Tcp{base::Ip::v4({127, 0, 0, 1}), 1};
  for (const char* recipient :
       {"\"a\r\nb\"@c.example", "\"a\\\r\"@c.example", "a\x01@b.example", "\xff@b.example",
        "", "tls", "a@b.example>\r\nRCPT TO:<x@y.example", "a@b.example> SIZE=1", "a b@c.example",
        "a@b.example\n", "@relay.example:a@b.example", "a@", "@b.example", "a@b..example"}) {
    INFO(recipient);
    not_accepted(submit_to(nobody, message, recipient), "its recipient is no path");
  }
  not_accepted(submit_to(nobody, message, "\"a> b\"@c.example"), "Connection refused");
  for (const char* reverse_path : {"x", "a@b.example>\r\nDATA", "a@b.example "}) {
    not_accepted(submit_to(nobody, message, "tls@rua.example", reverse_path),
                 "its reverse-path is no path");
  }
}

TEST_CASE("RFC 5321 §2.3.8: a message with a bare CR or LF is not sent") {
  const config::Address nobody = config::Tcp{base::Ip::v4({127, 0, 0, 1}), 1};
  for (const char* text :
       {"a\nb\r\n", "a\rb\r\n", "a\r\n.\nb\r\n", "a\n", "a\r", "\n.\n", "a\r\r\n"}) {
    not_accepted(submit_to(nobody, text), "its message has a bare CR or LF");
  }
}

TEST_CASE("a server that is not there is named") {
  not_accepted(submit_to(config::Tcp{base::Ip::v4({127, 0, 0, 1}), 1}),
               "127.0.0.1:1: Connection refused");
  not_accepted(submit_to(config::Unix{"/nonexistent/smtp"}),
               "unix:/nonexistent/smtp: No such file");
  not_accepted(submit_to(config::Unix{"/" + std::string(200, 'p')}), "too long for a socket");
}
