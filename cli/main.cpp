// The program's entry: the real clock.
#include "cli/program.h"

int main(int argc, char** argv) {
  const base::SystemClock clock;
  return cli::program(argc, argv, clock);
}
