// A Plan compiles a graph for its results: which steps run, who needs a gradient, who overwrites and who
// accumulates, what is fused, and when each buffer is alive. It never changes afterwards.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <retrograd/graph.hpp>

namespace retrograd {

struct PlanOptions {
    bool fuse = true;   // linear + activation become one step
    bool reuse = true;  // buffers whose lives do not overlap share memory
    bool keep_everything =
        false;  // every value and every delta stays readable; implies neither fusion nor reuse
    bool input_gradients = false;  // dL/dx of the inputs too
    bool touched_rows = true;      // accounts are kept of which rows of a table have a gradient
};

// A span of the arena, alive from time `first` to time `last`. Forward of step i is at time i, its backward
// at 2 * steps - 1 - i; a batch is written at time -1.
struct Slot {
    Shape shape;  // batched: times the batch
    int first = 0, last = 0;
};

struct Step {
    OpPtr op;
    int node;                              // whose value it computes
    std::vector<int> inputs;               // nodes
    std::vector<std::uint8_t> wanted;      // dx[i] is computed
    std::vector<std::uint8_t> accumulate;  // dx[i] += : somebody wrote it before
    std::vector<int> repeated;        // operands that stand twice: their dx is computed apart, then added
    std::vector<std::size_t> states;  // operands that commit writes; none where they are frozen
    bool frozen = false;              // it has states, and they are frozen: no training mode
    bool backward = false;
    int fused = -1;  // the pre-activation node that a fused step covers
};

// Per node: whether `result` depends on it through operands that have a derivative.
[[nodiscard]] std::vector<bool> reaching(const Graph& graph, int result);

class Plan {
  public:
    // `loss` = -1: inference only. `trained[id]` for each node of the graph: parameters that want a gradient,
    // and constants that training may change. Throws GraphError where a trained parameter does not reach the
    // loss.
    Plan(std::shared_ptr<const Graph> graph, std::vector<int> results, int loss,
         const std::vector<bool>& trained, PlanOptions options);

    [[nodiscard]] const Graph& graph() const { return *graph_; }
    [[nodiscard]] const std::vector<Step>& steps() const { return steps_; }
    [[nodiscard]] const std::vector<int>& results() const { return results_; }
    [[nodiscard]] int loss() const { return loss_; }
    [[nodiscard]] const PlanOptions& options() const { return options_; }

    // Per node: the slot of its value or delta, -1 where it has none (parameters, constants, what is fused
    // away).
    [[nodiscard]] const std::vector<int>& value_slots() const { return value_slots_; }
    [[nodiscard]] const std::vector<int>& delta_slots() const { return delta_slots_; }
    [[nodiscard]] const std::vector<bool>& needs_gradient() const { return needs_gradient_; }
    [[nodiscard]] const std::vector<Slot>& slots() const { return slots_; }

    struct Layout {
        std::vector<std::int64_t> offsets;        // per slot, in elements
        std::vector<std::int64_t> saved_offsets;  // per step; -1 for none
        std::vector<std::int64_t>
            repeated_offsets;            // per step: the first of its apart-computed dx; -1 for none
        std::int64_t shared_offset = 0;  // one region that every step may use during its call
        std::int64_t elements = 0;
        std::int64_t scratch = 0;                 // for each member, apart from the arena
        std::vector<std::int64_t> index_offsets;  // per node, in an arena of 32-bit integers; -1 for none
        std::int64_t indices = 0;

        // All that a workspace takes whose numbers have so many bytes.
        [[nodiscard]] std::int64_t bytes(std::size_t number, int members) const;
    };
    [[nodiscard]] Layout layout(std::int64_t batch) const;

    [[nodiscard]] std::int64_t forward_cost() const { return forward_cost_; }  // multiply-adds of one sample
    [[nodiscard]] std::int64_t backward_cost() const { return backward_cost_; }
    [[nodiscard]] std::vector<std::string> describe() const;  // a line for each step
    [[nodiscard]] std::vector<std::string> fused() const;     // "dense_0.z + dense_0.a"

  private:
    void find_gradients(const std::vector<bool>& trained);
    void make_steps();
    void find_states(const std::vector<bool>& trained);
    void place_buffers();

    std::shared_ptr<const Graph> graph_;
    std::vector<int> results_;
    int loss_;
    PlanOptions options_;
    std::vector<bool> needs_gradient_;
    std::vector<bool> reached_;  // nodes that the results depend on
    std::vector<Step> steps_;
    std::vector<int> value_slots_, delta_slots_;
    std::vector<Slot> slots_;
    std::int64_t forward_cost_ = 0, backward_cost_ = 0;
};

}  // namespace retrograd
