// What the shape rules share: counting axes as the user does, broadcasting, sentences for errors.
//
// The user counts the batch as axis 0 of a batched node; the dims of a Shape do not have it.
#pragma once

#include <sstream>

#include <retrograd/error.hpp>
#include <retrograd/op.hpp>

namespace retrograd {

template <class... Parts>
[[nodiscard]] std::string text(const Parts&... parts) {
    std::ostringstream out;
    (out << ... << parts);
    return out.str();
}

void expect_count(std::span<const Input> inputs, std::size_t least, std::size_t most, std::string_view who);
void expect_real(std::span<const Input> inputs, std::string_view who);  // no operand is an index
void expect_real(const Input& input, std::string_view what, std::string_view who);
void expect_index(const Input& input, std::string_view what, std::string_view who);

[[nodiscard]] std::int64_t user_rank(const Shape&);

// The index in shape.dims of an axis that the user gave; `verb` ("reduce", "move") says what an operation may
// not do to the batch axis.
[[nodiscard]] std::size_t sample_axis(std::int64_t axis, const Shape& shape, std::string_view verb,
                                      std::string_view who);
// The same for a list, without repetition; nothing given: all sample axes.
[[nodiscard]] std::vector<bool> sample_axes(const std::vector<std::int64_t>* axes, const Shape& shape,
                                            std::string_view verb, std::string_view who);

// The last axis must be one of the sample's.
void expect_last_axis(const Shape& shape, std::string_view what, std::string_view who);

// As NumPy does, right-aligned; the batch axis meets only the batch axis.
[[nodiscard]] Shape broadcast_shapes(std::span<const Input> inputs, std::string_view who);

// Elements of a node for `batch` samples.
[[nodiscard]] inline std::int64_t elements(const Shape& shape, std::int64_t batch) {
    return shape.batched ? shape.size() * batch : shape.size();
}

}  // namespace retrograd
