#include "smtp/envelope.h"

#include "base/encode.h"

namespace smtp {

bool Mailbox::is_ascii() const {
  return base::is_ascii(local_part) && base::is_ascii(written_domain);
}

bool Envelope::reverse_path_is_ascii() const { return base::is_ascii(reverse_path); }

}  // namespace smtp
