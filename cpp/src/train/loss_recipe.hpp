// The graph that a loss function of one's own made, apart from the function: what a file can keep.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <retrograd/trainer.hpp>

#include "train/loss.hpp"

namespace retrograd {

struct LossRecipe {
    struct Step {  // one node: a target, a constant, or an operation
        int target = -1;
        std::vector<std::int64_t> dims;
        std::shared_ptr<const std::vector<double>> values;
        OpPtr op;
        std::vector<int> inputs;  // nodes of the model, and from the model's size on steps before this one
        std::string name;         // as the function gave it
    };

    std::vector<TargetKind> kinds;  // of the targets that the function was called with
    std::vector<Step> steps;        // in the order in which they were made
    int result = 0;                 // the value of each sample, numbered as inputs are
};

// Of a loss graph that a function made.
[[nodiscard]] LossRecipe recipe_of(const LossGraph& loss, const Graph& model,
                                   const std::vector<TargetKind>& kinds);

// A function that makes these graphs again, for a model with the nodes of `model`. It throws ArgumentError
// for targets of other kinds, and for steps that do not fit each other.
[[nodiscard]] LossFunction loss_of(std::shared_ptr<const Graph> model, std::vector<LossRecipe> recipes);

}  // namespace retrograd
