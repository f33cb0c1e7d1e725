#include <retrograd/shape.hpp>

#include <retrograd/error.hpp>

namespace retrograd {

void throw_impossible_size(std::int64_t a, std::int64_t b) {
    throw ShapeError("a size of " + std::to_string(a) + " x " + std::to_string(b) +
                     " elements is not possible; sizes must be 0 to 9223372036854775807");
}

std::int64_t Shape::last() const { return dims.empty() ? 1 : dims.back(); }

std::string Shape::str() const {
    std::string text = batched ? "(batch" : "(";
    for (const std::int64_t dim : dims) {
        if (text.size() > 1) text += ", ";
        text += std::to_string(dim);
    }
    return text + ")";
}

}  // namespace retrograd
