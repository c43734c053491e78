// The units of times and sizes. Only for values.cpp, which reads them, and values_write.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace config {

struct Unit {
  std::string_view name;
  std::int64_t factor;
};

inline constexpr std::array<Unit, 5> time_units{
    {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}}};
inline constexpr std::array<Unit, 5> size_units{{{"TiB", std::int64_t{1} << 40},
                                                 {"GiB", std::int64_t{1} << 30},
                                                 {"MiB", std::int64_t{1} << 20},
                                                 {"KiB", std::int64_t{1} << 10},
                                                 {"B", 1}}};

}  // namespace config
