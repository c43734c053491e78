// The program as a function: hands the process's streams, its environment and what needs sockets
// to cli::run. Apart from main() so that a program with another clock is the same in all else.
// Called by cli/main.cpp, and by tests/lab_main.cpp for the lab, whose days pass in seconds.
#pragma once

#include "base/clock.h"

namespace cli {

// The exit status. Everything that the program does takes its time from `clock`.
int program(int argc, char** argv, const base::Clock& clock);

}  // namespace cli
