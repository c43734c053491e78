// Lines of a client: every one is a command or a refusal, and what an address became can be sent.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "smtp/command.h"
#include "smtp/received.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void require_sendable(std::string_view text) {
  for (const char c : text) require(static_cast<unsigned char>(c) >= 32 && c != 127);
}

void one_line(std::string_view line, bool smtputf8) {
  const auto command = smtp::parse_command(line, smtputf8);
  if (!command) {
    require(command.error().code >= 500 && command.error().enhanced.has_value());
    require(to_wire(command.error()).ends_with("\r\n"));
    return;
  }
  if (const auto* rcpt = std::get_if<smtp::Rcpt>(&*command)) {
    const std::string address = rcpt->recipient.address();
    require_sendable(address);
    require(smtputf8 || rcpt->recipient.is_ascii());
    const auto again = smtp::parse_command("RCPT TO:<" + address + ">", smtputf8);
    require(again.has_value());
    require(std::get<smtp::Rcpt>(*again).recipient.address() == address);
    require(std::get<smtp::Rcpt>(*again).recipient.domain == rcpt->recipient.domain);
  }
  if (const auto* mail = std::get_if<smtp::Mail>(&*command)) {
    require_sendable(mail->reverse_path);
    const std::string parameter = mail->parameters.smtputf8 ? " SMTPUTF8" : "";
    const auto again =
        smtp::parse_command("MAIL FROM:<" + mail->reverse_path + ">" + parameter, false);
    require(again.has_value());
    require(std::get<smtp::Mail>(*again).reverse_path == mail->reverse_path);
  }
  if (const auto* forward = std::get_if<smtp::Xforward>(&*command)) {
    for (const auto& attribute : forward->attributes) {
      require_sendable(attribute.value.value_or(""));
    }
  }
}

// Whatever the client gives, the trace field has its own line ends alone.
void trace(std::string_view text) {
  smtp::TraceFacts facts;
  facts.helo = text;
  facts.only_recipient = text;
  facts.smtputf8 = true;
  const std::string field = received_field(facts);
  for (std::size_t i = 0; i < field.size(); ++i) {
    if (field[i] == '\n') require(i > 0 && field[i - 1] == '\r');
    if (field[i] == '\r') {
      require(i + 1 < field.size() && field[i + 1] == '\n');
      require(i + 2 == field.size() || field[i + 2] == '\t');
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  trace(text);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    one_line(text.substr(0, end), false);
    one_line(text.substr(0, end), true);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return 0;
}
