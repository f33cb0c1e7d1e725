// libFuzzer entry for the two parsers of model files: only FileFormatError may come out of them, and what
// they accept must survive writing and reading again.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "io/json.hpp"
#include "io/safetensors.hpp"
#include "retrograd/error.hpp"

namespace io = retrograd::io;

namespace {

void require(bool condition) {
    if (!condition) std::abort();
}

void try_json(std::string_view text) {
    try {
        const std::string once = io::Json::parse(text, "fuzz").text();
        require(io::Json::parse(once, "fuzz").text() == once);
    } catch (const retrograd::FileFormatError&) {
    }
}

void try_container(std::span<const std::byte> bytes) {
    try {
        const auto file = io::SafetensorsFile::from_bytes({bytes.begin(), bytes.end()}, "fuzz");
        std::vector<io::TensorView> views;
        for (const auto& info : file.tensors()) {
            require(file.find(info.name) == &info);
            views.push_back({info.name, info.dtype, info.shape, file.bytes(info)});
        }
        io::Metadata metadata;
        for (const auto& entry : file.metadata()) {
            if (entry.first != io::checksum_key) metadata.push_back(entry);
        }
        const auto copy = io::SafetensorsFile::from_bytes(
            io::write_safetensors(views, metadata, io::Checksum::whole_file), "copy");
        require(copy.has_checksum() && copy.tensors().size() == views.size());
        for (const auto& view : views) {
            const auto* info = copy.find(view.name);
            require(info != nullptr && info->dtype == view.dtype && info->shape == view.shape);
            const auto data = copy.bytes(*info);
            require(data.size() == view.bytes.size());
            require(data.empty() || std::memcmp(data.data(), view.bytes.data(), data.size()) == 0);
        }
    } catch (const retrograd::FileFormatError&) {
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto bytes = std::as_bytes(std::span(data, size));
    try_container(bytes);
    try_json({reinterpret_cast<const char*>(data), size});

    // The same bytes as a header with its right length and some data, so that the fuzzer need not guess them.
    std::vector<std::byte> framed(8);
    for (std::size_t i = 0; i < 8; ++i)
        framed[i] = static_cast<std::byte>((std::uint64_t{size} >> (8U * i)) & 0xFFU);
    framed.insert(framed.end(), bytes.begin(), bytes.end());
    for (const std::size_t data_size : {0U, 4U, 20U}) {
        framed.resize(8 + size + data_size);
        try_container(framed);
    }
    return 0;
}
