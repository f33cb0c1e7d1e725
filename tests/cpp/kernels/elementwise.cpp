// Functions of one and of two elements, element conversion, and the small loops, against scalar formulas.
#include <functional>
#include <limits>
#include <map>

#include "harness.hpp"
#include "suites.hpp"

namespace {

using namespace check;
using Real = long double;

struct Formula {
    std::function<Real(Real)> f, df;
    double low = -6, high = 6;
};

Real logistic(Real x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }
Real soft_plus(Real x) { return (x > 0 ? x : 0) + std::log1p(std::exp(-std::fabs(x))); }
Real normal(Real x) { return (1 + std::erf(x / std::sqrt(Real(2)))) / 2; }

const std::map<std::string, Formula>& formulas() {
    static const Real scale = 1.0507009873554804934193349852946L, alpha = 1.6732632423543772848170429916717L;
    static const std::map<std::string, Formula> all = {
        {"linear", {[](Real x) { return x; }, [](Real) { return Real(1); }}},
        {"sigmoid", {logistic, [](Real x) { return logistic(x) * logistic(-x); }}},
        {"tanh",
         {[](Real x) { return std::tanh(x); }, [](Real x) { return 1 - std::tanh(x) * std::tanh(x); }}},
        {"relu", {[](Real x) { return x > 0 ? x : 0; }, [](Real x) { return Real(x > 0); }}},
        {"leaky_relu",
         {[](Real x) { return x > 0 ? x : 0.01L * x; }, [](Real x) { return x > 0 ? 1 : 0.01L; }}},
        {"elu",
         {[](Real x) { return x > 0 ? x : std::expm1(x); }, [](Real x) { return x > 0 ? 1 : std::exp(x); }}},
        {"selu",
         {[](Real x) { return scale * (x > 0 ? x : alpha * std::expm1(x)); },
          [](Real x) { return scale * (x > 0 ? 1 : alpha * std::exp(x)); }}},
        {"gelu",
         {[](Real x) { return x * normal(x); },
          [](Real x) { return normal(x) + x * std::exp(-x * x / 2) * 0.39894228040143267794L; }}},
        {"silu",
         {[](Real x) { return x * logistic(x); },
          [](Real x) { return logistic(x) * (1 + x * logistic(-x)); }}},
        {"softplus", {soft_plus, logistic, -30, 30}},
        {"softsign",
         {[](Real x) { return x / (1 + std::fabs(x)); },
          [](Real x) { return 1 / ((1 + std::fabs(x)) * (1 + std::fabs(x))); }}},
        {"mish",
         {[](Real x) { return x * std::tanh(soft_plus(x)); },
          [](Real x) {
              const Real t = std::tanh(soft_plus(x));
              return t + x * (1 - t * t) * logistic(x);
          }}},
        {"hard_sigmoid",
         {[](Real x) { return std::fmin(std::fmax(x + 3, 0), 6) / 6; },
          [](Real x) { return x > -3 && x < 3 ? 1 / Real(6) : 0; }}},
        {"hard_swish",
         {[](Real x) { return x * std::fmin(std::fmax(x + 3, 0), 6) / 6; },
          [](Real x) { return x <= -3 ? 0
                              : x < 3 ? x / 3 + 0.5L
                                      : 1; }}},
        {"exp", {[](Real x) { return std::exp(x); }, [](Real x) { return std::exp(x); }}},
        {"negative", {[](Real x) { return -x; }, [](Real) { return Real(-1); }}},
        {"log", {[](Real x) { return std::log(x); }, [](Real x) { return 1 / x; }, 1e-3, 50}},
        {"sqrt", {[](Real x) { return std::sqrt(x); }, [](Real x) { return 0.5L / std::sqrt(x); }, 1e-3, 50}},
        {"square", {[](Real x) { return x * x; }, [](Real x) { return 2 * x; }}},
        {"abs", {[](Real x) { return std::fabs(x); }, [](Real x) { return Real((x > 0) - (x < 0)); }}},
        {"sin", {[](Real x) { return std::sin(x); }, [](Real x) { return std::cos(x); }, -30, 30}},
        {"cos", {[](Real x) { return std::cos(x); }, [](Real x) { return -std::sin(x); }, -30, 30}},
        {"arctan", {[](Real x) { return std::atan(x); }, [](Real x) { return 1 / (1 + x * x); }, -30, 30}},
    };
    return all;
}

template <class T>
void expect_near(T got, Real wanted, Real size, const std::string& what, double factor = 8) {
    const Real error = std::fabs(static_cast<Real>(got) - wanted);
    const Real allowed =
        static_cast<Real>(factor * epsilon<T>) * (std::fabs(wanted) + size) + std::numeric_limits<T>::min();
    if (!(error <= allowed)) {
        expect(false, what + ": got " + std::to_string(static_cast<double>(got)) + ", expected " +
                          std::to_string(static_cast<double>(wanted)));
    } else {
        ++checks;
    }
}

template <class T>
void check_unary(const retrograd::UnaryKernel<T>& k, std::string what, std::vector<T>& bits) {
    what += " " + std::string(k.name);
    const auto found = formulas().find(std::string(k.name));
    expect(found != formulas().end(), what + ": no formula in this test");
    if (found == formulas().end()) return;
    const Formula& formula = found->second;
    for (const std::int64_t n : {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 100}) {
        for (const bool front : {false, true}) {
            Guarded<T> x(n, front), y(n, front), dy(n, front), dx(n, front), sum(n, front);
            x.fill_random(formula.low, formula.high);
            dy.fill_random();
            if (n > 4 && formula.low < 0) x[n / 2] = 0;
            k.forward(x.data(), y.data(), n);
            k.backward(k.needs_x ? x.data() : nullptr, k.needs_y ? y.data() : nullptr, dy.data(), dx.data(),
                       n, false);
            sum.fill(T(2));
            k.backward(k.needs_x ? x.data() : nullptr, k.needs_y ? y.data() : nullptr, dy.data(), sum.data(),
                       n, true);
            for (std::int64_t i = 0; i < n; ++i) {
                const Real size =
                    0.2L + 0.5L * std::fabs(static_cast<Real>(x[i])) * (formula.low < 0 ? 1 : 0);
                expect_near(y[i], formula.f(x[i]), size, what);
                expect_near(dx[i], dy[i] * formula.df(x[i]), size,
                            what + " derivative at " + std::to_string(x[i]), 16);
                expect(sum[i] == T(2) + dx[i], what + ": accumulate");
            }
            bits.insert(bits.end(), y.data(), y.data() + n);
            bits.insert(bits.end(), dx.data(), dx.data() + n);
            k.backward(k.needs_x ? x.data() : nullptr, k.needs_y ? y.data() : nullptr, dy.data(), dy.data(),
                       n, false);
            expect(n == 0 || same_bits(dy.data(), dx.data(), n), what + ": in place");
        }
    }
    // What must be handed on, and what must not be made up.
    T special[] = {static_cast<T>(__builtin_nan("")), std::numeric_limits<T>::infinity(), T(0)}, y[3];
    k.forward(special, y, 3);
    expect(std::isnan(y[0]), what + ": NaN must be handed on");
    const std::string name(k.name);
    if (name != "sin" && name != "cos" && name != "softsign")
        expect(!std::isnan(y[1]), what + ": infinity became NaN");
}

struct PairFormula {
    std::function<Real(Real, Real)> f, da, db;
};

const std::map<std::string, PairFormula>& pair_formulas() {
    const auto share = [](Real mine, Real other) {
        return mine == other ? 0.5L : mine > other ? 1.0L : 0.0L;
    };
    static const std::map<std::string, PairFormula> all = {
        {"add",
         {[](Real a, Real b) { return a + b; }, [](Real, Real) { return Real(1); },
          [](Real, Real) { return Real(1); }}},
        {"subtract",
         {[](Real a, Real b) { return a - b; }, [](Real, Real) { return Real(1); },
          [](Real, Real) { return Real(-1); }}},
        {"multiply",
         {[](Real a, Real b) { return a * b; }, [](Real, Real b) { return b; },
          [](Real a, Real) { return a; }}},
        {"divide",
         {[](Real a, Real b) { return a / b; }, [](Real, Real b) { return 1 / b; },
          [](Real a, Real b) { return -a / (b * b); }}},
        {"power",
         {[](Real a, Real b) { return std::pow(a, b); },
          [](Real a, Real b) { return b * std::pow(a, b - 1); },
          [](Real a, Real b) { return std::pow(a, b) * std::log(a); }}},
        {"maximum",
         {[](Real a, Real b) { return a > b ? a : b; }, share,
          [share](Real a, Real b) { return share(b, a); }}},
        {"minimum",
         {[](Real a, Real b) { return a < b ? a : b; }, [share](Real a, Real b) { return share(-a, -b); },
          [share](Real a, Real b) { return share(-b, -a); }}},
    };
    return all;
}

template <class T>
void check_binary(const retrograd::BinaryKernel<T>& k, std::string what, std::vector<T>& bits) {
    what += " " + std::string(k.name);
    const auto found = pair_formulas().find(std::string(k.name));
    expect(found != pair_formulas().end(), what + ": no formula in this test");
    if (found == pair_formulas().end()) return;
    const PairFormula& formula = found->second;
    for (const std::int64_t n : {0, 1, 3, 8, 15, 16, 17, 50}) {
        for (int steps = 0; steps < 4; ++steps) {
            const int a_step = steps & 1, b_step = steps >> 1;
            Guarded<T> a(a_step == 1 ? n : 1), b(b_step == 1 ? n : 1), y(n), dy(n), dx(n), sum(n);
            a.fill_random(0.1, 3);
            b.fill_random(0.1, 3);
            if (n > 4 && steps == 3) a[2] = b[2];
            dy.fill_random();
            k.forward(a.data(), a_step, b.data(), b_step, y.data(), n);
            for (int operand = 0; operand < 2; ++operand) {
                const auto run = [&](T* out, bool accumulate) {
                    k.backward(operand, k.needs_inputs ? a.data() : nullptr, a_step,
                               k.needs_inputs ? b.data() : nullptr, b_step,
                               k.needs_output ? y.data() : nullptr, dy.data(), out, n, accumulate);
                };
                run(dx.data(), false);
                sum.fill(T(2));
                run(sum.data(), true);
                for (std::int64_t i = 0; i < n; ++i) {
                    const Real va = a[i * a_step], vb = b[i * b_step];
                    if (operand == 0) expect_near(y[i], formula.f(va, vb), 0.1L, what);
                    const Real slope = operand == 0 ? formula.da(va, vb) : formula.db(va, vb);
                    expect_near(dx[i], dy[i] * slope, 0.5L, what + " derivative", 16);
                    expect(sum[i] == T(2) + dx[i], what + ": accumulate");
                }
                bits.insert(bits.end(), dx.data(), dx.data() + n);
            }
            bits.insert(bits.end(), y.data(), y.data() + n);
        }
    }
}

template <class T>
void check_small_loops(const retrograd::Kernels<T>& k) {
    const std::string what = label(k);
    for (const std::int64_t n : {0, 1, 5, 8, 16, 19, 64, 67}) {
        Guarded<T> x(n), y(n), before(n);
        x.fill_random();
        y.fill_random();
        if (n > 3) x[1] = 0;
        const auto reset = [&] {
            std::memcpy(y.data(), before.data(), static_cast<std::size_t>(n) * sizeof(T));
        };
        std::memcpy(before.data(), y.data(), static_cast<std::size_t>(n) * sizeof(T));
        k.add(x.data(), y.data(), n);
        for (std::int64_t i = 0; i < n; ++i) expect(y[i] == before[i] + x[i], what + " add");
        reset();
        k.scale(x.data(), T(0.3), y.data(), n, true);
        for (std::int64_t i = 0; i < n; ++i)
            expect(y[i] == before[i] + T(0.3) * x[i], what + " scale, accumulate");
        k.scale(x.data(), T(0.3), y.data(), n, false);
        for (std::int64_t i = 0; i < n; ++i) expect(y[i] == T(0.3) * x[i], what + " scale");
        reset();
        k.penalty_gradient(x.data(), y.data(), n, T(0.1), T(0.2));
        for (std::int64_t i = 0; i < n; ++i) {
            const Real sign = (x[i] > 0) - (x[i] < 0);
            expect_near(y[i], before[i] + T(0.1) * sign + T(0.2) * static_cast<Real>(x[i]), 1,
                        what + " penalty_gradient");
        }
    }
}

template <class T, class S>
void check_convert(const retrograd::Kernels<T>& k, retrograd::Source source) {
    const std::string what = label(k) + " convert";
    const auto convert = k.convert[static_cast<int>(source)];
    for (const std::int64_t n : {0, 1, 7, 16, 33}) {
        Guarded<char> x(n * static_cast<std::int64_t>(sizeof(S)) + 1);
        Guarded<T> y(n);
        for (const int shift : {1, 0}) {  // at any address
            char* const start = x.data() + shift;
            for (std::int64_t i = 0; i < n; ++i) {
                const S value = static_cast<S>(random_number(0, 200));
                std::memcpy(start + i * static_cast<std::int64_t>(sizeof(S)), &value, sizeof(S));
            }
            expect(convert(start, y.data(), n), what + ": finite numbers");
            for (std::int64_t i = 0; i < n; ++i) {
                S value;
                std::memcpy(&value, start + i * static_cast<std::int64_t>(sizeof(S)), sizeof(S));
                expect(y[i] == static_cast<T>(value), what);
            }
            if constexpr (std::is_floating_point_v<S>) {
                for (const double bad : {__builtin_nan(""), __builtin_inf(), -__builtin_inf(), 1e300}) {
                    const S value = static_cast<S>(bad);
                    const bool good = std::isfinite(static_cast<T>(value));
                    for (std::int64_t i = 0; i < n; ++i) {
                        S keep;
                        char* const at = start + i * static_cast<std::int64_t>(sizeof(S));
                        std::memcpy(&keep, at, sizeof(S));
                        std::memcpy(at, &value, sizeof(S));
                        expect(convert(start, y.data(), n) == good, what + ": one bad number");
                        std::memcpy(at, &keep, sizeof(S));
                    }
                }
            }
        }
    }
}

template <class T>
void check_type() {
    std::vector<T> reference;
    for (const retrograd::Isa isa : retrograd::runnable_isas()) {
        const auto& k = *retrograd::kernels_of<T>(isa);
        random_bits().seed(99);
        std::vector<T> bits;
        for (const auto& one : k.unary) check_unary(one, label(k), bits);
        for (const auto& one : k.binary) check_binary(one, label(k), bits);
        check_small_loops(k);
        check_convert<T, float>(k, retrograd::Source::f32);
        check_convert<T, double>(k, retrograd::Source::f64);
        check_convert<T, std::uint8_t>(k, retrograd::Source::u8);
        if (isa == retrograd::Isa::baseline) continue;
        if (reference.empty()) reference = bits;
        expect(same_bits(bits.data(), reference.data(), static_cast<std::int64_t>(bits.size())),
               label(k) + ": elementwise kernels have other bits than on the first instruction set with FMA");
    }
}

}  // namespace

void check_elementwise() {
    check_type<float>();
    check_type<double>();
}
