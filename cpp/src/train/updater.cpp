#include "train/updater.hpp"

#include <algorithm>
#include <cmath>

#include <retrograd/error.hpp>

#include "base/glob.hpp"

namespace retrograd {
namespace {

constexpr double tame_magnitude = 1e15;  // its square, and its product with an ordinary rate, fit in a float

template <class T>
T larger(T a, T b) {  // NaN where either is
    return a >= b || std::isnan(a) ? a : b;
}

// Weights are penalised; biases and what normalises are not. A variable outside of layers is what its name
// says.
bool is_penalised(const Node& node) {
    const Node::Data& data = node.data();
    if (!data.layer) return data.name.ends_with("weight");
    return data.role.find("weight") != std::string::npos &&
           data.layer->kind.find("norm") == std::string::npos;
}

}  // namespace

template <class T>
Updater<T>::Updater(const Model<T>& model, const TrainerOptions& options)
    : model_(model),
      options_(options),
      w_(model.parameters().data()),
      g_(model.own_gradients().data()),
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
    tables_.clear();
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
    const std::vector<bool> frozen = model_.frozen();
    std::vector<Tile> runs;  // neighbours with equal settings are one
    for (const int id : graph.parameters()) {
        if (frozen[static_cast<std::size_t>(id)]) continue;
        int group = 0;
        for (std::size_t g = 0; g < options_.groups.size() && group == 0; ++g) {
            if (matches(options_.groups[g].pattern, graph[id].name)) group = static_cast<int>(g) + 1;
        }
        const bool penalised = penalty && is_penalised(graph.node(id));
        const std::int64_t offset = graph[id].offset, count = graph[id].shape.size();
        if (!penalised && groups_[static_cast<std::size_t>(group)].rule.rests() && has_touched_rows(id)) {
            const std::int64_t row = count / graph[id].shape.dims[0];
            const std::int64_t piece_rows = std::max<std::int64_t>(1, piece_size / row);
            const std::int64_t tile_rows =
                std::max<std::int64_t>(1, tile_size / (piece_rows * row)) * piece_rows;
            tables_.push_back({&model_.touched_rows()[static_cast<std::size_t>(id)], offset, count, row,
                               piece_rows, tile_rows});
            runs.push_back({offset, count, group, false, static_cast<int>(tables_.size()) - 1});
        } else if (!runs.empty() && runs.back().table < 0 &&
                   runs.back().offset + runs.back().count == offset && runs.back().group == group &&
                   runs.back().penalised == penalised) {
            runs.back().count += count;
        } else {
            runs.push_back({offset, count, group, penalised});
        }
    }
    for (const Tile& run : runs) {
        Table* const table = run.table < 0 ? nullptr : &tables_[static_cast<std::size_t>(run.table)];
        const std::int64_t size = table == nullptr ? tile_size : table->tile_rows * table->row;
        if (table != nullptr) table->first_tile = tiles_.size();
        for (std::int64_t i = 0; i < run.count; i += size) {
            tiles_.push_back(run);
            tiles_.back().offset = run.offset + i;
            tiles_.back().count = std::min(size, run.count - i);
        }
        if (table != nullptr) table->end_tile = tiles_.size();
    }
    active_.clear();
    for (Tile& tile : tiles_) active_.push_back(&tile);
    trusted_ = false;
}

// Whether a parameter is a large table of which nothing is read but rows.
template <class T>
bool Updater<T>::has_touched_rows(int parameter) const {
    const Graph& graph = *model_.graph();
    if (graph[parameter].shape.size() < large_table) return false;
    for (int id = 0; id < graph.size(); ++id) {
        const GraphNode& node = graph[id];
        for (std::size_t i = 0; i < node.inputs.size(); ++i) {
            if (node.inputs[i] == parameter && (i != 0 || !node.op->writes_rows())) return false;
        }
    }
    return true;
}

// By one member, after backward: all tiles, but of a table only those with touched rows; in the order in
// which they lie.
template <class T>
void Updater<T>::choose_tiles() {
    active_.clear();
    const auto add = [&](std::size_t begin, std::size_t end) {
        for (; begin < end; ++begin) active_.push_back(&tiles_[begin]);
    };
    std::size_t next = 0;
    for (const Table& table : tables_) {
        add(next, table.first_tile);
        next = table.end_tile;
        if (table.touched->all) {
            for (std::size_t i = table.first_tile; i < table.end_tile; ++i) tiles_[i].rows = {};
            add(table.first_tile, table.end_tile);
            continue;
        }
        const std::span<const std::int32_t> rows = table.touched->list;
        for (std::size_t i = 0; i < rows.size();) {
            const std::int64_t tile = rows[i] / table.tile_rows;
            std::size_t end = i + 1;
            while (end < rows.size() && rows[end] / table.tile_rows == tile) ++end;
            active_.push_back(&tiles_[table.first_tile + static_cast<std::size_t>(tile)]);
            active_.back()->rows = rows.subspan(i, end - i);
            i = end;
        }
    }
    add(next, tiles_.size());
}

// f(offset, count) for what is to be visited of a tile; a sum over it is one over pieces.
template <class T>
template <class F>
void Updater<T>::for_pieces(const Tile& tile, F&& f) const {
    if (tile.table < 0) return f(tile.offset, tile.count);
    const Table& table = tables_[static_cast<std::size_t>(tile.table)];
    const std::int64_t size = table.piece_rows * table.row, tile_end = tile.offset + tile.count;
    const auto piece = [&](std::int64_t offset) { f(offset, std::min(size, tile_end - offset)); };
    if (tile.rows.empty()) {
        for (std::int64_t offset = tile.offset; offset < tile_end; offset += size) piece(offset);
        return;
    }
    std::int64_t before = -1;
    for (const std::int32_t row : tile.rows) {
        if (row / table.piece_rows == before) continue;
        before = row / table.piece_rows;
        piece(table.offset + before * size);
    }
}

// The same for what does not depend on where it is cut.
template <class T>
template <class F>
void Updater<T>::for_spans(const Tile& tile, F&& f) const {
    if (tile.rows.empty()) return f(tile.offset, tile.count);
    for_pieces(tile, f);
}

template <class T>
void Updater<T>::sweep(const Member& member, bool penalise) {
    const Kernels<T>& k = kernels_;
    T *w = w_, *g = g_;
    const T l1 = static_cast<T>(options_.l1), l2 = static_cast<T>(options_.l2);
    if (!tables_.empty()) {
        if (member.index() == 0) choose_tiles();
        member.barrier();
    }
    member.for_each(std::ssize(active_), [&](std::int64_t i) {
        Tile& tile = *active_[static_cast<std::size_t>(i)];
        if (tile.penalised && penalise) {
            k.penalty_gradient(w + tile.offset, g + tile.offset, tile.count, l1, l2);
            tile.absolute = k.sum_abs(w + tile.offset, tile.count);
            tile.weight_square = k.sum_of_squares(w + tile.offset, tile.count);
        }
        tile.square = 0;
        for_pieces(tile, [&](std::int64_t offset, std::int64_t count) {
            tile.square += k.sum_of_squares(g + offset, count);
        });
        if (needs_look(tile)) {
            T largest = 0;
            const auto meet = [&](T other) { largest = larger(largest, other); };
            for_spans(tile, [&](std::int64_t offset, std::int64_t count) {
                meet(k.max_abs(w + offset, count));
                for (AlignedBuffer<T>& slot : buffers_->slots) meet(k.max_abs(slot.data() + offset, count));
            });
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
    for (const Tile* tile : active_) {
        square += static_cast<double>(tile->square);
        absolute += static_cast<double>(tile->absolute);
        weight_square += static_cast<double>(tile->weight_square);
        small &= !needs_look(*tile) || static_cast<double>(tile->largest_before) < tame_magnitude;
    }
    if (!std::isfinite(square)) {
        // A sum of squares overflows long before the numbers themselves do: look again in double.
        square = 0;
        for (const Tile* tile : active_) {
            for_spans(*tile, [&](std::int64_t offset, std::int64_t count) {
                for (const T* g = g_ + offset; count > 0; ++g, --count) {
                    sums.finite &= std::isfinite(*g);
                    square += static_cast<double>(*g) * static_cast<double>(*g);
                }
            });
        }
    }
    sums.norm = std::sqrt(square);
    sums.penalty = options_.l1 * absolute + options_.l2 / 2 * weight_square;
    sums.trusted = small && sums.norm < tame_magnitude;
    return sums;
}

template <class T>
void Updater<T>::keep(const Tile& tile) {
    const auto size = static_cast<std::int64_t>(model_.parameters().size());
    for_spans(tile, [&](std::int64_t offset, std::int64_t count) {
        std::copy_n(w_ + offset, count, undo_.data() + offset);
        for (std::size_t s = 0; s < buffers_->slots.size(); ++s) {
            std::copy_n(buffers_->slots[s].data() + offset, count,
                        undo_.data() + static_cast<std::int64_t>(s + 1) * size + offset);
        }
    });
}

template <class T>
void Updater<T>::restore(const Tile& tile) {
    const auto size = static_cast<std::int64_t>(model_.parameters().size());
    for_spans(tile, [&](std::int64_t offset, std::int64_t count) {
        std::copy_n(undo_.data() + offset, count, w_ + offset);
        for (std::size_t s = 0; s < buffers_->slots.size(); ++s) {
            std::copy_n(undo_.data() + static_cast<std::int64_t>(s + 1) * size + offset, count,
                        buffers_->slots[s].data() + offset);
        }
    });
}

template <class T>
void Updater<T>::write_tile(Tile& tile, const Coefficients& c, double scale) {
    const double clip = options_.clip_value > 0 ? options_.clip_value : static_cast<double>(INFINITY);
    tile.largest = 0;
    for_spans(tile, [&](std::int64_t offset, std::int64_t count) {
        T* slots[max_slots] = {};
        for (std::size_t s = 0; s < buffers_->slots.size(); ++s)
            slots[s] = buffers_->slots[s].data() + offset;
        const T largest = kernel_->apply(w_ + offset, g_ + offset, slots, count, c.data(), scale, clip);
        tile.largest = larger(tile.largest, largest);
    });
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
    member.for_each(std::ssize(active_), [&](std::int64_t i) {
        Tile& tile = *active_[static_cast<std::size_t>(i)];
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
    for (const Tile* tile : active_) {
        if (!std::isfinite(tile->largest) && good && member.index() == 0) culprit_ = tile->offset;
        good &= std::isfinite(tile->largest);
        small &= static_cast<double>(tile->largest) < tame_magnitude;
    }
    if (!good && careful) {
        member.for_each(std::ssize(active_),
                        [&](std::int64_t i) { restore(*active_[static_cast<std::size_t>(i)]); });
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
void Updater<T>::cut_pieces() {
    const Graph& graph = *model_.graph();
    for (std::size_t p = 0; p < graph.parameters().size(); ++p) {
        const GraphNode& node = graph[graph.parameters()[p]];
        const std::int64_t end = node.offset + node.shape.size();
        for (std::int64_t offset = node.offset; offset < end; offset += tile_size) {
            pieces_.push_back({p, offset, std::min(tile_size, end - offset)});
        }
    }
    before_ = AlignedBuffer<T>(static_cast<std::int64_t>(model_.parameters().size()));
}

// The sum of squares; in double where those of floats would leave their range.
template <class T>
double Updater<T>::square(const T* numbers, std::int64_t count) const {
    const auto largest = static_cast<double>(kernels_.max_abs(numbers, count));
    if (largest > 1e-12 && largest < 1e12)
        return static_cast<double>(kernels_.sum_of_squares(numbers, count));
    double sum = 0;
    for (const T* x = numbers; x != numbers + count; ++x)
        sum += static_cast<double>(*x) * static_cast<double>(*x);
    return sum;
}

template <class T>
typename Updater<T>::Norms Updater<T>::apply_and_measure(const Member& member, const Sums& sums,
                                                         std::int64_t t, double lr, bool& good) {
    if (member.index() == 0 && pieces_.empty()) cut_pieces();
    member.barrier();
    const auto each_piece = [&](auto&& f) {
        member.for_each(std::ssize(pieces_),
                        [&](std::int64_t i) { f(pieces_[static_cast<std::size_t>(i)]); });
        member.barrier();
    };
    each_piece([&](Piece& piece) {
        piece.gradient = square(g_ + piece.offset, piece.count);
        std::copy_n(w_ + piece.offset, piece.count, before_.data() + piece.offset);
    });
    good = apply(member, sums, t, lr);
    each_piece([&](Piece& piece) {
        const T* w = w_ + piece.offset;
        T* change = before_.data() + piece.offset;
        for (std::int64_t i = 0; i < piece.count; ++i) change[i] = w[i] - change[i];
        piece.update = square(change, piece.count);
    });
    Norms norms;
    if (member.index() != 0) return norms;
    norms.gradients.assign(model_.graph()->parameters().size(), 0.0);
    norms.updates = norms.gradients;
    for (const Piece& piece : pieces_) {
        norms.gradients[piece.parameter] += piece.gradient;
        norms.updates[piece.parameter] += piece.update;
    }
    for (double& norm : norms.gradients) norm = std::sqrt(norm);
    for (double& norm : norms.updates) norm = std::sqrt(norm);
    return norms;
}

template class Updater<float>;
template class Updater<double>;

}  // namespace retrograd
