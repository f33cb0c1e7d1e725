// Looking without training: evaluation, traces, and the search for the first number that is not finite.
#include <algorithm>
#include <cmath>

#include "base/poll.hpp"
#include "plan/threads.hpp"
#include "train/trainer_state.hpp"

namespace retrograd {

// The step once more, on one thread, with every value and delta kept: the first one that is not finite is
// named.
template <class T>
void TrainerState<T>::throw_non_finite(const Batch& batch, const FeedList& feeds, const Rows& rows,
                                       const char* when) {
    Program<T> program(model, loss_graph(train, batch), options, Use::trace, true);
    Workspace<T>& workspace = program.workspace(1);
    const Graph& graph = program.plan().graph();
    const Member member = Member::alone();
    BadRow bad;
    workspace.bind(rows.count);
    workspace.prepare(true, false);
    workspace.draw(draw_key());
    gather(feeds.feeds(), rows, workspace, member, bad);
    workspace.forward(member);
    std::string where;
    const auto look = [&](std::span<const T> numbers, const std::string& name, const Shape& shape) {
        for (std::size_t i = 0; i < numbers.size() && where.empty(); ++i) {
            if (std::isfinite(numbers[i])) continue;
            where = name + " is " + (std::isnan(numbers[i]) ? "NaN" : "infinite");
            if (shape.batched) {
                const auto position = static_cast<std::int64_t>(i) / shape.size();
                where += " in row " + std::to_string(rows[position]);
            }
        }
    };
    for (const int id : graph.parameters()) look(workspace.value(id), graph[id].name, graph[id].shape);
    for (const Step& step : program.plan().steps()) {
        if (where.empty()) look(workspace.value(step.node), graph[step.node].name, graph[step.node].shape);
    }
    if (where.empty()) {
        workspace.backward(member);
        for (auto step = program.plan().steps().rbegin(); step != program.plan().steps().rend(); ++step) {
            if (where.empty())
                look(workspace.delta(step->node), "the gradient of " + graph[step->node].name,
                     graph[step->node].shape);
        }
        for (const int id : graph.parameters()) {
            const auto g = model.own_gradients().subspan(static_cast<std::size_t>(graph[id].offset),
                                                         static_cast<std::size_t>(graph[id].shape.size()));
            if (where.empty()) look(g, "the gradient of " + graph[id].name, graph[id].shape);
        }
    }
    if (where.empty()) where = "the update of " + updater.culprit() + " overflows";
    throw NonFiniteError(
        std::string(when) + ": " + where + " in iteration " + std::to_string(iteration) +
        "; the parameters are as before that step. A smaller lr, clip_norm= or scaled inputs usually "
        "help");
}

template <class T>
typename Trainer<T>::Memory Trainer<T>::memory(std::int64_t batch_size) const {
    if (batch_size < 1)
        throw ArgumentError("batch_size: expected at least 1, got " + std::to_string(batch_size));
    const TrainerState<T>& s = *state_;
    const Reading reading(s.model.use());
    std::shared_ptr<const LossGraph> loss = s.train.loss;
    if (!loss) {
        const Graph& graph = *s.model.graph();
        const std::vector<TargetKind> kinds = likely_target_kinds(s.options, graph, s.model.outputs());
        loss = std::make_shared<const LossGraph>(
            extend_with_loss(s.options, graph, s.model.outputs(), kinds, false));
    }
    const Program<T> program(s.model, std::move(loss), s.options, Use::train, false);
    const int members = choose_threads(s.options.threads, program.cost(batch_size));
    Memory memory;
    for (const AlignedBuffer<T>& slot : s.updater.buffers()->slots) {
        memory.optimizer += slot.size() * static_cast<std::int64_t>(sizeof(T));
    }
    memory.workspace = program.plan().layout(batch_size).bytes(sizeof(T), members);
    return memory;
}

template <class T>
WeightedLoss Trainer<T>::evaluate(const Batch& data, std::int64_t batch_size,
                                  const std::vector<std::int64_t>* chosen,
                                  std::vector<std::vector<T>>* outputs,
                                  const std::function<bool()>& interrupted) {
    TrainerState<T>& s = *state_;
    if (batch_size < 1)
        throw ArgumentError("batch_size: expected at least 1, got " + std::to_string(batch_size));
    const Reading reading(s.model.use());

    const std::lock_guard lock(s.evaluating);
    Program<T>& program = s.compile(s.evaluation, data, Use::evaluate, outputs != nullptr);
    const FeedList feeds(data, s.model.inputs(), program.loss(), program.plan());
    const std::int64_t total = chosen ? static_cast<std::int64_t>(chosen->size()) : feeds.rows();
    const std::int64_t batch = std::min(batch_size, total);
    Workspace<T>& workspace = program.workspace(choose_threads(s.options.threads, program.cost(batch)));
    const Graph& graph = *s.model.graph();
    if (outputs != nullptr) {
        outputs->clear();
        for (const int id : s.model.outputs()) {
            outputs->emplace_back(static_cast<std::size_t>(checked_mul(total, graph[id].shape.size())));
        }
    }
    Rows rows;
    BadRow bad;
    WeightedLoss loss;
    Poll poll(&interrupted);
    s.threads_used = run_team(workspace.members(), [&](const Member& alike) {
        const Member member = alike.index() == 0 && interrupted ? alike.asking(&poll) : alike;
        for (std::int64_t first = 0; first < total; first += batch) {
            if (member.index() == 0) {
                rows = {chosen ? chosen->data() + first : nullptr, first, std::min(batch, total - first)};
                workspace.bind(rows.count);
                workspace.prepare(false, false);
            }
            member.barrier();
            gather(feeds.feeds(), rows, workspace, member, bad);
            member.barrier();
            if (bad.any()) return;
            workspace.forward(member);
            for (std::size_t k = 0; outputs != nullptr && k < outputs->size(); ++k) {
                const std::span<const T> y = workspace.value(s.model.outputs()[k]);
                const std::int64_t size = graph[s.model.outputs()[k]].shape.size();
                member.for_range(rows.count, 1 + 16384 / size, [&](std::int64_t begin, std::int64_t end) {
                    std::copy(y.begin() + begin * size, y.begin() + end * size,
                              (*outputs)[k].begin() + (first + begin) * size);
                });
            }
            if (member.index() == 0) {
                const double weight = TrainerState<T>::mass(program.loss(), workspace);
                loss.sum += static_cast<double>(workspace.loss()) * weight;
                loss.weight += weight;
            }
            member.barrier();
        }
    });
    if (bad.any()) throw_bad_row<T>(feeds.feeds(), rows, bad);
    return loss;
}

template <class T>
TraceResult<T> Trainer<T>::trace(const Batch& batch) {
    TrainerState<T>& s = *state_;
    const Training training(s.model.use(), s.busy);
    Program<T> program(s.model, s.loss_graph(s.train, batch), s.options, Use::trace, true);
    const FeedList feeds(batch, s.model.inputs(), program.loss(), program.plan());
    Workspace<T>& workspace = program.workspace(1);
    const Member member = Member::alone();
    const Rows rows{nullptr, 0, feeds.rows()};
    BadRow bad;
    // A trace leaves no mark: the gradients that the user has stay.
    const std::vector<T> gradients(s.model.own_gradients().begin(), s.model.own_gradients().end());
    program.expect_samples(rows.count);
    workspace.bind(rows.count);
    workspace.prepare(true, false);
    workspace.draw(s.draw_key());
    gather(feeds.feeds(), rows, workspace, member, bad);
    if (bad.any()) throw_bad_row<T>(feeds.feeds(), rows, bad);
    workspace.forward(member);
    workspace.backward(member);

    TraceResult<T> trace;
    const Graph& graph = program.plan().graph();
    trace.loss = static_cast<double>(workspace.loss());
    const auto add = [&](auto& list, int id, std::span<const T> numbers) {
        const GraphNode& node = graph[id];
        if (numbers.empty()) return;
        std::vector<std::int64_t> shape = node.shape.dims;
        if (node.shape.batched) shape.insert(shape.begin(), rows.count);
        list.push_back({node.name, std::move(shape), {numbers.begin(), numbers.end()}});
    };
    for (int id = 0; id < graph.size(); ++id) {
        if (graph[id].dtype == DType::index) continue;
        add(trace.values, id, workspace.value(id));
        add(trace.deltas, id, workspace.delta(id));
        if (graph[id].kind == NodeKind::parameter &&
            program.plan().needs_gradient()[static_cast<std::size_t>(id)]) {
            add(trace.gradients, id,
                s.model.own_gradients().subspan(static_cast<std::size_t>(graph[id].offset),
                                                static_cast<std::size_t>(graph[id].shape.size())));
        }
    }
    std::ranges::copy(gradients, s.model.own_gradients().begin());
    for (TouchedRows& touched : s.model.touched_rows()) touched.all = true;  // nobody knows of the old ones
    return trace;
}

template struct TrainerState<float>;
template struct TrainerState<double>;
template Trainer<float>::Memory Trainer<float>::memory(std::int64_t) const;
template Trainer<double>::Memory Trainer<double>::memory(std::int64_t) const;
template WeightedLoss Trainer<float>::evaluate(const Batch&, std::int64_t, const std::vector<std::int64_t>*,
                                               std::vector<std::vector<float>>*,
                                               const std::function<bool()>&);
template WeightedLoss Trainer<double>::evaluate(const Batch&, std::int64_t, const std::vector<std::int64_t>*,
                                                std::vector<std::vector<double>>*,
                                                const std::function<bool()>&);
template TraceResult<float> Trainer<float>::trace(const Batch&);
template TraceResult<double> Trainer<double>::trace(const Batch&);

}  // namespace retrograd
