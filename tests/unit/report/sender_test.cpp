// Sender: an https host that does not answer is left alone for a while, by every domain's report,
// and no report loses a try by it that it would have had at the end.
#include "tests/unit/report/support.h"

using namespace report_test;

namespace {

const std::string record = "v=TLSRPTv1; rua=https://rua.example/v1";
const std::string uri = "https://rua.example/v1";
const report::Sent silence{false, "timed out", true};

base::WallTime due(const std::string& domain) {
  return base::WallTime(day + std::chrono::days(1)) + report::jitter(domain, "edge.example.com");
}

// Two domains whose reports go within a minute of each other, the earlier first.
std::pair<std::string, std::string> neighbours() {
  std::vector<std::string> names;
  for (int i = 0; i < 1000; ++i) names.push_back("d" + std::to_string(i) + ".example");
  std::ranges::sort(names, {}, due);
  for (std::size_t i = 0; i + 1 < names.size(); ++i) {
    const auto apart = due(names[i + 1]) - due(names[i]);
    if (apart > 5s && apart < 30s) return {names[i], names[i + 1]};
  }
  FAIL("no two of a thousand are so near");
  return {};
}

struct Two {
  World world;
  std::string first;
  std::string second;
  explicit Two(const std::string& record_of_second = record) {
    std::tie(first, second) = neighbours();
    world.asks(first, record);
    world.asks(second, record_of_second);
    world.start();
    world.sessions(first, 1);
    world.sessions(second, 1);
    world.until(due(first) - 2s);
    REQUIRE(world.https.posts.empty());
  }
  json endpoint(const std::string& domain) { return world.row(domain)["endpoints"][0]; }
  void to(base::WallTime end) { world.until(end, 1s); }
};

}  // namespace

TEST_CASE("an https host that did not answer is left alone by the next report, for five minutes") {
  Two two;
  two.world.https.answer = silence;
  two.to(due(two.second) + 3s);
  CHECK(two.world.https.posts.size() == 1);
  CHECK(two.endpoint(two.first)["attempts"] == 1);
  CHECK(two.endpoint(two.second)["attempts"] == 0);
  CHECK(two.endpoint(two.second)["state"] == "waiting");
  two.world.https.answer = {true, "HTTP 201"};
  two.to(due(two.first) + 4min);
  CHECK(two.world.https.posts.size() == 1);
  two.to(due(two.first) + 7min);
  CHECK(two.world.https.posts.size() == 3);  // the first's again, and the second's
  CHECK(two.endpoint(two.first)["state"] == "accepted");
  CHECK(two.endpoint(two.second)["state"] == "accepted");
  CHECK(two.endpoint(two.second)["attempts"] == 1);
}

TEST_CASE("a host that answers, whatever it says, is not left alone; nor is another host") {
  SECTION("HTTP 503") {
    Two two;
    two.world.https.answer = {false, "HTTP 503"};
    two.to(due(two.second) + 3s);
    CHECK(two.world.https.posts.size() == 2);
  }
  SECTION("another host") {
    Two two("v=TLSRPTv1; rua=https://other.example/v1");
    two.world.https.answer = silence;
    two.to(due(two.second) + 3s);
    REQUIRE(two.world.https.posts.size() == 2);
    CHECK(two.world.https.posts[1].first == "https://other.example/v1");
  }
  SECTION("mail to its name") {
    Two two("v=TLSRPTv1; rua=mailto:tls@rua.example");
    two.world.https.answer = silence;
    two.to(due(two.second) + 3s);
    CHECK(two.world.https.posts.size() == 1);
    CHECK(two.world.mail.mails.size() == 1);
  }
}

TEST_CASE("an answer ends it that a host is left alone") {
  Two two;
  two.world.https.answer = silence;
  two.to(due(two.first) + 2s);
  CHECK(two.world.https.posts.size() == 1);
  // By hand a report goes there all the same, and is answered.
  two.world.https.answer = {false, "HTTP 503"};
  two.world.command(
      {{"command", "report send"}, {"date", "2026-11-25"}, {"domain", two.first}});
  CHECK(two.world.https.posts.size() == 2);
  two.to(due(two.second) + 3s);
  CHECK(two.world.https.posts.size() == 3);
  CHECK(two.endpoint(two.second)["answer"] == "HTTP 503");
}

TEST_CASE("RFC 8460 §5.5: a host that never answers costs no report its last try of 24 hours") {
  Two two;
  two.world.https.answer = silence;
  two.world.until(due(two.second) + 23h, 1min);
  CHECK(two.world.row(two.second)["state"] == "sending");
  two.world.until(due(two.second) + 26h, 1min);
  for (const std::string& domain : {two.first, two.second}) {
    CHECK(two.world.row(domain)["state"] == "failed");
    CHECK(two.endpoint(domain)["state"] == "given-up");
    CHECK(two.endpoint(domain)["attempts"] >= 1);
    CHECK(two.endpoint(domain)["answer"] == "timed out");
  }
  const auto tried = two.world.https.posts.size();
  two.world.until(due(two.second) + 60h, 30min);
  CHECK(two.world.https.posts.size() == tried);
}
