// What a file is, and the way from it to the JSON of each report in it.
#include "tlsrpt/read.h"

#include <algorithm>

#include "base/encode.h"
#include "tlsrpt/gzip.h"
#include "tlsrpt/mime.h"
#include "tlsrpt/read_json.h"

namespace tlsrpt {
namespace {

constexpr std::size_t npos = std::string_view::npos;
constexpr std::size_t deflate_ratio = 1032;  // no octet of deflate gives more
constexpr std::size_t front = 4096;  // octets that tell whether it can be a report
constexpr int gzip_layers = 2;  // an HTTP server may have put its own around the report's

bool opens_like_gzip(std::string_view octets) { return octets.starts_with("\x1f\x8b"); }

// The first octets of gzip, or of "{" and white space or a quote, in base64.
bool opens_like_base64(std::string_view octets) {
  return octets.starts_with("H4sI") || octets.starts_with("ey") || octets.starts_with("ew");
}

std::string_view behind_space(std::string_view text) {
  const std::size_t from = text.find_first_not_of(" \t\r\n");
  return from == npos ? std::string_view() : text.substr(from);
}

bool is_report_type(std::string_view type) { return type.find("tlsrpt") != npos; }

class Reading {
 public:
  explicit Reading(const ReadLimits& limits)
      : limits_(limits), budget_{limits.expanded, limits.reports, limits.rows} {}

  void file(std::string_view octets) {
    if (octets.size() > limits_.file) {
      return problem("", "larger than " + std::to_string(limits_.file) + " octets");
    }
    content(octets, gzip_layers);
  }

  ReadResult result;

 private:
  void problem(std::string_view place, std::string_view why) {
    ReadSink{limits_, budget_, result}.problem(place, why);
  }

  void content(std::string_view octets, int layers) {
    const std::string_view text = behind_space(octets);
    ReadSink sink{limits_, budget_, result};
    if (text.empty()) {
      problem("", "empty");
    } else if (opens_like_gzip(octets)) {
      if (const auto inner = unpacked("", octets, layers)) content(*inner, layers - 1);
    } else if (opens_like_json(octets)) {
      if (!read_json(octets, "", true, sink)) problem("", "JSON, but no report");
    } else if (text.starts_with("From ")) {
      mbox(text);
    } else if (opens_like_message(text)) {
      message(text, "");
    } else if (opens_like_base64(text)) {
      leaf({"application/tlsrpt", decode_base64(text)}, "");
    } else if (text.starts_with("PK\x03\x04")) {
      problem("", "a zip archive; unpack it first");
    } else if (text.starts_with("<")) {
      problem("", "XML, perhaps a DMARC report; TLS reports are JSON");
    } else {
      problem("", "neither JSON, gzip, a mail message nor an mbox");
    }
  }

  // What a gzip holds; nullopt after telling why not.
  std::optional<std::string> unpacked(std::string_view place, std::string_view octets,
                                      int layers) {
    if (layers == 0) {
      problem(place, "gzip in gzip in gzip");
      return std::nullopt;
    }
    if (budget_.expanded == 0) {
      problem(place, "gzip: the file holds too much altogether");
      return std::nullopt;
    }
    GunzipLimits bounds;
    bounds.output = std::min(limits_.file, budget_.expanded);
    auto inner = gunzip(octets, bounds);
    if (!inner) {
      // What was unpacked before it failed took its time, too.
      budget_.expanded -= std::min({budget_.expanded, limits_.file, octets.size() * deflate_ratio});
      problem(place, inner.error().text);
      return std::nullopt;
    }
    budget_.expanded -= std::min(budget_.expanded, inner->size());
    return std::move(*inner);
  }

  // Whether the leaf was a report or wanted to be one.
  bool leaf(const MimeLeaf& part, std::string_view place) {
    std::string room;
    std::string_view octets = part.octets;
    const bool labelled = is_report_type(part.type);
    if (!opens_like_gzip(octets) && !opens_like_json(octets)) {
      const std::string_view text = behind_space(octets);
      if (opens_like_base64(text)) {
        room = decode_base64(text);
        octets = room;
      }
    }
    // Other mail may have anything in a gzip: what is not called a report costs nothing and is no
    // broken report.
    if (!labelled && opens_like_gzip(octets) && !opens_like_json(gunzip_front(octets, front))) {
      return false;
    }
    for (int layers = gzip_layers; opens_like_gzip(octets); --layers) {
      auto inner = unpacked(place, octets, layers);
      if (!inner) return true;
      room = std::move(*inner);
      octets = room;
    }
    ReadSink sink{limits_, budget_, result};
    if (opens_like_json(octets)) return read_json(octets, place, labelled, sink);
    if (!labelled) return false;
    problem(place, "part labelled " + base::printable(part.type.substr(0, 64)) +
                       " is neither gzip nor JSON");
    return true;
  }

  void message(std::string_view octets, const std::string& place) {
    const std::size_t first = result.reports.size();
    bool wanted = false;
    const TakeLeaf take = [&](const MimeLeaf& part) { wanted = leaf(part, place) || wanted; };
    const MimeMessage walked = walk_message(octets, {limits_.mime_depth, limits_.parts}, take);
    wanted = wanted || walked.report_type || !walked.report_domain.empty();
    if (!walked.problem.empty() && wanted) problem(place, "message: " + walked.problem);
    if (!wanted) ++result.without_report;
    if (walked.report_domain.empty()) return;
    for (std::size_t i = first; i < result.reports.size(); ++i) {
      note_other_domain(result.reports[i], walked.report_domain);
    }
  }

  // RFC 8460 §5.6: where header and report disagree, the report counts. The domain of a tlsa policy
  // is that of the MX host, so that it tells nothing here.
  static void note_other_domain(ReadReport& report, const std::string& domain) {
    bool other = false;
    for (const ReadPolicy& policy : report.policies) {
      if (policy.domain == domain) return;
      other = other || (policy.type != "tlsa" && !policy.domain.empty());
    }
    if (other) report.notes.push_back("TLS-Report-Domain names another domain than the report");
  }

  // A line that opens with "From " behind an empty one opens a message; ">From " was quoted
  // (mboxrd).
  void mbox(std::string_view octets) {
    std::size_t number = 0;
    while (!octets.empty()) {
      octets.remove_prefix(std::min(octets.find('\n'), octets.size() - 1) + 1);
      const std::size_t end = end_of_message(octets);
      if (++number > limits_.messages) {
        return problem("", "more than " + std::to_string(limits_.messages) +
                               " messages: the rest is left out");
      }
      const std::string place = "message " + std::to_string(number) + ": ";
      const std::string_view one = octets.substr(0, end);
      if (one.find("\n>") == npos) {
        message(one, place);
      } else {
        message(without_quotes(one), place);
      }
      octets.remove_prefix(end);
    }
  }

  static std::size_t end_of_message(std::string_view octets) {
    for (std::size_t at = octets.find("\nFrom "); at != npos; at = octets.find("\nFrom ", at + 1)) {
      const std::string_view before = octets.substr(0, at);
      if (before.empty() || before.ends_with('\n') || before.ends_with("\n\r")) return at + 1;
    }
    return octets.size();
  }

  static std::string without_quotes(std::string_view octets) {
    std::string out;
    out.reserve(octets.size());
    while (!octets.empty()) {
      const std::size_t end = std::min(octets.find('\n'), octets.size() - 1) + 1;
      std::string_view line = octets.substr(0, end);
      const std::size_t unquoted = line.find_first_not_of('>');
      if (unquoted != npos && unquoted > 0 && line.substr(unquoted).starts_with("From ")) {
        line.remove_prefix(1);
      }
      out.append(line);
      octets.remove_prefix(end);
    }
    return out;
  }

  const ReadLimits& limits_;
  ReadBudget budget_;
};

}  // namespace

ReadResult read_reports(std::string_view octets, const ReadLimits& limits) {
  Reading reading(limits);
  reading.file(octets);
  return std::move(reading.result);
}

}  // namespace tlsrpt
