// Attention by scaled products (Vaswani et al., "Attention is all you need", 2017), each head by itself:
//
//   S = Q K^T / sqrt(width)      P = softmax of the rows of S      Y = (P m) V
//
//   with dP = m (dY V^T) and D_i = sum_j dY_ij Y_ij, which is sum_j P_ij dP_ij:
//   dV = (P m)^T dY              dS = P (dP - D) / sqrt(width)     dQ = dS K          dK = dS^T Q
//
// m is dropout's: 0, or 1 / (1 - dropout). A query attends to the keys that the mask allows (not 0), and with
// `causal` to none behind its own position. Where nothing is left its row of Y is 0, and no gradient passes.
//
// Nothing of queries x keys is kept. Forward saves the logarithm of each row's sum, of which backward makes P
// again (Dao et al., "FlashAttention", 2022); both hold the scores of one block of queries of one head, and
// with `causal` only up to the last key that the block may see. A head of a sample is one member's work.
//
// Operands: q, k, v (each time x features, the heads side by side), or, `packed`, one that has all three side
// by side; then a mask, if there is one.
#include <cmath>

#include "ops/attributes.hpp"
#include "ops/list.hpp"
#include "ops/shape_rules.hpp"
#include "ops/work.hpp"

namespace retrograd {

namespace {

// Rows of one operand, of which a head has some columns.
template <class T>
struct Rows {
    T* data;
    std::int64_t step;

    [[nodiscard]] T* at(std::int64_t i) const { return data + i * step; }
};

struct Sizes {
    std::int64_t samples, heads, queries, keys;
    std::int64_t width;  // features of a head
    std::int64_t block;  // queries at a time

    [[nodiscard]] std::int64_t features() const { return heads * width; }
    // Of a row of scores, in whole blocks of the kernels.
    [[nodiscard]] std::int64_t stride() const { return ceil_div(keys, 16) * 16; }
};

std::int64_t round_up(std::int64_t n) { return ceil_div(n, 16) * 16; }

// What a member holds during one call, one after the other in its scratch.
template <class T>
struct Place {
    T *keys_turned, *values_turned;  // width x stride
    T* plain;                        // keys or values: keys x width
    T *scores, *slopes, *keep;       // block x stride
    T *along, *share;                // block
    T* gemm;

    Place(T* scratch, const Sizes& s) {
        const auto next = [&](std::int64_t size) {
            T* const place = scratch;
            scratch += round_up(size);
            return place;
        };
        keys_turned = next(s.width * s.stride());
        values_turned = next(s.width * s.stride());
        plain = next(s.keys * s.width);
        scores = next(s.block * s.stride());
        slopes = next(s.block * s.stride());
        keep = next(s.block * s.stride());
        along = next(s.block);
        share = next(s.block);
        gemm = scratch;
    }

    static std::int64_t size(const Sizes& s) {
        return 2 * s.width * s.stride() + round_up(s.keys * s.width) + 3 * s.block * s.stride() +
               2 * round_up(s.block) + product_scratch(s.block, s.keys, s.width);
    }
};

class Attention : public OpBase<Attention> {
  public:
    Attention(std::int64_t heads, bool packed, bool causal, double dropout)
        : heads_(heads), packed_(packed), causal_(causal), dropout_(dropout) {}

    [[nodiscard]] std::string_view name() const override { return "attention"; }
    [[nodiscard]] Attributes attributes() const override {
        return {{"heads", heads_}, {"packed", packed_}, {"causal", causal_}, {"dropout", dropout_}};
    }
    [[nodiscard]] Needs needs() const override { return {.inputs = true, .output = true}; }
    [[nodiscard]] bool is_random() const override { return dropout_ > 0; }
    [[nodiscard]] bool differentiable(std::size_t operand) const override { return operand < parts(); }
    [[nodiscard]] Range range(std::span<const Input>, std::size_t) const override;
    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override;

    [[nodiscard]] std::int64_t saved_size(std::span<const Input> in, const Shape&,
                                          std::int64_t batch) const override {
        const Sizes s = sizes(in, batch);
        return s.samples * s.heads * s.queries;
    }
    [[nodiscard]] std::int64_t scratch_size(std::span<const Input> in, const Shape&,
                                            std::int64_t batch) const override {
        return Place<float>::size(sizes(in, batch));
    }
    [[nodiscard]] std::int64_t cost(std::span<const Input> in, const Shape&) const override {
        const Sizes s = sizes(in, 1);
        constexpr std::int64_t exponential = 16;
        return s.queries * s.keys * s.heads * (2 * s.width + exponential) / (causal_ ? 2 : 1);
    }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        const Sizes s = sizes(r.inputs, r.batch);
        const Place<T> place(scratch(r, member), s);
        member.for_each(s.samples * s.heads,
                        [&](std::int64_t i) { forward_head(r, s, place, i / s.heads, i % s.heads, member); });
    }

    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        const Sizes s = sizes(r.inputs, r.batch);
        const Place<T> place(scratch(r, member), s);
        member.for_each(s.samples * s.heads, [&](std::int64_t i) {
            backward_head(r, s, place, i / s.heads, i % s.heads, member);
        });
    }

  private:
    [[nodiscard]] std::size_t parts() const { return packed_ ? 1 : 3; }  // operands without the mask

    [[nodiscard]] Sizes sizes(std::span<const Input> in, std::int64_t batch) const;
    void expect_mask(const Input& mask, std::int64_t queries, std::int64_t keys, std::string_view who) const;

    template <class T>
    static T* scratch(const Run<T>& r, const Member& member) {
        return r.scratch[static_cast<std::size_t>(member.index())].data();
    }

    // The rows of a head in operand 0 (queries), 1 (keys) or 2 (values), or in their gradients; no rows where
    // nothing is there.
    template <class T, class Spans>
    [[nodiscard]] Rows<T> rows(const Spans& spans, const Sizes& s, std::size_t operand, std::int64_t sample,
                               std::int64_t head) const {
        const std::int64_t d = s.features(), step = packed_ ? 3 * d : d;
        const auto& span = spans[packed_ ? 0 : operand];
        if (span.empty()) return {nullptr, step};
        const std::int64_t time = operand == 0 ? s.queries : s.keys;
        const std::int64_t column = head * s.width + (packed_ ? static_cast<std::int64_t>(operand) * d : 0);
        return {span.data() + sample * time * step + column, step};
    }

    template <class T>
    AttentionScores<T> block_of(const Run<T>& r, const Sizes& s, const Place<T>& place, std::int64_t sample,
                                std::int64_t head, std::int64_t first, std::int64_t end) const;
    template <class T>
    void draw_keep(const Run<T>& r, const Sizes& s, std::int64_t row, const AttentionScores<T>& a,
                   T* keep) const;
    template <class T>
    void forward_head(const Run<T>& r, const Sizes& s, const Place<T>& place, std::int64_t sample,
                      std::int64_t head, const Member& member) const;
    template <class T>
    void backward_head(const Run<T>& r, const Sizes& s, const Place<T>& place, std::int64_t sample,
                       std::int64_t head, const Member& member) const;

    std::int64_t heads_;
    bool packed_, causal_;
    double dropout_;
};

// ---- shapes

Op::Range Attention::range(std::span<const Input> inputs, std::size_t operand) const {
    if (operand < parts() || operand >= inputs.size()) return {0, 0};
    return {.low = 0, .high = 1, .bounded = true};
}

Sizes Attention::sizes(std::span<const Input> in, std::int64_t batch) const {
    const Shape &q = in[0].shape, &k = in[packed_ ? 0 : 1].shape;
    const std::int64_t features = packed_ ? q.last() / 3 : q.last();
    Sizes s{batch, heads_, q.dims[0], k.dims[0], features / heads_, 0};
    // With fewer the products have too few rows; with more they hold more of what `causal` hides.
    constexpr std::int64_t at_a_time = 32;
    s.block = std::min(s.queries, at_a_time);
    return s;
}

void Attention::expect_mask(const Input& mask, std::int64_t queries, std::int64_t keys,
                            std::string_view who) const {
    if (mask.dtype != DType::real) {
        throw DTypeError(text(who, ": the mask of shape ", mask.shape.str(),
                              " holds indices, expected 0 and 1; make it rg.Input(..., dtype=\"bool\")"));
    }
    const Shape each{{keys}, true}, all{{queries, keys}, false}, both{{queries, keys}, true};
    if (mask.shape == each || mask.shape == all || mask.shape == both) return;
    throw ShapeError(text(who, ": the mask has shape ", mask.shape.str(), ", expected ", each.str(),
                          " for keys that are padding, or ", all.str(), " or ", both.str(), " for ", queries,
                          " queries and ", keys, " keys"));
}

Shape Attention::infer(std::span<const Input> inputs, std::string_view who) const {
    expect_count(inputs, parts(), parts() + 1, who);
    expect_real(inputs.first(parts()), who);
    for (std::size_t i = 0; i < parts(); ++i) {
        const Shape& x = inputs[i].shape;
        if (x.batched && x.rank() == 2) continue;
        throw ShapeError(text(who, ": operand ", i, " has shape ", x.str(), ", expected (batch, time, ",
                              packed_ ? "3 * features)" : "features)"));
    }
    const Shape &q = inputs[0].shape, &k = inputs[packed_ ? 0 : 1].shape;
    const std::int64_t side_by_side = packed_ ? 3 : 1, features = q.last() / side_by_side;
    if (q.last() % side_by_side != 0 || features % heads_ != 0) {
        throw ShapeError(text(who, ": ", heads_, " heads do not divide the ", features, " features of ",
                              q.str(), "; expected a multiple of ", heads_));
    }
    if (!packed_) {
        const Shape& v = inputs[2].shape;
        if (k.last() != q.last() || v.last() != q.last()) {
            throw ShapeError(text(who, ": queries ", q.str(), ", keys ", k.str(), " and values ", v.str(),
                                  " must have equally many features"));
        }
        if (k.dims[0] != v.dims[0]) {
            throw ShapeError(text(who, ": there are ", k.dims[0], " keys ", k.str(), " but ", v.dims[0],
                                  " values ", v.str(), "; expected one value for each key"));
        }
    }
    if (inputs.size() > parts()) expect_mask(inputs.back(), q.dims[0], k.dims[0], who);
    return {{q.dims[0], features}, true};
}

// ---- one head of one sample

// The scores of the queries [first, end), and what they may see.
template <class T>
AttentionScores<T> Attention::block_of(const Run<T>& r, const Sizes& s, const Place<T>& place,
                                       std::int64_t sample, std::int64_t head, std::int64_t first,
                                       std::int64_t end) const {
    AttentionScores<T> a{};
    a.rows = end - first;
    a.keys = causal_ ? std::min(end, s.keys) : s.keys;
    a.stride = round_up(a.keys);
    a.seen = causal_ ? first + 1 : s.keys;
    a.seen_step = causal_ ? 1 : 0;
    a.scale = T(1) / std::sqrt(static_cast<T>(s.width));
    if (r.x.size() > parts()) {
        const Shape& shape = r.inputs.back().shape;
        const bool each_query = shape.rank() == 2;
        a.mask = r.x.back().data() + (shape.batched ? sample * shape.size() : 0) +
                 (each_query ? first * s.keys : 0);
        a.mask_row = each_query ? s.keys : 0;
    }
    if (r.training && dropout_ > 0) {
        draw_keep(r, s, (sample * s.heads + head) * s.queries + first, a, place.keep);
        a.keep = place.keep;
    }
    return a;
}

// Each row of weights begins a block of random numbers.
template <class T>
void Attention::draw_keep(const Run<T>& r, const Sizes& s, std::int64_t row, const AttentionScores<T>& a,
                          T* keep) const {
    const RandomWords words = random_words(r.key);
    const auto threshold = static_cast<std::uint32_t>(dropout_ * 0x1p32);
    const T kept = static_cast<T>(1 / (1 - dropout_));
    const std::int64_t numbers = ceil_div(s.keys, drawn_together) * drawn_together;
    for (std::int64_t i = 0; i < a.rows; ++i, ++row, keep += a.stride) {
        std::fill_n(keep, a.keys, T(1));
        kernels<T>().dropout(words, threshold, kept, row * numbers, keep, keep, a.keys, false);
    }
}

// The leading keys of a head: rows of `from` side by side, each of `width` numbers.
template <class T>
void gather_rows(Rows<const T> from, std::int64_t count, std::int64_t width, T* to) {
    for (std::int64_t i = 0; i < count; ++i) std::copy_n(from.at(i), width, to + i * width);
}

// C = A B or C += A B by one member, C with rows of its own step.
template <class T>
void multiply_alone(MatrixProduct<T> p, std::int64_t c_row, T* scratch) {
    p.c_row = c_row;
    kernels<T>().gemm(p, 0, p.m, 0, p.n, scratch);
}

template <class T>
void Attention::forward_head(const Run<T>& r, const Sizes& s, const Place<T>& place, std::int64_t sample,
                             std::int64_t head, const Member& member) const {
    const Kernels<T>& k = kernels<T>();
    const auto queries = rows<const T>(r.x, s, 0, sample, head),
               keys = rows<const T>(r.x, s, 1, sample, head), values = rows<const T>(r.x, s, 2, sample, head);
    const std::int64_t d = s.features(), w = s.width;
    T* const y = r.y.data() + sample * s.queries * d + head * w;
    T* const logsumexp = r.saved.data() + (sample * s.heads + head) * s.queries;
    k.transpose(keys.data, keys.step, s.keys, w, place.keys_turned, s.stride());
    gather_rows(values, s.keys, w, place.plain);
    for (std::int64_t first = 0; first < s.queries; first += s.block) {
        const std::int64_t end = std::min(first + s.block, s.queries);
        const AttentionScores<T> a = block_of(r, s, place, sample, head, first, end);
        multiply_alone(product(a.rows, a.keys, w, Matrix<T>{queries.at(first), queries.step, 1},
                               matrix<T>(place.keys_turned, s.stride()), place.scores),
                       a.stride, place.gemm);
        k.attention_weights(a, place.scores, logsumexp + first, place.share);
        multiply_alone(product(a.rows, w, a.keys, matrix<T>(place.scores, a.stride),
                               matrix<T>(place.plain, w), y + first * d),
                       d, place.gemm);
        for (std::int64_t i = 0; i < a.rows; ++i) {
            T* const row = y + (first + i) * d;
            k.scale(row, place.share[i], row, w, false);
        }
        member.poll(2 * a.rows * a.keys * w);
    }
}

template <class T>
void Attention::backward_head(const Run<T>& r, const Sizes& s, const Place<T>& place, std::int64_t sample,
                              std::int64_t head, const Member& member) const {
    const Kernels<T>& k = kernels<T>();
    const auto queries = rows<const T>(r.x, s, 0, sample, head),
               keys = rows<const T>(r.x, s, 1, sample, head), values = rows<const T>(r.x, s, 2, sample, head);
    const auto dq = rows<T>(r.dx, s, 0, sample, head), dk = rows<T>(r.dx, s, 1, sample, head),
               dv = rows<T>(r.dx, s, 2, sample, head);
    const auto adds = [&](std::size_t operand) { return r.accumulate[packed_ ? 0 : operand] != 0; };
    const std::int64_t d = s.features(), w = s.width, corner = sample * s.queries * d + head * w;
    const T *const y = r.y.data() + corner, *const dy = r.dy.data() + corner;
    const T* const logsumexp = r.saved.data() + (sample * s.heads + head) * s.queries;
    k.transpose(keys.data, keys.step, s.keys, w, place.keys_turned, s.stride());
    k.transpose(values.data, values.step, s.keys, w, place.values_turned, s.stride());
    gather_rows(keys, s.keys, w, place.plain);

    // From the last block to the first: with `causal` each sees no more keys than the one before it, so the
    // first to come writes the gradients of keys and values, and all others add.
    bool again = false;
    for (std::int64_t first = (s.queries - 1) / s.block * s.block; first >= 0;
         first -= s.block, again = true) {
        const std::int64_t end = std::min(first + s.block, s.queries);
        const AttentionScores<T> a = block_of(r, s, place, sample, head, first, end);
        const Matrix<T> q{queries.at(first), queries.step, 1}, delta{dy + first * d, d, 1};
        const auto multiply_rows = [&](const MatrixProduct<T>& p, std::int64_t c_row) {
            multiply_alone(p, c_row, place.gemm);
        };
        multiply_rows(product(a.rows, a.keys, w, q, matrix<T>(place.keys_turned, s.stride()), place.scores),
                      a.stride);
        multiply_rows(
            product(a.rows, a.keys, w, delta, matrix<T>(place.values_turned, s.stride()), place.slopes),
            a.stride);
        for (std::int64_t i = 0; i < a.rows; ++i) {
            place.along[i] = k.dot(y + (first + i) * d, dy + (first + i) * d, w);
        }
        k.attention_slopes(a, logsumexp + first, place.along, place.scores, place.slopes);
        if (dq.data != nullptr) {
            multiply_rows(product(a.rows, w, a.keys, matrix<T>(place.slopes, a.stride),
                                  matrix<T>(place.plain, w), dq.at(first), adds(0)),
                          dq.step);
        }
        if (dk.data != nullptr) {
            multiply_rows(product(a.keys, w, a.rows, transposed<T>(place.slopes, a.stride), q, dk.data,
                                  again || adds(1)),
                          dk.step);
        }
        if (dv.data != nullptr) {
            multiply_rows(product(a.keys, w, a.rows, transposed<T>(place.scores, a.stride), delta, dv.data,
                                  again || adds(2)),
                          dv.step);
        }
        member.poll(5 * a.rows * a.keys * w);
    }
    for (std::int64_t i = causal_ ? std::min(s.queries, s.keys) : s.keys; i < s.keys; ++i) {  // never seen
        if (dk.data != nullptr && !adds(1)) std::fill_n(dk.at(i), w, T(0));
        if (dv.data != nullptr && !adds(2)) std::fill_n(dv.at(i), w, T(0));
    }
}

}  // namespace

OpPtr make_attention(const Attributes& attributes) {
    allow_attributes(attributes, "attention", {"heads", "packed", "causal", "dropout"});
    const std::int64_t heads = get_int(attributes, "heads");
    const double dropout = get_double(attributes, "dropout");
    if (heads < 1) throw ArgumentError(text("attention: heads is ", heads, ", expected at least 1"));
    if (!(dropout >= 0 && dropout < 1)) {
        throw ArgumentError(text("attention: dropout is ", dropout, ", expected at least 0 and less than 1"));
    }
    return std::make_shared<Attention>(heads, get_bool(attributes, "packed"), get_bool(attributes, "causal"),
                                       dropout);
}

}  // namespace retrograd
