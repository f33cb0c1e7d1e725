// The optimizers and schedules by name, with the arguments and defaults of rg.optim and rg.schedules:
// adam({.lr = 1e-4}), sgd({.lr = schedules::cosine(0.1, 1000), .momentum = 0.9}). What each computes stands
// in docs/members.md.
#pragma once

#include <cstdint>
#include <vector>

#include <retrograd/optimizer.hpp>

namespace retrograd {

struct SGDOptions {
    Schedule lr = 1e-3;
    double momentum = 0, dampening = 0;
    bool nesterov = false;
    double weight_decay = 0;
};
[[nodiscard]] Optimizer sgd(const SGDOptions& options = {});

struct RMSpropOptions {
    Schedule lr = 1e-2;
    double alpha = 0.99, eps = 1e-8, weight_decay = 0, momentum = 0;
    bool centered = false;
};
[[nodiscard]] Optimizer rmsprop(const RMSpropOptions& options = {});

struct AdagradOptions {
    Schedule lr = 1e-2;
    double lr_decay = 0, weight_decay = 0, initial_accumulator_value = 0, eps = 1e-10;
};
[[nodiscard]] Optimizer adagrad(const AdagradOptions& options = {});

struct AdamOptions {
    Schedule lr = 1e-3;
    double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
    bool amsgrad = false;
};
[[nodiscard]] Optimizer adam(const AdamOptions& options = {});

struct AdamWOptions {
    Schedule lr = 1e-3;
    double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 1e-2;
    bool amsgrad = false;
};
[[nodiscard]] Optimizer adamw(const AdamWOptions& options = {});

struct AdadeltaOptions {
    Schedule lr = 1.0;
    double rho = 0.9, eps = 1e-6, weight_decay = 0;
};
[[nodiscard]] Optimizer adadelta(const AdadeltaOptions& options = {});

struct NAdamOptions {
    Schedule lr = 2e-3;
    double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0, momentum_decay = 4e-3;
    bool decoupled_weight_decay = false;
};
[[nodiscard]] Optimizer nadam(const NAdamOptions& options = {});

struct RAdamOptions {
    Schedule lr = 1e-3;
    double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
    bool decoupled_weight_decay = false;
};
[[nodiscard]] Optimizer radam(const RAdamOptions& options = {});

struct AdamaxOptions {
    Schedule lr = 2e-3;
    double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
};
[[nodiscard]] Optimizer adamax(const AdamaxOptions& options = {});

struct LionOptions {
    Schedule lr = 1e-4;
    double beta1 = 0.9, beta2 = 0.99, weight_decay = 0;
};
[[nodiscard]] Optimizer lion(const LionOptions& options = {});

struct RpropOptions {
    Schedule lr = 1e-2;
    double eta_minus = 0.5, eta_plus = 1.2, step_min = 1e-6, step_max = 50;
};
[[nodiscard]] Optimizer rprop(const RpropOptions& options = {});

namespace schedules {

enum class Unit : std::uint8_t { iteration, epoch };  // what time is counted in

// rate(t), with t = 0 for the first update. A sum or limit that makes no sense is refused by the Trainer.
[[nodiscard]] Schedule constant(double lr);
[[nodiscard]] Schedule step(double lr, std::int64_t step_size, double gamma = 0.1, Unit unit = {});
[[nodiscard]] Schedule exponential(double lr, double gamma, Unit unit = {});
[[nodiscard]] Schedule cosine(double lr, std::int64_t total, double min_lr = 0, Unit unit = {});
[[nodiscard]] Schedule warmup_cosine(double lr, std::int64_t warmup, std::int64_t total, double min_lr = 0,
                                     Unit unit = {});

struct OneCycleOptions {
    double pct_start = 0.3, div_factor = 25, final_div_factor = 1e4;
    Unit unit = {};
};
[[nodiscard]] Schedule one_cycle(double max_lr, std::int64_t total, const OneCycleOptions& options = {});

// values[k] from boundaries[k - 1] on; one value more than boundaries, or ArgumentError.
[[nodiscard]] Schedule piecewise(const std::vector<std::int64_t>& boundaries,
                                 const std::vector<double>& values, Unit unit = {});

struct PlateauOptions {
    double factor = 0.1;
    std::int64_t patience = 10;
    bool maximise = false;
    double threshold = 1e-4;
    bool relative = true;
    std::int64_t cooldown = 0;
    double min_lr = 0, eps = 1e-8;
};
// Shown a value after each epoch by Trainer::observe.
[[nodiscard]] Schedule reduce_on_plateau(double lr, const PlateauOptions& options = {});

}  // namespace schedules

}  // namespace retrograd
