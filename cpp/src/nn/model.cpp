#include <retrograd/model.hpp>

#include <algorithm>
#include <mutex>
#include <utility>

#include <retrograd/error.hpp>
#include <retrograd/initializers.hpp>

#include "base/aligned_buffer.hpp"
#include "base/float_environment.hpp"
#include "base/glob.hpp"
#include "base/poll.hpp"
#include "kernels/table.hpp"
#include "nn/batch.hpp"
#include "plan/threads.hpp"
#include "plan/workspace.hpp"

namespace retrograd {

namespace {

// Flat storage that never moves; views hold on to it.
template <class T>
struct ModelBuffers {
    AlignedBuffer<T> parameters, gradients, constants;
    std::vector<TouchedRows> touched;             // per node of the graph
    std::atomic<bool> gradients_are_lent{false};  // somebody outside can write into them
};

// Workspaces that wait for the next prediction, so that many threads can predict and none allocates twice.
template <class T>
struct Pool {
    std::unique_ptr<Workspace<T>> take(int members) {
        const std::lock_guard lock(mutex);
        for (auto& one : idle) {
            if (one->members() != members) continue;
            std::swap(one, idle.back());
            std::unique_ptr<Workspace<T>> taken = std::move(idle.back());
            idle.pop_back();
            return taken;
        }
        return nullptr;
    }
    void give(std::unique_ptr<Workspace<T>> workspace) {
        const std::lock_guard lock(mutex);
        if (idle.size() < 16) idle.push_back(std::move(workspace));
    }

    std::mutex mutex;
    std::vector<std::unique_ptr<Workspace<T>>> idle;
};

// The kernel's name for an element type that a batch is read from at once; source_count for another.
int source_of(ElementType type) {
    switch (type) {
        case ElementType::f32: return static_cast<int>(Source::f32);
        case ElementType::f64: return static_cast<int>(Source::f64);
        case ElementType::u8: return static_cast<int>(Source::u8);
        default: return source_count;
    }
}

// Parameters, and the running statistics of layers.
bool can_freeze(const Graph& graph, int id) {
    return graph[id].kind == NodeKind::parameter ||
           (graph[id].kind == NodeKind::constant && graph.node(id).data().layer);
}

}  // namespace

template <class T>
struct Model<T>::State {
    std::shared_ptr<const Graph> graph;
    std::vector<int> inputs, outputs;
    std::shared_ptr<ModelBuffers<T>> buffers = std::make_shared<ModelBuffers<T>>();
    std::vector<bool> frozen;
    std::atomic<std::uint64_t> frozen_version{0};
    std::mutex freezing, saving;
    std::shared_ptr<const Plan> inference;
    bool few = false;  // one input of finite real numbers and one output: what predict_few can do
    Pool<T> pool;
    ModelUse use;
    std::map<std::string, std::string> metadata;

    // One that waits, or a new one; bound to `batch` rows.
    std::unique_ptr<Workspace<T>> workspace(std::int64_t batch, int members) {
        std::unique_ptr<Workspace<T>> found = pool.take(members);
        if (!found) {
            const Storage<T> storage{buffers->parameters.span(), buffers->gradients.span(),
                                     buffers->constants.span()};
            found = std::make_unique<Workspace<T>>(inference, storage, members);
        }
        if (found->batch() != batch) {
            found->bind(batch);
            found->prepare(false, false);
        }
        return found;
    }
};

void ModelUse::begin_reading() {
    int seen = state_.load();
    do {
        if (seen < 0) {
            throw StateError(
                "model: it is being trained in another thread; wait for that, or predict with net.copy()");
        }
    } while (!state_.compare_exchange_weak(seen, seen + 1));
}

void ModelUse::begin_training() {
    int idle = 0;
    if (!state_.compare_exchange_strong(idle, -1)) {
        throw StateError(std::string("model: it is already ") +
                         (idle < 0 ? "being trained" : "used for prediction") +
                         " in another thread; wait for that, or work on net.copy()");
    }
}

template <class T>
Model<T>::Model(const std::vector<Node>& inputs, const std::vector<Node>& outputs, std::uint64_t seed)
    : state_(std::make_shared<State>()) {
    State& s = *state_;
    if (outputs.empty()) throw GraphError("outputs: expected at least one node, got none");
    auto graph = std::make_shared<Graph>(inputs, outputs);
    for (const Node& node : inputs) {
        const int id = graph->id(node);
        if (std::ranges::find(s.inputs, id) != s.inputs.end()) {
            throw GraphError("inputs: '" + (*graph)[id].name + "' is listed twice");
        }
        s.inputs.push_back(id);
    }
    for (const Node& node : outputs) {
        if (!node.shape().batched) {
            throw GraphError("outputs: '" + (*graph)[graph->id(node)].name +
                             "' has no batch axis; an output must depend on an Input");
        }
        s.outputs.push_back(graph->id(node));
    }
    s.graph = std::move(graph);
    s.frozen.assign(static_cast<std::size_t>(s.graph->size()), false);

    s.buffers->parameters = AlignedBuffer<T>(s.graph->parameter_count());
    s.buffers->gradients = AlignedBuffer<T>(s.graph->parameter_count());
    s.buffers->constants = AlignedBuffer<T>(s.graph->constant_count());
    s.buffers->touched.resize(static_cast<std::size_t>(s.graph->size()));
    const auto fill = [&](const std::vector<int>& nodes, std::span<T> flat) {
        std::uint32_t stream = 0;
        for (const int id : nodes) {
            const GraphNode& node = (*s.graph)[id];
            initialise<T>(s.graph->node(id).data().initial, node.shape,
                          {seed, Purpose::initialise, stream++, 0},
                          flat.subspan(static_cast<std::size_t>(node.offset),
                                       static_cast<std::size_t>(node.shape.size())));
        }
    };
    fill(s.graph->parameters(), parameters());
    fill(s.graph->constants(), constants());
    s.inference = std::make_shared<const Plan>(s.graph, s.outputs, -1, s.frozen, PlanOptions{});
    s.few = s.inputs.size() == 1 && s.outputs.size() == 1 && (*s.graph)[s.inputs[0]].dtype == DType::real &&
            s.inference->value_slots()[static_cast<std::size_t>(s.inputs[0])] >= 0 &&
            !range_of(*s.inference, s.inputs[0]).bounded;
}

template <class T>
template <class U>
Model<U> Model<T>::copy_as() const {
    const Graph& graph = *state_->graph;
    std::vector<Node> inputs, outputs;
    for (const int id : state_->inputs) inputs.push_back(graph.node(id));
    for (const int id : state_->outputs) outputs.push_back(graph.node(id));
    Model<U> copy(inputs, outputs, 0);
    const auto convert = [](std::span<const T> from, std::span<U> to) {
        std::ranges::transform(from, to.begin(), [](T value) { return static_cast<U>(value); });
    };
    convert(parameters(), copy.parameters());
    convert(own_gradients(), copy.own_gradients());
    convert(constants(), copy.constants());
    const std::vector<bool> frozen = this->frozen();
    for (int id = 0; id < graph.size(); ++id) {
        if (frozen[static_cast<std::size_t>(id)]) copy.set_frozen(graph[id].name, true);
    }
    const std::lock_guard lock(state_->saving);
    copy.metadata() = state_->metadata;
    return copy;
}

template <class T>
const std::shared_ptr<const Graph>& Model<T>::graph() const {
    return state_->graph;
}
template <class T>
const std::vector<int>& Model<T>::inputs() const {
    return state_->inputs;
}
template <class T>
const std::vector<int>& Model<T>::outputs() const {
    return state_->outputs;
}
template <class T>
ModelUse& Model<T>::use() const {
    return state_->use;
}
template <class T>
std::mutex& Model<T>::saving() const {
    return state_->saving;
}
template <class T>
std::map<std::string, std::string>& Model<T>::metadata() const {
    return state_->metadata;
}

template <class T>
std::span<T> Model<T>::parameters() const {
    return state_->buffers->parameters.span();
}
template <class T>
std::span<T> Model<T>::gradients() const {
    state_->buffers->gradients_are_lent = true;
    return own_gradients();
}
template <class T>
std::span<T> Model<T>::own_gradients() const {
    return state_->buffers->gradients.span();
}
template <class T>
std::span<TouchedRows> Model<T>::touched_rows() const {
    return state_->buffers->touched;
}
template <class T>
void Model<T>::review_touched_rows() const {
    if (!state_->buffers->gradients_are_lent) return;
    for (TouchedRows& rows : state_->buffers->touched) rows.all = true;
}
template <class T>
std::span<T> Model<T>::constants() const {
    return state_->buffers->constants.span();
}
template <class T>
std::shared_ptr<const void> Model<T>::owner() const {
    return state_->buffers;
}

template <class T>
std::span<T> Model<T>::part(std::string_view name, NodeKind kind, std::span<T> flat) const {
    const Graph& graph = *state_->graph;
    const int id = graph.find(name);
    if (id < 0 || graph[id].kind != kind) {
        const bool trained = kind == NodeKind::parameter;
        std::string known;
        for (const int one : trained ? graph.parameters() : graph.constants())
            known += (known.empty() ? "" : ", ") + graph[one].name;
        throw ArgumentError("model: no " + std::string(trained ? "parameter" : "buffer") + " is named '" +
                            std::string(name) + "'; there " + (known.empty() ? "are none" : "are " + known));
    }
    return flat.subspan(static_cast<std::size_t>(graph[id].offset),
                        static_cast<std::size_t>(graph[id].shape.size()));
}

template <class T>
std::span<T> Model<T>::parameter(std::string_view name) const {
    return part(name, NodeKind::parameter, parameters());
}
template <class T>
std::span<T> Model<T>::gradient(std::string_view name) const {
    return part(name, NodeKind::parameter, gradients());
}
template <class T>
std::span<T> Model<T>::buffer(std::string_view name) const {
    return part(name, NodeKind::constant, constants());
}

template <class T>
std::uint64_t Model<T>::frozen_version() const {
    return state_->frozen_version;
}

template <class T>
std::vector<bool> Model<T>::frozen() const {
    const std::lock_guard lock(state_->freezing);
    return state_->frozen;
}

template <class T>
void Model<T>::set_frozen(std::string_view parameter, bool frozen) {
    const Graph& graph = *state_->graph;
    const int id = graph.find(parameter);
    if (id < 0 || !can_freeze(graph, id)) {
        throw ArgumentError("freeze: no parameter is named '" + std::string(parameter) + "'");
    }
    const std::lock_guard lock(state_->freezing);
    state_->frozen[static_cast<std::size_t>(id)] = frozen;
    ++state_->frozen_version;
}

template <class T>
void Model<T>::freeze_matching(const char* who, std::string_view pattern, bool frozen) {
    const Graph& graph = *state_->graph;
    std::string known;
    bool found = false;
    for (int id = 0; id < graph.size(); ++id) {
        if (!can_freeze(graph, id)) continue;
        if (matches(pattern, graph[id].name)) {
            set_frozen(graph[id].name, frozen);
            found = true;
        }
        known += (known.empty() ? "" : ", ") + graph[id].name;
    }
    if (found) return;
    throw ArgumentError(std::string(who) + ": '" + std::string(pattern) +
                        "' matches no parameter; there are " + known);
}

namespace {

template <class T>
void expect_one(const Model<T>& model) {
    if (model.inputs().size() == 1 && model.outputs().size() == 1) return;
    throw ShapeError("predict: the model has " + std::to_string(model.inputs().size()) + " inputs and " +
                     std::to_string(model.outputs().size()) +
                     " outputs; give a span of arrays for each of both");
}

}  // namespace

template <class T>
void Model<T>::predict(std::span<const T> x, std::span<T> out) const {
    expect_one(*this);
    const ArrayView array = view(x, (*state_->graph)[state_->inputs[0]].shape.dims);
    predict(std::span(&array, 1), std::span<const std::span<T>>(&out, 1));
}

template <class T>
std::vector<T> Model<T>::predict(std::span<const T> x) const {
    expect_one(*this);
    const Graph& graph = *state_->graph;
    const ArrayView array = view(x, graph[state_->inputs[0]].shape.dims);
    std::vector<T> out(static_cast<std::size_t>(array.rows() * graph[state_->outputs[0]].shape.size()));
    predict(x, out);
    return out;
}

template <class T>
void Model<T>::predict(std::span<const ArrayView> x, std::span<const std::span<T>> out,
                       std::int64_t batch_size, int threads, const std::function<bool()>& interrupted) const {
    State& s = *state_;
    if (batch_size < 1)
        throw ArgumentError("batch_size: expected at least 1, got " + std::to_string(batch_size));
    if (x.size() != s.inputs.size()) {
        throw ShapeError("x: the model has " + std::to_string(s.inputs.size()) + " inputs, got " +
                         std::to_string(x.size()) + " arrays");
    }
    std::vector<ArrayView> arrays;
    std::vector<Feed> feeds;
    for (std::size_t i = 0; i < x.size(); ++i) arrays.push_back(fitted(x[i], (*s.graph)[s.inputs[i]]));
    for (std::size_t i = 0; i < x.size(); ++i) {
        if (arrays[i].rows() != arrays[0].rows()) {
            throw ShapeError(x[i].name + ": it has " + std::to_string(arrays[i].rows()) + " rows, but " +
                             x[0].name + " has " + std::to_string(arrays[0].rows()));
        }
        feeds.push_back({&arrays[i], s.inputs[i], range_of(*s.inference, s.inputs[i])});
    }
    const std::int64_t rows = arrays.empty() ? 0 : arrays[0].rows();
    for (std::size_t k = 0; k < s.outputs.size(); ++k) {
        const std::int64_t needed = checked_mul(rows, (*s.graph)[s.outputs[k]].shape.size());
        if (static_cast<std::int64_t>(out[k].size()) != needed) {
            throw ShapeError("out: expected " + std::to_string(needed) + " elements, got " +
                             std::to_string(out[k].size()));
        }
    }

    const Reading reading(s.use);
    const std::int64_t batch = std::min(batch_size, rows);
    const int members = choose_prediction_threads(threads, inference_cost() * batch);
    std::unique_ptr<Workspace<T>> workspace = s.workspace(batch, members);
    BadRow bad;
    Rows part;
    Poll poll(&interrupted);
    run_team(members, [&](const Member& alike) {
        const Member member = alike.index() == 0 && interrupted ? alike.asking(&poll) : alike;
        for (std::int64_t first = 0; first < rows; first += batch) {
            if (member.index() == 0) {
                part = {nullptr, first, std::min(batch, rows - first)};
                if (part.count != workspace->batch()) {
                    workspace->bind(part.count);
                    workspace->prepare(false, false);
                }
            }
            member.barrier();
            gather(std::span<const Feed>(feeds), part, *workspace, member, bad);
            member.barrier();
            if (bad.any()) return;
            workspace->forward(member);
            for (std::size_t k = 0; k < s.outputs.size(); ++k) {
                const std::span<const T> y = workspace->value(s.outputs[k]);
                const std::int64_t size = (*s.graph)[s.outputs[k]].shape.size();
                member.for_range(part.count, 1 + 16384 / size, [&](std::int64_t begin, std::int64_t end) {
                    std::copy(y.begin() + begin * size, y.begin() + end * size,
                              out[k].begin() + (part.first + begin) * size);
                });
            }
            member.barrier();
        }
    });
    if (bad.any()) throw_bad_row<T>(feeds, part, bad);
    s.pool.give(std::move(workspace));
}

template <class T>
bool Model<T>::predict_few(const void* x, ElementType type, std::int64_t rows, T* out) const {
    State& s = *state_;
    const int source = source_of(type);
    if (!s.few || source == source_count || rows < 1 || rows > default_batch) return false;
    if (choose_prediction_threads(0, inference_cost() * rows) > 1) return false;
    const Reading reading(s.use);
    std::unique_ptr<Workspace<T>> workspace = s.workspace(rows, 1);
    const FloatEnvironment environment;
    const std::span<T> values = workspace->value(s.inputs[0]);
    const bool finite = kernels<T>().convert[source](x, values.data(), std::ssize(values));
    if (finite) {
        workspace->forward(Member::alone());
        std::ranges::copy(workspace->value(s.outputs[0]), out);
    }
    s.pool.give(std::move(workspace));
    return finite;
}

template <class T>
std::int64_t Model<T>::inference_cost() const {
    return state_->inference->forward_cost();
}

template <class T>
std::int64_t Model<T>::inference_bytes(std::int64_t batch) const {
    const State& s = *state_;
    const int members = choose_prediction_threads(0, checked_mul(s.inference->forward_cost(), batch));
    return s.inference->layout(batch).bytes(sizeof(T), members);
}

template class Model<float>;
template class Model<double>;
template Model<float> Model<float>::copy_as<float>() const;
template Model<double> Model<float>::copy_as<double>() const;
template Model<float> Model<double>::copy_as<float>() const;
template Model<double> Model<double>::copy_as<double>() const;

}  // namespace retrograd
