// `sternpost doctor`: what of this machine and its configuration keeps mail from being protected or
// sent, a line each, with what to do. Prints; what is looked at is proxy/doctor's. Called by
// cli/commands.
#pragma once

#include <CLI/App.hpp>
#include <string>

#include "cli/commands.h"

namespace cli {

struct Doctor {
  CLI::App* command = nullptr;
  proxy::DoctorQuestions questions;
  bool json = false;
};

// `file`: where -c puts its value. All of it must stay where it is.
void add_doctor(CLI::App& app, Doctor& options, std::string& file);

// The exit status: exit_no where something fails; exit_tempfail where something could not be told;
// warnings are none.
int doctor(const Doctor& options, const std::string& file, const Terminal& terminal,
           const World& world);

}  // namespace cli
