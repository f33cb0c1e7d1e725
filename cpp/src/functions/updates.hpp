// Optimizers: what one step does to a weight w, its gradient g and its slots; the arithmetic is PyTorch's.
//
// A rule has two halves. prepare() turns hyperparameters, the step's number t (from 1) and the learning rate
// into at most 8 coefficients, in double, once a step. apply() is the update, for a vector V of any width of
// float or double. One public optimizer may have several rules, so that no element pays for a setting that is
// off: see rule_of().
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "functions/list.hpp"
#include "simd/math.hpp"

namespace retrograd {

// ---- what a user may set: names and defaults after PyTorch, switches as 0 or 1; the learning rate stands
// apart

struct OptimizerSetting {
    std::string_view name;
    double standard;
};

struct OptimizerSettings {
    std::string_view optimizer;
    std::span<const OptimizerSetting> settings;
};

inline constexpr std::size_t max_settings = 8;

inline constexpr OptimizerSetting sgd_settings[] = {
    {"momentum", 0}, {"dampening", 0}, {"nesterov", 0}, {"weight_decay", 0}};
inline constexpr OptimizerSetting rmsprop_settings[] = {
    {"alpha", 0.99}, {"eps", 1e-8}, {"weight_decay", 0}, {"momentum", 0}, {"centered", 0}};
inline constexpr OptimizerSetting adagrad_settings[] = {
    {"lr_decay", 0}, {"weight_decay", 0}, {"initial_accumulator_value", 0}, {"eps", 1e-10}};
inline constexpr OptimizerSetting adam_settings[] = {
    {"beta1", 0.9}, {"beta2", 0.999}, {"eps", 1e-8}, {"weight_decay", 0}, {"amsgrad", 0}};
inline constexpr OptimizerSetting adamw_settings[] = {
    {"beta1", 0.9}, {"beta2", 0.999}, {"eps", 1e-8}, {"weight_decay", 0.01}, {"amsgrad", 0}};

inline constexpr OptimizerSetting adadelta_settings[] = {{"rho", 0.9}, {"eps", 1e-6}, {"weight_decay", 0}};
inline constexpr OptimizerSetting nadam_settings[] = {
    {"beta1", 0.9},      {"beta2", 0.999},         {"eps", 1e-8},
    {"weight_decay", 0}, {"momentum_decay", 4e-3}, {"decoupled_weight_decay", 0}};
inline constexpr OptimizerSetting radam_settings[] = {
    {"beta1", 0.9}, {"beta2", 0.999}, {"eps", 1e-8}, {"weight_decay", 0}, {"decoupled_weight_decay", 0}};
inline constexpr OptimizerSetting adamax_settings[] = {
    {"beta1", 0.9}, {"beta2", 0.999}, {"eps", 1e-8}, {"weight_decay", 0}};
inline constexpr OptimizerSetting lion_settings[] = {{"beta1", 0.9}, {"beta2", 0.99}, {"weight_decay", 0}};
inline constexpr OptimizerSetting rprop_settings[] = {
    {"eta_minus", 0.5}, {"eta_plus", 1.2}, {"step_min", 1e-6}, {"step_max", 50}};

inline constexpr OptimizerSettings optimizer_settings[] = {
    {"sgd", sgd_settings},     {"rmsprop", rmsprop_settings}, {"adagrad", adagrad_settings},
    {"adam", adam_settings},   {"adamw", adamw_settings},     {"adadelta", adadelta_settings},
    {"nadam", nadam_settings}, {"radam", radam_settings},     {"adamax", adamax_settings},
    {"lion", lion_settings},   {"rprop", rprop_settings}};

// The settings of one optimizer: what the user gave, and the standard for the rest. Asked in every step, so
// that nothing is looked up in what the user gave by then.
class Hyper {
  public:
    // `given`: a map from names to double.
    template <class Map>
    Hyper(std::string_view optimizer, const Map& given) {
        for (const OptimizerSettings& one : optimizer_settings) {
            if (one.optimizer == optimizer) settings_ = one.settings;
        }
        for (std::size_t i = 0; i < settings_.size(); ++i) {
            const auto place = given.find(typename Map::key_type(settings_[i].name));
            values_[i] = place == given.end() ? settings_[i].standard : place->second;
        }
    }

    [[nodiscard]] double get(std::string_view name) const {
        for (std::size_t i = 0; i < settings_.size(); ++i) {
            if (settings_[i].name == name) return values_[i];
        }
        return 0;
    }

  private:
    std::span<const OptimizerSetting> settings_;
    std::array<double, max_settings> values_{};
};

// The rule that carries an optimizer out; empty for an unknown optimizer.
[[nodiscard]] inline std::string_view rule_of(std::string_view optimizer, const Hyper& h) {
    if (optimizer == "sgd") return h.get("momentum") != 0 ? "sgd_momentum" : "sgd";
    if (optimizer == "rmsprop") {
        const bool momentum = h.get("momentum") > 0;
        if (h.get("centered") != 0) return momentum ? "rmsprop_centered_momentum" : "rmsprop_centered";
        return momentum ? "rmsprop_momentum" : "rmsprop";
    }
    if (optimizer == "adagrad") return "adagrad";
    if (optimizer == "adam") return h.get("amsgrad") != 0 ? "adam_amsgrad" : "adam";
    if (optimizer == "adamw") return h.get("amsgrad") != 0 ? "adamw_amsgrad" : "adamw";
    const bool decoupled = h.get("decoupled_weight_decay") != 0;
    if (optimizer == "nadam") return decoupled ? "nadam_decoupled" : "nadam";
    if (optimizer == "radam") return decoupled ? "radam_decoupled" : "radam";
    if (optimizer == "adadelta") return "adadelta";
    if (optimizer == "adamax") return "adamax";
    if (optimizer == "lion") return "lion";
    if (optimizer == "rprop") return "rprop";
    return {};
}

// The arrays a rule keeps for each weight, in the order of apply()'s slots.
struct SlotNames {
    const char* name[4] = {};

    [[nodiscard]] constexpr int count() const {
        int n = 0;
        while (n < 4 && name[n] != nullptr) ++n;
        return n;
    }
};

// Whole powers by squaring: the same bits everywhere, which a library's pow does not promise.
[[nodiscard]] inline double whole_power(double base, std::int64_t exponent) {
    double power = 1;
    for (; exponent > 0; exponent >>= 1) {
        if ((exponent & 1) != 0) power *= base;
        base *= base;
    }
    return power;
}

// e^x by its series near 0 and squaring: the same bits everywhere, which a library's exp does not promise.
[[nodiscard]] inline double exponential(double x) {
    int halvings = 0;
    for (; (x > 0.5 || x < -0.5) && halvings < 64; ++halvings) x /= 2;
    double sum = 1;
    for (int n = 16; n > 0; --n) sum = 1 + x / n * sum;
    for (; halvings > 0; --halvings) sum *= sum;
    return sum;
}

}  // namespace retrograd

namespace retrograd::RG_ISA {

// self + weight (end - self), from the nearer end.
template <class V>
RG_INLINE V lerp(V self, V end, V weight) {
    const MaskOf<V> small = abs(weight) < constant<V>(0.5);
    return fma(select(small, weight, weight - constant<V>(1)), end - self, select(small, self, end));
}

struct StartAtZero {
    static double start(const Hyper&, int) { return 0; }  // what a slot is filled with before the first step
};

// w -= lr (g + decay w)
struct Sgd : StartAtZero {
    static constexpr const char* name = "sgd";
    static constexpr SlotNames slots{};
    static void prepare(const Hyper& h, std::int64_t, double lr, double* c) {
        c[0] = h.get("weight_decay");
        c[1] = -lr;
    }
    template <class V>
    static RG_MEMBER void apply(V g, V& w, V*, const V* c) {
        w = fma(c[1], fma(c[0], w, g), w);
    }
};

// buf = momentum buf + (1 - dampening) g, but g in the first step; w -= lr buf, or lr (g + momentum buf)
struct SgdMomentum : StartAtZero {
    static constexpr const char* name = "sgd_momentum";
    static constexpr SlotNames slots{{"momentum_buffer"}};
    static void prepare(const Hyper& h, std::int64_t t, double lr, double* c) {
        const bool nesterov = h.get("nesterov") != 0;
        c[0] = h.get("weight_decay");
        c[1] = -lr;
        c[2] = t == 1 ? 0 : h.get("momentum");
        c[3] = t == 1 ? 1 : 1 - h.get("dampening");
        c[4] = nesterov ? 1 : 0;
        c[5] = nesterov ? h.get("momentum") : 1;
    }
    template <class V>
    static RG_MEMBER void apply(V g, V& w, V* slot, const V* c) {
        g = fma(c[0], w, g);
        slot[0] = fma(c[3], g, c[2] * slot[0]);
        w = fma(c[1], fma(c[5], slot[0], c[4] * g), w);
    }
};

// s = alpha s + (1 - alpha) g^2; the step is g / (sqrt(s) + eps). Centered: sqrt(s - mean^2), with
// mean = alpha mean + (1 - alpha) g. Momentum: buf = momentum buf + step, and buf is the step.
template <bool Momentum, bool Centered>
struct Rmsprop : StartAtZero {
    static constexpr const char* name = Momentum
                                            ? (Centered ? "rmsprop_centered_momentum" : "rmsprop_momentum")
                                            : (Centered ? "rmsprop_centered" : "rmsprop");
    static constexpr SlotNames slots =
        Momentum ? (Centered ? SlotNames{{"square_avg", "momentum_buffer", "grad_avg"}}
                             : SlotNames{{"square_avg", "momentum_buffer"}})
                 : (Centered ? SlotNames{{"square_avg", "grad_avg"}} : SlotNames{{"square_avg"}});
    static void prepare(const Hyper& h, std::int64_t, double lr, double* c) {
        c[0] = h.get("weight_decay");
        c[1] = -lr;
        c[2] = h.get("alpha");
        c[3] = 1 - h.get("alpha");
        c[4] = h.get("eps");
        c[5] = h.get("momentum");
    }
    template <class V>
    static RG_MEMBER void apply(V g, V& w, V* slot, const V* c) {
        g = fma(c[0], w, g);
        slot[0] = fma(c[3] * g, g, c[2] * slot[0]);
        V variance = slot[0];
        if constexpr (Centered) {
            V& average = slot[Momentum ? 2 : 1];
            average = lerp(average, g, c[3]);
            variance = fma(-average, average, variance);
            variance =
                select(variance < V{}, V{}, variance);  // rounding may take a constant gradient below 0
        }
        const V scale = sqrt(variance) + c[4];
        if constexpr (Momentum) {
            slot[1] = fma(c[5], slot[1], g / scale);
            w = fma(c[1], slot[1], w);
        } else {
            w = w + c[1] * g / scale;
        }
    }
};

// sum += g^2; w -= lr / (1 + (t - 1) lr_decay) g / (sqrt(sum) + eps)
struct Adagrad {
    static constexpr const char* name = "adagrad";
    static constexpr SlotNames slots{{"sum"}};
    static double start(const Hyper& h, int) { return h.get("initial_accumulator_value"); }
    static void prepare(const Hyper& h, std::int64_t t, double lr, double* c) {
        c[0] = h.get("weight_decay");
        c[1] = -lr / (1 + static_cast<double>(t - 1) * h.get("lr_decay"));
        c[2] = h.get("eps");
    }
    template <class V>
    static RG_MEMBER void apply(V g, V& w, V* slot, const V* c) {
        g = fma(c[0], w, g);
        slot[0] = fma(g, g, slot[0]);
        w = w + c[1] * g / (sqrt(slot[0]) + c[2]);
    }
};

// m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
// w -= lr / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + eps). Amsgrad: the largest v so far takes v's place.
// Decoupled decay (AdamW): w -= lr decay w first; else decay w joins the gradient.
template <bool Decoupled, bool Amsgrad>
struct Adam : StartAtZero {
    static constexpr const char* name =
        Decoupled ? (Amsgrad ? "adamw_amsgrad" : "adamw") : (Amsgrad ? "adam_amsgrad" : "adam");
    static constexpr SlotNames slots = Amsgrad ? SlotNames{{"exp_avg", "exp_avg_sq", "max_exp_avg_sq"}}
                                               : SlotNames{{"exp_avg", "exp_avg_sq"}};
    static void prepare(const Hyper& h, std::int64_t t, double lr, double* c) {
        const double beta1 = h.get("beta1"), beta2 = h.get("beta2"), decay = h.get("weight_decay");
        const double second = 1 - whole_power(beta2, t);
        c[0] = Decoupled ? 1 - lr * decay : decay;
        c[1] = 1 - beta1;
        c[2] = beta2;
        c[3] = 1 - beta2;
        c[4] = 1 / __builtin_sqrt(second);
        c[5] = h.get("eps");
        c[6] = -lr / (1 - whole_power(beta1, t));
    }
    template <class V>
    static RG_MEMBER void apply(V g, V& w, V* slot, const V* c) {
        if constexpr (Decoupled) {
            w = w * c[0];
        } else {
            g = fma(c[0], w, g);
        }
        slot[0] = lerp(slot[0], g, c[1]);
        slot[1] = fma(c[3] * g, g, c[2] * slot[1]);
        V second = slot[1];
        if constexpr (Amsgrad) second = slot[2] = max(slot[2], slot[1]);
        w = w + c[6] * slot[0] / fma(sqrt(second), c[4], c[5]);
    }
};

// s = rho s + (1 - rho) g^2; d = sqrt(a + eps) / sqrt(s + eps) g; a = rho a + (1 - rho) d^2; w -= lr d
struct Adadelta : StartAtZero {
    static constexpr const char* name = "adadelta";
    static constexpr SlotNames slots{{"square_avg", "acc_delta"}};
    static void prepare(const Hyper& h, std::int64_t, double lr, double* c) {
        c[0] = h.get("weight_decay");
        c[1] = -lr;
        c[2] = h.get("rho");
        c[3] = 1 - h.get("rho");
        c[4] = h.get("eps");
    }
    template <class V>
    static RG_MEMBER void apply(V g, V& w, V* slot, const V* c) {
        g = fma(c[0], w, g);
        slot[0] = fma(c[3] * g, g, c[2] * slot[0]);
        const V d = sqrt(slot[1] + c[4]) / sqrt(slot[0] + c[4]) * g;
        slot[1] = fma(c[3] * d, d, c[2] * slot[1]);
        w = fma(c[1], d, w);
    }
};

// Adam's m and v; the step looks one momentum ahead (Nesterov). With mu(t) = beta1 (1 - 0.96^(t psi) / 2),
// psi = momentum_decay, and M(t) = mu(1) ... mu(t):
// w -= lr ((1 - mu(t)) / (1 - M(t)) g + mu(t + 1) / (1 - M(t + 1)) m) / (sqrt(v / (1 - beta2^t)) + eps)
template <bool Decoupled>
struct Nadam : StartAtZero {
    static constexpr const char* name = Decoupled ? "nadam_decoupled" : "nadam";
    static constexpr SlotNames slots{{"exp_avg", "exp_avg_sq"}};
    static void prepare(const Hyper& h, std::int64_t t, double lr, double* c) {
        constexpr double log_of_096 = -0.040821994520255166;
        const double beta1 = h.get("beta1"), beta2 = h.get("beta2"), decay = h.get("weight_decay");
        const double base = exponential(log_of_096 * h.get("momentum_decay"));
        const auto mu = [&](double power) { return beta1 * (1 - 0.5 * power); };
        // The product depends on t alone, so a step that was resumed at has it too; where it is lost beside 1
        // the loop may end.
        double product = 1, power = 1;
        for (std::int64_t i = 0; i < t && product > 1e-20; ++i) {
            power *= base;
            product *= mu(power);
        }
        const double now = mu(whole_power(base, t)), next = mu(whole_power(base, t + 1));
        c[0] = Decoupled ? 1 - lr * decay : decay;
        c[1] = 1 - beta1;
        c[2] = beta2;
        c[3] = 1 - beta2;
        c[4] = 1 / __builtin_sqrt(1 - whole_power(beta2, t));
        c[5] = h.get("eps");
        c[6] = -lr * (1 - now) / (1 - product);
        c[7] = -lr * next / (1 - product * next);
    }
    template <class V>
    static RG_MEMBER void apply(V g, V& w, V* slot, const V* c) {
        if constexpr (Decoupled) {
            w = w * c[0];
        } else {
            g = fma(c[0], w, g);
        }
        slot[0] = lerp(slot[0], g, c[1]);
        slot[1] = fma(c[3] * g, g, c[2] * slot[1]);
        w = w + fma(c[6], g, c[7] * slot[0]) / fma(sqrt(slot[1]), c[4], c[5]);
    }
};

// Adam's m and v; how far v may be trusted is known from t: with r = 2 / (1 - beta2) - 1 and
// n = r - 2 t beta2^t / (1 - beta2^t) the step is, while n <= 5, lr m / (1 - beta1^t), and later
// lr m / (1 - beta1^t) sqrt(1 - beta2^t) / (sqrt(v) + eps) sqrt((n - 4)(n - 2) r / ((r - 4)(r - 2) n))
template <bool Decoupled>
struct Radam : StartAtZero {
    static constexpr const char* name = Decoupled ? "radam_decoupled" : "radam";
    static constexpr SlotNames slots{{"exp_avg", "exp_avg_sq"}};
    static void prepare(const Hyper& h, std::int64_t t, double lr, double* c) {
        const double beta1 = h.get("beta1"), beta2 = h.get("beta2"), decay = h.get("weight_decay");
        const double power = whole_power(beta2, t), second = 1 - power;
        const double r = 2 / (1 - beta2) - 1, n = r - 2 * static_cast<double>(t) * power / second;
        const bool trusted = n > 5;
        const double rectified =
            trusted ? __builtin_sqrt((n - 4) * (n - 2) * r / ((r - 4) * (r - 2) * n) * second) : 1;
        c[0] = Decoupled ? 1 - lr * decay : decay;
        c[1] = 1 - beta1;
        c[2] = beta2;
        c[3] = 1 - beta2;
        c[4] = trusted ? 1 : 0;
        c[5] = trusted ? h.get("eps") : 1;
        c[6] = -lr / (1 - whole_power(beta1, t)) * rectified;
    }
    template <class V>
    static RG_MEMBER void apply(V g, V& w, V* slot, const V* c) {
        if constexpr (Decoupled) {
            w = w * c[0];
        } else {
            g = fma(c[0], w, g);
        }
        slot[0] = lerp(slot[0], g, c[1]);
        slot[1] = fma(c[3] * g, g, c[2] * slot[1]);
        w = w + c[6] * slot[0] / fma(sqrt(slot[1]), c[4], c[5]);
    }
};

// m = beta1 m + (1 - beta1) g; u = max(beta2 u, |g| + eps); w -= lr / (1 - beta1^t) m / u
struct Adamax : StartAtZero {
    static constexpr const char* name = "adamax";
    static constexpr SlotNames slots{{"exp_avg", "exp_inf"}};
    static void prepare(const Hyper& h, std::int64_t t, double lr, double* c) {
        c[0] = h.get("weight_decay");
        c[1] = 1 - h.get("beta1");
        c[2] = h.get("beta2");
        c[3] = h.get("eps");
        c[4] = -lr / (1 - whole_power(h.get("beta1"), t));
    }
    template <class V>
    static RG_MEMBER void apply(V g, V& w, V* slot, const V* c) {
        g = fma(c[0], w, g);
        slot[0] = lerp(slot[0], g, c[1]);
        slot[1] = max(c[2] * slot[1], abs(g) + c[3]);
        w = w + c[4] * slot[0] / slot[1];
    }
};

// -1, 0 or 1.
template <class V>
RG_INLINE V sign(V x) {
    return select(x == V{}, V{}, copysign(constant<V>(1), x));
}

// w -= lr decay w; w -= lr sign(beta1 m + (1 - beta1) g); m = beta2 m + (1 - beta2) g
struct Lion : StartAtZero {
    static constexpr const char* name = "lion";
    static constexpr SlotNames slots{{"exp_avg"}};
    static void prepare(const Hyper& h, std::int64_t, double lr, double* c) {
        c[0] = 1 - lr * h.get("weight_decay");
        c[1] = -lr;
        c[2] = 1 - h.get("beta1");
        c[3] = 1 - h.get("beta2");
    }
    template <class V>
    static RG_MEMBER void apply(V g, V& w, V* slot, const V* c) {
        w = fma(c[1], sign(lerp(slot[0], g, c[2])), c[0] * w);
        slot[0] = lerp(slot[0], g, c[3]);
    }
};

// A step size of its own for each weight, lr at first: times eta+ where g keeps its sign, times eta- where it
// turned, within [low, high]; where it turned, g counts as 0 once. w -= step sign(g)
struct Rprop : StartAtZero {
    static constexpr const char* name = "rprop";
    static constexpr SlotNames slots{{"prev", "step_size"}};
    static void prepare(const Hyper& h, std::int64_t, double lr, double* c) {
        c[0] = lr;
        c[1] = h.get("eta_minus");
        c[2] = h.get("eta_plus");
        c[3] = h.get("step_min");
        c[4] = h.get("step_max");
    }
    template <class V>
    static RG_MEMBER void apply(V g, V& w, V* slot, const V* c) {
        const V kept = g * slot[0];
        // A step size is above 0 from its first use on: a weight that was frozen until now begins at lr too.
        const V step = select(slot[1] == V{}, c[0], slot[1]);
        const V factor = select(kept > V{}, c[2], select(kept < V{}, c[1], constant<V>(1)));
        slot[1] = min(max(step * factor, c[3]), c[4]);
        g = select(kept < V{}, V{}, g);
        slot[0] = g;
        w = fma(-slot[1], sign(g), w);
    }
};

using Updates = RuleList<Sgd, SgdMomentum, Rmsprop<false, false>, Rmsprop<true, false>, Rmsprop<false, true>,
                         Rmsprop<true, true>, Adagrad, Adam<false, false>, Adam<false, true>,
                         Adam<true, false>, Adam<true, true>, Adadelta, Nadam<false>, Nadam<true>,
                         Radam<false>, Radam<true>, Adamax, Lion, Rprop>;

// A rule as the trainer sees it; the kernel of the same name carries it out.
struct UpdateRuleEntry {
    std::string_view name;
    SlotNames slots;
    void (*prepare)(const Hyper&, std::int64_t t, double lr, double* coefficients);
    double (*start)(const Hyper&, int slot);
};

template <class... Rules>
inline std::span<const UpdateRuleEntry> update_rules_of(RuleList<Rules...>) {
    static constexpr UpdateRuleEntry entries[] = {
        {Rules::name, Rules::slots, &Rules::prepare, &Rules::start}...};
    return entries;
}

inline std::span<const UpdateRuleEntry> update_rules() { return update_rules_of(Updates{}); }

}  // namespace retrograd::RG_ISA
