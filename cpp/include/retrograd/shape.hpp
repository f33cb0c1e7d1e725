// The shape of a node: the dims of one sample, and whether a batch of samples stands before them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace retrograd {

// a * b for sizes; throws ShapeError where the product does not fit in 63 bits.
[[nodiscard]] std::int64_t checked_mul(std::int64_t a, std::int64_t b);

struct Shape {
    std::vector<std::int64_t> dims;  // of one sample; the batch axis is never among them
    bool batched = false;

    [[nodiscard]] std::int64_t rank() const { return static_cast<std::int64_t>(dims.size()); }
    [[nodiscard]] std::int64_t size() const;  // elements of one sample
    [[nodiscard]] std::int64_t last() const;  // the last dim; 1 for a scalar
    [[nodiscard]] std::string str() const;    // "(batch, 28, 28)", "(10, 64)", "()"

    friend bool operator==(const Shape&, const Shape&) = default;
};

}  // namespace retrograd
