#include <retrograd/random.hpp>

#include <bit>
#include <cmath>
#include <string>
#include <utility>

#include <retrograd/error.hpp>

namespace retrograd {
namespace {

using Words = std::array<std::uint32_t, 4>;

__extension__ using Wide = unsigned __int128;

// Ten rounds: two 32 x 32 bit products, their high halves mixed with the other words and the round's key.
Words philox_rounds(Words x, std::uint32_t key0, std::uint32_t key1) {
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t p = std::uint64_t{0xD2511F53} * x[0];
        const std::uint64_t q = std::uint64_t{0xCD9E8D57} * x[2];
        x = {static_cast<std::uint32_t>(q >> 32) ^ x[1] ^ key0, static_cast<std::uint32_t>(q),
             static_cast<std::uint32_t>(p >> 32) ^ x[3] ^ key1, static_cast<std::uint32_t>(p)};
        key0 += 0x9E3779B9;
        key1 += 0xBB67AE85;
    }
    return x;
}

std::uint64_t join(std::uint32_t low, std::uint32_t high) { return std::uint64_t{high} << 32 | low; }

constexpr double to_unit = 0x1p-53;

// The three functions below use nothing but + - * / and sqrt, which IEEE 754 defines to the last bit: a
// network initialised with one seed starts from the same numbers with every compiler, libm and processor.

// ln u for 0 < u <= 1, normal numbers only: u = 2^k m with m near 1, ln m = 2 artanh((m - 1) / (m + 1)) as a
// series.
double series_log(double u) {
    constexpr double ln2 = 0x1.62e42fefa39efp-1;
    const auto bits = std::bit_cast<std::uint64_t>(u);
    int k = static_cast<int>(bits >> 52) - 1023;
    double m = std::bit_cast<double>((bits & 0xFFFFFFFFFFFFF) | std::uint64_t{1023} << 52);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        ++k;
    }
    const double s = (m - 1) / (m + 1);
    const double z = s * s;
    double sum = 0;
    for (int n = 25; n >= 3; n -= 2) sum = sum * z + 1.0 / n;
    return k * ln2 + (2 * s + 2 * s * (sum * z));
}

// cos(2 pi u) for 0 <= u < 1: the quarter turn is taken off exactly, the rest is a Taylor series on [-pi/4,
// pi/4].
double series_cos_turn(double u) {
    constexpr double half_pi = 0x1.921fb54442d18p+0;
    const int quarter = static_cast<int>(u * 4 + 0.5);
    const double angle = (u * 4 - quarter) * half_pi;
    const double z = angle * angle;
    const bool is_sine = (quarter & 1) != 0;
    double sum = 1;
    for (int n = is_sine ? 21 : 20; n >= 2; n -= 2) sum = 1 - sum * z / (n * (n - 1.0));
    if (is_sine) sum *= angle;
    return quarter == 1 || quarter == 2 ? -sum : sum;
}

}  // namespace

std::array<std::uint32_t, 4> philox(const RandomKey& key, std::uint64_t index) {
    const auto low = static_cast<std::uint32_t>(index);
    const auto high = static_cast<std::uint32_t>(index >> 32) & 0xFFFFFF;
    const std::uint32_t purpose = static_cast<std::uint32_t>(key.purpose) << 24;
    return philox_rounds({low, high | purpose, key.stream, key.step}, static_cast<std::uint32_t>(key.seed),
                         static_cast<std::uint32_t>(key.seed >> 32));
}

double uniform(const RandomKey& key, std::uint64_t index) {
    const Words words = philox(key, index);
    return static_cast<double>(join(words[0], words[1]) >> 11) * to_unit;
}

// Box and Muller's transform, of which only the cosine is used: one index, one number.
double normal(const RandomKey& key, std::uint64_t index) {
    const Words words = philox(key, index);
    const double u = static_cast<double>((join(words[0], words[1]) >> 11) + 1) * to_unit;  // in (0, 1]
    const double v = static_cast<double>(join(words[2], words[3]) >> 11) * to_unit;
    return std::sqrt(-2 * series_log(u)) * series_cos_turn(v);
}

// A 64-bit number times the bound: the high half is the answer, unless the low half falls where it would
// favour some answers; then another number is drawn, with another seed so that it is no other index's number.
std::uint64_t below(const RandomKey& key, std::uint64_t index, std::uint64_t bound) {
    if (bound == 0) throw ArgumentError("below: bound is 0, but it must be at least 1");
    RandomKey attempt = key;
    while (true) {
        const Words words = philox(attempt, index);
        const Wide product = Wide{join(words[0], words[1])} * bound;
        const auto low = static_cast<std::uint64_t>(product);
        if (low >= bound || low >= (0 - bound) % bound) return static_cast<std::uint64_t>(product >> 64);
        attempt.seed += 0x9E3779B97F4A7C15;
    }
}

std::vector<std::int64_t> permutation(std::int64_t n, const RandomKey& key) {
    if (n < 0) throw ArgumentError("permutation: n is " + std::to_string(n) + ", but it must be at least 0");
    std::vector<std::int64_t> order(static_cast<std::size_t>(n));
    for (std::int64_t i = 0; i < n; ++i) order[static_cast<std::size_t>(i)] = i;
    for (std::int64_t i = n - 1; i > 0; --i) {
        const auto last = static_cast<std::uint64_t>(i);
        std::swap(order[last], order[below(key, last, last + 1)]);
    }
    return order;
}

}  // namespace retrograd
