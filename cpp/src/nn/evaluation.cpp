#include <retrograd/evaluation.hpp>

#include <algorithm>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <unordered_set>

#include <retrograd/error.hpp>
#include <retrograd/initializers.hpp>

#include "nn/batch.hpp"
#include "plan/workspace.hpp"

namespace retrograd {
namespace {

// What has to be listed before a graph is collected: the inputs and placeholders that a node reaches.
std::vector<Node> fed_leaves(const Node& result) {
    std::vector<Node> found, open = {result};
    std::unordered_set<const Node::Data*> seen;
    while (!open.empty()) {
        const Node node = open.back();
        open.pop_back();
        if (!seen.insert(node.identity()).second) continue;
        if (node.kind() == NodeKind::input || node.kind() == NodeKind::placeholder) found.push_back(node);
        open.insert(open.end(), node.inputs().begin(), node.inputs().end());
    }
    return found;
}

bool is_fed(const GraphNode& node) {
    return node.kind == NodeKind::input || node.kind == NodeKind::placeholder;
}

std::size_t at(int id) { return static_cast<std::size_t>(id); }

template <class T>
void begin(const Graph& graph, int id, const RandomKey& key, std::span<T> flat) {
    const GraphNode& node = graph[id];
    initialise<T>(
        graph.node(id).data().initial, node.shape, key,
        flat.subspan(static_cast<std::size_t>(node.offset), static_cast<std::size_t>(node.shape.size())));
}

}  // namespace

template <class T>
struct Evaluation<T>::State {
    std::shared_ptr<const Graph> graph;
    int result;
    AlignedBuffer<T> parameters, gradients, constants;
    std::shared_ptr<const Plan> plan;
    std::unique_ptr<Workspace<T>> workspace;
    std::vector<int> visits;
    bool has_run = false;
    std::shared_mutex turn;  // one runs or many read
};

namespace {

template <class Lock>
Lock taken(std::shared_mutex& turn, const char* who) {
    Lock lock(turn, std::try_to_lock);
    if (!lock) {
        throw StateError(
            std::string(who) +
            ": this graph is in use in another thread; wait for that, or give each thread a graph "
            "of its own");
    }
    return lock;
}

using Running = std::unique_lock<std::shared_mutex>;
using Reading = std::shared_lock<std::shared_mutex>;

}  // namespace

template <class T>
Evaluation<T>::Evaluation(const Node& result, std::uint64_t seed) : state_(std::make_unique<State>()) {
    State& s = *state_;
    if (!result.op()) {
        throw GraphError(
            "Graph: the result is a leaf, so there is nothing to compute; give an operation on it");
    }
    s.graph = std::make_shared<const Graph>(fed_leaves(result), std::vector<Node>{result});
    const Graph& graph = *s.graph;
    s.result = graph.id(result);
    s.parameters = AlignedBuffer<T>(graph.parameter_count());
    s.gradients = AlignedBuffer<T>(graph.parameter_count());
    s.constants = AlignedBuffer<T>(graph.constant_count());
    std::uint32_t stream = 0;
    for (const int id : graph.parameters()) {
        begin<T>(graph, id, {seed, Purpose::initialise, stream++, 0}, s.parameters.span());
    }
    for (const int id : graph.constants()) begin<T>(graph, id, {}, s.constants.span());

    std::vector<bool> trained = reaching(graph, s.result);
    for (int id = 0; id < graph.size(); ++id)
        trained[at(id)] = trained[at(id)] && graph[id].kind == NodeKind::parameter;
    PlanOptions options;
    options.keep_everything = options.input_gradients = true;
    s.plan = std::make_shared<const Plan>(s.graph, std::vector<int>{}, s.result, trained, options);
    s.workspace = std::make_unique<Workspace<T>>(
        s.plan, Storage<T>{s.parameters.span(), s.gradients.span(), s.constants.span()}, 1);
    for (auto step = s.plan->steps().rbegin(); step != s.plan->steps().rend(); ++step) {
        if (step->backward) s.visits.push_back(step->node);
    }
}

template <class T>
Evaluation<T>::~Evaluation() = default;

template <class T>
const Graph& Evaluation<T>::graph() const {
    return *state_->graph;
}

template <class T>
int Evaluation<T>::result() const {
    return state_->result;
}

template <class T>
std::int64_t Evaluation<T>::batch() const {
    const auto reading = taken<Reading>(state_->turn, "batch");
    return std::max<std::int64_t>(1, state_->workspace->batch());
}

template <class T>
const std::vector<int>& Evaluation<T>::visits() const {
    return state_->visits;
}

template <class T>
void Evaluation<T>::forward(const std::vector<std::pair<int, ArrayView>>& fed) {
    State& s = *state_;
    const auto running = taken<Running>(s.turn, "forward");
    const Graph& graph = *s.graph;
    std::vector<bool> given(at(graph.size()), false);
    std::vector<ArrayView> arrays;
    std::int64_t samples = 0;
    for (const auto& [id, array] : fed) {
        const GraphNode& node = graph[id];
        ArrayView rows = array;
        if (!node.shape.batched) {  // read as a batch of one
            rows.shape.insert(rows.shape.begin(), 1);
            rows.strides.insert(rows.strides.begin(), 0);
        }
        arrays.push_back(fitted(rows, node));
        given[at(id)] = true;
        if (!node.shape.batched) continue;
        if (samples != 0 && arrays.back().rows() != samples) {
            throw ShapeError(array.name + ": it has " + std::to_string(arrays.back().rows()) +
                             " samples, but another input has " + std::to_string(samples));
        }
        samples = arrays.back().rows();
    }
    for (int id = 0; id < graph.size(); ++id) {
        if (is_fed(graph[id]) && !given[at(id)]) {
            throw StateError("forward: '" + graph[id].name + "' has no value; give one of shape " +
                             graph[id].shape.str());
        }
    }
    Workspace<T>& workspace = *s.workspace;
    workspace.bind(std::max<std::int64_t>(1, samples));
    workspace.prepare(false, false);
    s.has_run = false;
    const Member member = Member::alone();
    for (std::size_t k = 0; k < fed.size(); ++k) {
        const Feed feed{&arrays[k], fed[k].first, range_of(*s.plan, fed[k].first)};
        const Rows rows{nullptr, 0, arrays[k].rows()};
        BadRow bad;
        gather<T>({&feed, 1}, rows, workspace, member, bad);
        if (bad.any()) throw_bad_row<T>({&feed, 1}, rows, bad);
    }
    workspace.forward(member);
    std::ranges::fill(s.gradients.span(), T(0));
    s.has_run = true;
}

template <class T>
void Evaluation<T>::backward(std::span<const T> seed) {
    State& s = *state_;
    const auto running = taken<Running>(s.turn, "backward");
    if (!s.has_run) throw StateError("backward: call forward first");
    const std::span<T> delta = s.workspace->delta(s.result);
    if (delta.empty()) return;  // nothing that the result depends on has a derivative
    if (delta.size() != seed.size()) {
        throw ShapeError("backward: the seed has " + std::to_string(seed.size()) +
                         " numbers, but the result has " + std::to_string(delta.size()));
    }
    std::ranges::copy(seed, delta.begin());
    s.workspace->backward(Member::alone());
}

template <class T>
std::vector<T> Evaluation<T>::value(int node) const {
    const auto reading = taken<Reading>(state_->turn, "value");
    const std::span<const T> numbers = state_->workspace->value(node);
    return {numbers.begin(), numbers.end()};
}

template <class T>
std::vector<T> Evaluation<T>::gradient(int node) const {
    State& s = *state_;
    const auto reading = taken<Reading>(s.turn, "gradient");
    if (!s.plan->needs_gradient()[at(node)]) return {};
    const GraphNode& entry = (*s.graph)[node];
    std::span<const T> numbers = s.workspace->delta(node);
    if (entry.kind == NodeKind::parameter) {
        numbers = s.gradients.span().subspan(static_cast<std::size_t>(entry.offset),
                                             static_cast<std::size_t>(entry.shape.size()));
    }
    return {numbers.begin(), numbers.end()};
}

template class Evaluation<float>;
template class Evaluation<double>;

}  // namespace retrograd
