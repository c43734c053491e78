// Numbers and words that the printers of a sum share: shares, plurals, days, the meaning of result
// types (RFC 8460 §4.3), and text of a report made harmless. Pure. Called by sum_text, sum_json and
// sum_html, which escape for where they print.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tlsrpt/sum.h"

namespace tlsrpt {

std::string with_noun(std::uint64_t count, const std::string& number, const char* noun);
// In percent with one digit behind the point; never nothing for something, nor all for less.
std::string share_words(std::uint64_t part, std::uint64_t whole);
// "2026-11-25"; empty without a day.
std::string day_words(std::optional<std::chrono::sys_days> day);
// "2026-11-25 to 2026-11-27 (UTC)", one day alone, or "no date".
std::string span_words(const Sum& sum);
// One line for people on what a result type means and how to mend it.
std::string_view meaning_of(std::string_view result_type);

}  // namespace tlsrpt
