// Random numbers: Philox's published known answers, moments, unbiased integers; shapes and buffers.
#include <retrograd/random.hpp>

#include <algorithm>
#include <array>

#include <retrograd/error.hpp>
#include <retrograd/shape.hpp>

#include "base/aligned_buffer.hpp"
#include "harness.hpp"
#include "suites.hpp"

namespace {

using namespace check;
using retrograd::Purpose;
using retrograd::RandomKey;
using Words = std::array<std::uint32_t, 4>;

void check_known_answers() {
    // Counter {0, 0, 0, 0} with key {0, 0}; all ones; digits of pi. The purpose is the highest byte of the
    // counter's second word.
    expect(
        retrograd::philox({0, Purpose{0}, 0, 0}, 0) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        "philox: zeros");
    expect(retrograd::philox({~std::uint64_t{0}, Purpose{0xff}, 0xffffffff, 0xffffffff}, 0xffffffffffffff) ==
               Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
           "philox: ones");
    expect(retrograd::philox({0x299f31d0a4093822, Purpose{0x85}, 0x13198a2e, 0x03707344}, 0xa308d3243f6a88) ==
               Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
           "philox: pi");
}

void check_distributions() {
    const RandomKey key{42, Purpose::check, 1, 2};
    constexpr int n = 400000;
    double mean = 0, square = 0, cube = 0, fourth = 0, flat = 0, largest = 0;
    for (int i = 0; i < n; ++i) {
        const double u = retrograd::uniform(key, static_cast<std::uint64_t>(i));
        expect(u >= 0 && u < 1, "uniform: outside of [0, 1)");
        flat += u / n;
        const double z = retrograd::normal(key, static_cast<std::uint64_t>(i));
        mean += z / n, square += z * z / n, cube += z * z * z / n, fourth += z * z * z * z / n;
        largest = std::max(largest, std::fabs(z));
    }
    expect(std::fabs(flat - 0.5) < 0.003, "uniform: mean");
    expect(std::fabs(mean) < 0.008 && std::fabs(square - 1) < 0.012, "normal: mean and variance");
    expect(std::fabs(cube) < 0.03 && std::fabs(fourth - 3) < 0.08, "normal: third and fourth moments");
    expect(largest > 4 && largest < 9, "normal: largest of 400,000");

    // The same numbers by the library's functions: the series must agree with them to the last digits.
    for (std::uint64_t i = 0; i < 20000; ++i) {
        const Words w = retrograd::philox(key, i);
        const auto join = [](std::uint32_t low, std::uint32_t high) {
            return std::uint64_t{high} << 32 | low;
        };
        const long double u = static_cast<long double>((join(w[0], w[1]) >> 11) + 1) * 0x1p-53L;
        const long double v = static_cast<long double>(join(w[2], w[3]) >> 11) * 0x1p-53L;
        const long double wanted = std::sqrt(-2 * std::log(u)) * std::cos(6.283185307179586476925L * v);
        expect(std::fabs(retrograd::normal(key, i) - wanted) < 2e-15L, "normal: series");
    }
    const std::uint64_t bound = 7;
    std::array<int, 7> seen{};
    for (std::uint64_t i = 0; i < 70000; ++i) ++seen[retrograd::below(key, i, bound)];
    for (const int count : seen) expect(std::abs(count - 10000) < 500, "below: not uniform");
    // Two thirds of 2^64: nearly every third draw must be thrown away, and the halves of the range stay
    // equal.
    const std::uint64_t large = std::uint64_t{0xAAAAAAAAAAAAAAAA};
    int low = 0;
    for (std::uint64_t i = 0; i < 30000; ++i) {
        const std::uint64_t drawn = retrograd::below(key, i, large);
        expect(drawn < large, "below: too large");
        low += drawn < large / 2 ? 1 : 0;
    }
    expect(std::abs(low - 15000) < 500, "below: biased");
    expect(retrograd::below(key, 5, 1) == 0, "below 1");

    auto order = retrograd::permutation(1000, key);
    expect(order != retrograd::permutation(1000, {42, Purpose::check, 1, 3}),
           "permutation: the step does not matter");
    expect(order == retrograd::permutation(1000, key), "permutation: not the same again");
    std::sort(order.begin(), order.end());
    for (std::int64_t i = 0; i < 1000; ++i)
        expect(order[static_cast<std::size_t>(i)] == i, "permutation: not one");
    expect(retrograd::permutation(0, key).empty(), "permutation of nothing");
}

template <class Exception, class F>
bool throws(F f) {
    try {
        f();
    } catch (const Exception&) {
        return true;
    }
    return false;
}

void check_shapes_and_buffers() {
    using retrograd::checked_mul;
    using retrograd::Shape;
    expect(checked_mul(3037000499, 3037000499) == 9223372030926249001, "checked_mul");
    expect(throws<retrograd::ShapeError>([] { static_cast<void>(checked_mul(3037000500, 3037000500)); }),
           "checked_mul: overflow");
    expect(Shape{{28, 28}, true}.str() == "(batch, 28, 28)" && Shape{{10, 64}, false}.str() == "(10, 64)",
           "Shape::str");
    expect(Shape{}.str() == "()" && Shape{{}, true}.str() == "(batch)", "Shape::str of scalars");
    expect(Shape{{28, 3}, true}.size() == 84 && Shape{}.size() == 1 && Shape{}.last() == 1, "Shape::size");

    retrograd::AlignedBuffer<float> a(1000);
    expect(reinterpret_cast<std::uintptr_t>(a.data()) % 64 == 0, "AlignedBuffer: alignment");
    expect(std::all_of(a.begin(), a.end(), [](float v) { return v == 0; }), "AlignedBuffer: zeros");
    const float* const where = a.data();
    retrograd::AlignedBuffer<float> b(std::move(a));
    expect(b.data() == where && b.size() == 1000 && a.empty(), "AlignedBuffer: move");
    expect(throws<std::bad_alloc>([] { retrograd::AlignedBuffer<double> huge(std::int64_t{1} << 61); }),
           "AlignedBuffer: too large");
    expect(throws<std::bad_alloc>([] { retrograd::AlignedBuffer<double> negative(-1); }),
           "AlignedBuffer: negative");
}

}  // namespace

void check_random() {
    check_known_answers();
    check_distributions();
    check_shapes_and_buffers();
}
