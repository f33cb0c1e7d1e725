#include <retrograd/optimizers.hpp>

#include <string>

#include <retrograd/error.hpp>

namespace retrograd {

Optimizer sgd(const SGDOptions& o) {
    return {"sgd",
            {{"momentum", o.momentum},
             {"dampening", o.dampening},
             {"nesterov", o.nesterov},
             {"weight_decay", o.weight_decay}},
            o.lr};
}

Optimizer rmsprop(const RMSpropOptions& o) {
    return {"rmsprop",
            {{"alpha", o.alpha},
             {"eps", o.eps},
             {"weight_decay", o.weight_decay},
             {"momentum", o.momentum},
             {"centered", o.centered}},
            o.lr};
}

Optimizer adagrad(const AdagradOptions& o) {
    return {"adagrad",
            {{"lr_decay", o.lr_decay},
             {"weight_decay", o.weight_decay},
             {"initial_accumulator_value", o.initial_accumulator_value},
             {"eps", o.eps}},
            o.lr};
}

namespace {

// What the family of Adam has in common.
template <class Options>
Optimizer of_adam(const char* name, const Options& o) {
    return {name,
            {{"beta1", o.beta1}, {"beta2", o.beta2}, {"eps", o.eps}, {"weight_decay", o.weight_decay}},
            o.lr};
}

}  // namespace

Optimizer adam(const AdamOptions& o) {
    Optimizer optimizer = of_adam("adam", o);
    optimizer.hyper["amsgrad"] = o.amsgrad;
    return optimizer;
}

Optimizer adamw(const AdamWOptions& o) {
    Optimizer optimizer = of_adam("adamw", o);
    optimizer.hyper["amsgrad"] = o.amsgrad;
    return optimizer;
}

Optimizer adadelta(const AdadeltaOptions& o) {
    return {"adadelta", {{"rho", o.rho}, {"eps", o.eps}, {"weight_decay", o.weight_decay}}, o.lr};
}

Optimizer nadam(const NAdamOptions& o) {
    Optimizer optimizer = of_adam("nadam", o);
    optimizer.hyper["momentum_decay"] = o.momentum_decay;
    optimizer.hyper["decoupled_weight_decay"] = o.decoupled_weight_decay;
    return optimizer;
}

Optimizer radam(const RAdamOptions& o) {
    Optimizer optimizer = of_adam("radam", o);
    optimizer.hyper["decoupled_weight_decay"] = o.decoupled_weight_decay;
    return optimizer;
}

Optimizer adamax(const AdamaxOptions& o) { return of_adam("adamax", o); }

Optimizer lion(const LionOptions& o) {
    return {"lion", {{"beta1", o.beta1}, {"beta2", o.beta2}, {"weight_decay", o.weight_decay}}, o.lr};
}

Optimizer rprop(const RpropOptions& o) {
    return {"rprop",
            {{"eta_minus", o.eta_minus},
             {"eta_plus", o.eta_plus},
             {"step_min", o.step_min},
             {"step_max", o.step_max}},
            o.lr};
}

namespace schedules {

namespace {

Schedule counted(std::string name, std::map<std::string, double> settings, Unit unit) {
    settings["unit_epoch"] = unit == Unit::epoch;
    return {std::move(name), std::move(settings)};
}

double number(std::int64_t count) { return static_cast<double>(count); }

}  // namespace

Schedule constant(double lr) { return counted("constant", {{"lr", lr}}, Unit::iteration); }

Schedule step(double lr, std::int64_t step_size, double gamma, Unit unit) {
    return counted("step", {{"lr", lr}, {"step_size", number(step_size)}, {"gamma", gamma}}, unit);
}

Schedule exponential(double lr, double gamma, Unit unit) {
    return counted("exponential", {{"lr", lr}, {"gamma", gamma}}, unit);
}

Schedule cosine(double lr, std::int64_t total, double min_lr, Unit unit) {
    return counted("cosine", {{"lr", lr}, {"total", number(total)}, {"min_lr", min_lr}}, unit);
}

Schedule warmup_cosine(double lr, std::int64_t warmup, std::int64_t total, double min_lr, Unit unit) {
    return counted("warmup_cosine",
                   {{"lr", lr}, {"warmup", number(warmup)}, {"total", number(total)}, {"min_lr", min_lr}},
                   unit);
}

Schedule one_cycle(double max_lr, std::int64_t total, const OneCycleOptions& o) {
    return counted("one_cycle",
                   {{"max_lr", max_lr},
                    {"total", number(total)},
                    {"pct_start", o.pct_start},
                    {"div_factor", o.div_factor},
                    {"final_div_factor", o.final_div_factor}},
                   o.unit);
}

Schedule piecewise(const std::vector<std::int64_t>& boundaries, const std::vector<double>& values,
                   Unit unit) {
    if (values.size() != boundaries.size() + 1) {
        throw ArgumentError("piecewise: expected one value more than boundaries, got " +
                            std::to_string(values.size()) + " values and " +
                            std::to_string(boundaries.size()) + " boundaries");
    }
    std::map<std::string, double> settings;
    for (std::size_t k = 0; k < values.size(); ++k) {
        settings["value_" + std::to_string(k)] = values[k];
        if (k > 0) settings["boundary_" + std::to_string(k)] = number(boundaries[k - 1]);
    }
    return counted("piecewise", std::move(settings), unit);
}

Schedule reduce_on_plateau(double lr, const PlateauOptions& o) {
    return {"plateau",
            {{"lr", lr},
             {"factor", o.factor},
             {"patience", number(o.patience)},
             {"maximise", o.maximise},
             {"threshold", o.threshold},
             {"relative", o.relative},
             {"cooldown", number(o.cooldown)},
             {"min_lr", o.min_lr},
             {"eps", o.eps}}};
}

}  // namespace schedules

}  // namespace retrograd
