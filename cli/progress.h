// One line on the terminal that says what is being done, written over and over; nothing where
// messages do not go to a terminal. Used by the commands that take seconds.
#pragma once

#include "check/inquiry.h"
#include "cli/commands.h"

namespace cli {

// Empty where nobody would see it. `terminal` outlives it.
check::Progress shown_progress(const Terminal& terminal);
void clear_progress(const Terminal& terminal);

}  // namespace cli
