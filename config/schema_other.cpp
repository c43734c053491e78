#include "config/schema_builder.h"

namespace config::schema_parts {

namespace {

// As libmilter's smfi_setconn takes it.
Complaint milter_socket(std::string& text) {
  for (const std::string_view scheme : {"unix:", "local:", "inet:", "inet6:"}) {
    if (text.starts_with(scheme) && text.size() > scheme.size()) return std::nullopt;
  }
  return "must be \"inet:port@host\", \"inet6:port@host\" or \"unix:/path\", not " + toml(text);
}

Complaint header_name(std::string& text) {
  for (const char c : text) {
    if (c <= 0x20 || c >= 0x7f || c == ':') return "must be the name of a header field";
  }
  return std::nullopt;
}

Section milter() {
  return Builder<Milter>("milter", "Decides inside another MTA, as a milter.",
                         [](Config& c) -> Milter& { return c.milter; })
      .add("socket", &Milter::socket,
           "As libmilter writes it: inet:port@host, inet6:port@host, unix:/path.",
           {.example = "\"inet:8891@127.0.0.1\"", .refine = milter_socket})
      .add("own_domains", &Milter::own_domains,
           "Recipients that are not outbound; a leading dot: all subdomains.",
           {.example = "[\"example.com\", \".example.com\"]"})
      .add("on_unenforceable", &Milter::on_unenforceable,
           "What becomes of a recipient whose domain's policy cannot be met.")
      .done();
}

Section milter_rule() {
  return Builder<MilterRule>("milter.rule",
                             "A message with this header goes only where mail is verified.",
                             [](Config& c) -> MilterRule& { return c.milter.rules.back(); })
      .list([](Config& c) { c.milter.rules.emplace_back(); })
      .add("header", &MilterRule::header, "Name of the header field.",
           {.example = "\"X-Classification\"", .required = true, .refine = header_name})
      .add("value", &MilterRule::value,
           "Its value; case, folding and space around it do not matter.",
           {.example = "\"confidential\"", .required = true})
      .add("require", &MilterRule::require, "What such a message needs.")
      .add("action", &MilterRule::action, "What becomes of it where that is not to be had.")
      .done();
}

Section socketmap() {
  return Builder<Socketmap>("socketmap", "Answers policy maps.",
                            [](Config& c) -> Socketmap& { return c.socketmap; })
      .add("listen", &Socketmap::listen, "Postfix: the maps QUERY and QUERYwithTLSRPT.",
           {.example = "\"127.0.0.1:8461\""})
      .add("sendmail_listen", &Socketmap::sendmail_listen, "Sendmail: FEATURE(`sts').",
           {.example = "\"127.0.0.1:5461\""})
      .done();
}

Section admin() {
  return Builder<Admin>("admin", "Metrics, health, API and console over HTTP.",
                        [](Config& c) -> Admin& { return c.admin; })
      .add("listen", &Admin::listen,
           "Where it listens; not at all without. Loopback or a Unix socket (mode 0660) without a "
           "token, anything else only with one.",
           {.example = "\"127.0.0.1:8470\""})
      .add("token_file", &Admin::token_file,
           "File with the token, one line of 16 to 512 printable characters. Demanded everywhere "
           "but at /healthz, as a bearer token or as the password of any user.",
           {.example = "\"/etc/sternpost/admin.token\"", .file = FileUse::Readable})
      .done();
}

}  // namespace

std::vector<Section> other_sections() { return {milter(), milter_rule(), socketmap(), admin()}; }

}  // namespace config::schema_parts
