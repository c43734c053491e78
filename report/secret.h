// The secret behind the return paths of report mail (tlsrpt/return_path): 32 octets as 64 hex
// digits and a newline, in a file of the state directory, made where there is none. With another
// one, report mail still under way would be ordinary mail. Called by proxy/server_services at
// start, with the state lock held, so that nobody else makes one at the same time.
#pragma once

#include <filesystem>

#include "base/result.h"
#include "tlsrpt/return_path.h"

namespace report {

// Fails where the file is there and cannot be read or is no secret, or where none can be made. A
// new file has mode 0600 and is on the disk, whole, before this returns.
base::Result<tlsrpt::ReturnPath::Secret, base::Error> take_secret(
    const std::filesystem::path& file);

}  // namespace report
