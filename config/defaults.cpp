#include "config/defaults.h"

#include <string_view>

#include "config/schema.h"

namespace config {

namespace {

constexpr std::size_t width = 100;

// `text` as comment lines, broken between words.
std::string comment(std::string_view text) {
  std::string out;
  std::string line = "#";
  while (!text.empty()) {
    const std::size_t end = text.find(' ');
    const std::string_view word = text.substr(0, end);
    if (line.size() + 1 + word.size() > width) {
      out += line + '\n';
      line = "#";
    }
    line += ' ';
    line += word;
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return out + line + '\n';
}

std::string key_text(const Key& key, bool commented_out) {
  std::string about(key.comment);
  if (!key.words.empty()) {
    std::string words;
    for (const std::string_view word : key.words) {
      words += (words.empty() ? "" : " | ") + std::string(word);
    }
    about += " One of " + words + ".";
  }
  if (key.required) about += " Must be there.";
  const bool has_default = !key.default_text.empty();
  // Where the whole section is a comment, nothing else tells a default from an example.
  if (has_default && commented_out) about += " This is the default.";
  const std::string line = std::string(key.name) + " = " +
                           (has_default ? key.default_text : std::string(key.example));
  return comment(about) + (has_default && !commented_out ? "" : "#") + line + '\n';
}

std::string section_text(const Section& section) {
  // A list but [[listen]] is empty unless the operator fills it.
  const bool commented_out = section.is_list() && section.name != "listen";
  std::string text = comment(section.comment);
  if (commented_out) text += '#';
  text += (section.is_list() ? "[[" : "[") + std::string(section.name) +
          (section.is_list() ? "]]\n" : "]\n");
  for (const Key& key : section.keys) text += key_text(key, commented_out);
  return text;
}

}  // namespace

std::string defaults_toml() {
  std::string text = comment(
      "Every key of the configuration. A value that stands here is the default; a line that "
      "begins with #NAME is an example of a key that has none. Every section but [[listen]] may be "
      "left out. Files in conf.d/ beside the main file are read after it, in order of name: lists "
      "of sections are appended, and a key set twice is an error. Times are written \"500ms\", "
      "\"90s\", \"5m\", \"2h\" or \"1d\", sizes \"64KiB\", \"100MiB\" or in bytes.");
  for (const Section& section : schema()) text += "\n" + section_text(section);
  return text;
}

std::string defaults_markdown() {
  return "# Configuration\n\n"
         "This is what `sternpost config defaults` prints. `sternpost config check` tells every "
         "mistake in a\nfile at once, with its line and column; `serve` reads with the same "
         "loader.\n\n```toml\n" +
         defaults_toml() + "```\n";
}

}  // namespace config
