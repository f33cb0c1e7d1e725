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
        if (optimizer == "adamw" || optimizer == "lion" || h.get("decoupled_weight_decay") != 0) {
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
        if (optimizer == "adadelta") {
            double &s = slot["square_avg"], &a = slot["acc_delta"];
            const double rho = h.get("rho"), eps = h.get("eps");
            s = rho * s + (1 - rho) * g * g;
            const double d = std::sqrt(a + eps) / std::sqrt(s + eps) * g;
            a = rho * a + (1 - rho) * d * d;
            return w - lr * d;
        }
        if (optimizer == "rprop") {
            double &before = slot["prev"], &size = slot["step_size"];
            if (t == 1) size = lr;
            if (g * before > 0) size *= h.get("eta_plus");
            if (g * before < 0) size *= h.get("eta_minus");
            size = std::clamp(size, h.get("step_min"), h.get("step_max"));
            before = g * before < 0 ? 0 : g;
            return before == 0 ? w : w - std::copysign(size, before);
        }
        double& m = slot["exp_avg"];
        const double beta1 = h.get("beta1"), beta2 = h.get("beta2"), n = static_cast<double>(t);
        if (optimizer == "lion") {
            const double c = beta1 * m + (1 - beta1) * g;
            m = beta2 * m + (1 - beta2) * g;
            return c == 0 ? w : w - std::copysign(lr, c);
        }
        if (optimizer == "adamax") {
            double& u = slot["exp_inf"];
            m = beta1 * m + (1 - beta1) * g;
            u = std::max(beta2 * u, std::fabs(g) + h.get("eps"));
            return w - lr / (1 - std::pow(beta1, n)) * m / u;
        }
        double &v = slot["exp_avg_sq"], &most = slot["max_exp_avg_sq"];
        m = beta1 * m + (1 - beta1) * g;
        v = beta2 * v + (1 - beta2) * g * g;
        if (optimizer == "nadam") {
            double product = 1;
            for (int i = 1; i <= t; ++i) {
                product *= beta1 * (1 - 0.5 * std::pow(0.96, i * h.get("momentum_decay")));
            }
            const double mu = beta1 * (1 - 0.5 * std::pow(0.96, n * h.get("momentum_decay")));
            const double next = beta1 * (1 - 0.5 * std::pow(0.96, (n + 1) * h.get("momentum_decay")));
            const double ahead = (1 - mu) / (1 - product) * g + next / (1 - product * next) * m;
            return w - lr * ahead / (std::sqrt(v / (1 - std::pow(beta2, n))) + h.get("eps"));
        }
        if (optimizer == "radam") {
            const double first = m / (1 - std::pow(beta1, n)), power = std::pow(beta2, n);
            const double most_terms = 2 / (1 - beta2) - 1, terms = most_terms - 2 * n * power / (1 - power);
            if (terms <= 5) return w - lr * first;
            const double r = std::sqrt((terms - 4) * (terms - 2) * most_terms /
                                       ((most_terms - 4) * (most_terms - 2) * terms));
            return w - lr * first * r * std::sqrt(1 - power) / (std::sqrt(v) + h.get("eps"));
        }
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
        {"adadelta", "adadelta", {{"eps", 1e-3}, {"weight_decay", 0.1}}},
        {"nadam", "nadam", {{"eps", 1e-3}, {"weight_decay", 0.1}}},
        {"nadam", "nadam_decoupled", {{"decoupled_weight_decay", 1}, {"weight_decay", 0.1}, {"eps", 1e-3}}},
        {"radam", "radam", {{"weight_decay", 0.1}, {"beta2", 0.9}}},
        {"radam", "radam", {{"beta2", 0.5}}},
        {"radam", "radam_decoupled", {{"decoupled_weight_decay", 1}, {"weight_decay", 0.1}}},
        {"adamax", "adamax", {{"eps", 1e-3}, {"weight_decay", 0.1}}},
        {"lion", "lion", {{"weight_decay", 0.1}}},
        {"rprop", "rprop", {{"step_max", 0.02}}},
    };
    check_type<float>(cases);
    check_type<double>(cases);
}
