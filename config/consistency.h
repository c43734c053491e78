// What no single key can tell: values that contradict each other, what this version cannot do yet,
// and the settings that weaken the whole, which are told as warnings. Pure but for two questions to
// Surroundings (today, groups). Called by load.cpp after the last file.
#pragma once

#include "config/reading.h"

namespace config {

void judge_consistency(Reading& reading, const Surroundings& surroundings);

}  // namespace config
