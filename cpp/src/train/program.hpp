// One compiled use of a trainer's graph: plan, workspace, constants, and the arrays that feed it.
#pragma once

#include <memory>
#include <vector>

#include <retrograd/trainer.hpp>

#include "nn/batch.hpp"
#include "plan/workspace.hpp"
#include "train/loss.hpp"

namespace retrograd {

enum class Use { train, evaluate, trace };

template <class T>
class Program {
  public:
    Program(const Model<T>& model, std::shared_ptr<const LossGraph> loss, const TrainerOptions& options,
            Use use, bool collect);

    [[nodiscard]] const Plan& plan() const { return *plan_; }
    [[nodiscard]] const LossGraph& loss() const { return *loss_; }
    [[nodiscard]] std::int64_t cost(std::int64_t batch) const;  // multiply-adds of all that it runs

    // Throws ShapeError where an operation cannot be trained with so few rows.
    void expect_samples(std::int64_t rows) const;

    // The workspace for so many members; made anew where the number changes.
    Workspace<T>& workspace(int members);
    [[nodiscard]] Workspace<T>& workspace() { return *workspace_; }

  private:
    std::shared_ptr<const LossGraph> loss_;
    std::shared_ptr<const Plan> plan_;
    Storage<T> storage_;
    AlignedBuffer<T> further_;  // constants of the loss
    std::unique_ptr<Workspace<T>> workspace_;
};

// A batch, checked against a program: every array in the shape of its node.
class FeedList {
  public:
    // Throws ShapeError, DTypeError or ArgumentError; checks everything but the numbers.
    FeedList(const Batch& batch, const std::vector<int>& inputs, const LossGraph& loss, const Plan& plan);

    [[nodiscard]] std::span<const Feed> feeds() const { return feeds_; }
    [[nodiscard]] std::int64_t rows() const { return rows_; }

  private:
    std::vector<ArrayView> arrays_;
    std::vector<Feed> feeds_;
    std::int64_t rows_ = 0;
};

}  // namespace retrograd
