// The last part of a step: penalty, the norm of the gradient, clipping, the optimizer's one pass over the
// flat buffers.
//
// The buffers are cut into tiles. Those of a large table that is only read by rows (Op::writes_rows), whose
// optimizer rests where a gradient is 0 and which no penalty moves, are cut once more, into pieces of some
// rows: a step then visits the pieces that backward has touched. What it passes over would have added exactly
// 0 to every sum and stayed as it is, so the bits are those of a visit to all.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <retrograd/trainer.hpp>

#include "base/aligned_buffer.hpp"
#include "base/parallel.hpp"
#include "train/update_rule.hpp"

namespace retrograd {

template <class T>
class Updater {
  public:
    Updater(const Model<T>& model, const TrainerOptions& options);

    // Cuts the flat buffers into tiles; again whenever parameters were frozen or unfrozen.
    void lay_out();

    // Views are writable, so whoever lets a stranger run must say so: the next update looks at every number
    // first, and if the stranger could write into gradients no row of them is known to be 0.
    void forget() {
        trusted_ = false;
        model_.review_touched_rows();
    }

    struct Sums {
        double norm = 0, penalty = 0;
        bool finite = true;   // every gradient
        bool trusted = true;  // every parameter and slot is so small that an update cannot overflow
    };

    // By every member, after backward: adds the penalty's gradient and measures, in one sweep. Ends with a
    // barrier.
    void penalise_and_measure(const Member& member) { sweep(member, true); }
    // The same for gradients that have their penalty, or that a stranger wrote.
    void measure(const Member& member) { sweep(member, false); }
    [[nodiscard]] Sums sums() const;  // the same for every member

    // By every member: w <- w - update, as iteration t (from 1). False: a number would not have been finite,
    // and nothing has changed. Ends with a barrier.
    bool apply(const Member& member, const Sums& sums, std::int64_t t, double lr);

    // The parameter where the last apply that failed, or the last sums that were not finite, went wrong.
    [[nodiscard]] std::string culprit() const;

    struct Norms {
        std::vector<double> gradients, updates;  // of each parameter of the graph
    };
    // By every member: apply, with a copy of the old parameters at hand to measure by. One member gets the
    // norms, the others none.
    Norms apply_and_measure(const Member& member, const Sums& sums, std::int64_t t, double lr, bool& good);

    struct Buffers {
        std::vector<AlignedBuffer<T>> slots;
    };
    [[nodiscard]] const std::shared_ptr<Buffers>& buffers() const { return buffers_; }
    [[nodiscard]] const UpdateRule& rule() const { return rule_; }

  private:
    struct Group {  // parameters with the same settings
        UpdateRule rule;
        double lr_scale = 1;
    };
    struct Table {  // a parameter of which only the touched rows are visited
        const TouchedRows* touched;
        std::int64_t offset, count;
        std::int64_t row;                    // elements
        std::int64_t piece_rows, tile_rows;  // the second is a multiple of the first
        std::size_t first_tile = 0, end_tile = 0;
    };
    struct Tile {
        std::int64_t offset, count;
        int group;
        bool penalised;
        int table = -1;
        std::span<const std::int32_t> rows{};           // of a table: those to visit; none: all of the tile
        T square = 0, absolute = 0, weight_square = 0;  // what was measured
        // The largest number before the update and in it: apart, because a member may still read the first of
        // all tiles while another already writes the second of its own.
        T largest_before = 0, largest = 0;
    };
    static constexpr std::int64_t tile_size = 8192, piece_size = 64;
    static constexpr std::int64_t large_table = 8 * tile_size;  // below, all of it is quickly visited

    [[nodiscard]] bool is_tame(double lr) const;  // an update from trusted numbers cannot overflow
    [[nodiscard]] bool has_touched_rows(int parameter) const;
    void choose_tiles();
    // What an update wrote is known to be small, but of a table another step may have visited other rows.
    [[nodiscard]] bool needs_look(const Tile& tile) const { return !trusted_ || tile.table >= 0; }
    template <class F>
    void for_pieces(const Tile& tile, F&& f) const;
    template <class F>
    void for_spans(const Tile& tile, F&& f) const;
    void sweep(const Member& member, bool penalise);
    void write_tile(Tile& tile, const Coefficients& c, double scale);
    struct Piece {  // of one parameter, for its norms
        std::size_t parameter;
        std::int64_t offset, count;
        double gradient = 0, update = 0;  // sums of squares
    };
    void cut_pieces();
    [[nodiscard]] double square(const T* numbers, std::int64_t count) const;
    void keep(const Tile& tile);
    void restore(const Tile& tile);

    const Model<T>& model_;
    const TrainerOptions& options_;
    const Kernels<T>& kernels_ = kernels<T>();
    T *w_, *g_;  // the flat buffers
    UpdateRule rule_;
    const UpdateKernel<T>* kernel_;
    std::shared_ptr<Buffers> buffers_;
    std::vector<Group> groups_;
    std::vector<Table> tables_;
    std::vector<Tile> tiles_;
    std::vector<Tile*> active_;  // what this step visits
    bool tame_ = false;          // the rules of all groups are
    double most_lr_scale_ = 1;   // of all groups, as a magnitude
    AlignedBuffer<T> undo_;      // parameters, then slots; only where an update might overflow
    std::vector<Piece> pieces_;  // of all parameters; none before norms are asked for
    AlignedBuffer<T> before_;    // the parameters before an update whose norms are asked for
    bool trusted_ = false;
    std::int64_t culprit_ = 0;  // offset of a tile
};

}  // namespace retrograd
