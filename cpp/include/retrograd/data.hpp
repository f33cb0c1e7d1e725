// Arrays of the caller, read in place: any element type, strides and byte order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
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

template <class E>
[[nodiscard]] constexpr ElementType element_type() {
    if constexpr (std::is_same_v<E, bool>) return ElementType::boolean;
    if constexpr (std::is_floating_point_v<E>) return sizeof(E) == 4 ? ElementType::f32 : ElementType::f64;
    constexpr ElementType whole[2][4] = {
        {ElementType::u8, ElementType::u16, ElementType::u32, ElementType::u64},
        {ElementType::i8, ElementType::i16, ElementType::i32, ElementType::i64}};
    return whole[std::is_signed_v<E> ? 1 : 0][sizeof(E) == 1   ? 0
                                              : sizeof(E) == 2 ? 1
                                              : sizeof(E) == 4 ? 2
                                                               : 3];
}

// Bytes in C order, read as rows of samples with these dims. Throws ShapeError where they are no whole number
// of them.
[[nodiscard]] ArrayView view_bytes(std::span<const std::byte> bytes, ElementType type,
                                   const std::vector<std::int64_t>& dims);

// Numbers of yours as samples with these dims: view(std::span(pixels), {28, 28}); no dims: one number each.
template <class E>
    requires std::is_arithmetic_v<E>
[[nodiscard]] ArrayView view(std::span<const E> numbers, const std::vector<std::int64_t>& dims = {}) {
    return view_bytes(std::as_bytes(numbers), element_type<E>(), dims);
}
template <class E>
[[nodiscard]] ArrayView view(const std::vector<E>& numbers, const std::vector<std::int64_t>& dims = {}) {
    return view(std::span<const E>(numbers), dims);
}

}  // namespace retrograd
