// What the keys of [admin] say together, and whether its token is one.
#include "config/consistency.h"
#include "config/token.h"
#include "config/values.h"

namespace config {

bool is_loopback(const Address& address) {
  const auto* tcp = std::get_if<Tcp>(&address);
  return !tcp || network("127.0.0.0/8").contains(tcp->address) ||
         network("::1/128").contains(tcp->address);
}

namespace {

void judge_token(Reading& reading, const Surroundings& surroundings) {
  const Path& file = reading.config.admin.token_file;
  if (file.empty() || !reading.is_good("admin.token_file")) return;
  if (surroundings.read_file) {
    const auto text = surroundings.read_file(file);
    const auto token = text ? token_of(*text) : base::fail(text.error());
    if (text && !token) {  // what cannot be read was told before
      reading.error(reading.place("admin.token_file"), file.string() + ": " + token.error().text);
    }
  }
  const auto permissions =
      surroundings.permissions ? surroundings.permissions(file) : std::nullopt;
  using std::filesystem::perms;
  const auto risky = perms::group_write | perms::others_read | perms::others_write;
  if (!permissions || (*permissions & risky) == perms::none) return;
  const char* const who = (*permissions & perms::others_read) != perms::none
                              ? " can be read by everybody"
                              : " can be written by others than its owner";
  reading.warning(reading.place("admin.token_file"),
                  file.string() + who + ": chmod 0640 or less");
}

}  // namespace

void judge_admin(Reading& reading, const Surroundings& surroundings) {
  const Admin& admin = reading.config.admin;
  if (admin.listen && !is_loopback(*admin.listen) && !reading.is_set("admin.token_file")) {
    reading.error(reading.place("admin.listen"),
                  text_of(*admin.listen) + " is not loopback: it needs token_file");
  }
  if (reading.is_set("admin.token_file") && !reading.is_set("admin.listen")) {
    reading.warning(reading.place("admin.token_file"),
                    "token_file has no meaning without listen: nothing listens");
  }
  judge_token(reading, surroundings);
}

}  // namespace config
