// RFC 5321 §5.1: where this machine is among the MX hosts, only better ones may have the mail.
#include "policy/own_mx.h"

#include <set>

#include "plan_support.h"

using namespace policy;
namespace pt = plan_test;

namespace {

std::vector<MxHost> hosts() {
  return {{pt::name("mx1.example.com"), 10},
          {pt::name("mx2.example.com"), 20},
          {pt::name("edge.example.net"), 20},
          {pt::name("mx3.example.com"), 30}};
}

// "mx1.example.com 10, …" of what is left, behind the name of our own.
std::string left(std::vector<MxHost> list, const std::set<std::string>& own) {
  const auto found =
      cut_at_own(list, [&](const MxHost& host) { return own.contains(host.host.str()); });
  std::string text = found ? found->host.str() + ":" : "-:";
  for (const MxHost& host : list) text += " " + host.host.str();
  return text;
}

}  // namespace

TEST_CASE("a host that is this machine cuts the list at its preference") {
  CHECK(left(hosts(), {}) ==
        "-: mx1.example.com mx2.example.com edge.example.net mx3.example.com");
  CHECK(left(hosts(), {"edge.example.net"}) == "edge.example.net: mx1.example.com");
  CHECK(left(hosts(), {"mx3.example.com"}) ==
        "mx3.example.com: mx1.example.com mx2.example.com edge.example.net");
  CHECK(left(hosts(), {"mx1.example.com", "mx3.example.com"}) == "mx1.example.com:");
  CHECK(left({}, {"mx1.example.com"}) == "-:");
}

TEST_CASE("no host that is better than this machine: a passing reply that names it") {
  const smtp::Reply reply =
      own_mx_reply(pt::name("example.com"), {pt::name("edge.example.net"), 10});
  CHECK(reply.code == 451);
  CHECK(reply.enhanced == smtp::EnhancedCode{4, 4, 4});
  CHECK(reply.lines.front().find("edge.example.net") != std::string::npos);
}
