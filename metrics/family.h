// Family: one metric as it is shown: name, help, type, and a value for each set of labels; and the
// Prometheus text format 0.0.4 of a list of them. Plain values, no counting (metrics/cells.h) and
// no HTTP. Names follow the Prometheus conventions: a prefix, base units, `_total` for counters.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace metrics {

enum class Type : std::uint8_t { counter, gauge, histogram };
std::string_view to_string(Type type);

using Labels = std::vector<std::pair<std::string, std::string>>;

struct Sample {
  Labels labels;
  double value = 0;
};

// Of a histogram: how many values were at most `bound`, for each bound; the last is infinity's.
struct Bucket {
  double bound = 0;
  std::uint64_t count = 0;  // cumulative
};

struct Family {
  std::string name;
  std::string help;
  Type type = Type::gauge;
  std::vector<Sample> samples;   // of counters and gauges
  std::vector<Bucket> buckets;   // of a histogram
  double sum = 0;                // of a histogram
};

// A gauge that is looked up when somebody asks.
Family gauge(std::string name, std::string help, double value);

// The text that a Prometheus server scrapes; `content_type` is what it is served as.
inline constexpr std::string_view content_type = "text/plain; version=0.0.4; charset=utf-8";
std::string exposition(const std::vector<Family>& families);
// "3", "0.25", "+Inf": a number as that text has it.
std::string number_text(double value);

}  // namespace metrics
