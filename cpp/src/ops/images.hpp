// What the operations on images share: samples of (height, width, channels).
#pragma once

#include <array>

#include "ops/attributes.hpp"
#include "ops/shape_rules.hpp"
#include "ops/work.hpp"

namespace retrograd {

// A pair of numbers for rows and columns, each at least `least`.
[[nodiscard]] inline std::array<std::int64_t, 2> row_and_column(const Attributes& attributes,
                                                                const std::string& name, std::int64_t least,
                                                                std::string_view op) {
    const std::vector<std::int64_t> given = get_ints(attributes, name);
    if (given.size() == 2 && given[0] >= least && given[1] >= least) return {given[0], given[1]};
    std::string shown;
    for (const std::int64_t n : given) shown += (shown.empty() ? "" : ", ") + std::to_string(n);
    throw ArgumentError(text(op, ": ", name, " is [", shown, "], expected two numbers of at least ", least));
}

[[nodiscard]] inline std::vector<std::int64_t> listed(const std::array<std::int64_t, 2>& pair) {
    return {pair[0], pair[1]};
}

inline void expect_images(const Input& x, std::string_view who) {
    if (x.shape.rank() == 3) return;
    throw ShapeError(text(who, ": expected images ", x.shape.batched ? "(batch, " : "(",
                          "height, width, channels), got ", x.shape.str(),
                          "; a last axis of 1 makes images of one channel, as rg.Input((28, 28, 1)) does"));
}

// f(row, end) for this member's rows of images; a row has `columns` elements.
template <class T, class F>
void for_image_rows(std::span<T> images, std::int64_t columns, const Member& member, F&& f) {
    member.for_range(std::ssize(images) / columns, row_chunk(columns), f);
}

}  // namespace retrograd
