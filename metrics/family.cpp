#include "metrics/family.h"

#include <array>
#include <charconv>
#include <cmath>

namespace metrics {

namespace {

// A HELP line has no quotation marks to end at, a label's value has.
std::string escaped(std::string_view text, bool quoted) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quoted) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
  return out;
}

void put(std::string& out, const std::string& name, const Labels& labels,
         const std::string& value) {
  out += name;
  if (!labels.empty()) {
    char before = '{';
    for (const auto& [key, text] : labels) {
      out += before + key + "=\"" + escaped(text, true) + "\"";
      before = ',';
    }
    out += '}';
  }
  out += ' ' + value + '\n';
}

}  // namespace

std::string_view to_string(Type type) {
  switch (type) {
    case Type::counter: return "counter";
    case Type::histogram: return "histogram";
    case Type::gauge: break;
  }
  return "gauge";
}

Family gauge(std::string name, std::string help, double value) {
  Family family;
  family.name = std::move(name);
  family.help = std::move(help);
  family.samples.push_back({{}, value});
  return family;
}

std::string number_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  std::array<char, 64> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), end.ptr};
}

std::string exposition(const std::vector<Family>& families) {
  std::string out;
  for (const Family& family : families) {
    out += "# HELP " + family.name + ' ' + escaped(family.help, false) + '\n';
    out += "# TYPE " + family.name + ' ' + std::string(to_string(family.type)) + '\n';
    for (const Sample& sample : family.samples) {
      put(out, family.name, sample.labels, number_text(sample.value));
    }
    if (family.type != Type::histogram) continue;
    for (const Bucket& bucket : family.buckets) {
      put(out, family.name + "_bucket", {{"le", number_text(bucket.bound)}},
          std::to_string(bucket.count));
    }
    const std::uint64_t count = family.buckets.empty() ? 0 : family.buckets.back().count;
    put(out, family.name + "_sum", {}, number_text(family.sum));
    put(out, family.name + "_count", {}, std::to_string(count));
  }
  return out;
}

}  // namespace metrics
