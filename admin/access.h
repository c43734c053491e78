// Access: who may ask over HTTP. A token, where there is one, is demanded everywhere but at
// /healthz: as a bearer token (RFC 6750 §2.1) or, for a browser, as the password of any user
// (RFC 7617 §2). Without one only this machine can connect; then the Host field must name an
// address, localhost or the server itself, so that a page of another site whose name is made to
// point here (DNS rebinding) reads nothing. Pure. Called by admin/http_connection.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace admin {

struct Access {
  std::string token;       // "": none is demanded
  bool holds_host = true;  // false for a Unix socket, which no page of a browser reaches
  std::string host_name;   // server.hostname
};

enum class Gate {
  open,
  no_token,    // 401
  wrong_host,  // 421
};
// `host`: the Host field, nullopt where there is none; `authorization`: that field, "" likewise.
Gate gate(const Access& access, std::string_view path, std::optional<std::string_view> host,
          std::string_view authorization);

// Takes as long for a token that is wrong at its first character as for one at its last.
bool same_token(std::string_view given, std::string_view wanted);

}  // namespace admin
