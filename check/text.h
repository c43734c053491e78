// The Report for a person, in the order of the decision. All that strangers wrote is made printable
// here; colour where it is asked for. Pure.
#pragma once

#include <string>

#include "check/report.h"

namespace check {

std::string to_text(const Report& report, bool colour);

}  // namespace check
