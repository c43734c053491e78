// policy::lint: every problem of a policy file at once, each with its place.
#include <catch2/catch.hpp>

#include "policy/sts_lint.h"

namespace {

using policy::LintFinding;
using policy::LintSeverity;

const std::string good_policy =
    "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\n"
    "max_age: 1209600\r\n";

std::string text_of(const std::vector<LintFinding>& findings) {
  std::string text;
  for (const LintFinding& one : findings) {
    text += std::to_string(one.line) + ":" + std::to_string(one.column) + " " +
            std::string(policy::to_string(one.severity)) + " " + one.text + "\n";
  }
  return text;
}

// `want`: "LINE:COLUMN severity beginning" of each finding, in order.
void finds(const std::string& body, const std::vector<std::string>& want) {
  const auto found = policy::lint(body);
  INFO(body << "---\n" << text_of(found));
  REQUIRE(found.size() == want.size());
  for (std::size_t i = 0; i < want.size(); ++i) {
    INFO("wanted: " << want[i]);
    CHECK(text_of({found[i]}).starts_with(want[i]));
  }
}

std::string crlf(const std::string& mode, const std::string& mx, const std::string& max_age) {
  return "version: STSv1\r\nmode: " + mode + "\r\nmx: " + mx + "\r\nmax_age: " + max_age + "\r\n";
}

}  // namespace

TEST_CASE("lint: a policy without fault has no finding") {
  finds(good_policy, {});
  finds("version: STSv1\r\nmode: none\r\nmax_age: 86400\r\n", {});
  finds(good_policy.substr(0, good_policy.size() - 2), {});  // The last line end is optional.
  finds(crlf("testing", "mx.example.com", "86400"), {});
}

TEST_CASE("lint: errors are the sender's own, all of them and with their places") {
  finds("version: STSv2\r\nmode: Enforce\r\nmx: under_score.example\r\nmax_age: 1w\r\n",
        {"1:10 error version is not", "2:7 error mode is not", "3:5 error mx is not",
         "4:10 error max_age is not"});
  finds("", {"0:0 error the policy is empty"});
  finds("version: STSv1\r\n",
        {"0:0 error there is no mode", "0:0 error there is no max_age"});
  CHECK(policy::has_error(policy::lint("")));
  CHECK_FALSE(policy::has_error(policy::lint(crlf("enforce", "mx.example.com", "60"))));
}

TEST_CASE("lint: line ends of LF alone, and mixed ones") {
  finds("version: STSv1\nmode: testing\nmx: mx.example.com\nmax_age: 86400\n",
        {"1:15 warning the lines end in LF alone"});
  finds("version: STSv1\r\nmode: testing\nmx: mx.example.com\r\nmax_age: 86400\r\n",
        {"2:14 warning this line ends in LF alone, others in CRLF"});
}

TEST_CASE("lint: blank lines at the end are tolerated here, not everywhere") {
  finds(good_policy + "\r\n\r\n", {"6:1 warning blank lines at the end"});
  finds("version: STSv1\r\n\r\nmode: none\r\nmax_age: 1\r\n", {"2:1 error a blank line"});
}

TEST_CASE("lint: max_age") {
  finds(crlf("enforce", "mx.example.com", "604799"), {"4:10 warning a short max_age"});
  finds(crlf("enforce", "mx.example.com", "604800"), {});
  finds(crlf("testing", "mx.example.com", "86399"), {"4:10 warning a max_age of less than a day"});
  finds(crlf("enforce", "mx.example.com", "31557601"), {"4:10 warning over 31557600"});
  finds(crlf("enforce", "mx.example.com", "12345678901"), {"4:10 error max_age is not"});
}

TEST_CASE("lint: patterns that cannot match, or match strangers") {
  finds(crlf("enforce", "192.0.2.1", "604800"), {"3:5 warning cannot match: an MX is a host"});
  finds(crlf("enforce", "mail", "604800"), {"3:5 warning cannot match: a name of one label"});
  finds(crlf("enforce", "*.com", "604800"), {"3:5 warning admits every host right below \"com\""});
  finds(crlf("enforce", "xn--a.example.com", "604800"), {});  // Whether it is one is IDNA's.
}

TEST_CASE("lint: patterns that say nothing new") {
  finds(crlf("enforce", "a.example.com\r\nmx: A.example.com", "604800"),
        {"4:5 warning the same pattern as in line 3"});
  finds(crlf("enforce", "a.example.com\r\nmx: *.example.com", "604800"),
        {"3:5 warning already admitted by the pattern in line 4"});
}

TEST_CASE("lint: mode none with patterns, fields twice, fields nobody knows") {
  finds(crlf("none", "mx.example.com", "86400"), {"3:1 warning mode none needs no mx"});
  finds(good_policy + "mode: testing\r\nmax_age: 1209600\r\n",
        {"6:1 warning a second mode, which is passed over: the one in line 2 counts, though",
         "7:1 warning a second max_age, which is passed over: the one in line 5 counts\n"});
  finds(good_policy + "nmx: mx.example.com\r\nMax_Age: 5\r\nnote: hello\r\n",
        {"6:1 warning a field that RFC 8461 does not know, which senders pass over: is \"mx\"",
         "7:1 warning a field that RFC 8461 does not know, which senders pass over: is \"max_a",
         "8:1 warning a field that RFC 8461 does not know, which senders pass over\n"});
}

TEST_CASE("lint: what it says is bounded") {
  std::string body = good_policy;
  for (int i = 0; i < 5000; ++i) body += "x" + std::to_string(i) + ": y\r\n";
  CHECK(policy::lint(body).size() <= 52);
  finds(good_policy + "x: " + std::string(70000, 'y') + "\r\n",
        {"6:1 warning a field that RFC 8461 does not know", "0:0 warning the file has over 64"});
}
