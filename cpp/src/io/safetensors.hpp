// The safetensors container: named arrays in one file, and a few strings that describe them.
//
//   8 bytes   length n of the header, unsigned, little-endian
//   n bytes   JSON: {"__metadata__":{"key":"string",...},"name":{"dtype":"F32","shape":[2,3],
//             "data_offsets":[begin,end]},...}, padded with spaces
//   the rest  the data of all tensors one after the other, row-major, little-endian; the offsets count from
//   here
//
// Reading is strict: what is not exactly this is a FileFormatError. Limits: header 16 MB, 65,536 tensors, as
// many metadata strings, rank 8, 512 bytes per name; no key twice; no gap, overlap or trailing byte; the
// dtypes BOOL U8 I8 I16 U16 F16 BF16 I32 U32 F32 I64 U64 F64; the product of the dimensions that are not zero
// times the element's size fits into 63 bits.
//
// A file may carry a checksum of itself: the metadata string "retrograd.crc32", eight lowercase hexadecimal
// digits, is the CRC-32 of the whole file taken with zeros ("00000000") in place of these digits. Other
// readers see one more string; ours refuses the file when the checksum differs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace retrograd::io {

inline constexpr std::uint64_t max_header_bytes = 16'000'000;
inline constexpr std::size_t max_tensors = 65'536;
inline constexpr std::size_t max_metadata = 65'536;
inline constexpr std::size_t max_rank = 8;
inline constexpr std::size_t max_name_bytes = 512;
inline constexpr std::string_view checksum_key = "retrograd.crc32";

struct TensorInfo {
    std::string name{};
    std::string dtype{};
    std::vector<std::int64_t> shape{};
    std::uint64_t begin = 0;  // bytes from the start of the data
    std::uint64_t end = 0;
};

struct TensorView {
    std::string name{};
    std::string dtype{};
    std::vector<std::int64_t> shape{};
    std::span<const std::byte> bytes{};  // row-major, in the byte order of the host
};

using Metadata = std::vector<std::pair<std::string, std::string>>;

enum class Checksum { none, whole_file };

// The bytes of a file, tensors in the order given, data on a 64-byte boundary. ArgumentError for what a
// reader would refuse.
[[nodiscard]] std::vector<std::byte> write_safetensors(std::span<const TensorView> tensors,
                                                       const Metadata& metadata = {},
                                                       Checksum checksum = Checksum::none);

class SafetensorsFile {
  public:
    // Reads the whole file; the memory is only taken after the header has proved to fit the file's size.
    [[nodiscard]] static SafetensorsFile read(const std::filesystem::path& path);
    // `source` stands for the path in messages.
    [[nodiscard]] static SafetensorsFile from_bytes(std::vector<std::byte> bytes,
                                                    std::string source = "<memory>");

    [[nodiscard]] const std::vector<TensorInfo>& tensors() const noexcept { return tensors_; }  // by offset
    [[nodiscard]] const Metadata& metadata() const noexcept { return metadata_; }
    [[nodiscard]] const TensorInfo* find(std::string_view name) const noexcept;  // null pointer when absent
    [[nodiscard]] const std::string* find_metadata(std::string_view key) const noexcept;

    // The tensor's data in the byte order of the host, row-major, maybe not aligned: copy it out with memcpy.
    [[nodiscard]] std::span<const std::byte> bytes(const TensorInfo& info) const&;
    std::span<const std::byte> bytes(const TensorInfo&) const&& = delete;

    // True when the file carried a checksum; it was right then, or there would be no object.
    [[nodiscard]] bool has_checksum() const noexcept { return has_checksum_; }
    [[nodiscard]] const std::string& source() const noexcept { return source_; }

  private:
    SafetensorsFile() = default;
    void parse_header(std::span<const std::byte> head, std::uint64_t file_size);
    void adopt(std::vector<std::byte> buffer);

    std::string source_{};
    std::vector<std::byte> buffer_{};
    std::size_t data_begin_ = 0;
    std::vector<TensorInfo> tensors_{};
    std::vector<std::uint32_t> by_name_{};
    Metadata metadata_{};
    std::optional<std::size_t> checksum_at_{};
    bool has_checksum_ = false;
};

// Bytes per element; nothing for a dtype that is not accepted.
[[nodiscard]] std::optional<std::uint64_t> element_size(std::string_view dtype) noexcept;

// CRC-32 as in zip, zlib and PNG (polynomial 0xEDB88320). `before` is the checksum of the bytes that precede.
[[nodiscard]] std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t before = 0) noexcept;

}  // namespace retrograd::io
