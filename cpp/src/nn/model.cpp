#include <retrograd/model.hpp>

#include <algorithm>
#include <mutex>
#include <utility>

#include <retrograd/error.hpp>
#include <retrograd/initializers.hpp>

#include "base/aligned_buffer.hpp"
#include "base/float_environment.hpp"
#include "base/poll.hpp"
#include "kernels/table.hpp"
#include "nn/batch.hpp"
#include "plan/threads.hpp"
#include "plan/workspace.hpp"

namespace retrograd {

template <class T>
struct ModelBuffers {
    AlignedBuffer<T> parameters, gradients, constants;
    std::vector<TouchedRows> touched;             // per node of the graph
    std::atomic<bool> gradients_are_lent{false};  // somebody outside can write into them
};

// Workspaces that wait for the next prediction, so that many threads can predict and none allocates twice.
template <class T>
struct Model<T>::Pool {
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

namespace {

// The kernel's name for an element type that a batch is read from at once; source_count for another.
int source_of(ElementType type) {
    switch (type) {
        case ElementType::f32: return static_cast<int>(Source::f32);
        case ElementType::f64: return static_cast<int>(Source::f64);
        case ElementType::u8: return static_cast<int>(Source::u8);
        default: return source_count;
    }
}

}  // namespace

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
Model<T>::Model(const std::vector<Node>& inputs, const std::vector<Node>& outputs, std::uint64_t seed) {
    if (outputs.empty()) throw GraphError("outputs: expected at least one node, got none");
    auto graph = std::make_shared<Graph>(inputs, outputs);
    for (const Node& node : inputs) {
        const int id = graph->id(node);
        if (std::ranges::find(inputs_, id) != inputs_.end()) {
            throw GraphError("inputs: '" + (*graph)[id].name + "' is listed twice");
        }
        inputs_.push_back(id);
    }
    for (const Node& node : outputs) {
        if (!node.shape().batched) {
            throw GraphError("outputs: '" + (*graph)[graph->id(node)].name +
                             "' has no batch axis; an output must depend on an Input");
        }
        outputs_.push_back(graph->id(node));
    }
    graph_ = std::move(graph);
    frozen_.assign(static_cast<std::size_t>(graph_->size()), false);

    buffers_ = std::make_shared<ModelBuffers<T>>();
    buffers_->parameters = AlignedBuffer<T>(graph_->parameter_count());
    buffers_->gradients = AlignedBuffer<T>(graph_->parameter_count());
    buffers_->constants = AlignedBuffer<T>(graph_->constant_count());
    buffers_->touched.resize(static_cast<std::size_t>(graph_->size()));
    const auto fill = [&](const std::vector<int>& nodes, std::span<T> flat) {
        std::uint32_t stream = 0;
        for (const int id : nodes) {
            const GraphNode& node = (*graph_)[id];
            initialise<T>(graph_->node(id).data().initial, node.shape,
                          {seed, Purpose::initialise, stream++, 0},
                          flat.subspan(static_cast<std::size_t>(node.offset),
                                       static_cast<std::size_t>(node.shape.size())));
        }
    };
    fill(graph_->parameters(), parameters());
    fill(graph_->constants(), constants());
    inference_ = std::make_shared<const Plan>(graph_, outputs_, -1, frozen_, PlanOptions{});
    pool_ = std::make_unique<Pool>();
    few_ = inputs_.size() == 1 && outputs_.size() == 1 && (*graph_)[inputs_[0]].dtype == DType::real &&
           inference_->value_slots()[static_cast<std::size_t>(inputs_[0])] >= 0 &&
           !range_of(*inference_, inputs_[0]).bounded;
}

template <class T>
Model<T>::~Model() = default;

template <class T>
template <class U>
std::unique_ptr<Model<U>> Model<T>::copy_as() const {
    std::vector<Node> inputs, outputs;
    for (const int id : inputs_) inputs.push_back(graph_->node(id));
    for (const int id : outputs_) outputs.push_back(graph_->node(id));
    auto copy = std::make_unique<Model<U>>(inputs, outputs, 0);
    const auto convert = [](std::span<const T> from, std::span<U> to) {
        std::ranges::transform(from, to.begin(), [](T value) { return static_cast<U>(value); });
    };
    convert(parameters(), copy->parameters());
    convert(own_gradients(), copy->own_gradients());
    convert(constants(), copy->constants());
    const std::vector<bool> frozen = this->frozen();
    for (int id = 0; id < graph_->size(); ++id) {
        if (frozen[static_cast<std::size_t>(id)]) copy->set_frozen((*graph_)[id].name, true);
    }
    const std::lock_guard lock(saving_);
    copy->metadata = metadata;
    return copy;
}

template <class T>
std::span<T> Model<T>::parameters() const {
    return buffers_->parameters.span();
}
template <class T>
std::span<T> Model<T>::gradients() const {
    buffers_->gradients_are_lent = true;
    return own_gradients();
}
template <class T>
std::span<T> Model<T>::own_gradients() const {
    return buffers_->gradients.span();
}
template <class T>
std::span<TouchedRows> Model<T>::touched_rows() const {
    return buffers_->touched;
}
template <class T>
void Model<T>::review_touched_rows() const {
    if (!buffers_->gradients_are_lent) return;
    for (TouchedRows& rows : buffers_->touched) rows.all = true;
}
template <class T>
std::span<T> Model<T>::constants() const {
    return buffers_->constants.span();
}
template <class T>
std::shared_ptr<const void> Model<T>::owner() const {
    return buffers_;
}

template <class T>
std::vector<bool> Model<T>::frozen() const {
    const std::lock_guard lock(freezing_);
    return frozen_;
}

template <class T>
void Model<T>::set_frozen(std::string_view parameter, bool frozen) {
    const int id = graph_->find(parameter);
    const bool known =
        id >= 0 && ((*graph_)[id].kind == NodeKind::parameter ||
                    ((*graph_)[id].kind == NodeKind::constant && graph_->node(id).data().layer));
    if (!known) {
        throw ArgumentError("freeze: no parameter is named '" + std::string(parameter) + "'");
    }
    const std::lock_guard lock(freezing_);
    frozen_[static_cast<std::size_t>(id)] = frozen;
    ++frozen_version_;
}

template <class T>
void Model<T>::predict(std::span<const ArrayView> x, std::span<const std::span<T>> out,
                       std::int64_t batch_size, int threads, const std::function<bool()>& interrupted) {
    if (batch_size < 1)
        throw ArgumentError("batch_size: expected at least 1, got " + std::to_string(batch_size));
    if (x.size() != inputs_.size()) {
        throw ShapeError("x: the model has " + std::to_string(inputs_.size()) + " inputs, got " +
                         std::to_string(x.size()) + " arrays");
    }
    std::vector<ArrayView> arrays;
    std::vector<Feed> feeds;
    for (std::size_t i = 0; i < x.size(); ++i) arrays.push_back(fitted(x[i], (*graph_)[inputs_[i]]));
    for (std::size_t i = 0; i < x.size(); ++i) {
        if (arrays[i].rows() != arrays[0].rows()) {
            throw ShapeError(x[i].name + ": it has " + std::to_string(arrays[i].rows()) + " rows, but " +
                             x[0].name + " has " + std::to_string(arrays[0].rows()));
        }
        feeds.push_back({&arrays[i], inputs_[i], range_of(*inference_, inputs_[i])});
    }
    const std::int64_t rows = arrays.empty() ? 0 : arrays[0].rows();
    for (std::size_t k = 0; k < outputs_.size(); ++k) {
        const std::int64_t needed = checked_mul(rows, (*graph_)[outputs_[k]].shape.size());
        if (static_cast<std::int64_t>(out[k].size()) != needed) {
            throw ShapeError("out: expected " + std::to_string(needed) + " elements, got " +
                             std::to_string(out[k].size()));
        }
    }

    const Reading reading(use_);
    const std::int64_t batch = std::min(batch_size, rows);
    const int members = choose_prediction_threads(threads, inference_cost() * batch);
    std::unique_ptr<Workspace<T>> workspace = this->workspace(batch, members);
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
            for (std::size_t k = 0; k < outputs_.size(); ++k) {
                const std::span<const T> y = workspace->value(outputs_[k]);
                const std::int64_t size = (*graph_)[outputs_[k]].shape.size();
                member.for_range(part.count, 1 + 16384 / size, [&](std::int64_t begin, std::int64_t end) {
                    std::copy(y.begin() + begin * size, y.begin() + end * size,
                              out[k].begin() + (part.first + begin) * size);
                });
            }
            member.barrier();
        }
    });
    if (bad.any()) throw_bad_row<T>(feeds, part, bad);
    pool_->give(std::move(workspace));
}

template <class T>
bool Model<T>::predict_few(const void* x, ElementType type, std::int64_t rows, T* out) {
    const int source = source_of(type);
    if (!few_ || source == source_count || rows < 1 || rows > default_batch) return false;
    if (choose_prediction_threads(0, inference_cost() * rows) > 1) return false;
    const Reading reading(use_);
    std::unique_ptr<Workspace<T>> workspace = this->workspace(rows, 1);
    const FloatEnvironment environment;
    const std::span<T> values = workspace->value(inputs_[0]);
    const bool finite = kernels<T>().convert[source](x, values.data(), std::ssize(values));
    if (finite) {
        workspace->forward(Member::alone());
        std::ranges::copy(workspace->value(outputs_[0]), out);
    }
    pool_->give(std::move(workspace));
    return finite;
}

// One that waits, or a new one; bound to `batch` rows.
template <class T>
std::unique_ptr<Workspace<T>> Model<T>::workspace(std::int64_t batch, int members) {
    std::unique_ptr<Workspace<T>> found = pool_->take(members);
    if (!found) {
        found = std::make_unique<Workspace<T>>(
            inference_, Storage<T>{parameters(), own_gradients(), constants()}, members);
    }
    if (found->batch() != batch) {
        found->bind(batch);
        found->prepare(false, false);
    }
    return found;
}

template <class T>
std::int64_t Model<T>::inference_bytes(std::int64_t batch) const {
    const int members = choose_prediction_threads(0, checked_mul(inference_->forward_cost(), batch));
    return inference_->layout(batch).bytes(sizeof(T), members);
}

template class Model<float>;
template class Model<double>;
template std::unique_ptr<Model<float>> Model<float>::copy_as<float>() const;
template std::unique_ptr<Model<double>> Model<float>::copy_as<double>() const;
template std::unique_ptr<Model<float>> Model<double>::copy_as<float>() const;
template std::unique_ptr<Model<double>> Model<double>::copy_as<double>() const;

}  // namespace retrograd
