#include "tests/source_folder.h"

std::string tests_folder() { return STERNPOST_TESTS_DIR; }
