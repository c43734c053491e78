#include "dns/answer.h"

namespace dns {

std::string_view to_string(Type type) {
  switch (type) {
    case Type::A: return "A";
    case Type::CNAME: return "CNAME";
    case Type::MX: return "MX";
    case Type::TXT: return "TXT";
    case Type::AAAA: return "AAAA";
    case Type::TLSA: return "TLSA";
  }
  return "?";
}

std::string_view to_string(Security security) {
  switch (security) {
    case Security::secure: return "secure";
    case Security::insecure: return "insecure";
  }
  return "?";
}

}  // namespace dns
