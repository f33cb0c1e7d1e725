#include <retrograd/plan.hpp>

#include <algorithm>
#include <numeric>
#include <utility>

#include <retrograd/error.hpp>

#include "ops/fusion.hpp"

namespace retrograd {
namespace {

constexpr std::int64_t alignment =
    16;  // elements: 64 bytes of float; spans of one arena do not share a cache line

std::int64_t aligned(std::int64_t n) { return (n + alignment - 1) / alignment * alignment; }

std::size_t at(int id) { return static_cast<std::size_t>(id); }

}  // namespace

std::vector<bool> reaching(const Graph& graph, int result) {
    std::vector<bool> reaches(at(graph.size()), false);
    reaches[at(result)] = true;
    for (int id = graph.size() - 1; id >= 0; --id) {
        if (!reaches[at(id)]) continue;
        const GraphNode& node = graph[id];
        for (std::size_t i = 0; i < node.inputs.size(); ++i) {
            if (node.op->differentiable(i)) reaches[at(node.inputs[i])] = true;
        }
    }
    return reaches;
}

Plan::Plan(std::shared_ptr<const Graph> graph, std::vector<int> results, int loss,
           const std::vector<bool>& trained, PlanOptions options)
    : graph_(std::move(graph)), results_(std::move(results)), loss_(loss), options_(options) {
    if (options_.keep_everything) options_.fuse = options_.reuse = false;
    if (loss_ >= 0) results_.push_back(loss_);
    reached_.assign(at(graph_->size()), false);
    for (const int result : results_) reached_[at(result)] = true;
    for (int id = graph_->size() - 1; id >= 0; --id) {
        if (!reached_[at(id)]) continue;
        for (const int operand : (*graph_)[id].inputs) reached_[at(operand)] = true;
    }
    find_gradients(trained);
    make_steps();
    find_states(trained);
    place_buffers();
}

// A node needs a gradient when a trained parameter reaches it and it reaches the loss, both through operands
// that have a derivative.
void Plan::find_gradients(const std::vector<bool>& trained) {
    const Graph& graph = *graph_;
    needs_gradient_.assign(at(graph.size()), false);
    if (loss_ < 0) return;
    const std::vector<bool> reaches = reaching(graph, loss_);
    std::vector<bool> varies(at(graph.size()), false);
    for (int id = 0; id < graph.size(); ++id) {
        const GraphNode& node = graph[id];
        const bool fed = node.kind == NodeKind::input || node.kind == NodeKind::placeholder;
        const bool parameter = node.kind == NodeKind::parameter;
        varies[at(id)] =
            (parameter && trained[at(id)]) || (fed && options_.input_gradients && node.dtype == DType::real);
        for (std::size_t i = 0; i < node.inputs.size(); ++i) {
            if (varies[at(node.inputs[i])] && node.op->differentiable(i)) varies[at(id)] = true;
        }
    }
    for (const int id : graph.parameters()) {
        if (trained[at(id)] && !reaches[at(id)]) {
            throw GraphError(
                "parameter '" + graph[id].name +
                "' does not reach the loss, so it could never be trained; freeze it, or connect it");
        }
    }
    for (int id = 0; id < graph.size(); ++id) needs_gradient_[at(id)] = varies[at(id)] && reaches[at(id)];
}

void Plan::make_steps() {
    const Graph& graph = *graph_;
    std::vector<int> consumers(at(graph.size()), 0), only_consumer(at(graph.size()), -1);
    for (int id = 0; id < graph.size(); ++id) {
        if (!reached_[at(id)]) continue;
        for (const int operand : graph[id].inputs) {
            ++consumers[at(operand)];
            only_consumer[at(operand)] = id;
        }
    }
    for (const int result : results_) ++consumers[at(result)];

    std::vector<OpPtr> fused_op(at(graph.size()));
    std::vector<int> fused_from(at(graph.size()), -1);
    for (int id = 0; id < graph.size() && options_.fuse; ++id) {
        if (!reached_[at(id)] || !graph[id].op || consumers[at(id)] != 1) continue;
        const int next = only_consumer[at(id)];
        if (next < 0 || !graph[next].op) continue;
        OpPtr fused = fuse_linear_activation(*graph[id].op, *graph[next].op);
        if (!fused) fused = fuse_convolution_activation(*graph[id].op, *graph[next].op);
        if (fused) {
            fused_op[at(next)] = std::move(fused);
            fused_from[at(next)] = id;
        }
    }

    std::vector<bool> covered(at(graph.size()), false);
    for (const int id : fused_from) {
        if (id >= 0) covered[at(id)] = true;
    }
    for (int id = 0; id < graph.size(); ++id) {
        const GraphNode& node = graph[id];
        if (!reached_[at(id)] || !node.op || covered[at(id)]) continue;
        const int from = fused_from[at(id)];
        Step step;
        step.op = from >= 0 ? fused_op[at(id)] : node.op;
        step.node = id;
        step.inputs = from >= 0 ? graph[from].inputs : node.inputs;
        step.fused = from;
        step.backward = needs_gradient_[at(id)];
        for (std::size_t i = 0; i < step.inputs.size(); ++i) {
            step.wanted.push_back(step.backward && needs_gradient_[at(step.inputs[i])] &&
                                  step.op->differentiable(i));
        }
        step.accumulate.assign(step.inputs.size(), 0);
        steps_.push_back(std::move(step));
    }

    // Backward runs from the last step to the first: the first to write a delta overwrites, all others add.
    std::vector<bool> written(at(graph.size()), false);
    for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
        for (std::size_t i = 0; i < step->inputs.size(); ++i) {
            if (!step->wanted[i]) continue;
            const auto before = step->inputs.begin() + static_cast<std::ptrdiff_t>(i);
            if (std::find(step->inputs.begin(), before, step->inputs[i]) != before) {
                step->repeated.push_back(static_cast<int>(i));
                continue;
            }
            step->accumulate[i] = written[at(step->inputs[i])];
            written[at(step->inputs[i])] = true;
        }
    }

    for (const Step& step : steps_) {
        std::vector<Input> operands;
        for (const int i : step.inputs) operands.push_back({graph[i].shape, graph[i].dtype});
        const std::int64_t cost = step.op->cost(operands, graph[step.node].shape);
        forward_cost_ += cost;
        backward_cost_ += cost * std::accumulate(step.wanted.begin(), step.wanted.end(), std::int64_t{0});
    }
}

// What a step changes besides its result, if that is not frozen.
void Plan::find_states(const std::vector<bool>& trained) {
    for (Step& step : steps_) {
        for (const std::size_t operand : step.op->states()) {
            const int id = step.inputs[operand];
            const GraphNode& node = (*graph_)[id];
            if (node.kind != NodeKind::constant) {
                throw GraphError("'" + (*graph_)[step.node].name + "': operand " + std::to_string(operand) +
                                 " is changed by training, so it must be a constant, but '" + node.name +
                                 "' is none");
            }
            if (trained[at(id)])
                step.states.push_back(operand);
            else
                step.frozen = true;
        }
        if (step.frozen) step.states.clear();
    }
}

void Plan::place_buffers() {
    const Graph& graph = *graph_;
    const int count = static_cast<int>(steps_.size());
    const int end = 2 * count;
    const auto backward_time = [&](int step) { return 2 * count - 1 - step; };
    value_slots_.assign(at(graph.size()), -1);
    delta_slots_.assign(at(graph.size()), -1);

    const auto add_slot = [&](int node, int first) {
        slots_.push_back({graph[node].shape, first, options_.keep_everything ? end : first});
        return static_cast<int>(slots_.size()) - 1;
    };
    const auto extend = [&](int slot, int time) {
        if (slot >= 0) slots_[at(slot)].last = std::max(slots_[at(slot)].last, time);
    };

    for (int id = 0; id < graph.size(); ++id) {
        const NodeKind kind = graph[id].kind;
        const bool fed = kind == NodeKind::input || kind == NodeKind::placeholder;
        if (reached_[at(id)] && fed && graph[id].dtype == DType::real)
            value_slots_[at(id)] = add_slot(id, -1);
    }
    for (int s = 0; s < count; ++s) {
        const Step& step = steps_[at(s)];
        value_slots_[at(step.node)] = add_slot(step.node, s);
        const Needs needs = step.op->needs();
        for (const int i : step.inputs) {
            extend(value_slots_[at(i)], s);
            if (step.backward && needs.inputs) extend(value_slots_[at(i)], backward_time(s));
        }
        if (step.backward && needs.output) extend(value_slots_[at(step.node)], backward_time(s));
    }
    for (const int result : results_) extend(value_slots_[at(result)], end);

    // A delta lives from the backward of its last consumer to that of its own step (or for ever, for inputs);
    // the loss's own is written before the step begins.
    for (int s = count - 1; s >= 0; --s) {
        const Step& step = steps_[at(s)];
        if (step.node == loss_ && step.backward) delta_slots_[at(step.node)] = add_slot(step.node, -1);
        for (std::size_t i = 0; i < step.inputs.size(); ++i) {
            const int operand = step.inputs[i];
            if (!step.wanted[i] || graph[operand].kind == NodeKind::parameter ||
                delta_slots_[at(operand)] >= 0)
                continue;
            delta_slots_[at(operand)] = add_slot(operand, backward_time(s));
            if (graph[operand].kind != NodeKind::operation) extend(delta_slots_[at(operand)], end);
        }
        if (step.backward) extend(delta_slots_[at(step.node)], backward_time(s));
    }
}

Plan::Layout Plan::layout(std::int64_t batch) const {
    struct Piece {
        std::int64_t elements;
        int first, last;
        std::int64_t* offset;
    };
    const int count = static_cast<int>(steps_.size());
    Layout layout;
    layout.offsets.assign(slots_.size(), 0);
    layout.saved_offsets.assign(steps_.size(), -1);
    layout.repeated_offsets.assign(steps_.size(), -1);
    std::vector<Piece> pieces;
    for (std::size_t i = 0; i < slots_.size(); ++i) {
        const Slot& slot = slots_[i];
        const std::int64_t elements = checked_mul(slot.shape.size(), slot.shape.batched ? batch : 1);
        pieces.push_back({elements, slot.first, slot.last, &layout.offsets[i]});
    }
    std::int64_t shared = 0;
    for (int s = 0; s < count; ++s) {
        const Step& step = steps_[at(s)];
        std::vector<Input> operands;
        for (const int i : step.inputs) operands.push_back({(*graph_)[i].shape, (*graph_)[i].dtype});
        const Shape& y = (*graph_)[step.node].shape;
        const int backward = 2 * count - 1 - s;
        if (const std::int64_t saved = step.op->saved_size(operands, y, batch); saved > 0) {
            // the states change by what was saved once the whole step is known to be good
            const int last = !step.states.empty() ? 2 * count : step.backward ? backward : s;
            pieces.push_back({saved, s, last, &layout.saved_offsets[at(s)]});
        }
        std::int64_t repeated = 0;
        for (const int i : step.repeated) {
            const Shape& shape = operands[at(i)].shape;
            repeated += aligned(checked_mul(shape.size(), shape.batched ? batch : 1));
        }
        if (repeated > 0) pieces.push_back({repeated, backward, backward, &layout.repeated_offsets[at(s)]});
        shared = std::max(shared, step.op->shared_size(operands, y, batch));
        layout.scratch = std::max(layout.scratch, step.op->scratch_size(operands, y, batch));
    }
    layout.scratch = aligned(layout.scratch);

    // Largest first, each at the lowest offset where nothing that lives at the same time lies.
    std::vector<std::size_t> order(pieces.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(
        order, [&](std::size_t a, std::size_t b) { return pieces[a].elements > pieces[b].elements; });
    std::vector<std::size_t> placed;  // by offset
    std::int64_t total = 0;
    for (const std::size_t p : order) {
        Piece& piece = pieces[p];
        std::int64_t offset = options_.reuse ? 0 : total;
        if (options_.reuse) {
            for (const std::size_t q : placed) {
                const Piece& other = pieces[q];
                if (other.last < piece.first || piece.last < other.first) continue;
                if (offset + piece.elements <= *other.offset) break;
                offset = std::max(offset, *other.offset + aligned(other.elements));
            }
        }
        *piece.offset = offset;
        total = std::max(total, offset + aligned(piece.elements));
        placed.insert(
            std::ranges::upper_bound(placed, offset, {}, [&](std::size_t q) { return *pieces[q].offset; }),
            p);
    }
    layout.shared_offset = total;
    layout.elements = total + aligned(shared);

    layout.index_offsets.assign(at(graph_->size()), -1);
    for (int id = 0; id < graph_->size(); ++id) {
        const GraphNode& node = (*graph_)[id];
        if (node.dtype != DType::index) continue;
        layout.index_offsets[at(id)] = layout.indices;
        layout.indices += checked_mul(node.shape.size(), node.shape.batched ? batch : 1);
    }
    return layout;
}

std::int64_t Plan::Layout::bytes(std::size_t number, int members) const {
    const std::int64_t numbers = elements + checked_mul(scratch, members);
    return checked_mul(numbers, static_cast<std::int64_t>(number)) +
           checked_mul(indices, static_cast<std::int64_t>(sizeof(std::int32_t)));
}

std::vector<std::string> Plan::describe() const {
    std::vector<std::string> lines;
    for (const Step& step : steps_) {
        std::string line = (*graph_)[step.node].name + " = " + std::string(step.op->name()) + "(";
        for (std::size_t i = 0; i < step.inputs.size(); ++i) {
            line += (i ? ", " : "") + (*graph_)[step.inputs[i]].name;
        }
        line += ")" + std::string(step.backward ? "" : "  [forward only]");
        lines.push_back(std::move(line));
    }
    return lines;
}

std::vector<std::string> Plan::fused() const {
    std::vector<std::string> lines;
    for (const Step& step : steps_) {
        if (step.fused >= 0) lines.push_back((*graph_)[step.fused].name + " + " + (*graph_)[step.node].name);
    }
    return lines;
}

}  // namespace retrograd
