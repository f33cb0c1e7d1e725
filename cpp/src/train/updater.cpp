#include "train/updater.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <retrograd/error.hpp>

#include "train/glob.hpp"

namespace retrograd {
namespace {

constexpr double tame_magnitude = 1e15;  // its square, and its product with an ordinary rate, fit in a float

// Weights are penalised; biases and what normalises are not.
bool is_penalised(const Node& node) {
    const Node::Data& data = node.data();
    return data.layer && data.role.find("weight") != std::string::npos &&
           data.layer->kind.find("norm") == std::string::npos;
}

}  // namespace

template <class T>
Updater<T>::Updater(const Model<T>& model, const TrainerOptions& options)
    : model_(model),
      options_(options),
      w_(model.parameters().data()),
      g_(model.gradients().data()),
      rule_(options.optimizer),
      kernel_(find_kernel(kernels_.updates, rule_.name())),
      buffers_(std::make_shared<Buffers>()) {
    const auto size = static_cast<std::int64_t>(model.parameters().size());
    for (std::size_t i = 0; i < rule_.slots().size(); ++i) {
        buffers_->slots.emplace_back(size);
        std::ranges::fill(buffers_->slots.back(), static_cast<T>(rule_.initial_slot(i)));
    }
    const Graph& graph = *model.graph();
    for (const ParamGroup& group : options.groups) {
        bool any = false;
        for (const int id : graph.parameters()) any |= matches(group.pattern, graph[id].name);
        if (!any) {
            std::string names;
            for (const int id : graph.parameters()) names += (names.empty() ? "" : ", ") + graph[id].name;
            throw ArgumentError("param_groups: '" + group.pattern + "' matches no parameter; there are " +
                                names);
        }
    }
    lay_out();
}

template <class T>
void Updater<T>::lay_out() {
    tiles_.clear();
    groups_.assign(1, Group{rule_});
    for (const ParamGroup& group : options_.groups) {
        Group settings{rule_};
        for (const auto& [key, value] : group.settings) {
            if (key == "lr_scale") {
                settings.lr_scale = value;
            } else if (key == "weight_decay") {
                settings.rule = rule_.with_weight_decay(value);
            } else {
                throw ArgumentError("param_groups: unknown setting '" + key +
                                    "'; choose lr_scale or weight_decay");
            }
        }
        groups_.push_back(std::move(settings));
    }
    tame_ = true;
    most_lr_scale_ = 0;
    for (const Group& group : groups_) {
        tame_ &= group.rule.tame() && std::isfinite(group.lr_scale);
        most_lr_scale_ = std::max(most_lr_scale_, std::abs(group.lr_scale));
    }
    const Graph& graph = *model_.graph();
    const bool penalty = options_.l1 != 0 || options_.l2 != 0;
    struct Run {
        std::int64_t offset, count;
        int group;
        bool penalised;
    };
    std::vector<Run> runs;  // neighbours with equal settings are one
    for (const int id : graph.parameters()) {
        if (model_.frozen()[static_cast<std::size_t>(id)]) continue;
        int group = 0;
        for (std::size_t g = 0; g < options_.groups.size() && group == 0; ++g) {
            if (matches(options_.groups[g].pattern, graph[id].name)) group = static_cast<int>(g) + 1;
        }
        const bool penalised = penalty && is_penalised(graph.node(id));
        const std::int64_t offset = graph[id].offset, count = graph[id].shape.size();
        if (!runs.empty() && runs.back().offset + runs.back().count == offset && runs.back().group == group &&
            runs.back().penalised == penalised) {
            runs.back().count += count;
        } else {
            runs.push_back({offset, count, group, penalised});
        }
    }
    for (const Run& run : runs) {
        for (std::int64_t i = 0; i < run.count; i += tile_size) {
            tiles_.push_back({run.offset + i, std::min(tile_size, run.count - i), run.group, run.penalised});
        }
    }
    trusted_ = false;
}

template <class T>
void Updater<T>::sweep(const Member& member, bool penalise) {
    const Kernels<T>& k = kernels_;
    T *w = w_, *g = g_;
    const T l1 = static_cast<T>(options_.l1), l2 = static_cast<T>(options_.l2);
    member.for_each(static_cast<std::int64_t>(tiles_.size()), [&](std::int64_t i) {
        Tile& tile = tiles_[static_cast<std::size_t>(i)];
        if (tile.penalised && penalise) {
            k.penalty_gradient(w + tile.offset, g + tile.offset, tile.count, l1, l2);
            tile.absolute = k.sum_abs(w + tile.offset, tile.count);
            tile.weight_square = k.sum_of_squares(w + tile.offset, tile.count);
        }
        tile.square = k.sum_of_squares(g + tile.offset, tile.count);
        if (!trusted_) {
            T largest = k.max_abs(w + tile.offset, tile.count);
            for (AlignedBuffer<T>& slot : buffers_->slots) {
                const T other = k.max_abs(slot.data() + tile.offset, tile.count);
                if (!(other <= largest)) largest = other;  // NaN is kept
            }
            tile.largest_before = largest;
        }
    });
    member.barrier();
}

template <class T>
typename Updater<T>::Sums Updater<T>::sums() const {
    Sums sums;
    double square = 0, absolute = 0, weight_square = 0;
    bool small = true;
    for (const Tile& tile : tiles_) {
        square += static_cast<double>(tile.square);
        absolute += static_cast<double>(tile.absolute);
        weight_square += static_cast<double>(tile.weight_square);
        small &= trusted_ || static_cast<double>(tile.largest_before) < tame_magnitude;
    }
    if (!std::isfinite(square)) {
        // A sum of squares overflows long before the numbers themselves do: look again in double.
        square = 0;
        for (const Tile& tile : tiles_) {
            const T* g = g_ + tile.offset;
            for (std::int64_t i = 0; i < tile.count; ++i) {
                sums.finite &= std::isfinite(g[i]);
                square += static_cast<double>(g[i]) * static_cast<double>(g[i]);
            }
        }
    }
    sums.norm = std::sqrt(square);
    sums.penalty = options_.l1 * absolute + options_.l2 / 2 * weight_square;
    sums.trusted = small && sums.norm < tame_magnitude;
    return sums;
}

template <class T>
void Updater<T>::keep(const Tile& tile) {
    const auto bytes = static_cast<std::size_t>(tile.count) * sizeof(T);
    const auto size = static_cast<std::int64_t>(model_.parameters().size());
    std::memcpy(undo_.data() + tile.offset, w_ + tile.offset, bytes);
    for (std::size_t s = 0; s < buffers_->slots.size(); ++s) {
        std::memcpy(undo_.data() + static_cast<std::int64_t>(s + 1) * size + tile.offset,
                    buffers_->slots[s].data() + tile.offset, bytes);
    }
}

template <class T>
void Updater<T>::restore(const Tile& tile) {
    const auto bytes = static_cast<std::size_t>(tile.count) * sizeof(T);
    const auto size = static_cast<std::int64_t>(model_.parameters().size());
    std::memcpy(w_ + tile.offset, undo_.data() + tile.offset, bytes);
    for (std::size_t s = 0; s < buffers_->slots.size(); ++s) {
        std::memcpy(buffers_->slots[s].data() + tile.offset,
                    undo_.data() + static_cast<std::int64_t>(s + 1) * size + tile.offset, bytes);
    }
}

template <class T>
void Updater<T>::write_tile(Tile& tile, const Coefficients& c, double scale) {
    T* slots[max_slots] = {};
    for (std::size_t s = 0; s < buffers_->slots.size(); ++s)
        slots[s] = buffers_->slots[s].data() + tile.offset;
    const double clip = options_.clip_value > 0 ? options_.clip_value : static_cast<double>(INFINITY);
    tile.largest =
        kernel_->apply(w_ + tile.offset, g_ + tile.offset, slots, tile.count, c.data(), scale, clip);
}

template <class T>
bool Updater<T>::is_tame(double lr) const {
    return tame_ && std::abs(lr) * most_lr_scale_ < 1e3;
}

template <class T>
bool Updater<T>::apply(const Member& member, const Sums& sums, std::int64_t t, double lr) {
    // PyTorch's clip_grad_norm_: the small number keeps a zero norm from dividing.
    const double scale =
        options_.clip_norm > 0 ? std::min(1.0, options_.clip_norm / (sums.norm + 1e-6)) : 1.0;
    const bool careful = !(sums.trusted && is_tame(lr));
    if (careful && undo_.empty()) {
        // Every member sees the same `careful`; one of them makes the room.
        member.barrier();
        if (member.index() == 0) {
            undo_ = AlignedBuffer<T>(checked_mul(static_cast<std::int64_t>(model_.parameters().size()),
                                                 static_cast<std::int64_t>(buffers_->slots.size()) + 1));
        }
        member.barrier();
    }
    Coefficients c{};
    int group = -1;
    member.for_each(static_cast<std::int64_t>(tiles_.size()), [&](std::int64_t i) {
        Tile& tile = tiles_[static_cast<std::size_t>(i)];
        if (tile.group != group) {
            group = tile.group;
            const Group& settings = groups_[static_cast<std::size_t>(group)];
            settings.rule.prepare(t, lr * settings.lr_scale, c);
        }
        if (careful) keep(tile);
        write_tile(tile, c, scale);
    });
    member.barrier();
    bool good = true, small = true;
    for (const Tile& tile : tiles_) {
        if (!std::isfinite(tile.largest) && good && member.index() == 0) culprit_ = tile.offset;
        good &= std::isfinite(tile.largest);
        small &= static_cast<double>(tile.largest) < tame_magnitude;
    }
    if (!good && careful) {
        member.for_each(static_cast<std::int64_t>(tiles_.size()),
                        [&](std::int64_t i) { restore(tiles_[static_cast<std::size_t>(i)]); });
    }
    if (member.index() == 0) trusted_ = good && small;
    member.barrier();
    return good;
}

template <class T>
std::string Updater<T>::culprit() const {
    const Graph& graph = *model_.graph();
    for (const int id : graph.parameters()) {
        if (culprit_ < graph[id].offset + graph[id].shape.size()) return graph[id].name;
    }
    return "a parameter";
}

template <class T>
std::vector<double> Updater<T>::update_norms(const Member& member, const Sums& sums, std::int64_t t,
                                             double lr, bool& good) {
    std::vector<T> before;
    if (member.index() == 0) before.assign(model_.parameters().begin(), model_.parameters().end());
    member.barrier();
    good = apply(member, sums, t, lr);
    std::vector<double> norms;
    if (member.index() == 0) {
        const Graph& graph = *model_.graph();
        for (const int id : graph.parameters()) {
            double square = 0;
            for (std::int64_t i = 0; i < graph[id].shape.size(); ++i) {
                const auto at = static_cast<std::size_t>(graph[id].offset + i);
                const double d =
                    static_cast<double>(model_.parameters()[at]) - static_cast<double>(before[at]);
                square += d * d;
            }
            norms.push_back(std::sqrt(square));
        }
    }
    return norms;
}

template class Updater<float>;
template class Updater<double>;

}  // namespace retrograd
