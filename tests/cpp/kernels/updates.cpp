// Optimizer rules against plain loops that say the same in scalar arithmetic, step by step.
#include <algorithm>
#include <functional>
#include <map>

#define RG_ISA baseline
#include "functions/updates.hpp"
#include "harness.hpp"
#include "suites.hpp"

namespace {

using namespace check;
using Hypers = std::map<std::string, double>;

struct Case {
    std::string optimizer, rule;
    Hypers hyper;
};

// One weight, in double: what PyTorch's documentation says of each optimizer.
struct Scalar {
    std::map<std::string, double> slot;

    double step(const std::string& optimizer, const retrograd::Hyper& h, std::int64_t t, double lr, double w,
                double g) {
        if (optimizer == "adamw") {
            w -= lr * h.get("weight_decay") * w;
        } else {
            g += h.get("weight_decay") * w;
        }
        if (optimizer == "sgd") {
            const double momentum = h.get("momentum");
            if (momentum != 0) {
                double& b = slot["momentum_buffer"];
                b = t == 1 ? g : momentum * b + (1 - h.get("dampening")) * g;
                g = h.get("nesterov") != 0 ? g + momentum * b : b;
            }
            return w - lr * g;
        }
        if (optimizer == "rmsprop") {
            const double alpha = h.get("alpha");
            double& v = slot["square_avg"];
            v = alpha * v + (1 - alpha) * g * g;
            double variance = v;
            if (h.get("centered") != 0) {
                double& m = slot["grad_avg"];
                m = alpha * m + (1 - alpha) * g;
                variance -= m * m;
            }
            const double step = g / (std::sqrt(variance) + h.get("eps"));
            if (h.get("momentum") == 0) return w - lr * step;
            double& b = slot["momentum_buffer"];
            b = h.get("momentum") * b + step;
            return w - lr * b;
        }
        if (optimizer == "adagrad") {
            double& sum = slot["sum"];
            if (t == 1) sum = h.get("initial_accumulator_value");
            sum += g * g;
            return w - lr / (1 + static_cast<double>(t - 1) * h.get("lr_decay")) * g /
                           (std::sqrt(sum) + h.get("eps"));
        }
        double &m = slot["exp_avg"], &v = slot["exp_avg_sq"], &most = slot["max_exp_avg_sq"];
        const double beta1 = h.get("beta1"), beta2 = h.get("beta2"), n = static_cast<double>(t);
        m = beta1 * m + (1 - beta1) * g;
        v = beta2 * v + (1 - beta2) * g * g;
        most = std::max(most, v);
        const double second = (h.get("amsgrad") != 0 ? most : v) / (1 - std::pow(beta2, n));
        return w - lr * m / (1 - std::pow(beta1, n)) / (std::sqrt(second) + h.get("eps"));
    }
};

template <class T>
void check_case(const retrograd::Kernels<T>& k, const Case& c, std::vector<T>& bits) {
    const std::string what = label(k) + " " + c.rule;
    const retrograd::Hyper hyper(c.optimizer, c.hyper);
    expect(retrograd::rule_of(c.optimizer, hyper) == c.rule, what + ": rule_of");
    const auto* kernel = retrograd::find_kernel(k.updates, c.rule);
    const retrograd::baseline::UpdateRuleEntry* rule = nullptr;
    for (const auto& one : retrograd::baseline::update_rules()) {
        if (one.name == c.rule) rule = &one;
    }
    expect(kernel != nullptr && rule != nullptr, what + ": missing");
    if (kernel == nullptr || rule == nullptr) return;
    for (const std::int64_t n : {1, 3, 8, 16, 37}) {
        Guarded<T> w(n), g(n), a(n), b(n), d(n);
        T* slots[] = {a.data(), b.data(), d.data(), nullptr};
        const int count = rule->slots.count();
        w.fill_random();
        std::vector<Scalar> scalar(static_cast<std::size_t>(n));
        std::vector<double> weight(w.data(), w.data() + n);
        for (int s = 0; s < count; ++s) {
            for (std::int64_t i = 0; i < n; ++i) slots[s][i] = static_cast<T>(rule->start(hyper, s));
        }
        for (std::int64_t t = 1; t <= 12; ++t) {
            g.fill_random();
            const double lr = 0.01 / static_cast<double>(t), scale = 0.5,
                         clip = t > 6 ? 0.2 : __builtin_inf();
            double coefficients[retrograd::max_coefficients] = {};
            rule->prepare(hyper, t, lr, coefficients);
            const T most = kernel->apply(w.data(), g.data(), slots, n, coefficients, scale, clip);
            T seen = 0;
            for (std::int64_t i = 0; i < n; ++i) {
                const double slope = std::clamp(static_cast<double>(g[i]) * scale, -clip, clip);
                auto& one = scalar[static_cast<std::size_t>(i)];
                double& wanted = weight[static_cast<std::size_t>(i)];
                wanted = one.step(c.optimizer, hyper, t, lr, wanted, slope);
                expect(std::fabs(w[i] - wanted) <= 200 * epsilon<T>,
                       what + " step " + std::to_string(t) + ": got " + std::to_string(w[i]) + ", expected " +
                           std::to_string(wanted));
                seen = std::max(seen, std::fabs(w[i]));
                for (int s = 0; s < count; ++s) {
                    seen = std::max(seen, std::fabs(slots[s][i]));
                    expect(std::fabs(slots[s][i] - one.slot[rule->slots.name[s]]) <=
                               200 * epsilon<T> * std::max(1.0, std::fabs(one.slot[rule->slots.name[s]])),
                           what + " slot " + rule->slots.name[s]);
                }
            }
            expect(most == seen, what + ": largest magnitude");
            bits.insert(bits.end(), w.data(), w.data() + n);
        }
        g[n - 1] = static_cast<T>(__builtin_nan(""));
        double coefficients[retrograd::max_coefficients] = {};
        rule->prepare(hyper, 13, 0.01, coefficients);
        expect(std::isnan(kernel->apply(w.data(), g.data(), slots, n, coefficients, 1, 0.1)),
               what + ": lost a NaN");
    }
}

template <class T>
void check_type(const std::vector<Case>& cases) {
    std::vector<T> reference;
    for (const retrograd::Isa isa : retrograd::runnable_isas()) {
        random_bits().seed(3);
        std::vector<T> bits;
        for (const Case& c : cases) check_case(*retrograd::kernels_of<T>(isa), c, bits);
        if (isa == retrograd::Isa::baseline) continue;
        if (reference.empty()) reference = bits;
        expect(same_bits(bits.data(), reference.data(), static_cast<std::int64_t>(bits.size())),
               std::string(retrograd::name(isa)) +
                   " updates: other bits than on the first instruction set with FMA");
    }
}

}  // namespace

void check_updates() {
    const std::vector<Case> cases = {
        {"sgd", "sgd", {}},
        {"sgd", "sgd", {{"weight_decay", 0.1}}},
        {"sgd", "sgd_momentum", {{"momentum", 0.9}}},
        {"sgd", "sgd_momentum", {{"momentum", 0.9}, {"dampening", 0.3}, {"weight_decay", 0.01}}},
        {"sgd", "sgd_momentum", {{"momentum", 0.9}, {"nesterov", 1}}},
        {"rmsprop", "rmsprop", {{"weight_decay", 0.1}}},
        {"rmsprop", "rmsprop_momentum", {{"momentum", 0.9}}},
        {"rmsprop", "rmsprop_centered", {{"centered", 1}, {"alpha", 0.9}}},
        {"rmsprop", "rmsprop_centered_momentum", {{"centered", 1}, {"momentum", 0.9}, {"alpha", 0.3}}},
        {"adagrad",
         "adagrad",
         {{"lr_decay", 0.1}, {"initial_accumulator_value", 0.2}, {"weight_decay", 0.1}}},
        {"adam", "adam", {{"weight_decay", 0.1}}},
        {"adam", "adam", {{"beta1", 0.3}}},
        {"adam", "adam_amsgrad", {{"amsgrad", 1}, {"beta2", 0.9}}},
        {"adamw", "adamw", {}},
        {"adamw", "adamw_amsgrad", {{"amsgrad", 1}, {"weight_decay", 0.1}}},
    };
    check_type<float>(cases);
    check_type<double>(cases);
}
