// Writing a file so that a reader, whenever it looks, finds the old file whole or the new file whole.
//
// The bytes go into a temporary file `.<name>.<pid>.<counter>.tmp` in the same folder, are forced to the
// disk, and take the name in one step (rename); then the folder is forced to the disk. Two writers of one
// path do not mix: the last one wins. A symbolic link is replaced by the file, what it points to stays.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace retrograd::io {

// FileFormatError with the path, the step that failed and the system's words; the temporary file is gone and
// the old file as it was (only when the very last step fails, the new file is there, and the message says
// so). The new file gets the permissions of the file it replaces, else the usual ones. Temporary files for
// the same path whose process has died are removed.
void write_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);

// The path as UTF-8 for messages, with control characters and broken UTF-8 escaped.
[[nodiscard]] std::string shown(const std::filesystem::path& path);

}  // namespace retrograd::io
