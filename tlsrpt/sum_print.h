// The sum of many reports for people and programs: tables for a terminal, JSON, one self-contained
// HTML page. Pure string builders; whatever comes from a report is hostile and is made harmless for
// the place it goes to. Called by cli/report_read.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "tlsrpt/sum.h"

namespace tlsrpt {

struct TextStyle {
  bool unicode = false;    // bars of blocks, names as they are; otherwise ASCII alone
  std::size_t lines = 20;  // of one table
};
std::string sum_text(const Sum& sum, const TextStyle& style);

// "schema": 1, names in snake_case, counts as numbers, times as RFC 3339; a newline at the end.
std::string sum_json(const Sum& sum);

// A page without script or anything from outside, that says so by a Content-Security-Policy.
std::string sum_html(const Sum& sum);
// The page's one style sheet; its SHA-256 stands in the policy.
std::string_view sum_html_style();

}  // namespace tlsrpt
