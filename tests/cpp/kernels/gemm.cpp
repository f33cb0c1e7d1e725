// The matrix product against three plain loops, in random shapes, layouts and rectangles.
#include <algorithm>
#include <vector>

#include "harness.hpp"
#include "suites.hpp"

namespace {

using namespace check;
using retrograd::Kernels;
using retrograd::MatrixProduct;

enum class Layout { plain, turned, strided };

struct Strides {
    std::int64_t row, col, size;
};

Strides strides(Layout layout, std::int64_t rows, std::int64_t columns, std::int64_t gap) {
    switch (layout) {
        case Layout::plain:
            return {columns + gap, 1, rows * columns + gap * std::max<std::int64_t>(rows - 1, 0)};
        case Layout::turned:
            return {1, rows + gap, rows * columns + gap * std::max<std::int64_t>(columns - 1, 0)};
        default: {
            const std::int64_t row = (columns - 1) * 3 + 2 + gap;
            return {row, 3, rows * columns == 0 ? 0 : (rows - 1) * row + (columns - 1) * 3 + 1};
        }
    }
}

struct Case {
    std::int64_t m, n, k;
    Layout a, b;
    std::int64_t gap;
    bool accumulate, bias, activation, keep_z;
};

// Cuts [0, n) at multiples of `unit` or anywhere.
std::vector<std::int64_t> random_cuts(std::int64_t n, std::int64_t unit) {
    std::vector<std::int64_t> cuts = {0};
    while (cuts.back() < n)
        cuts.push_back(std::min(n, cuts.back() + unit * (1 + random_below(1 + n / unit))));
    return cuts;
}

template <class T>
void check_case(const Kernels<T>& kernels, const Case& c, std::vector<T>* bits) {
    const Strides as = strides(c.a, c.m, c.k, c.gap), bs = strides(c.b, c.k, c.n, c.gap);
    const std::int64_t c_row = c.n + c.gap, c_size = (c.m - 1) * c_row + c.n;
    Guarded<T> a(as.size), b(bs.size), bias(c.n), start(c_size), out(c_size), z(c_size);
    Guarded<T> scratch((kernels.gemm_scratch_size(c.m, c.n, c.k) + 15) / 16 * 16);
    a.fill_random();
    b.fill_random();
    bias.fill_random();
    start.fill_random();
    const auto* relu = retrograd::find_kernel(kernels.unary, "relu");
    MatrixProduct<T> p{};
    p.m = c.m, p.n = c.n, p.k = c.k;
    p.a = a.data(), p.a_row = as.row, p.a_col = as.col;
    p.b = b.data(), p.b_row = bs.row, p.b_col = bs.col;
    p.c = out.data(), p.c_row = c_row;
    p.accumulate = c.accumulate;
    p.bias = c.bias ? bias.data() : nullptr;
    p.activation = c.activation ? relu->forward : nullptr;
    p.z = c.activation && c.keep_z ? z.data() : nullptr;

    const std::string what = label(kernels) + " gemm " + std::to_string(c.m) + "x" + std::to_string(c.n) +
                             "x" + std::to_string(c.k) + " layouts " + std::to_string(static_cast<int>(c.a)) +
                             std::to_string(static_cast<int>(c.b)) + " gap " + std::to_string(c.gap) +
                             (c.accumulate ? " accumulate" : "") + (c.bias ? " bias" : "") +
                             (c.activation ? " relu" : "") + (c.keep_z ? " z" : "");
    std::vector<T> first;
    for (int trial = 0; trial < 3; ++trial) {
        std::memcpy(out.data(), start.data(), static_cast<std::size_t>(c_size) * sizeof(T));
        z.fill(T(77));
        scratch.fill(static_cast<T>(__builtin_nan("")));
        std::vector<std::int64_t> rows = {0, c.m}, columns = {0, c.n};
        if (trial > 0) {
            rows = random_cuts(c.m, trial == 1 ? kernels.tile_rows : 1);
            columns = random_cuts(c.n, trial == 1 ? kernels.tile_columns : 1);
        }
        for (std::size_t i = 0; i + 1 < rows.size(); ++i) {
            for (std::size_t j = 0; j + 1 < columns.size(); ++j) {
                kernels.gemm(p, rows[i], rows[i + 1], columns[j], columns[j + 1], scratch.data());
            }
        }
        std::vector<T> all(out.data(), out.data() + c_size);
        if (p.z != nullptr) all.insert(all.end(), z.data(), z.data() + c_size);
        if (trial == 0) {
            first = all;
        } else {
            expect(same_bits(all.data(), first.data(), static_cast<std::int64_t>(all.size())),
                   what + ": other bits when cut into rectangles");
        }
    }
    double worst = 0;
    for (std::int64_t i = 0; i < c.m; ++i) {
        for (std::int64_t j = 0; j < c_row && i * c_row + j < c_size; ++j) {
            const std::int64_t at = i * c_row + j;
            if (j >= c.n) {
                expect(out[at] == start[at], what + ": wrote between rows");
                continue;
            }
            long double sum = 0, magnitude = 0;
            for (std::int64_t q = 0; q < c.k; ++q) {
                const long double product =
                    static_cast<long double>(a[i * as.row + q * as.col]) * b[q * bs.row + j * bs.col];
                sum += product;
                magnitude += std::fabs(product);
            }
            if (c.accumulate) sum += start[at], magnitude += std::fabs(start[at]);
            if (c.bias) sum += bias[j], magnitude += std::fabs(bias[j]);
            if (p.z != nullptr) {
                const bool positive = z[at] > 0;
                expect(out[at] == (positive ? z[at] : T(0)), what + ": activation of z");
                worst = std::max(worst, static_cast<double>(std::fabs(z[at] - sum) / (magnitude + 1e-300L)));
            } else {
                if (c.activation) sum = sum > 0 ? sum : 0;
                worst =
                    std::max(worst, static_cast<double>(std::fabs(out[at] - sum) / (magnitude + 1e-300L)));
            }
        }
    }
    expect(worst < epsilon<T> * (2 + std::sqrt(static_cast<double>(c.k)) * 2),
           what + ": error " + std::to_string(worst / epsilon<T>) + " eps");
    if (bits != nullptr) *bits = first;
}

template <class T>
void check_type(const std::vector<Case>& cases) {
    for (const Case& c : cases) {
        std::vector<T> reference;
        const auto seed = random_bits()();
        for (const retrograd::Isa isa : retrograd::runnable_isas()) {
            random_bits().seed(seed);
            std::vector<T> bits;
            check_case(*retrograd::kernels_of<T>(isa), c, &bits);
            if (isa == retrograd::Isa::baseline) continue;  // rounds products before it adds them
            if (reference.empty()) reference = bits;
            expect(bits.size() == reference.size() &&
                       same_bits(bits.data(), reference.data(), static_cast<std::int64_t>(bits.size())),
                   std::string(retrograd::name(isa)) +
                       " gemm: other bits than the first instruction set with FMA, " + std::to_string(c.m) +
                       "x" + std::to_string(c.n) + "x" + std::to_string(c.k));
        }
    }
}

}  // namespace

void check_gemm() {
    std::vector<Case> cases;
    const std::int64_t sizes[] = {1,  2,  3,  5,  6,  7,  8,  10,  13,  14, 15,
                                  16, 17, 28, 31, 32, 33, 64, 100, 129, 200};
    const std::int64_t lengths[] = {0, 1, 2, 3, 7, 8, 16, 17, 64, 100, 383, 384, 385, 785, 1030};
    const auto pick = [](const auto& list) { return list[random_below(std::size(list))]; };
    for (int i = 0; i < 700; ++i) {
        Case c{};
        c.m = pick(sizes), c.n = pick(sizes), c.k = pick(lengths);
        c.a = static_cast<Layout>(random_below(20) % 3);
        c.b = static_cast<Layout>(random_below(20) % 3);
        c.gap = random_below(4) == 0 ? random_below(20) : 0;
        c.accumulate = random_below(3) == 0;
        c.bias = random_below(2) == 0;
        c.activation = random_below(2) == 0;
        c.keep_z = random_below(2) == 0;
        cases.push_back(c);
    }
    for (const auto& [m, n, k] :
         {std::array{1, 1300, 70}, {3, 700, 400}, {400, 20, 30}, {230, 530, 90}, {40, 40, 1024}}) {
        for (int layout = 0; layout < 4; ++layout) {
            cases.push_back({m, n, k, layout % 2 == 0 ? Layout::plain : Layout::turned,
                             layout / 2 == 0 ? Layout::plain : Layout::turned, 0, layout == 1, true,
                             layout != 2, layout == 3});
        }
    }
    check_type<float>(cases);
    check_type<double>(cases);
}
