// What no single key can tell: values that contradict each other, what this version cannot do yet,
// and the settings that weaken the whole, which are told as warnings. Pure but for two questions to
// Surroundings (today, groups, files). Called by load.cpp after the last file.
#pragma once

#include "config/reading.h"

namespace config {

// Whether only this machine can connect to it; a Unix socket is such an address too.
bool is_loopback(const Address& address);
// The part of it that is about [admin].
void judge_admin(Reading& reading, const Surroundings& surroundings);

void judge_consistency(Reading& reading, const Surroundings& surroundings);

}  // namespace config
