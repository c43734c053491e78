// `sternpost report read FILE…`: sums up the TLS reports (RFC 8460) that others sent about the
// operator's own domain. Finds the files (a file, a Maildir, a folder, standard input) and reads
// them within bounds; what they say is tlsrpt/read's, the sum and its print tlsrpt/sum's. Needs no
// configuration. Called by cli/commands.
#pragma once

#include <CLI/App.hpp>
#include <iosfwd>
#include <string>
#include <vector>

#include "cli/commands.h"

namespace cli {

struct ReportRead {
  CLI::App* command = nullptr;
  std::vector<std::string> files;  // "-": standard input
  bool json = false;
  bool html = false;
};

// Adds the command to `report`; the options live in `options`, and -c, which changes nothing here,
// in `file`: both must stay where they are.
void add_report_read(CLI::App& report, ReportRead& options, std::string& file);

// The exit status: exit_fine when every file gave its reports, exit_no when one could not be read
// or held none, exit_unavailable when one is not there. What could be read is printed in any case.
int report_read(const ReportRead& options, const Terminal& terminal, std::istream& in);

}  // namespace cli
