// Arrays of the caller, read in place: any element type, strides and byte order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace retrograd {

enum class ElementType : std::uint8_t { f16, f32, f64, i8, i16, i32, i64, u8, u16, u32, u64, boolean };

struct ArrayView {
    const std::byte* data = nullptr;
    ElementType type = ElementType::f32;
    bool swapped = false;               // the bytes of an element stand in the other order
    std::vector<std::int64_t> shape;    // axis 0: rows
    std::vector<std::int64_t> strides;  // bytes
    std::string name = "x";             // what errors call it

    [[nodiscard]] std::int64_t rows() const { return shape.empty() ? 0 : shape[0]; }
    [[nodiscard]] bool integral() const { return type >= ElementType::i8; }
};

[[nodiscard]] std::int64_t element_size(ElementType type);
[[nodiscard]] const char* element_name(ElementType type);  // "float32"

}  // namespace retrograd
