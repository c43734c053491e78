// The loader's state over one run: the Config as far as it is read, what is wrong with it, and
// where each key stands. Shared by load.cpp, which fills it, and consistency.cpp, which judges it.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>

#include "config/load.h"

namespace config {

struct Reading {
  Config config;
  std::vector<Issue> errors;
  std::vector<Issue> warnings;
  // "outbound", "outbound.port", "listen.0", "listen.0.address": what stands in the files.
  std::map<std::string, Place> places;
  std::set<std::string> wrong;  // of those, what holds no usable value
  std::set<std::string> meant;  // "[[listen]]": what unknown sections were most likely meant to be
  Place main;                   // the beginning of the main file
  bool whole = true;            // false: lines that are no TOML were left out

  bool is_set(const std::string& path) const { return places.contains(path); }
  bool is_good(const std::string& path) const { return !wrong.contains(path); }
  // Of the key, else of what it stands in, else of the main file.
  Place place(std::string path) const {
    for (;;) {
      if (const auto found = places.find(path); found != places.end()) return found->second;
      const std::size_t dot = path.rfind('.');
      if (dot == std::string::npos) return main;
      path.resize(dot);
    }
  }
  void error(Place at, std::string text) { errors.push_back({std::move(at), std::move(text)}); }
  void warning(Place at, std::string text) { warnings.push_back({std::move(at), std::move(text)}); }
};

}  // namespace config
