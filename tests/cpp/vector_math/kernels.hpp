// The functions of one instruction set, as plain pointers: what kernels.cpp exports and main.cpp calls.
#pragma once

#include <cstddef>

// clang-format off
#define VECTOR_MATH_UNARY(X) \
    X(exp) X(expm1) X(sigmoid) X(tanh) X(log) X(log1p) X(softplus) X(erf) X(sin) X(cos) X(arctan)
#define VECTOR_MATH_VEC(X) X(sqrt) X(round_nearest) X(floor) X(abs)
// clang-format on

namespace vector_math {

/// n may be any number: the last elements are read and written by load_partial and store_partial.
template <class T>
struct Functions {
    using Unary = void (*)(const T* x, T* y, std::ptrdiff_t n);
    using Binary = void (*)(const T* a, const T* b, T* y, std::ptrdiff_t n);
#define X(name) Unary name;
    VECTOR_MATH_UNARY(X)
    VECTOR_MATH_VEC(X)
#undef X
    Unary integer_and_back;
    Unary finite;  // 1 where finite, else 0
    Binary pow, min, max, copysign;
    bool (*any_negative)(const T* x);  // over one vector
    bool (*all_negative)(const T* x);
    T (*sum)(const T* x, std::ptrdiff_t n);
    T (*sum_of_squares)(const T* x, std::ptrdiff_t n);
    T (*dot)(const T* x, const T* y, std::ptrdiff_t n);
    T (*largest)(const T* x, std::ptrdiff_t n);
};

struct Table {
    const char* isa;
    bool fma;
    int vector_bytes;
    Functions<float> f;
    Functions<double> d;
};

}  // namespace vector_math

namespace retrograd {
namespace baseline {
const vector_math::Table& vector_math_table();
}
namespace avx2 {
const vector_math::Table& vector_math_table();
}
namespace avx512 {
const vector_math::Table& vector_math_table();
}
namespace neon {
const vector_math::Table& vector_math_table();
}
}  // namespace retrograd
