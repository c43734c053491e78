#include "tlsrpt/mime.h"

#include <cstdint>
#include <utility>

#include "base/encode.h"

namespace tlsrpt {
namespace {

constexpr std::size_t npos = std::string_view::npos;
constexpr std::size_t field_limit = 65536;  // octets kept of one field that we read

int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  if (c == '/') return 63;
  return -1;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

// The next line without its end; `rest` moves behind it.
std::string_view next_line(std::string_view& rest) {
  const std::size_t end = rest.find('\n');
  std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end == npos ? rest.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// Octets of the field name at the start of a line; 0: the line does not open a field.
std::size_t field_name_length(std::string_view line) {
  std::size_t length = 0;
  while (length < line.size() && line[length] > ' ' && line[length] != ':' && line[length] < 127) {
    ++length;
  }
  std::size_t colon = length;
  while (colon < line.size() && (line[colon] == ' ' || line[colon] == '\t')) ++colon;
  return colon < line.size() && line[colon] == ':' ? length : 0;
}

struct Head {
  std::string type;      // of Content-Type, with its parameters
  std::string encoding;  // of Content-Transfer-Encoding
  std::string report_domain;
  std::string_view body;
};

std::string* field_of(Head& head, std::string_view name) {
  if (base::iequals(name, "Content-Type")) return &head.type;
  if (base::iequals(name, "Content-Transfer-Encoding")) return &head.encoding;
  if (base::iequals(name, "TLS-Report-Domain")) return &head.report_domain;
  return nullptr;
}

Head read_head(std::string_view message) {
  Head head;
  std::string* field = nullptr;
  while (!message.empty()) {
    const std::string_view line = next_line(message);
    if (line.empty()) break;
    const bool folded = line.front() == ' ' || line.front() == '\t';
    const std::size_t name = folded ? 0 : field_name_length(line);
    if (name == 0) {
      // A line that lost its indentation still continues the field before it.
      if (field != nullptr && field->size() + line.size() < field_limit) {
        field->append(" ").append(line);
      }
      continue;
    }
    field = field_of(head, line.substr(0, name));
    if (field == nullptr) continue;
    if (!field->empty()) {
      field = nullptr;  // the first one counts
      continue;
    }
    const std::string_view value = line.substr(line.find(':') + 1);
    if (value.size() < field_limit) *field = base::trim(value);
  }
  head.body = message;
  return head;
}

// What stands at the front of a parameter's value: a quoted-string or a token (RFC 2045 §5.1).
std::string parameter_value(std::string_view text) {
  std::string out;
  if (!text.starts_with('"')) {
    return std::string(base::trim(text.substr(0, text.find(';'))));
  }
  for (std::size_t i = 1; i < text.size() && text[i] != '"'; ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    out += text[i];
  }
  return out;
}

std::string media_type(std::string_view field) {
  return base::to_lower(base::trim(field.substr(0, field.find_first_of("; \t"))));
}

// Walks over the parameters, so that a semicolon in a quoted one opens no other.
std::string boundary_of(std::string_view field) {
  std::size_t at = field.find(';');
  while (at != npos) {
    std::string_view rest = field.substr(at + 1);
    const std::size_t equals = rest.find_first_of("=;");
    if (equals == npos) return {};
    if (rest[equals] == ';') {
      at += 1 + equals;
      continue;
    }
    const std::string_view name = base::trim(rest.substr(0, equals));
    const std::size_t from = rest.find_first_not_of(" \t", equals + 1);
    if (from == npos) return {};
    if (base::iequals(name, "boundary")) return parameter_value(rest.substr(from));
    std::size_t end = from;
    if (rest[end] == '"') {
      for (++end; end < rest.size() && rest[end] != '"'; ++end) {
        if (rest[end] == '\\') ++end;
      }
    }
    const std::size_t next = end < rest.size() ? rest.find(';', end) : npos;
    if (next == npos) return {};
    at += 1 + next;
  }
  return {};
}

// The next line that is a delimiter of `dash_boundary`, from `from` on.
struct Delimiter {
  std::size_t begin = npos;  // of the line
  std::size_t behind = npos;
  bool last = false;
};
Delimiter next_delimiter(std::string_view body, std::string_view dash_boundary, std::size_t from) {
  std::string_view rest = body.substr(from);
  while (!rest.empty()) {
    const std::size_t begin = body.size() - rest.size();
    std::string_view line = next_line(rest);
    if (!line.starts_with(dash_boundary)) continue;
    line.remove_prefix(dash_boundary.size());
    const bool last = line.starts_with("--");
    // RFC 2046 §5.1.1: nothing but white space may follow; a longer boundary is another one.
    if (last || base::trim(line).empty()) return {begin, body.size() - rest.size(), last};
  }
  return {};
}

class Walk {
 public:
  Walk(const MimeLimits& limits, const TakeLeaf& take) : limits_(limits), take_(take) {}

  void entity(std::string_view octets, std::size_t depth) {
    const Head head = read_head(octets);
    if (depth == 0) {
      result.report_domain = base::to_lower(base::trim(head.report_domain));
      result.report_type = base::to_lower(head.type).find("tlsrpt") != npos;
    }
    const std::string type = media_type(head.type);
    const bool multipart = type.starts_with("multipart/");
    if ((multipart || type == "message/rfc822") && depth >= limits_.depth) {
      result.problem = "parts nested more than " + std::to_string(limits_.depth) + " deep";
      return;
    }
    if (multipart) return parts(head, depth);
    std::string decoded;
    const std::string_view content = decode(head, decoded);
    if (type == "message/rfc822") return entity(content, depth + 1);
    take_(MimeLeaf{type, content});
  }

  MimeMessage result;

 private:
  void parts(const Head& head, std::size_t depth) {
    const std::string boundary = boundary_of(head.type);
    if (boundary.empty()) {
      result.problem = "a multipart without a boundary";
      return;
    }
    const std::string dash_boundary = "--" + boundary;
    Delimiter open = next_delimiter(head.body, dash_boundary, 0);
    while (open.begin != npos && !open.last && result.problem.empty()) {
      if (++seen_ > limits_.parts) {
        result.problem = "more than " + std::to_string(limits_.parts) + " parts";
        return;
      }
      const Delimiter close = next_delimiter(head.body, dash_boundary, open.behind);
      const std::size_t end = close.begin == npos ? head.body.size() : close.begin;
      entity(head.body.substr(open.behind, end - open.behind), depth + 1);
      open = close;
    }
  }

  static std::string_view decode(const Head& head, std::string& room) {
    const std::string encoding = media_type(head.encoding);
    if (encoding == "base64") {
      room = decode_base64(head.body);
      return room;
    }
    if (encoding == "quoted-printable") {
      room = decode_quoted_printable(head.body);
      return room;
    }
    return head.body;  // 7bit, 8bit, binary, or what we do not know
  }

  const MimeLimits& limits_;
  const TakeLeaf& take_;
  std::size_t seen_ = 0;
};

}  // namespace

MimeMessage walk_message(std::string_view message, const MimeLimits& limits,
                         const TakeLeaf& take) {
  Walk walk(limits, take);
  walk.entity(message, 0);
  return std::move(walk.result);
}

bool opens_like_message(std::string_view octets) {
  const std::string_view line = next_line(octets);
  return field_name_length(line) > 0;
}

std::string decode_base64(std::string_view text) {
  std::string out;
  out.reserve(text.size() / 4 * 3);
  std::uint32_t group = 0;
  int bits = 0;
  for (const char c : text) {
    if (c == '=') {  // the end of one text; another may follow
      group = 0;
      bits = 0;
      continue;
    }
    const int value = base64_value(c);
    if (value < 0) continue;
    group = (group << 6 | static_cast<std::uint32_t>(value)) & 0xffffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    out += static_cast<char>(group >> bits & 0xff);
  }
  return out;
}

std::string decode_quoted_printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '=') {
      out += text[i];
      continue;
    }
    const std::string_view rest = text.substr(i + 1);
    if (rest.size() >= 2 && hex_value(rest[0]) >= 0 && hex_value(rest[1]) >= 0) {
      out += static_cast<char>(hex_value(rest[0]) << 4 | hex_value(rest[1]));
      i += 2;
      continue;
    }
    // A soft line break, perhaps with white space that a transport added before the line's end.
    const std::size_t end = rest.find_first_not_of(" \t");
    const std::string_view after = end == npos ? std::string_view() : rest.substr(end);
    if (after.starts_with("\r\n")) {
      i += end + 2;
    } else if (after.starts_with("\n")) {
      i += end + 1;
    } else if (!after.empty()) {
      out += '=';
    } else {
      break;
    }
  }
  return out;
}

}  // namespace tlsrpt
