// Reductions, softmax, cross-entropy and losses against scalar formulas.
#include <functional>
#include <map>

#include "harness.hpp"
#include "suites.hpp"

namespace {

using namespace check;
using Real = long double;

template <class T>
void expect_near(T got, Real wanted, Real size, const std::string& what, double factor = 16) {
    const Real error = std::fabs(static_cast<Real>(got) - wanted);
    expect(error <= static_cast<Real>(factor * epsilon<T>) * (std::fabs(wanted) + size),
           what + ": got " + std::to_string(static_cast<double>(got)) + ", expected " +
               std::to_string(static_cast<double>(wanted)));
}

// The order of the sums that the table promises: 16 lanes, or 64 for long sums, folded in halves.
template <std::size_t Lanes, class T>
T lane_sum(const std::vector<T>& terms) {
    T lane[Lanes] = {};
    for (std::size_t i = 0; i < terms.size(); ++i) lane[i % Lanes] += terms[i];
    for (std::size_t half = Lanes / 2; half > 0; half /= 2) {
        for (std::size_t i = 0; i < half; ++i) lane[i] += lane[i + half];
    }
    return lane[0];
}

template <class T>
void check_reduce(const retrograd::Kernels<T>& k, std::vector<T>& bits) {
    const std::string what = label(k);
    for (const std::int64_t n : {0, 1, 2, 5, 8, 15, 16, 17, 31, 32, 33, 100, 1000}) {
        for (const bool front : {false, true}) {
            Guarded<T> x(n, front), y(n, front);
            x.fill_random();
            y.fill_random();
            std::vector<T> terms(x.data(), x.data() + n), magnitudes;
            Real sum = 0, squares = 0, dot = 0, size = 0;
            T largest = -std::numeric_limits<T>::infinity(), magnitude = 0;
            for (std::int64_t i = 0; i < n; ++i) {
                sum += x[i], squares += Real(x[i]) * x[i], dot += Real(x[i]) * y[i], size += std::fabs(x[i]);
                largest = x[i] > largest ? x[i] : largest;
                magnitude = std::fabs(x[i]) > magnitude ? std::fabs(x[i]) : magnitude;
                magnitudes.push_back(std::fabs(x[i]));
            }
            expect(k.sum(x.data(), n) == lane_sum<16>(terms), what + " sum: not the promised order");
            expect(k.sum_abs(x.data(), n) == lane_sum<64>(magnitudes),
                   what + " sum_abs: not the promised order");
            expect_near(k.sum(x.data(), n), sum, size, what + " sum");
            expect_near(k.sum_of_squares(x.data(), n), squares, 0, what + " sum_of_squares", 100);
            expect_near(k.dot(x.data(), y.data(), n), dot, size, what + " dot");
            expect(k.max(x.data(), n) == largest, what + " max");
            expect(k.max_abs(x.data(), n) == magnitude, what + " max_abs");
            bits.push_back(k.dot(x.data(), y.data(), n));
            bits.push_back(k.sum_of_squares(x.data(), n));
            for (std::int64_t i = 0; i < n; i += 1 + n / 7) {
                const T keep = x[i];
                x[i] = static_cast<T>(__builtin_nan(""));
                expect(std::isnan(k.max(x.data(), n)), what + " max: lost a NaN");
                expect(std::isnan(k.max_abs(x.data(), n)), what + " max_abs: lost a NaN");
                expect(std::isnan(k.sum_of_squares(x.data(), n)), what + " sum_of_squares: lost a NaN");
                x[i] = -std::numeric_limits<T>::infinity();
                expect(std::isinf(k.max_abs(x.data(), n)), what + " max_abs: lost an infinity");
                expect(std::isinf(k.sum_of_squares(x.data(), n)), what + " sum_of_squares: lost an infinity");
                x[i] = keep;
            }
        }
    }
    for (const std::int64_t rows : {0, 1, 2, 9}) {
        for (const std::int64_t columns : {1, 3, 8, 16, 21, 64, 150}) {
            for (const bool accumulate : {false, true}) {
                const std::int64_t row = columns + 3;
                Guarded<T> x(rows == 0 ? 0 : (rows - 1) * row + columns), y(columns), before(columns);
                x.fill_random();
                before.fill_random();
                std::memcpy(y.data(), before.data(), static_cast<std::size_t>(columns) * sizeof(T));
                k.sum_columns(x.data(), row, rows, columns, y.data(), accumulate);
                for (std::int64_t j = 0; j < columns; ++j) {
                    T sum = accumulate ? before[j] : T(0);
                    for (std::int64_t i = 0; i < rows; ++i) sum += x[i * row + j];
                    expect(y[j] == sum, what + " sum_columns");
                }
            }
        }
    }
}

template <class T>
void check_softmax(const retrograd::Kernels<T>& k, std::vector<T>& bits) {
    const std::string what = label(k);
    for (const std::int64_t columns : {1, 2, 3, 8, 10, 15, 16, 17, 33, 70}) {
        const std::int64_t rows = 3, n = rows * columns;
        for (const bool accumulate : {false, true}) {
            Guarded<T> x(n), y(n), logs(n), dy(n), dx(n), before(n), t(n), value(rows), p(n), dvalue(rows);
            Guarded<std::int32_t> label_of(rows);
            x.fill_random(-20, 20);
            dy.fill_random();
            dvalue.fill_random();
            before.fill_random();
            t.fill_random(0.01, 1);
            const T smoothing = accumulate ? T(0.1) : T(0);
            const auto start = [&] {
                std::memcpy(dx.data(), before.data(), static_cast<std::size_t>(n) * sizeof(T));
            };
            const auto keep = [&](const Guarded<T>& a) {
                bits.insert(bits.end(), a.data(), a.data() + a.size());
            };

            std::vector<Real> soft(static_cast<std::size_t>(n)), log_soft(static_cast<std::size_t>(n));
            for (std::int64_t i = 0; i < rows; ++i) {
                Real largest = -1e9L, sum = 0, targets = 0;
                for (std::int64_t j = 0; j < columns; ++j) largest = std::fmax(largest, x[i * columns + j]);
                for (std::int64_t j = 0; j < columns; ++j) sum += std::exp(x[i * columns + j] - largest);
                for (std::int64_t j = 0; j < columns; ++j) {
                    const auto at = static_cast<std::size_t>(i * columns + j);
                    log_soft[at] = x[i * columns + j] - largest - std::log(sum);
                    soft[at] = std::exp(log_soft[at]);
                    targets += t[i * columns + j];
                }
                for (std::int64_t j = 0; j < columns; ++j)
                    t[i * columns + j] = static_cast<T>(t[i * columns + j] / targets);
                label_of[i] = i == 1 ? -100 : static_cast<std::int32_t>(random_below(columns));
            }
            const auto at = [&](std::int64_t i, std::int64_t j) {
                return static_cast<std::size_t>(i * columns + j);
            };

            k.softmax(x.data(), y.data(), rows, columns);
            k.log_softmax(x.data(), logs.data(), rows, columns);
            for (std::int64_t i = 0; i < n; ++i) {
                expect_near(y[i], soft[static_cast<std::size_t>(i)], 1e-3L, what + " softmax");
                expect_near(logs[i], log_soft[static_cast<std::size_t>(i)], 20, what + " log_softmax", 4);
            }
            keep(y);
            keep(logs);
            start();
            k.softmax_backward(y.data(), dy.data(), dx.data(), rows, columns, accumulate);
            keep(dx);
            for (std::int64_t i = 0; i < rows; ++i) {
                Real common = 0;
                for (std::int64_t j = 0; j < columns; ++j) common += soft[at(i, j)] * dy[i * columns + j];
                for (std::int64_t j = 0; j < columns; ++j) {
                    const Real base = accumulate ? Real(before[i * columns + j]) : 0;
                    expect_near(dx[i * columns + j], base + soft[at(i, j)] * (dy[i * columns + j] - common),
                                1, what + " softmax_backward");
                }
            }
            start();
            k.log_softmax_backward(logs.data(), dy.data(), dx.data(), rows, columns, accumulate);
            keep(dx);
            for (std::int64_t i = 0; i < rows; ++i) {
                Real total = 0;
                for (std::int64_t j = 0; j < columns; ++j) total += dy[i * columns + j];
                for (std::int64_t j = 0; j < columns; ++j) {
                    const Real base = accumulate ? Real(before[i * columns + j]) : 0;
                    expect_near(dx[i * columns + j], base + dy[i * columns + j] - soft[at(i, j)] * total, 20,
                                what + " log_softmax_backward");
                }
            }

            k.cross_entropy(x.data(), label_of.data(), value.data(), p.data(), rows, columns, -100,
                            smoothing);
            keep(value);
            start();
            k.cross_entropy_backward(p.data(), label_of.data(), dvalue.data(), dx.data(), rows, columns, -100,
                                     smoothing, accumulate);
            keep(dx);
            for (std::int64_t i = 0; i < rows; ++i) {
                Real wanted = 0;
                for (std::int64_t j = 0; j < columns; ++j) {
                    const Real q = (j == label_of[i] ? 1 - Real(smoothing) : 0) + Real(smoothing) / columns;
                    wanted -= q * log_soft[at(i, j)];
                    const Real base = accumulate ? Real(before[i * columns + j]) : 0;
                    const Real slope = label_of[i] == -100 ? 0 : dvalue[i] * (soft[at(i, j)] - q);
                    expect_near(dx[i * columns + j], base + slope, 1, what + " cross_entropy_backward");
                }
                expect_near(value[i], label_of[i] == -100 ? 0 : wanted, 20, what + " cross_entropy", 4);
            }
            label_of[0] = static_cast<std::int32_t>(columns);
            label_of[2] = -1;
            k.cross_entropy(x.data(), label_of.data(), value.data(), p.data(), rows, columns, -100,
                            smoothing);
            expect(std::isnan(value[0]) && std::isnan(value[2]),
                   what + " cross_entropy: a label outside must give NaN");

            k.cross_entropy_soft(x.data(), t.data(), value.data(), p.data(), rows, columns, smoothing);
            keep(value);
            start();
            k.cross_entropy_soft_backward(p.data(), t.data(), dvalue.data(), dx.data(), rows, columns,
                                          smoothing, accumulate);
            keep(dx);
            for (std::int64_t i = 0; i < rows; ++i) {
                Real wanted = 0;
                for (std::int64_t j = 0; j < columns; ++j) {
                    const Real q = (1 - Real(smoothing)) * t[i * columns + j] + Real(smoothing) / columns;
                    wanted -= q * log_soft[at(i, j)];
                    const Real base = accumulate ? Real(before[i * columns + j]) : 0;
                    expect_near(dx[i * columns + j], base + dvalue[i] * (soft[at(i, j)] - q), 1,
                                what + " cross_entropy_soft_backward");
                }
                expect_near(value[i], wanted, 20, what + " cross_entropy_soft", 4);
            }
        }
    }
    T hard[] = {T(1000), T(-1000), T(0), -std::numeric_limits<T>::infinity()}, y[4];
    k.softmax(hard, y, 1, 4);
    expect(y[0] == 1 && y[1] == 0 && y[3] == 0, what + " softmax of large numbers");
}

struct LossFormula {
    std::function<Real(Real, Real, Real)> value, derivative;
    bool mean;
};

const std::map<std::string, LossFormula>& loss_formulas() {
    static const std::map<std::string, LossFormula> all = {
        {"half_squared_error",
         {[](Real z, Real t, Real) { return (z - t) * (z - t) / 2; },
          [](Real z, Real t, Real) { return z - t; }, false}},
        {"mean_squared_error",
         {[](Real z, Real t, Real) { return (z - t) * (z - t); },
          [](Real z, Real t, Real) { return 2 * (z - t); }, true}},
        {"mean_absolute_error",
         {[](Real z, Real t, Real) { return std::fabs(z - t); },
          [](Real z, Real t, Real) { return Real((z > t) - (z < t)); }, true}},
        {"huber",
         {[](Real z, Real t, Real d) {
              const Real e = std::fabs(z - t);
              return e <= d ? e * e / 2 : d * (e - d / 2);
          },
          [](Real z, Real t, Real d) { return std::fmax(-d, std::fmin(d, z - t)); }, true}},
        {"binary_cross_entropy",
         {[](Real z, Real t, Real) { return std::fmax(z, 0) + std::log1p(std::exp(-std::fabs(z))) - t * z; },
          [](Real z, Real t, Real) { return 1 / (1 + std::exp(-z)) - t; }, true}},
        {"poisson",
         {[](Real z, Real t, Real) { return std::exp(z) - t * z; },
          [](Real z, Real t, Real) { return std::exp(z) - t; }, true}},
        {"hinge",
         {[](Real z, Real t, Real) { return std::fmax(0, 1 - t * z); },
          [](Real z, Real t, Real) { return 1 - t * z > 0 ? -t : 0; }, true}},
    };
    return all;
}

template <class T>
void check_losses(const retrograd::Kernels<T>& k, std::vector<T>& bits) {
    for (const auto& loss : k.losses) {
        const std::string what = label(k) + " " + std::string(loss.name);
        const auto found = loss_formulas().find(std::string(loss.name));
        expect(found != loss_formulas().end(), what + ": no formula in this test");
        if (found == loss_formulas().end()) continue;
        const LossFormula& formula = found->second;
        const T parameter = loss.parameter.empty() ? T(0) : T(0.7);
        for (const std::int64_t columns : {1, 2, 4, 10, 15, 16, 17, 40}) {
            for (const std::int64_t rows : {1, 3, 70, 300}) {
                const std::int64_t n = rows * columns;
                Guarded<T> z(n), t(n), value(rows), dvalue(rows), dz(n), sum(n);
                z.fill_random(-3, 3);
                t.fill_random(loss.target_low < loss.target_high ? loss.target_low : -3,
                              loss.target_low < loss.target_high ? loss.target_high : 3);
                dvalue.fill_random();
                if (loss.name == "mean_absolute_error") z[0] = t[0];
                loss.forward(z.data(), t.data(), value.data(), rows, columns, parameter);
                loss.backward(z.data(), t.data(), dvalue.data(), dz.data(), rows, columns, parameter, false);
                sum.fill(T(2));
                loss.backward(z.data(), t.data(), dvalue.data(), sum.data(), rows, columns, parameter, true);
                bits.insert(bits.end(), value.data(), value.data() + rows);
                bits.insert(bits.end(), dz.data(), dz.data() + n);
                for (std::int64_t i = 0; i < rows; ++i) {
                    Real total = 0;
                    const Real count = formula.mean ? columns : 1;
                    for (std::int64_t j = 0; j < columns; ++j) {
                        const Real vz = z[i * columns + j], vt = t[i * columns + j];
                        total += formula.value(vz, vt, parameter);
                        expect_near(dz[i * columns + j],
                                    dvalue[i] * formula.derivative(vz, vt, parameter) / count, 1,
                                    what + " derivative");
                        expect(sum[i * columns + j] == T(2) + dz[i * columns + j], what + ": accumulate");
                    }
                    expect_near(value[i], total / count, 3, what);
                }
            }
        }
    }
}

template <class T>
void same_everywhere(void (*run)(const retrograd::Kernels<T>&, std::vector<T>&), const char* what) {
    std::vector<T> reference;
    for (const retrograd::Isa isa : retrograd::runnable_isas()) {
        const auto& k = *retrograd::kernels_of<T>(isa);
        random_bits().seed(7);
        std::vector<T> bits;
        run(k, bits);
        if (isa == retrograd::Isa::baseline) continue;
        if (reference.empty()) reference = bits;
        expect(same_bits(bits.data(), reference.data(), static_cast<std::int64_t>(bits.size())),
               label(k) + " " + what + ": other bits than on the first instruction set with FMA");
    }
}

}  // namespace

void check_reductions() {
    same_everywhere<float>(check_reduce, "reductions");
    same_everywhere<double>(check_reduce, "reductions");
}

void check_rows() {
    same_everywhere<float>(check_softmax, "softmax");
    same_everywhere<double>(check_softmax, "softmax");
    same_everywhere<float>(check_losses, "losses");
    same_everywhere<double>(check_losses, "losses");
}
