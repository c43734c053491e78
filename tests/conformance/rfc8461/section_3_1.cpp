// RFC 8461 §3.1: the TXT record at _mta-sts.DOMAIN.
#include <catch2/catch.hpp>

#include "policy/sts.h"

namespace {

using Records = std::vector<std::string>;

void good(const Records& records, const std::string& id) {
  const auto parsed = policy::parse_sts_txt(records);
  INFO(records.front());
  REQUIRE(std::holds_alternative<std::string>(parsed));
  CHECK(std::get<std::string>(parsed) == id);
}

void bad(const Records& records, const std::string& why) {
  const auto parsed = policy::parse_sts_txt(records);
  INFO((records.empty() ? "" : records.front()));
  REQUIRE(std::holds_alternative<policy::StsNoRecord>(parsed));
  CHECK(std::get<policy::StsNoRecord>(parsed).reason.find(why) != std::string::npos);
}

}  // namespace

TEST_CASE("RFC 8461 §3.1: one valid record gives its id") {
  good({"v=STSv1; id=20160831085700Z;"}, "20160831085700Z");
  good({"v=STSv1;id=1"}, "1");
  good({"v=STSv1; id=1"}, "1");
  good({"v=STSv1;\t id=1 \t; "}, "1");
  good({"v=STSv1;id=12345678901234567890123456789012"}, "12345678901234567890123456789012");
}

TEST_CASE("STS-3.1-b: after the version the order is free; STS-3.1-j: unknown fields are ignored") {
  good({"v=STSv1; foo=bar; id=a1"}, "a1");
  good({"v=STSv1; id=a1; x-y_z.0=!\"#$%&'()*+,-./:<>?@[\\]^_`{|}~"}, "a1");
  good({"v=STSv1; v=STSv2; id=a1"}, "a1");
  good({"v=STSv1; ID=other; id=a1"}, "a1");
  good({"v=STSv1; " + std::string(32, 'n') + "=x; id=a1"}, "a1");
}

TEST_CASE("STS-3.1-c, STS-3.1-e: what does not begin with v=STSv1; is no MTA-STS record") {
  bad({}, "no MTA-STS record");
  bad({"V=STSv1; id=1"}, "no MTA-STS record");
  bad({"v=stsv1; id=1"}, "no MTA-STS record");
  bad({"v=STSv1"}, "no MTA-STS record");
  bad({"v=STSv12; id=1"}, "no MTA-STS record");
  bad({" v=STSv1; id=1"}, "no MTA-STS record");
  bad({"id=1; v=STSv1;"}, "no MTA-STS record");
  good({"v=spf1 -all", "v=STSv1; id=1", "some text"}, "1");
}

TEST_CASE("STS-3.1-f: several records are none, even if one of them is not valid") {
  bad({"v=STSv1; id=1", "v=STSv1; id=2"}, "2 MTA-STS records");
  bad({"v=STSv1; id=1", "v=STSv1; id=1"}, "2 MTA-STS records");
  bad({"v=STSv1; id=1", "v=STSv1; nonsense"}, "2 MTA-STS records");
  bad({"v=STSv1; id=1", "v=STSv1 ; id=2"}, "2 MTA-STS records");
}

TEST_CASE("STS-3.1-l, erratum 6285: white space before the first semicolon is a record") {
  good({"v=STSv1 ; id=1"}, "1");
  good({"v=STSv1\t;id=1"}, "1");
}

TEST_CASE("STS-3.1-k: of duplicate ids the first counts and the rest is not looked at") {
  good({"v=STSv1; id=first; id=second"}, "first");
  good({"v=STSv1; id=first; id=not-valid"}, "first");
  bad({"v=STSv1; id=not-valid; id=second"}, "1 to 32");
}

TEST_CASE("STS-3.1-m: an id that is empty, longer than 32 or not alphanumeric is invalid") {
  bad({"v=STSv1; id=;"}, "1 to 32");
  bad({"v=STSv1; id=" + std::string(33, '1')}, "1 to 32");
  bad({"v=STSv1; id=2016-08-31"}, "1 to 32");
  bad({"v=STSv1; id=1 2;"}, "1 to 32");
  bad({"v=STSv1; id=\xc3\xa4;"}, "1 to 32");
  bad({std::string("v=STSv1; id=1\0;", 15)}, "1 to 32");
}

TEST_CASE("RFC 8461 §3.1: what the grammar does not admit is no record") {
  bad({"v=STSv1;"}, "empty field");
  bad({"v=STSv1; "}, "empty field");
  bad({"v=STSv1; foo=bar"}, "no id");
  bad({"v=STSv1; Id=1"}, "no id");
  bad({"v=STSv1;; id=1"}, "empty field");
  bad({"v=STSv1; id=1;;"}, "empty field");
  bad({"v=STSv1; id=1; foo"}, "NAME=VALUE");
  bad({"v=STSv1; id=1; foo="}, "NAME=VALUE");
  bad({"v=STSv1; id=1; =bar"}, "NAME=VALUE");
  bad({"v=STSv1; id=1; foo=a b"}, "NAME=VALUE");
  bad({"v=STSv1; id=1; foo=a=b"}, "NAME=VALUE");
  bad({"v=STSv1; id=1; -foo=a"}, "NAME=VALUE");
  bad({"v=STSv1; id=1; f\xc3\xb6=a"}, "NAME=VALUE");
  bad({"v=STSv1; id=1; " + std::string(33, 'n') + "=x"}, "NAME=VALUE");
  bad({"v=STSv1; id =1"}, "NAME=VALUE");
  bad({"v=STSv1; id=1 "}, "1 to 32");  // white space belongs to a delimiter
}

TEST_CASE("STS-10.5-a: the size of a record is bounded") {
  std::string record = "v=STSv1; id=1";
  for (int i = 0; i < 300; ++i) record += "; extension=with-a-value";
  bad({record}, "longer than");
}
