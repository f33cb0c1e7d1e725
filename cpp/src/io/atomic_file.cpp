#include "io/atomic_file.hpp"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <random>
#include <string_view>
#include <system_error>
#include <utility>

#ifdef _WIN32
#ifndef NOMINMAX
#define NOMINMAX
#endif
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <windows.h>
#else
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>
#include <cerrno>
#include <csignal>
#endif

#include "io/json.hpp"
#include "retrograd/error.hpp"

namespace retrograd::io {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t largest_write = std::size_t{1} << 30;  // some systems refuse 2 GiB and more in one call
constexpr int name_attempts = 100;

// A name as bytes: as it is on POSIX, UTF-8 on Windows.
std::string bytes_of(const fs::path& path) {
#ifdef _WIN32
    const std::u8string text = path.u8string();
    return std::string(reinterpret_cast<const char*>(text.data()), text.size());
#else
    return path.native();
#endif
}

int last_error() noexcept {
#ifdef _WIN32
    return static_cast<int>(GetLastError());
#else
    return errno;
#endif
}

[[noreturn]] void fail(const fs::path& path, const std::string& step, int error,
                       const std::string& outcome = "the old file, if there was one, is unchanged") {
    throw FileFormatError("writing " + shown(path) + ": " + step + " failed: " +
                          std::error_code(error, std::system_category()).message() + "; " + outcome);
}

[[noreturn]] void refuse(const fs::path& path, const std::string& found) {
    throw FileFormatError("writing " + shown(path) + ": found " + found +
                          ", expected the name of a new or an ordinary file; choose another path");
}

std::uint64_t own_process() noexcept {
#ifdef _WIN32
    return GetCurrentProcessId();
#else
    return static_cast<std::uint64_t>(::getpid());
#endif
}

// In doubt alive: a file that stays is better than a file taken away from its writer.
bool is_alive(std::uint64_t process) noexcept {
#ifdef _WIN32
    if (process == 0 || process > std::numeric_limits<DWORD>::max()) return true;
    const HANDLE handle = OpenProcess(SYNCHRONIZE, FALSE, static_cast<DWORD>(process));
    if (handle == nullptr) return GetLastError() != ERROR_INVALID_PARAMETER;
    const bool ended = WaitForSingleObject(handle, 0) == WAIT_OBJECT_0;
    CloseHandle(handle);
    return !ended;
#else
    if (process == 0 || process > static_cast<std::uint64_t>(std::numeric_limits<pid_t>::max())) return true;
    return ::kill(static_cast<pid_t>(process), 0) == 0 || errno != ESRCH;
#endif
}

// The counter starts at random: processes with the same number in two containers that share a folder must not
// choose the same temporary name, not even after one has swept the other's.
std::uint64_t next_counter() {
    static std::atomic<std::uint64_t> counter{[] {
        const auto clock = std::chrono::steady_clock::now().time_since_epoch().count();
        std::random_device device;
        const std::uint64_t high = device();
        return ((high << 32U) | device()) ^ static_cast<std::uint64_t>(clock);
    }()};
    return counter.fetch_add(1, std::memory_order_relaxed);
}

// `.<name>.`; a long name is replaced by its hash, or the temporary name would be too long for the folder.
std::string temporary_prefix(const std::string& name) {
    constexpr std::size_t longest = 200;
    if (name.size() <= longest) return "." + name + ".";
    std::uint64_t hash = 14695981039346656037U;  // FNV-1a
    for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
    return ".long-" + std::to_string(hash) + ".";
}

std::string temporary_name(const std::string& prefix) {
    return prefix + std::to_string(own_process()) + "." + std::to_string(next_counter()) + ".tmp";
}

// The process in `<prefix><pid>.<counter>.tmp`; 0 for any other name.
std::uint64_t process_in(std::string_view name, std::string_view prefix) noexcept {
    constexpr std::string_view suffix = ".tmp";
    if (name.size() <= prefix.size() + suffix.size() || !name.starts_with(prefix) ||
        !name.ends_with(suffix)) {
        return 0;
    }
    const std::string_view middle = name.substr(prefix.size(), name.size() - prefix.size() - suffix.size());
    const char* const end = middle.data() + middle.size();
    std::uint64_t process = 0;
    std::uint64_t counter = 0;
    const auto dot = std::from_chars(middle.data(), end, process);
    if (dot.ec != std::errc() || dot.ptr == end || *dot.ptr != '.') return 0;
    const auto last = std::from_chars(dot.ptr + 1, end, counter);
    return last.ec == std::errc() && last.ptr == end ? process : 0;
}

// Best effort: what cannot be listed or removed stays and stops nobody.
void sweep(const fs::path& folder, std::string_view prefix) {
    std::error_code error;
    fs::directory_iterator entry(folder, error);
    while (!error && entry != fs::directory_iterator()) {
        const std::uint64_t process = process_in(bytes_of(entry->path().filename()), prefix);
        if (process != 0 && !is_alive(process)) {
            std::error_code ignored;
            fs::remove(entry->path(), ignored);
        }
        entry.increment(error);
    }
}

#ifdef _WIN32

class TemporaryFile {
  public:
    TemporaryFile(const fs::path& target, const fs::path& folder, const std::string& prefix)
        : target_(target) {
        for (int attempt = 0; handle_ == INVALID_HANDLE_VALUE; ++attempt) {
            const std::string name = temporary_name(prefix);
            path_ = folder / fs::path(std::u8string(name.begin(), name.end()));
            handle_ = CreateFileW(path_.c_str(), GENERIC_WRITE, 0, nullptr, CREATE_NEW, FILE_ATTRIBUTE_NORMAL,
                                  nullptr);
            if (handle_ != INVALID_HANDLE_VALUE) break;
            if (last_error() != ERROR_FILE_EXISTS || attempt >= name_attempts) {
                fail(target_, "creating the temporary file " + shown(path_), last_error());
            }
        }
    }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
    ~TemporaryFile() {
        if (handle_ != INVALID_HANDLE_VALUE) CloseHandle(handle_);
        if (!renamed_) DeleteFileW(path_.c_str());
    }

    void write(std::span<const std::byte> bytes) {
        while (!bytes.empty()) {
            DWORD written = 0;
            const auto count = static_cast<DWORD>(std::min(bytes.size(), largest_write));
            if (WriteFile(handle_, bytes.data(), count, &written, nullptr) == 0) {
                fail(target_, "writing the temporary file", last_error());
            }
            if (written == 0) fail(target_, "writing the temporary file", ERROR_DISK_FULL);
            bytes = bytes.subspan(written);
        }
        if (FlushFileBuffers(handle_) == 0)
            fail(target_, "forcing the temporary file to the disk", last_error());
        const HANDLE handle = std::exchange(handle_, INVALID_HANDLE_VALUE);
        if (CloseHandle(handle) == 0) fail(target_, "closing the temporary file", last_error());
    }

    // MOVEFILE_WRITE_THROUGH returns after the move is on the disk: there is no folder to flush on Windows.
    void take_the_name() {
        if (MoveFileExW(path_.c_str(), target_.c_str(), MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH) ==
            0) {
            fail(target_, "renaming the temporary file", last_error());
        }
        renamed_ = true;
    }

  private:
    const fs::path& target_;
    fs::path path_;
    HANDLE handle_ = INVALID_HANDLE_VALUE;
    bool renamed_ = false;
};

#else

// Calls again when a signal interrupted the call: Ctrl-C has its own way to stop a program.
template <class Call>
auto uninterrupted(Call call) {
    auto result = call();
    while (result == -1 && errno == EINTR) result = call();
    return result;
}

class Folder {
  public:
    Folder(const fs::path& target, const fs::path& folder)
        : descriptor_(
              uninterrupted([&] { return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); })) {
        if (descriptor_ == -1) fail(target, "opening the folder " + shown(folder), last_error());
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() { ::close(descriptor_); }

    [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

    // EINVAL and ENOTSUP: a file system on which folders cannot be forced to the disk, or need not be.
    void force_to_disk(const fs::path& target) const {
        if (uninterrupted([&] { return ::fsync(descriptor_); }) == -1 && errno != EINVAL &&
            errno != ENOTSUP) {
            fail(target, "forcing the folder to the disk", last_error(),
                 "the new file is in place, but a loss of power now may bring the old one back");
        }
    }

  private:
    int descriptor_;
};

int force_to_disk(int descriptor) noexcept {
#ifdef __APPLE__
    // fsync stops at the drive's cache there.
    if (uninterrupted([&] { return ::fcntl(descriptor, F_FULLFSYNC); }) != -1) return 0;
#endif
    return uninterrupted([&] { return ::fsync(descriptor); });
}

class TemporaryFile {
  public:
    TemporaryFile(const fs::path& target, const Folder& folder, const std::string& prefix, mode_t mode)
        : target_(target), folder_(folder.descriptor()) {
        for (int attempt = 0; descriptor_ == -1; ++attempt) {
            name_ = temporary_name(prefix);
            descriptor_ = uninterrupted([&] {
                return ::openat(folder_, name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
            });
            if (descriptor_ == -1 && (errno != EEXIST || attempt >= name_attempts)) {
                fail(target_, "creating the temporary file " + printable(name_, 300), last_error());
            }
        }
    }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
    ~TemporaryFile() {
        if (descriptor_ != -1) ::close(descriptor_);
        if (!renamed_) ::unlinkat(folder_, name_.c_str(), 0);
    }

    void set_mode(mode_t mode) {
        if (::fchmod(descriptor_, mode) == -1) fail(target_, "setting the permissions", last_error());
    }

    void write(std::span<const std::byte> bytes) {
        while (!bytes.empty()) {
            const std::size_t count = std::min(bytes.size(), largest_write);
            const ssize_t written = uninterrupted([&] { return ::write(descriptor_, bytes.data(), count); });
            if (written == -1) fail(target_, "writing the temporary file", last_error());
            if (written == 0) fail(target_, "writing the temporary file", ENOSPC);
            bytes = bytes.subspan(static_cast<std::size_t>(written));
        }
        if (force_to_disk(descriptor_) == -1)
            fail(target_, "forcing the temporary file to the disk", last_error());
        // Not called again after EINTR: the descriptor is gone then, and its number may be someone else's.
        if (::close(std::exchange(descriptor_, -1)) == -1 && errno != EINTR) {
            fail(target_, "closing the temporary file", last_error());
        }
    }

    void take_the_name(const std::string& name) {
        if (::renameat(folder_, name_.c_str(), folder_, name.c_str()) == -1) {
            fail(target_, "renaming the temporary file", last_error());
        }
        renamed_ = true;
    }

  private:
    const fs::path& target_;
    int folder_;
    std::string name_{};
    int descriptor_ = -1;
    bool renamed_ = false;
};

#endif

}  // namespace

std::string shown(const std::filesystem::path& path) {
    return printable(bytes_of(path), std::numeric_limits<std::size_t>::max());
}

void write_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes) {
    const fs::path name = path.filename();
    if (name.empty() || name == "." || name == "..") refuse(path, "the name of a folder");
    const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
    const std::string prefix = temporary_prefix(bytes_of(name));

#ifdef _WIN32
    std::error_code ignored;
    if (fs::is_directory(path, ignored)) refuse(path, "a folder");
    sweep(folder, prefix);
    TemporaryFile file(path, folder, prefix);
    file.write(bytes);
    file.take_the_name();
#else
    const Folder open_folder(path, folder);
    struct stat old {};
    const bool exists = ::fstatat(open_folder.descriptor(), name.c_str(), &old, AT_SYMLINK_NOFOLLOW) == 0;
    if (!exists && errno != ENOENT) fail(path, "looking at the old file", last_error());
    if (exists && S_ISDIR(old.st_mode)) refuse(path, "a folder");
    // A rename would replace a device such as /dev/null by a file.
    if (exists && !S_ISREG(old.st_mode) && !S_ISLNK(old.st_mode)) refuse(path, "a device, pipe or socket");

    const bool keep_mode = exists && S_ISREG(old.st_mode);
    constexpr mode_t permissions = 0777;
    const mode_t mode = keep_mode ? old.st_mode & permissions : mode_t{0666};
    sweep(folder, prefix);
    TemporaryFile file(path, open_folder, prefix, mode);
    if (keep_mode) file.set_mode(mode);
    file.write(bytes);
    file.take_the_name(name.native());
    open_folder.force_to_disk(path);
#endif
}

}  // namespace retrograd::io
