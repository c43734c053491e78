#include "dns/validation.h"

namespace dns {

std::string_view to_string(Validation validation) {
  switch (validation) {
    case Validation::validates: return "validates";
    case Validation::does_not_validate: return "does not validate";
    case Validation::unknown: return "unknown";
  }
  return "?";
}

ValidationReport validation_of(const RawLookup& root_ns) {
  if (!root_ns) {
    const LookupError error = root_ns.error();
    if (error.kind == LookupError::Kind::bogus) {
      return {Validation::does_not_validate,
              "the root zone does not verify under the trust anchor: " + error.text};
    }
    return {Validation::unknown, "the root zone could not be asked: " + error.text};
  }
  if (root_ns->security == Security::insecure) {
    return {Validation::does_not_validate,
            "the root zone came back insecure: no trust anchor covers it, or validation is off"};
  }
  if (root_ns->existence != Existence::data) {
    return {Validation::does_not_validate, "the root zone is said to have no NS records"};
  }
  return {Validation::validates, "the root zone is secure under the trust anchor"};
}

}  // namespace dns
