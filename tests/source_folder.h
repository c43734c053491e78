// Where tests/ is in the checkout that was built; for the tests that read files of it. A function,
// so that a compiler cache gives one checkout's test objects to another.
#pragma once

#include <string>

std::string tests_folder();
