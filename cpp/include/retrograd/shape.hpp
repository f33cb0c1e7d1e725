// The shape of a node: the dims of one sample, and whether a batch of samples stands before them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace retrograd {

[[noreturn]] void throw_impossible_size(std::int64_t a, std::int64_t b);

// a * b for sizes; throws ShapeError where the product does not fit in 63 bits.
[[nodiscard]] inline std::int64_t checked_mul(std::int64_t a, std::int64_t b) {
    std::int64_t product = 0;
    if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &product)) throw_impossible_size(a, b);
    return product;
}

struct Shape {
    std::vector<std::int64_t> dims;  // of one sample; the batch axis is never among them
    bool batched = false;

    [[nodiscard]] std::int64_t rank() const { return static_cast<std::int64_t>(dims.size()); }
    [[nodiscard]] std::int64_t size() const {  // elements of one sample
        std::int64_t product = 1;
        for (const std::int64_t dim : dims) product = checked_mul(product, dim);
        return product;
    }
    [[nodiscard]] std::int64_t last() const;  // the last dim; 1 for a scalar
    [[nodiscard]] std::string str() const;    // "(batch, 28, 28)", "(10, 64)", "()"

    friend bool operator==(const Shape&, const Shape&) = default;
};

}  // namespace retrograd
