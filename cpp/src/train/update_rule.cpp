#include "train/update_rule.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string_view>

#include <retrograd/error.hpp>

// The host half of the rules is plain double arithmetic: any instruction set's namespace has the same.
#ifndef RG_ISA
#define RG_ISA baseline
#endif
#include "functions/updates.hpp"

namespace retrograd {
namespace {

const RG_ISA::UpdateRuleEntry& entry(std::string_view name) {
    for (const RG_ISA::UpdateRuleEntry& rule : RG_ISA::update_rules()) {
        if (rule.name == name) return rule;
    }
    throw ArgumentError("optimizer: no rule is named '" + std::string(name) + "'");
}

}  // namespace

std::vector<std::string> optimizer_names() {
    std::vector<std::string> names;
    for (const OptimizerSettings& one : optimizer_settings) names.emplace_back(one.optimizer);
    return names;
}

UpdateRule::UpdateRule(const Optimizer& optimizer) : optimizer_(optimizer) {
    std::string known;
    std::span<const OptimizerSetting> settings;
    bool found = false;
    for (const OptimizerSettings& one : optimizer_settings) {
        known += (known.empty() ? "" : ", ") + std::string(one.optimizer);
        if (one.optimizer == optimizer.name) {
            settings = one.settings;
            found = true;
        }
    }
    if (!found)
        throw ArgumentError("optimizer: unknown name '" + optimizer.name + "'; choose one of " + known);
    for (const auto& [key, value] : optimizer.hyper) {
        bool expected = false;
        std::string names;
        for (const OptimizerSetting& setting : settings) {
            expected |= setting.name == key;
            names += (names.empty() ? "" : ", ") + std::string(setting.name);
        }
        if (!expected) {
            throw ArgumentError("optimizer " + optimizer.name + ": unknown setting '" + key +
                                "'; choose one of " + names);
        }
        (void)value;
    }
    hyper_ = std::make_shared<const Hyper>(optimizer_.name, optimizer_.hyper);
    name_ = rule_of(optimizer_.name, *hyper_);
    prepare_ = entry(name_).prepare;
    const SlotNames& names = entry(name_).slots;
    for (int i = 0; i < names.count(); ++i) slots_.emplace_back(names.name[i]);
}

double UpdateRule::initial_slot(std::size_t slot) const {
    return entry(name_).start(*hyper_, static_cast<int>(slot));
}

UpdateRule UpdateRule::with_weight_decay(double weight_decay) const {
    Optimizer optimizer = optimizer_;
    optimizer.hyper["weight_decay"] = weight_decay;
    return UpdateRule(optimizer);
}

bool UpdateRule::tame() const {
    for (const auto& [key, value] : optimizer_.hyper) {
        if (!(std::abs(value) < 1e3)) return false;
    }
    constexpr std::string_view without_division[] = {"sgd", "sgd_momentum", "lion", "rprop"};
    const bool divides = std::ranges::find(without_division, name_) == std::end(without_division);
    return !divides || hyper_->get("eps") >= 1e-12;
}

bool UpdateRule::rests() const {
    return (name_ == "sgd" || name_ == "adagrad") && hyper_->get("weight_decay") == 0 && tame();
}

}  // namespace retrograd
