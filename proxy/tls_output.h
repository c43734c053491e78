// The way of TLS to the socket. OpenSSL's own socket BIO writes with write(2): where the peer has
// gone that raises SIGPIPE, which ends every program that does not ignore it, a command of ours
// among them. Used by proxy/channel; what arrives goes through proxy/tls_input.
#pragma once

struct bio_st;

namespace proxy {

// A BIO that sends to `descriptor`, which stays the caller's, as the BIO does. nullptr: no memory.
bio_st* make_tls_output(int descriptor);

}  // namespace proxy
