// Report mail of our own that comes back through the relay, beside mail that is held back; and its
// bounces. DNS is unsigned and the MX speaks cleartext alone, so that any demand defers.
#include <catch2/catch.hpp>
#include <mutex>

#include "session_world.h"

namespace {

using audit::Event;
using audit::Record;
using audit::Verdict;
using session_world::Acceptor;
using session_world::Line;
using session_world::PlainResolver;
using session_world::Relay;
using session_world::return_path_today;

// An MX at 127.0.2.1 that takes everything, any number of connections at once.
class TakingMx {
 public:
  TakingMx() : acceptor_("127.0.2.1", 0), thread_([this] { serve(); }) {}
  ~TakingMx() {
    acceptor_.close();
    thread_.join();
    for (auto& one : sessions_) one.join();
  }
  std::uint16_t port() const { return acceptor_.port(); }
  int connections() const { return connections_; }
  int messages() const { return messages_; }

 private:
  void serve() {
    while (auto line = acceptor_.accept()) {
      ++connections_;
      sessions_.emplace_back([this, one = std::move(*line)]() mutable { talk(one); });
    }
  }
  void talk(Line& line) {
    line.send("220 mx.a.test ESMTP\r\n");
    while (auto command = line.read()) {
      if (*command == "DATA") {
        line.send("354 Go on\r\n");
        for (auto text = line.read(); text && *text != "."; text = line.read()) {
        }
        ++messages_;
      }
      if (command->starts_with("EHLO")) line.send("250-mx.a.test\r\n250 8BITMIME\r\n");
      else line.send("250 2.0.0 Ok\r\n");
    }
  }

  Acceptor acceptor_;
  std::atomic<int> connections_{0};
  std::atomic<int> messages_{0};
  std::vector<std::thread> sessions_;
  std::thread thread_;
};

struct World {
  TakingMx mx;
  PlainResolver resolver;
  config::Config config = session_world::test_config(config::Protocol::Smtp, mx.port());
  std::unique_ptr<Relay> relay;

  World() {
    resolver.add("a.test", "127.0.2.1");
    config::Listen lmtp = config.listen.front();
    lmtp.protocol = config::Protocol::Lmtp;
    config.listen.push_back(lmtp);
  }
  void start() {
    relay = std::make_unique<Relay>(std::make_shared<const config::Config>(config), resolver);
  }
  const Record last(Event event) const {
    const auto records = relay->log().records(event);
    REQUIRE(!records.empty());
    return records.back();
  }
};

// A client in the middle of a transaction.
class Client {
 public:
  explicit Client(Relay& relay, bool lmtp = false)
      : line_(Line::connect(relay.port(lmtp ? 1 : 0))) {
    reply();
    say(lmtp ? "LHLO client.test" : "EHLO client.test");
  }
  std::string reply() {
    const auto got = line_.read_reply();
    return got ? got->text : "nothing";
  }
  std::string say(const std::string& command) {
    line_.send(command + "\r\n");
    return reply();
  }
  std::string mail(const std::string& from) { return say("MAIL FROM:<" + from + ">"); }
  std::string rcpt(const std::string& to) { return say("RCPT TO:<" + to + ">"); }
  std::string data(const std::string& body = "Subject: x\r\n\r\ntext\r\n") {
    const std::string answer = say("DATA");
    if (!answer.starts_with("354")) return answer;
    line_.send(body + ".\r\n");
    return reply();
  }

 private:
  Line line_;
};

// The RCPT's reply where it is not positive, otherwise the one to the dot. The log has it all.
std::string send(Relay& relay, const std::string& from, const std::string& to) {
  Client client(relay);
  client.mail(from);
  std::string answer = client.rcpt(to);
  if (answer.starts_with("2")) answer = client.data();
  client.say("QUIT");
  return answer;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

config::Rule rule(config::Require require) {
  config::Rule out;
  out.domains.push_back({*base::Domain::parse("a.test"), false});
  out.require = require;
  return out;
}

}  // namespace

TEST_CASE("RFC 8460 §5.3: report mail is delivered whatever policies say, and never counted") {
  struct Held {
    std::string why;
    std::string code;
    std::function<void(config::Config&)> set;
  };
  config::Exception exception;
  exception.domains = rule(config::Require::Encrypted).domains;
  exception.allow = config::Allow::Encrypted;
  exception.until = std::chrono::year(2999) / 1 / 1;
  const Held cases[] = {
      {"policy.default", "451 4.7.4",
       [](config::Config& c) { c.policy.default_requirement = config::Default::Encrypted; }},
      {"policy.default verified", "451 4.7.",
       [](config::Config& c) { c.policy.default_requirement = config::Default::Verified; }},
      {"a rule", "451 4.7.4",
       [](config::Config& c) { c.policy.rules.push_back(rule(config::Require::Encrypted)); }},
      {"an exception that is not wide enough", "451 4.7.4",
       [&](config::Config& c) { c.policy.exceptions.push_back(exception); }},
      {"a rule for DANE", "451 4.7.5",
       [](config::Config& c) { c.policy.rules.push_back(rule(config::Require::Dane)); }},
  };
  for (const Held& held : cases) {
    INFO(held.why);
    World world;
    held.set(world.config);
    world.start();
    // Ordinary mail first: what it makes the relay remember of the host holds nobody back.
    CHECK(send(*world.relay, "a@front.test", "rua@a.test").starts_with(held.code));
    CHECK(world.mx.messages() == 0);
    const std::size_t exceptions = world.relay->log().records(Event::exception).size();
    const std::string from = return_path_today("rua@a.test");
    CHECK(send(*world.relay, from, "rua@a.test").starts_with("250 2.0.0"));
    CHECK(world.mx.messages() == 1);
    const Record session = world.last(Event::session);
    CHECK(session.counted == false);
    CHECK(!session.results);
    CHECK(!session.policy_type);
    CHECK(session.verdict == Verdict::usable);
    CHECK(session.protection == "cleartext");
    CHECK(has(session.reason.value_or(""),
              "report mail of our own, freed from policies (RFC 8460 §5.3)"));
    const Record delivery = world.last(Event::delivery);
    CHECK(delivery.verdict == Verdict::delivered);
    CHECK(delivery.id == session.id);
    CHECK(!delivery.policy_type);
    CHECK(world.relay->log().records(Event::exception).size() == exceptions);

    CHECK(send(*world.relay, from, "other@a.test").starts_with("451 4.7."));
    CHECK(send(*world.relay, "x" + from, "rua@a.test").starts_with("451 4.7."));
    CHECK(send(*world.relay, "a@front.test", "rua@a.test").starts_with("451 4.7."));
    CHECK(world.mx.messages() == 1);
  }
}

TEST_CASE("report mail needs no resolver that validates") {
  World world;
  world.start();
  world.relay->shared().validation = proxy::Validation::broken;
  CHECK(send(*world.relay, "a@front.test", "rua@a.test").starts_with("451 4.4.3"));
  CHECK(send(*world.relay, return_path_today("rua@a.test"), "rua@a.test").starts_with("250"));
}

TEST_CASE("in observe mode a line of report mail has its verdict in would_be") {
  World world;
  world.config.policy.mode = config::Mode::Observe;
  world.config.policy.default_requirement = config::Default::Encrypted;
  world.start();
  CHECK(send(*world.relay, return_path_today("rua@a.test"), "rua@a.test").starts_with("250"));
  CHECK(world.last(Event::delivery).would_be == Verdict::delivered);
}

TEST_CASE("report mail shares no connection with other mail") {
  World world;
  world.config.outbound.idle_keepalive = config::seconds(30);
  world.start();
  const std::string from = return_path_today("rua@a.test");
  CHECK(send(*world.relay, from, "rua@a.test").starts_with("250"));
  CHECK(world.mx.connections() == 1);
  // Its connection is not counted, so that mail which must be counted needs one of its own.
  CHECK(send(*world.relay, "a@front.test", "u@a.test").starts_with("250"));
  CHECK(world.mx.connections() == 2);
  CHECK(world.last(Event::session).counted == true);
  CHECK(send(*world.relay, from, "rua@a.test").starts_with("250"));
  CHECK(world.mx.connections() == 3);
  CHECK(world.last(Event::session).counted == false);
  CHECK(send(*world.relay, "a@front.test", "u@a.test").starts_with("250"));
  CHECK(world.mx.connections() == 3);
  CHECK(world.last(Event::delivery).reused == true);
}

TEST_CASE("report mail that is not taken says so in its lines, and is not counted either") {
  World world;
  world.resolver.add("dead.test", "127.0.2.99");
  world.start();
  const std::string from = return_path_today("rua@dead.test");
  CHECK(send(*world.relay, from, "rua@dead.test").starts_with("451 4.4.1"));
  const Record session = world.last(Event::session);
  CHECK(session.counted == false);
  CHECK(session.verdict == Verdict::refused);
  CHECK(has(session.reason.value_or(""), "(RFC 8460 §5.3): "));
  CHECK(world.last(Event::delivery).verdict == Verdict::deferred);
}

TEST_CASE("LMTP: an ordinary recipient never goes by the terms of report mail to its domain") {
  World world;
  world.config.policy.default_requirement = config::Default::Encrypted;
  world.start();
  for (const bool report_first : {true, false}) {
    INFO(report_first);
    Client client(*world.relay, true);
    client.mail(return_path_today("rua@a.test"));
    const std::string first = client.rcpt(report_first ? "rua@a.test" : "u@a.test");
    const std::string second = client.rcpt(report_first ? "u@a.test" : "rua@a.test");
    CHECK((report_first ? first : second).starts_with("250"));
    CHECK((report_first ? second : first).starts_with("451 4.7."));
    CHECK(client.data().starts_with("250 2.0.0"));
    client.say("QUIT");
  }
  CHECK(world.mx.messages() == 2);
}

TEST_CASE("RFC 9422 §4: SMTP: report mail and other mail to one domain are two transactions") {
  World world;
  world.start();
  Client client(*world.relay);
  client.mail(return_path_today("rua@a.test"));
  CHECK(client.rcpt("rua@a.test").starts_with("250"));
  std::string answer = client.rcpt("u@a.test");
  CHECK(answer.starts_with("452 4.5.3"));
  CHECK(has(answer, "this one is for report mail to a.test"));
  CHECK(client.data().starts_with("250 2.0.0"));

  client.mail(return_path_today("rua@a.test"));
  CHECK(client.rcpt("u@a.test").starts_with("250"));
  answer = client.rcpt("rua@a.test");
  CHECK(answer.starts_with("452 4.5.3"));
  CHECK(has(answer, "this one is for other mail to a.test"));
  CHECK(has(client.rcpt("u@b.test"), "this one is for a.test"));
}

TEST_CASE("a bounce of report mail is taken, dropped and told, and no MX is asked") {
  World world;
  world.config.policy.mode = config::Mode::Observe;
  world.start();
  const std::string own = return_path_today("rua@a.test");
  Client client(*world.relay);
  client.mail("");
  CHECK(client.rcpt(own).starts_with("250 2.1.5"));
  CHECK(client.rcpt(own).starts_with("250 2.1.5"));
  CHECK(has(client.rcpt("u@a.test"), "452 4.5.3"));
  CHECK(client.data().starts_with("250 2.0.0"));
  const auto deliveries = world.relay->log().deliveries();
  REQUIRE(deliveries.size() == 1);
  const Record& told = deliveries.front();
  CHECK(told.verdict == Verdict::dropped);
  CHECK(told.would_be == Verdict::dropped);
  CHECK(told.domain->str() == "reports.test");
  CHECK(told.recipients == 2U);
  CHECK(!told.mx);
  CHECK(has(told.reason.value_or(""), "bounce of report mail"));
  CHECK(has(told.reply.value_or(""), "250 2.0.0"));
  CHECK(world.relay->log().records(Event::session).empty());
  CHECK(world.mx.connections() == 0);
}

TEST_CASE("a bounce is refused for what any message is refused for") {
  World world;
  world.config.outbound.max_message_size = 1000;
  world.start();
  const std::string own = return_path_today("rua@a.test");
  Client client(*world.relay);
  const auto bounce = [&](const std::string& body) {
    client.mail("");
    CHECK(client.rcpt(own).starts_with("250"));
    const std::string end = client.data(body);
    CHECK(world.last(Event::delivery).verdict != Verdict::dropped);
    return end;
  };
  CHECK(bounce(std::string(2000, 'a') + "\r\n").starts_with("552 5.3.4"));
  CHECK(bounce("Subject: x\n\ntext\r\n").starts_with("550 5.6.11"));
  world.relay->log().full = true;
  const std::string refused = bounce("Subject: x\r\n\r\ntext\r\n");
  CHECK(refused.starts_with("451 4.3.0"));
  CHECK(refused.ends_with("]"));
  world.relay->log().full = false;
  client.mail("");
  CHECK(client.rcpt(own).starts_with("250"));
  client.say("RSET");
  CHECK(world.last(Event::delivery).verdict == Verdict::deferred);
  CHECK(world.relay->log().deliveries().size() == 4);
}

TEST_CASE("what is no bounce of report mail goes to the MX of its domain") {
  World world;
  world.resolver.add("reports.test", "127.0.2.1");
  world.start();
  const std::string own = return_path_today("rua@a.test");
  const auto today = std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now());
  const auto long_ago = today - tlsrpt::ReturnPath::lifetime - std::chrono::days(1);
  const std::string old = session_world::return_path().make(long_ago, "rua@a.test");
  CHECK(send(*world.relay, "a@front.test", own).starts_with("250 2.0.0"));
  CHECK(send(*world.relay, "", old).starts_with("250 2.0.0"));
  CHECK(send(*world.relay, "", "x" + own).starts_with("250 2.0.0"));
  CHECK(world.mx.messages() == 3);
  for (const Record& told : world.relay->log().deliveries()) {
    CHECK(told.verdict == Verdict::delivered);
  }
}
