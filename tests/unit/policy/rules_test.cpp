// Which rule or exception of the operator holds for a domain on a day.
#include "plan_support.h"

namespace {

using namespace policy;
using std::chrono::sys_days;
namespace pt = plan_test;

constexpr sys_days june(int d) { return sys_days(std::chrono::year(2026) / 6 / d); }

DomainPattern pattern(std::string_view text) {
  if (text.starts_with('.')) return {pt::name(text.substr(1)), true};
  return {pt::name(text), false};
}

Rule rule(std::vector<std::string> domains, Require require) {
  Rule out;
  for (const std::string& text : domains) out.domains.push_back(pattern(text));
  out.require = require;
  return out;
}

Exception exception(std::string_view domain, int until) {
  Exception out;
  out.domains.push_back(pattern(domain));
  out.until = june(until);
  return out;
}

}  // namespace

TEST_CASE("a pattern without a dot names the domain alone") {
  CHECK(pattern("bank.example").matches(pt::name("bank.example")));
  CHECK_FALSE(pattern("bank.example").matches(pt::name("a.bank.example")));
  CHECK_FALSE(pattern("bank.example").matches(pt::name("xbank.example")));
}

TEST_CASE("a leading dot names all subdomains, not the domain itself") {
  CHECK(pattern(".bank.example").matches(pt::name("a.bank.example")));
  CHECK(pattern(".bank.example").matches(pt::name("a.b.bank.example")));
  CHECK_FALSE(pattern(".bank.example").matches(pt::name("bank.example")));
  CHECK_FALSE(pattern(".bank.example").matches(pt::name("xbank.example")));
}

TEST_CASE("the first rule that matches wins") {
  Settings settings;
  settings.rules = {rule({"a.example", ".a.example"}, Require::encrypted),
                    rule({".a.example"}, Require::dane), rule({"b.example"}, Require::verified)};
  CHECK(operator_for(settings, pt::name("x.a.example"), june(1)).rule == &settings.rules[0]);
  CHECK(operator_for(settings, pt::name("b.example"), june(1)).rule == &settings.rules[2]);
  const Operator none = operator_for(settings, pt::name("c.example"), june(1));
  CHECK(none.rule == nullptr);
  CHECK(none.exception == nullptr);
}

TEST_CASE("an exception stands above rules through its last day, then the rule holds again") {
  Settings settings;
  settings.rules = {rule({"a.example"}, Require::dane)};
  settings.exceptions = {exception("a.example", 10)};
  const base::Domain domain = pt::name("a.example");
  for (const int before : {1, 9, 10}) {
    const Operator op = operator_for(settings, domain, june(before));
    CHECK(op.exception == &settings.exceptions[0]);
    CHECK(op.rule == nullptr);
  }
  const Operator after = operator_for(settings, domain, june(11));
  CHECK(after.exception == nullptr);
  CHECK(after.rule == &settings.rules[0]);
}

TEST_CASE("of several exceptions the first that is in force holds") {
  Settings settings;
  settings.exceptions = {exception("a.example", 5), exception("a.example", 20)};
  const Operator op = operator_for(settings, pt::name("a.example"), june(6));
  CHECK(op.exception == &settings.exceptions[1]);
}

TEST_CASE("an exception for the domain says nothing of its subdomains") {
  Settings settings;
  settings.exceptions = {exception("a.example", 20)};
  CHECK(operator_for(settings, pt::name("b.a.example"), june(1)).exception == nullptr);
}
