#include "proxy/milter_message.h"

#include <algorithm>

#include "audit/log.h"
#include "base/log.h"
#include "proxy/mail_kind.h"
#include "proxy/milter_header.h"
#include "smtp/path.h"

namespace proxy {

namespace {

using policy::Outlook;
using policy::Prospect;
using Kind = MilterReply::Kind;

constexpr std::size_t domains_most = 1000;  // of one message; more are not looked at
constexpr std::size_t longest_reply = 500;  // with its ID; the code goes in front
constexpr std::size_t longest_queue_id = 64;
constexpr std::size_t longest_quarantine = 300;

policy::Require require_of(config::Require require) {
  switch (require) {
    case config::Require::Encrypted: return policy::Require::encrypted;
    case config::Require::Verified: return policy::Require::verified;
    case config::Require::Dane: break;
  }
  return policy::Require::dane;
}

std::string_view demanded(config::Require require) {
  switch (require) {
    case config::Require::Encrypted: return "encrypted TLS";
    case config::Require::Verified: return "verified TLS";
    case config::Require::Dane: break;
  }
  return "DANE";
}

Kind kind_of(config::OnUnenforceable action) {
  switch (action) {
    case config::OnUnenforceable::Tempfail: return Kind::tempfail;
    case config::OnUnenforceable::Reject: return Kind::reject;
    case config::OnUnenforceable::Quarantine:
    case config::OnUnenforceable::Header: break;
  }
  return Kind::pass;
}

Kind kind_of(config::MilterAction action) {
  switch (action) {
    case config::MilterAction::Tempfail: return Kind::tempfail;
    case config::MilterAction::Reject: return Kind::reject;
    case config::MilterAction::Quarantine: break;
  }
  return Kind::pass;
}

// Nothing is refused for good because a look-up failed.
Kind held_for(Kind kind, const Outlook& outlook) {
  return kind == Kind::reject && outlook.passing ? Kind::tempfail : kind;
}

}  // namespace

// ---- what all messages share --------------------------------------------------------------------

MilterDesk::MilterDesk(OutlookBoard& board, const Shared& shared,
                       std::shared_ptr<const Snapshot> snapshot)
    : MilterDesk(board, shared, std::move(snapshot), Waits()) {}

MilterDesk::MilterDesk(OutlookBoard& board, const Shared& shared,
                       std::shared_ptr<const Snapshot> snapshot, Waits waits)
    : board_(board), shared_(shared), waits_(waits), snapshot_(std::move(snapshot)) {}

void MilterDesk::adopt(std::shared_ptr<const Snapshot> snapshot) {
  const std::lock_guard lock(mutex_);
  snapshot_ = std::move(snapshot);
}

std::shared_ptr<const Snapshot> MilterDesk::snapshot() const {
  const std::lock_guard lock(mutex_);
  return snapshot_;
}

std::string MilterDesk::new_id() {
  const std::lock_guard lock(mutex_);
  return random_.id();
}

// ---- one message --------------------------------------------------------------------------------

MilterMessage::MilterMessage(MilterDesk& desk, bool simulated)
    : desk_(desk),
      snapshot_(desk.snapshot()),
      config_(snapshot_->config->milter),
      simulated_(simulated),
      id_(desk.new_id()),
      matched_(config_.rules.size(), false) {}

void MilterMessage::queue_id(std::string_view id) {
  if (!id.empty()) queue_id_ = reply_text(id, longest_queue_id);
}

MilterReply MilterMessage::recipient(const RecipientMacros& macros, std::string_view argument) {
  if (is_report_mail(argument)) {
    not_looked_at("it is report mail of our own");
    return {};
  }
  const auto domain = policy_domain_of(macros, argument, *snapshot_->config);
  if (!domain) {
    not_looked_at(domain.error().text);
    literal_ |= domain.error().kind == NotAsked::Kind::literal;
    if (domain.error().kind == NotAsked::Kind::relay) ++unseen_;
    return {};
  }
  const auto known = domains_.find(*domain);
  if (known != domains_.end()) {
    if (known->second.reply.kind == Kind::pass) ++known->second.accepted;
    return known->second.reply;
  }
  if (domains_.size() >= domains_most) {
    base::log_warn(id_, "milter: the message has more than " + std::to_string(domains_most) +
                            " domains; no more are looked at");
    ++unseen_;
    return {};
  }
  const auto deadline = std::chrono::steady_clock::now() + desk_.waits().recipient;
  Recipient one;
  one.outlook = desk_.board().ask(*domain, deadline);
  one.reply = judge(*domain, one.outlook);
  if (one.reply.kind == Kind::pass) one.accepted = 1;
  MilterReply reply = one.reply;
  domains_.emplace(*domain, std::move(one));
  order_.push_back(*domain);
  return reply;
}

void MilterMessage::not_looked_at(const std::string& why) {
  base::log_debug(id_, "milter: a recipient is not looked at: " + why);
}

bool MilterMessage::is_report_mail(std::string_view argument) const {
  const Shared& shared = desk_.shared();
  if (shared.report_mail == nullptr || shared.clock == nullptr) return false;
  std::string_view from_text = sender_;
  std::string_view to_text = argument;
  const auto from = smtp::take_path(from_text);
  const auto to = smtp::take_path(to_text);
  if (!from || !from->mailbox || !to || !to->mailbox) return false;
  smtp::Envelope envelope;
  envelope.reverse_path = from->address;
  return mail_kind(shared.report_mail, envelope, *to->mailbox, shared.clock->wall()) ==
         MailKind::report;
}

MilterReply MilterMessage::judge(const base::Domain& domain, const Outlook& outlook) {
  const bool null_mx = outlook.prospect == Prospect::refused;
  if (!null_mx && outlook.prospect != Prospect::bad) return {};
  const auto action = config_.on_unenforceable;
  if (action == config::OnUnenforceable::Header) return {};
  // RFC 7505 §4.2: no later attempt could end otherwise.
  const Kind kind = null_mx ? Kind::reject : held_for(kind_of(action), outlook);
  MilterReply reply = reply_of(kind, outlook.reply, outlook.reason);
  if (kind == Kind::pass) {
    log(domain, outlook, reply, "the message goes into quarantine", !outlook.observed);
    if (!outlook.observed && quarantine_.empty()) quarantine_ = outlook.reason;
    return {};
  }
  if (simulated_) return {};  // Postfix takes that for a mistake of the configuration.
  log(domain, outlook, reply,
      kind == Kind::reject ? "the recipient is refused" : "the recipient is refused for now",
      !outlook.observed);
  return outlook.observed ? MilterReply{} : reply;
}

MilterReply MilterMessage::reply_of(Kind kind, const smtp::Reply& reply,
                                    std::string_view why) const {
  MilterReply out;
  out.kind = kind;
  if (kind == Kind::pass) return out;
  if (kind == Kind::reject) {
    // What passes would be 451; the operator wants it back at once.
    out.code = reply.is_permanent() ? reply.code : 554;
    out.enhanced = reply.is_permanent() && reply.enhanced ? reply.enhanced->str() : "5.7.5";
  } else {
    out.code = 451;
    out.enhanced = reply.is_transient() && reply.enhanced ? reply.enhanced->str() : "4.7.5";
  }
  const std::string end = " [" + id_ + "]";
  out.text = reply_text(why, longest_reply - end.size()) + end;
  return out;
}

void MilterMessage::header(std::string_view name, std::string_view body) {
  if (same_field_name(name, outlook_field)) ++forged_;
  bool news = false;
  for (std::size_t i = 0; i < config_.rules.size(); ++i) {
    const config::MilterRule& rule = config_.rules[i];
    if (matched_[i] || !same_field_name(name, rule.header)) continue;
    if (!field_matches(body, rule.value)) continue;
    matched_[i] = news = true;
  }
  if (news) prepare_rules();
}

// So that what must be found out is, while the rest of the message comes in.
void MilterMessage::prepare_rules() {
  for (std::size_t i = 0; i < config_.rules.size(); ++i) {
    if (!matched_[i]) continue;
    for (const auto& [domain, one] : domains_) {
      if (one.accepted > 0) desk_.board().prepare(domain, require_of(config_.rules[i].require));
    }
  }
}

MilterMessage::End MilterMessage::end() {
  End out;
  if (apply_rules(out)) return out;
  out.forged = forged_;
  if (out.quarantine.empty()) {
    out.quarantine = quarantine_;
  }
  if (!out.quarantine.empty()) {
    out.quarantine = reply_text("sternpost: " + out.quarantine, longest_quarantine) + " [" + id_ +
                     "]";
  }
  std::vector<std::pair<std::string, std::string>> words;
  // In front, where no number of domains cuts it off.
  const bool rules = std::ranges::find(matched_, true) != matched_.end();
  if (unseen_ > 0 && rules) {
    words.emplace_back("other recipients", "not looked at");
  }
  for (const base::Domain& domain : order_) {
    const Recipient& one = domains_.at(domain);
    if (one.accepted == 0) continue;
    std::string text = one.outlook.words;
    if (one.rule_unknown) text += ", what a rule demands not known";
    words.emplace_back(domain.str(), std::move(text));
  }
  out.field_body = outlook_field_body(words);
  return out;
}

// True: the message is refused. The first rule that is not met decides.
bool MilterMessage::apply_rules(End& out) {
  const auto deadline = std::chrono::steady_clock::now() + desk_.waits().rules;
  for (std::size_t i = 0; i < config_.rules.size(); ++i) {
    if (matched_[i] && apply_rule(config_.rules[i], deadline, out)) {
      return out.reply.kind != Kind::pass;
    }
  }
  return false;
}

// True: a recipient's domain does not offer what the rule demands, and it was acted upon.
bool MilterMessage::apply_rule(const config::MilterRule& rule, OutlookBoard::Time deadline,
                               End& out) {
  // What is known decides before anything is waited for: no silent domain hides another's answer.
  if (apply_to_literal(rule, out)) return true;
  const policy::Require require = require_of(rule.require);
  std::vector<base::Domain> waited;
  for (const auto& [domain, one] : domains_) {
    if (one.accepted == 0) continue;
    const auto known = desk_.board().settled(domain, require);
    if (known && known->prospect != Prospect::unknown) {
      if (apply_answer(rule, domain, *known, out)) return true;
      continue;
    }
    desk_.board().prepare(domain, require);
    waited.push_back(domain);
  }
  for (const base::Domain& domain : waited) {
    const Outlook outlook = desk_.board().settle(domain, require, deadline, began_);
    if (desk_.board().closed()) {
      // What was not found out because of the end is tried again, by whoever answers then.
      out.reply = reply_of(Kind::tempfail, smtp::make_reply(451, {4, 3, 2}, ""),
                           "this server is ending; try again");
      return true;
    }
    if (outlook.prospect == Prospect::unknown) {
      domains_.at(domain).rule_unknown = true;
      base::log_warn(id_, "milter: a message whose " + rule.header + " demands " +
                              std::string(demanded(rule.require)) + " passes, though that of " +
                              domain.str() + " is not known: " + outlook.reason +
                              (queue_id_.empty() ? "" : " (queue id " + queue_id_ + ")"));
    }
    if (apply_answer(rule, domain, outlook, out)) return true;
  }
  return false;
}

// Recipients without a domain: an address literal offers nothing that could be verified; of the
// rest nothing is known.
bool MilterMessage::apply_to_literal(const config::MilterRule& rule, End& out) {
  if (unseen_ > 0) {
    base::log_warn(id_, "milter: a message whose " + rule.header + " demands " +
                            std::string(demanded(rule.require)) + " has " +
                            std::to_string(unseen_) + " recipients that were not looked at" +
                            (queue_id_.empty() ? "" : " (queue id " + queue_id_ + ")"));
  }
  if (!literal_) return false;
  Outlook bad;
  bad.prospect = Prospect::bad;
  bad.reason = "a recipient is at an address literal, which no policy is about";
  bad.observed = snapshot_->settings.mode == policy::Mode::observe;
  return apply_answer(rule, std::nullopt, bad, out);
}

// True: the answer is that the rule is not met, and it was acted upon.
bool MilterMessage::apply_answer(const config::MilterRule& rule,
                                 const std::optional<base::Domain>& domain,
                                 const Outlook& outlook, End& out) {
  if (outlook.prospect != Prospect::bad) return false;
  const std::string why = "a message with this " + rule.header + " goes only where there is " +
                          std::string(demanded(rule.require)) + ": " + outlook.reason;
  // A session that is only played can refuse nobody: held is not lost, and not sent.
  const Kind kind = simulated_ ? Kind::pass : held_for(kind_of(rule.action), outlook);
  const MilterReply reply = reply_of(kind, outlook.reply, why);
  log(domain, outlook, reply,
      "a rule for " + rule.header +
          (kind == Kind::reject     ? " refuses the message"
           : kind == Kind::tempfail ? " refuses the message for now"
                                    : " puts the message into quarantine"),
      !outlook.observed);
  if (outlook.observed) return false;
  out.reply = reply;
  if (kind == Kind::pass) out.quarantine = why;
  out.by_rule = true;
  return true;
}

void MilterMessage::log(const std::optional<base::Domain>& domain, const Outlook& outlook,
                        const MilterReply& reply, std::string_view what, bool acted) const {
  const std::string text = "milter: " + std::string(what) + (acted ? "" : ", were it enforced") +
                           ": " + outlook.reason;
  base::log_info(id_, queue_id_.empty() ? text : text + " (queue id " + queue_id_ + ")");
  audit::Record record;
  record.event = audit::Event::policy;
  record.id = id_;
  if (!queue_id_.empty()) record.queue_id = queue_id_;
  record.domain = domain;
  record.policy_type = std::string(policy::to_string(outlook.kind));
  record.reason = text;
  const auto verdict =
      reply.kind == Kind::reject ? audit::Verdict::rejected : audit::Verdict::deferred;
  (acted ? record.verdict : record.would_be) = verdict;
  if (acted && reply.kind != Kind::pass) {
    record.reply = std::to_string(reply.code) + " " + reply.enhanced + " " + reply.text;
  }
  desk_.shared().log->append(record);
}

}  // namespace proxy
