// The trainer's own extension of the graph: targets, losses, their weighted mean.
#pragma once

#include <memory>
#include <vector>

#include <retrograd/data.hpp>
#include <retrograd/graph.hpp>
#include <retrograd/trainer.hpp>

namespace retrograd {

struct LossGraph {
    std::shared_ptr<const Graph> graph;
    std::vector<int> targets;
    int sample_weight = -1;  // node, -1 where there is none
    int label_weight = -1;   // node: which labels count
    int loss = -1;
};

// What decides the shape of a LossGraph besides the model.
struct TargetKind {
    bool index = false;
    std::vector<std::int64_t> dims;
    friend bool operator==(const TargetKind&, const TargetKind&) = default;
};

[[nodiscard]] std::vector<TargetKind> target_kinds(const TrainerOptions& options, const Graph& graph,
                                                   const std::vector<int>& outputs,
                                                   std::span<const ArrayView> y);

// Before there is a y: labels for cross_entropy, otherwise what the output has.
[[nodiscard]] std::vector<TargetKind> likely_target_kinds(const TrainerOptions& options, const Graph& graph,
                                                          const std::vector<int>& outputs);

[[nodiscard]] LossGraph extend_with_loss(const TrainerOptions& options, const Graph& graph,
                                         const std::vector<int>& outputs,
                                         const std::vector<TargetKind>& targets, bool weighted);

}  // namespace retrograd
