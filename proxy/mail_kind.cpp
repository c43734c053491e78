#include "proxy/mail_kind.h"

#include "smtp/path.h"

namespace proxy {

namespace {

// With the domain as A-labels, however it was written.
std::string address_of(const smtp::Mailbox& mailbox) {
  return mailbox.local_part + "@" + destination_of(mailbox);
}

}  // namespace

MailKind mail_kind(const tlsrpt::ReturnPath* known, const smtp::Envelope& envelope,
                   const smtp::Mailbox& recipient, base::WallTime now) {
  if (known == nullptr) return MailKind::ordinary;
  const std::string to = address_of(recipient);
  if (envelope.reverse_path.empty()) {
    return known->is_own(to, now) ? MailKind::bounce : MailKind::ordinary;
  }
  const std::string bracketed = "<" + envelope.reverse_path + ">";
  std::string_view text = bracketed;
  const auto from = smtp::take_path(text);
  if (!from || !from->mailbox) return MailKind::ordinary;
  const bool freed = known->frees(address_of(*from->mailbox), to, now);
  return freed ? MailKind::report : MailKind::ordinary;
}

std::string destination_of(const smtp::Mailbox& mailbox) {
  if (const auto* domain = std::get_if<base::Domain>(&mailbox.domain)) return domain->str();
  return std::get<base::Ip>(mailbox.domain).literal();
}

}  // namespace proxy
