#include "io/safetensors.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <system_error>

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
#endif

#include "io/atomic_file.hpp"
#include "io/json.hpp"
#include "retrograd/error.hpp"

namespace retrograd::io {
namespace {

constexpr std::string_view metadata_key = "__metadata__";
constexpr std::string_view checksum_zeros = "00000000";
constexpr std::size_t length_bytes = 8;
constexpr std::size_t data_alignment = 64;

[[noreturn]] void bad_file(const std::string& source, const std::string& message) {
    throw FileFormatError(source + ": " + message + "; the file is damaged or not a safetensors file");
}

[[nodiscard]] std::optional<std::uint64_t> checked_mul(std::uint64_t a, std::uint64_t b) noexcept {
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (b != 0 && a > most / b) return std::nullopt;
    return a * b;
}

// Bytes of a tensor; nothing when a size is negative or a product does not fit. Zeros are set aside, so that
// no order of the dimensions hides a product that would wrap.
[[nodiscard]] std::optional<std::uint64_t> tensor_bytes(std::span<const std::int64_t> shape,
                                                        std::uint64_t size) {
    bool empty = false;
    std::optional<std::uint64_t> bytes = size;
    for (const std::int64_t dimension : shape) {
        if (dimension < 0) return std::nullopt;
        empty = empty || dimension == 0;
        if (dimension != 0) bytes = checked_mul(*bytes, static_cast<std::uint64_t>(dimension));
        if (!bytes) return std::nullopt;
    }
    return empty ? 0 : *bytes;
}

std::string shape_text(std::span<const std::int64_t> shape) {
    std::string out = "(";
    for (std::size_t i = 0; i < shape.size(); ++i) out += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
    return out + (shape.size() == 1 ? ",)" : ")");
}

std::string checksum_text(std::uint32_t checksum) {
    std::string out(checksum_zeros);
    for (std::size_t i = 0; i < out.size(); ++i) {
        out[i] = "0123456789abcdef"[(checksum >> (28U - 4U * static_cast<unsigned>(i))) & 0xFU];
    }
    return out;
}

std::uint32_t file_checksum(std::span<const std::byte> file, std::size_t digits_at) {
    const std::uint32_t head = crc32(file.first(digits_at));
    const std::uint32_t digits = crc32(std::as_bytes(std::span(checksum_zeros)), head);
    return crc32(file.subspan(digits_at + checksum_zeros.size()), digits);
}

// Files are little-endian: on a big-endian host every element is turned around, elsewhere nothing happens.
void swap_if_big_endian(std::span<std::byte> bytes, std::uint64_t size) {
    if constexpr (std::endian::native == std::endian::big) {
        for (auto at = bytes.begin(); at != bytes.end(); at += static_cast<std::ptrdiff_t>(size)) {
            std::reverse(at, at + static_cast<std::ptrdiff_t>(size));
        }
    } else {
        static_cast<void>(bytes);
        static_cast<void>(size);
    }
}

std::uint64_t header_length(std::span<const std::byte> head, std::uint64_t file_size,
                            const std::string& source) {
    if (head.size() < length_bytes) {
        bad_file(source, "found " + std::to_string(file_size) +
                             " bytes, expected at least the 8 bytes of the header's length");
    }
    std::uint64_t length = 0;
    for (std::size_t i = 0; i < length_bytes; ++i)
        length |= std::to_integer<std::uint64_t>(head[i]) << (8U * i);
    if (length > max_header_bytes) {
        bad_file(source, "found a header length of " + std::to_string(length) + " bytes, expected at most " +
                             std::to_string(max_header_bytes));
    }
    if (length > file_size - length_bytes) {
        bad_file(source, "found a header length of " + std::to_string(length) + " bytes in a file of " +
                             std::to_string(file_size) + ", expected at most " +
                             std::to_string(file_size - length_bytes) + "; maybe the file was cut");
    }
    return length;
}

// ---------------------------------------------------------------------------------- reading the header

// One tensor's object, the reader standing in front of it.
TensorInfo read_tensor(JsonReader& reader, std::string name) {
    TensorInfo info;
    info.name = std::move(name);
    bool has_dtype = false;
    bool has_shape = false;
    bool has_offsets = false;
    const auto once = [&](bool& seen) {
        if (std::exchange(seen, true)) reader.fail("found the key twice");
    };
    const auto size = [&] {
        const std::int64_t value = reader.integer();
        if (value < 0) reader.fail("found " + std::to_string(value) + ", expected no negative number");
        return value;
    };

    std::string key;
    reader.enter_object();
    while (reader.next_key(key)) {
        if (key == "dtype") {
            once(has_dtype);
            info.dtype = reader.string();
            if (!element_size(info.dtype)) {
                reader.fail("found the dtype \"" + printable(info.dtype) +
                            "\", expected one of BOOL U8 I8 I16 U16 F16 BF16 I32 U32 F32 I64 U64 F64");
            }
        } else if (key == "shape") {
            once(has_shape);
            reader.enter_array();
            while (reader.next_element()) {
                if (info.shape.size() == max_rank) {
                    reader.fail("found more than " + std::to_string(max_rank) + " dimensions");
                }
                info.shape.push_back(size());
            }
        } else if (key == "data_offsets") {
            once(has_offsets);
            reader.enter_array();
            std::array<std::uint64_t, 2> offsets{};
            std::size_t count = 0;
            while (reader.next_element()) {
                if (count == offsets.size()) reader.fail("found more than two offsets");
                offsets[count++] = static_cast<std::uint64_t>(size());
            }
            if (count != offsets.size())
                reader.fail("found " + std::to_string(count) + " offsets, expected two");
            info.begin = offsets[0];
            info.end = offsets[1];
        } else {
            reader.fail("found an unknown key, expected dtype, shape and data_offsets");
        }
    }
    if (!has_dtype || !has_shape || !has_offsets) {
        reader.fail(std::string("the key \"") +
                    (!has_dtype   ? "dtype"
                     : !has_shape ? "shape"
                                  : "data_offsets") +
                    "\" is missing");
    }
    return info;
}

// Checks size against offsets, then that the tensors, which are sorted by offset, cover the data exactly.
void check_layout(const std::vector<TensorInfo>& tensors, std::uint64_t data_size,
                  const std::string& source) {
    std::uint64_t covered = 0;
    for (const TensorInfo& info : tensors) {
        const auto describe = [&] {
            return "tensor \"" + printable(info.name) + "\" (" + info.dtype + " " + shape_text(info.shape) +
                   ", bytes " + std::to_string(info.begin) + " to " + std::to_string(info.end) + "): ";
        };
        if (info.begin > info.end || info.end > data_size) {
            bad_file(source, describe() + "expected a range inside of the " + std::to_string(data_size) +
                                 " bytes of data; maybe the file was cut");
        }
        const auto bytes = tensor_bytes(info.shape, *element_size(info.dtype));
        if (!bytes) bad_file(source, describe() + "the product of the dimensions does not fit into 63 bits");
        if (*bytes != info.end - info.begin) {
            bad_file(source, describe() + "found " + std::to_string(info.end - info.begin) +
                                 " bytes of data, expected " + std::to_string(*bytes));
        }
        if (info.begin != covered) {
            bad_file(source, describe() + (info.begin < covered ? "overlaps with" : "leaves a gap after") +
                                 " the tensor before it, which ends at byte " + std::to_string(covered));
        }
        covered = info.end;
    }
    if (covered != data_size) {
        bad_file(source, "the tensors end at byte " + std::to_string(covered) + " of the data, expected " +
                             std::to_string(data_size) + ": found trailing bytes, or a tensor is missing");
    }
}

// ------------------------------------------------------------------------------------ reading the file

// An ordinary file, open for reading, with the size it had when it was opened.
class InputFile {
  public:
    explicit InputFile(const std::filesystem::path& path);
    InputFile(const InputFile&) = delete;
    InputFile& operator=(const InputFile&) = delete;
    ~InputFile();

    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
    void read(std::span<std::byte> out);
    void expect_end();

  private:
    static constexpr std::size_t largest_read = std::size_t{1}
                                                << 30;  // some systems refuse 2 GiB in one call

    [[nodiscard]] std::size_t read_some(std::span<std::byte> out);
    [[noreturn]] void fail(const std::string& step, int error) const {
        throw FileFormatError(shown_path_ + ": " + step +
                              " failed: " + std::error_code(error, std::system_category()).message() +
                              "; check the path and its permissions");
    }
    [[noreturn]] void refuse_kind(const std::string& kind) const {
        throw FileFormatError(shown_path_ + ": found " + kind +
                              ", expected an ordinary file; check the path");
    }

    std::string shown_path_;
    std::uint64_t size_ = 0;
#ifdef _WIN32
    HANDLE handle_ = INVALID_HANDLE_VALUE;
#else
    int descriptor_ = -1;
#endif
};

#ifdef _WIN32

InputFile::InputFile(const std::filesystem::path& path) : shown_path_(shown(path)) {
    handle_ = CreateFileW(path.c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                          nullptr, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr);
    if (handle_ == INVALID_HANDLE_VALUE) fail("opening the file", static_cast<int>(GetLastError()));
    LARGE_INTEGER size{};
    const bool regular = GetFileType(handle_) == FILE_TYPE_DISK;
    const bool sized = regular && GetFileSizeEx(handle_, &size) != 0;
    if (!sized) {
        const auto error = static_cast<int>(GetLastError());
        CloseHandle(handle_);
        if (!regular) refuse_kind("a device or pipe");
        fail("asking for the file's size", error);
    }
    size_ = static_cast<std::uint64_t>(size.QuadPart);
}

InputFile::~InputFile() { CloseHandle(handle_); }

std::size_t InputFile::read_some(std::span<std::byte> out) {
    DWORD count = 0;
    const auto wanted = static_cast<DWORD>(std::min(out.size(), largest_read));
    if (ReadFile(handle_, out.data(), wanted, &count, nullptr) == 0) {
        fail("reading the file", static_cast<int>(GetLastError()));
    }
    return count;
}

#else

// O_NONBLOCK: opening a pipe must not wait for a writer; for ordinary files it changes nothing.
InputFile::InputFile(const std::filesystem::path& path) : shown_path_(shown(path)) {
    do {
        descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    } while (descriptor_ == -1 && errno == EINTR);
    if (descriptor_ == -1) fail("opening the file", errno);
    struct stat status {};
    const bool known = ::fstat(descriptor_, &status) == 0;
    if (!known || !S_ISREG(status.st_mode)) {
        const int error = errno;
        ::close(descriptor_);
        if (known) refuse_kind(S_ISDIR(status.st_mode) ? "a folder" : "a device, pipe or socket");
        fail("asking for the file's size", error);
    }
    size_ = static_cast<std::uint64_t>(status.st_size);
}

InputFile::~InputFile() { ::close(descriptor_); }

std::size_t InputFile::read_some(std::span<std::byte> out) {
    while (true) {
        const ssize_t count = ::read(descriptor_, out.data(), std::min(out.size(), largest_read));
        if (count >= 0) return static_cast<std::size_t>(count);
        if (errno != EINTR) fail("reading the file", errno);
    }
}

#endif

void InputFile::read(std::span<std::byte> out) {
    while (!out.empty()) {
        const std::size_t count = read_some(out);
        if (count == 0) {
            throw FileFormatError(shown_path_ + ": found the end of the file " + std::to_string(out.size()) +
                                  " bytes too early, expected " + std::to_string(size_) +
                                  " in all; another program changed the file, read it again");
        }
        out = out.subspan(count);
    }
}

void InputFile::expect_end() {
    std::byte extra{};
    if (read_some(std::span(&extra, 1)) != 0) {
        throw FileFormatError(
            shown_path_ + ": found more than the " + std::to_string(size_) +
            " bytes it had when it was opened; another program changed the file, read it again");
    }
}

// -------------------------------------------------------------------------------------------- writing

[[noreturn]] void bad_tensor(const TensorView& tensor, const std::string& message) {
    throw ArgumentError("write_safetensors: tensor \"" + printable(tensor.name) + "\": " + message);
}

void check_tensor(const TensorView& tensor) {
    if (tensor.name == metadata_key) bad_tensor(tensor, "the name is reserved; choose another one");
    if (tensor.name.size() > max_name_bytes) {
        bad_tensor(tensor, "got a name of " + std::to_string(tensor.name.size()) +
                               " bytes, expected at most " + std::to_string(max_name_bytes) + "; shorten it");
    }
    if (!is_valid_utf8(tensor.name))
        bad_tensor(tensor, "got a name that is not valid UTF-8; encode it as UTF-8");
    const auto size = element_size(tensor.dtype);
    if (!size) {
        bad_tensor(tensor, "got the dtype \"" + printable(tensor.dtype) +
                               "\", expected one of BOOL U8 I8 I16 U16 F16 BF16 I32 U32 F32 I64 U64 F64");
    }
    if (tensor.shape.size() > max_rank) {
        bad_tensor(tensor, "got " + std::to_string(tensor.shape.size()) + " dimensions, expected at most " +
                               std::to_string(max_rank) + "; reshape it");
    }
    const auto bytes = tensor_bytes(tensor.shape, *size);
    if (!bytes) {
        bad_tensor(tensor, "got the shape " + shape_text(tensor.shape) +
                               ", expected no negative dimension and a product that fits into 63 bits");
    }
    if (*bytes != tensor.bytes.size()) {
        bad_tensor(tensor, "got " + std::to_string(tensor.bytes.size()) + " bytes, expected " +
                               std::to_string(*bytes) + " for " + tensor.dtype + " " +
                               shape_text(tensor.shape));
    }
}

void check_metadata(const Metadata& metadata) {
    if (metadata.size() >= max_metadata) {
        throw ArgumentError("write_safetensors: got " + std::to_string(metadata.size()) +
                            " metadata strings, expected fewer than " + std::to_string(max_metadata));
    }
    std::vector<std::string_view> keys;
    for (const auto& [key, value] : metadata) {
        if (!is_valid_utf8(key) || !is_valid_utf8(value)) {
            throw ArgumentError("write_safetensors: metadata \"" + printable(key) +
                                "\": key or value is not valid UTF-8; encode it as UTF-8");
        }
        if (key == checksum_key) {
            throw ArgumentError("write_safetensors: metadata \"" + printable(key) +
                                "\": the key is reserved; ask for Checksum::whole_file instead");
        }
        keys.emplace_back(key);
    }
    if (const auto twice = duplicate_key(std::move(keys))) {
        throw ArgumentError("write_safetensors: got the metadata key \"" + printable(*twice) + "\" twice");
    }
}

void check_tensors(std::span<const TensorView> tensors) {
    if (tensors.size() > max_tensors) {
        throw ArgumentError("write_safetensors: got " + std::to_string(tensors.size()) +
                            " tensors, expected at most " + std::to_string(max_tensors));
    }
    std::vector<std::string_view> names;
    for (const TensorView& tensor : tensors) {
        check_tensor(tensor);
        names.emplace_back(tensor.name);
    }
    if (const auto twice = duplicate_key(std::move(names))) {
        throw ArgumentError("write_safetensors: got the tensor name \"" + printable(*twice) +
                            "\" twice, expected every name once; rename one");
    }
}

std::string metadata_text(const Metadata& metadata, Checksum checksum) {
    std::string out;
    const auto add = [&](std::string_view key, std::string_view value) {
        out += (out.empty() ? "{" : ",") + json_quoted(key) + ":" + json_quoted(value);
    };
    if (checksum == Checksum::whole_file) add(checksum_key, checksum_zeros);
    for (const auto& [key, value] : metadata) add(key, value);
    return out.empty() ? out : json_quoted(metadata_key) + ":" + out + "}";
}

std::string header_text(std::span<const TensorView> tensors, const Metadata& metadata, Checksum checksum) {
    std::string out = "{" + metadata_text(metadata, checksum);
    std::uint64_t begin = 0;
    for (const TensorView& tensor : tensors) {
        if (out.size() > 1) out += ",";
        out += json_quoted(tensor.name) + ":{\"dtype\":" + json_quoted(tensor.dtype) + ",\"shape\":[";
        for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
            out += (i == 0 ? "" : ",") + std::to_string(tensor.shape[i]);
        }
        const std::uint64_t end = begin + tensor.bytes.size();
        out += "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(end) + "]}";
        begin = end;
    }
    out += "}";
    while ((length_bytes + out.size()) % data_alignment != 0) out += ' ';
    if (out.size() > max_header_bytes) {
        throw ArgumentError("write_safetensors: the header needs " + std::to_string(out.size()) +
                            " bytes, expected at most " + std::to_string(max_header_bytes) +
                            "; shorten the metadata or the names");
    }
    return out;
}

// Slicing by eight: table[k][b] is the checksum of byte b followed by k zero bytes.
constexpr auto crc_tables = [] {
    std::array<std::array<std::uint32_t, 256>, 8> tables{};
    for (std::uint32_t b = 0; b < 256; ++b) {
        std::uint32_t crc = b;
        for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0xEDB88320U : 0U);
        tables[0][b] = crc;
    }
    for (std::size_t k = 1; k < tables.size(); ++k) {
        for (std::size_t b = 0; b < 256; ++b) {
            const std::uint32_t crc = tables[k - 1][b];
            tables[k][b] = (crc >> 8U) ^ tables[0][crc & 0xFFU];
        }
    }
    return tables;
}();

}  // namespace

std::optional<std::uint64_t> element_size(std::string_view dtype) noexcept {
    struct Entry {
        std::string_view name;
        std::uint64_t size;
    };
    static constexpr std::array<Entry, 13> entries{{{"BOOL", 1},
                                                    {"U8", 1},
                                                    {"I8", 1},
                                                    {"I16", 2},
                                                    {"U16", 2},
                                                    {"F16", 2},
                                                    {"BF16", 2},
                                                    {"I32", 4},
                                                    {"U32", 4},
                                                    {"F32", 4},
                                                    {"I64", 8},
                                                    {"U64", 8},
                                                    {"F64", 8}}};
    for (const Entry& entry : entries) {
        if (entry.name == dtype) return entry.size;
    }
    return std::nullopt;
}

std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t before) noexcept {
    const auto word = [](const std::byte* p) {
        return std::to_integer<std::uint32_t>(p[0]) | std::to_integer<std::uint32_t>(p[1]) << 8U |
               std::to_integer<std::uint32_t>(p[2]) << 16U | std::to_integer<std::uint32_t>(p[3]) << 24U;
    };
    const auto& t = crc_tables;
    std::uint32_t crc = ~before;
    const std::byte* p = bytes.data();
    const std::byte* const end = p + bytes.size();
    for (; end - p >= 8; p += 8) {
        const std::uint32_t a = word(p) ^ crc;
        const std::uint32_t b = word(p + 4);
        crc = t[7][a & 0xFFU] ^ t[6][(a >> 8U) & 0xFFU] ^ t[5][(a >> 16U) & 0xFFU] ^ t[4][a >> 24U] ^
              t[3][b & 0xFFU] ^ t[2][(b >> 8U) & 0xFFU] ^ t[1][(b >> 16U) & 0xFFU] ^ t[0][b >> 24U];
    }
    for (; p != end; ++p) crc = (crc >> 8U) ^ t[0][(crc ^ std::to_integer<std::uint32_t>(*p)) & 0xFFU];
    return ~crc;
}

std::vector<std::byte> write_safetensors(std::span<const TensorView> tensors, const Metadata& metadata,
                                         Checksum checksum) {
    check_tensors(tensors);
    check_metadata(metadata);
    const std::string header = header_text(tensors, metadata, checksum);
    std::size_t size = length_bytes + header.size();
    for (const TensorView& tensor : tensors) size += tensor.bytes.size();

    std::vector<std::byte> out;
    out.reserve(size);
    for (std::size_t i = 0; i < length_bytes; ++i) {
        out.push_back(static_cast<std::byte>((std::uint64_t{header.size()} >> (8U * i)) & 0xFFU));
    }
    const auto text = std::as_bytes(std::span(header));
    out.insert(out.end(), text.begin(), text.end());
    for (const TensorView& tensor : tensors) {
        const std::size_t begin = out.size();
        out.insert(out.end(), tensor.bytes.begin(), tensor.bytes.end());
        swap_if_big_endian(std::span(out).subspan(begin), *element_size(tensor.dtype));
    }
    if (checksum == Checksum::whole_file) {
        // The checksum is the first string of all, so the first zeros in a string are its digits.
        const std::size_t at = length_bytes + header.find("\"" + std::string(checksum_zeros) + "\"") + 1;
        const std::string digits = checksum_text(file_checksum(out, at));
        std::memcpy(out.data() + at, digits.data(), digits.size());
    }
    return out;
}

SafetensorsFile SafetensorsFile::read(const std::filesystem::path& path) {
    InputFile input(path);
    SafetensorsFile file;
    file.source_ = shown(path);

    std::vector<std::byte> buffer(
        static_cast<std::size_t>(std::min<std::uint64_t>(input.size(), length_bytes)));
    input.read(buffer);
    const std::uint64_t header = header_length(buffer, input.size(), file.source_);
    buffer.resize(length_bytes + static_cast<std::size_t>(header));
    input.read(std::span(buffer).subspan(length_bytes));
    file.parse_header(buffer, input.size());

    if (input.size() > std::numeric_limits<std::size_t>::max() / 2) {
        throw FileFormatError(file.source_ + ": found " + std::to_string(input.size()) +
                              " bytes, expected what fits into this machine's address space");
    }
    buffer.reserve(static_cast<std::size_t>(input.size()));  // resize alone may take twice as much
    buffer.resize(static_cast<std::size_t>(input.size()));
    input.read(std::span(buffer).subspan(file.data_begin_));
    input.expect_end();
    file.adopt(std::move(buffer));
    return file;
}

SafetensorsFile SafetensorsFile::from_bytes(std::vector<std::byte> bytes, std::string source) {
    SafetensorsFile file;
    file.source_ = std::move(source);
    const auto header = static_cast<std::size_t>(header_length(bytes, bytes.size(), file.source_));
    file.parse_header(std::span(bytes).first(length_bytes + header), bytes.size());
    file.adopt(std::move(bytes));
    return file;
}

// `head` is the file up to the data: length and header.
void SafetensorsFile::parse_header(std::span<const std::byte> head, std::uint64_t file_size) {
    data_begin_ = head.size();
    std::string_view text(reinterpret_cast<const char*>(head.data()) + length_bytes,
                          head.size() - length_bytes);
    if (text.empty() || text.front() != '{') {
        bad_file(source_, text.empty() ? std::string("found an empty header, expected a JSON object")
                                       : "found '" + printable(text.substr(0, 1)) +
                                             "' at the start of the header, expected '{'");
    }
    while (text.back() == ' ') text.remove_suffix(1);
    // Only spaces may pad the header: other whitespace after the object is a difference nobody needs.
    if (text.back() != '}')
        bad_file(source_, "the header ends in '" + printable(text.substr(text.size() - 1)) +
                              "', expected '}' and spaces");

    JsonReader reader(text, source_ + ": header", {.depth = 4, .values = max_header_bytes});
    std::vector<std::string_view> keys;
    bool has_metadata = false;
    const auto read_metadata = [&] {
        if (std::exchange(has_metadata, true)) reader.fail("found the key twice");
        std::string key;
        reader.enter_object();
        while (reader.next_key(key)) {
            if (metadata_.size() == max_metadata) {
                reader.fail("found more than " + std::to_string(max_metadata) + " metadata strings");
            }
            std::string value = reader.string();
            if (key == checksum_key)
                checksum_at_ = length_bytes + reader.position() - 1 - checksum_zeros.size();
            metadata_.emplace_back(std::move(key), std::move(value));
        }
        for (const auto& entry : metadata_) keys.emplace_back(entry.first);
        if (const auto twice = duplicate_key(keys)) {
            reader.fail("found the metadata key \"" + printable(*twice) + "\" twice");
        }
    };

    std::string name;
    reader.enter_object();
    while (reader.next_key(name)) {
        if (name == metadata_key) {
            read_metadata();
            continue;
        }
        if (tensors_.size() == max_tensors)
            reader.fail("found more than " + std::to_string(max_tensors) + " tensors");
        if (name.size() > max_name_bytes) {
            reader.fail("found a name of " + std::to_string(name.size()) + " bytes, expected at most " +
                        std::to_string(max_name_bytes));
        }
        tensors_.push_back(read_tensor(reader, std::move(name)));
    }
    reader.finish();

    std::stable_sort(tensors_.begin(), tensors_.end(), [](const TensorInfo& a, const TensorInfo& b) {
        return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    by_name_.resize(tensors_.size());
    for (std::size_t i = 0; i < by_name_.size(); ++i) by_name_[i] = static_cast<std::uint32_t>(i);
    std::sort(by_name_.begin(), by_name_.end(),
              [&](std::uint32_t a, std::uint32_t b) { return tensors_[a].name < tensors_[b].name; });
    const auto twice = std::adjacent_find(
        by_name_.begin(), by_name_.end(),
        [&](std::uint32_t a, std::uint32_t b) { return tensors_[a].name == tensors_[b].name; });
    if (twice != by_name_.end()) {
        bad_file(source_, "found the tensor \"" + printable(tensors_[*twice].name) + "\" twice");
    }
    check_layout(tensors_, file_size - head.size(), source_);
}

void SafetensorsFile::adopt(std::vector<std::byte> buffer) {
    buffer_ = std::move(buffer);
    if (const std::string* stored = find_metadata(checksum_key)) {
        // Eight digits as they stand in the file: an escape in the string would be longer there.
        const bool plain = stored->size() == checksum_zeros.size() &&
                           std::memcmp(buffer_.data() + *checksum_at_, stored->data(), stored->size()) == 0;
        const std::string expected =
            plain ? checksum_text(file_checksum(buffer_, *checksum_at_)) : "eight digits";
        if (*stored != expected) {
            bad_file(source_,
                     "found the checksum \"" + printable(*stored) + "\", expected " + expected +
                         ": bytes changed after the file was written (a program that rewrites the file "
                         "must drop the metadata \"" +
                         std::string(checksum_key) + "\")");
        }
        has_checksum_ = true;
    }
    for (const TensorInfo& info : tensors_) {
        swap_if_big_endian(std::span(buffer_).subspan(data_begin_ + static_cast<std::size_t>(info.begin),
                                                      static_cast<std::size_t>(info.end - info.begin)),
                           *element_size(info.dtype));
    }
}

const TensorInfo* SafetensorsFile::find(std::string_view name) const noexcept {
    const auto at =
        std::lower_bound(by_name_.begin(), by_name_.end(), name,
                         [&](std::uint32_t i, std::string_view n) { return tensors_[i].name < n; });
    return at != by_name_.end() && tensors_[*at].name == name ? &tensors_[*at] : nullptr;
}

const std::string* SafetensorsFile::find_metadata(std::string_view key) const noexcept {
    for (const auto& entry : metadata_) {
        if (entry.first == key) return &entry.second;
    }
    return nullptr;
}

std::span<const std::byte> SafetensorsFile::bytes(const TensorInfo& info) const& {
    const std::size_t data_size = buffer_.size() - data_begin_;
    if (info.begin > info.end || info.end > data_size) {
        throw ArgumentError(source_ + ": got the tensor \"" + printable(info.name) + "\" with bytes " +
                            std::to_string(info.begin) + " to " + std::to_string(info.end) +
                            ", expected a range in " + std::to_string(data_size) +
                            " bytes; pass one of this file's tensors");
    }
    return std::span(buffer_).subspan(data_begin_ + static_cast<std::size_t>(info.begin),
                                      static_cast<std::size_t>(info.end - info.begin));
}

}  // namespace retrograd::io
