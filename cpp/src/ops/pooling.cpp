// Windows over images, (height, width, channels) a sample. Window (i, j) of a channel holds the pixels
// (i stride - padding + k, j stride - padding + l) for k and l below its size; n is how many those are,
// whether they lie in the image or in its padding.
//
//   max_pool2d:  y = the largest           dx = sum of dy over the windows whose largest the pixel is
//   avg_pool2d:  y = sum / n               dx = sum of dy over the windows that hold the pixel / n
//
// The largest is the first one among equals, and the last NaN where there are any. Padding counts as zeros
// in an average, and as nothing in a maximum.
#include "ops/images.hpp"
#include "ops/list.hpp"

namespace retrograd {

namespace {

struct Windows {
    std::array<std::int64_t, 2> size, stride, padding;

    Windows(const Attributes& attributes, std::string_view op)
        : size(row_and_column(attributes, "size", 1, op)),
          stride(row_and_column(attributes, "stride", 1, op)),
          padding(row_and_column(attributes, "padding", 0, op)) {
        allow_attributes(attributes, op, {"size", "stride", "padding"});
        constexpr std::int64_t most = std::int64_t{1} << 24;  // a float counts no further
        if (size[0] > most / size[1]) {
            throw ArgumentError(text(op, ": a window of ", size[0], " x ", size[1],
                                     " is too large; expected at most ", most, " pixels"));
        }
        for (const std::size_t axis : {0, 1}) {
            if (padding[axis] <= size[axis] / 2) continue;
            throw ArgumentError(
                text(op, ": padding ", padding[axis], " is more than half of size ", size[axis],
                     ", so that windows could lie outside of the image; use at most ", size[axis] / 2));
        }
    }

    [[nodiscard]] Attributes attributes() const {
        return {{"size", listed(size)}, {"stride", listed(stride)}, {"padding", listed(padding)}};
    }

    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const {
        expect_count(inputs, 1, 1, who);
        expect_real(inputs, who);
        const Shape& x = inputs[0].shape;
        expect_images(inputs[0], who);
        Shape y = x;
        for (const std::size_t axis : {0, 1}) {
            const std::int64_t room = x.dims[axis] + 2 * padding[axis];
            if (size[axis] > room) {
                throw ShapeError(text(who, ": a window of ", size[0], " x ", size[1], " does not fit into ",
                                      x.str(), " with padding (", padding[0], ", ", padding[1],
                                      "); expected at least ", size[axis], axis == 0 ? " rows" : " columns",
                                      ", got ", room));
            }
            y.dims[axis] = (room - size[axis]) / stride[axis] + 1;
        }
        return y;
    }

    [[nodiscard]] Pooling over(const Shape& x, const Shape& y) const {
        return {x.dims[0], x.dims[1], x.dims[2], y.dims[0],  y.dims[1], size[0],
                size[1],   stride[0], stride[1], padding[0], padding[1]};
    }
};

template <class Derived>
class Pool : public OpBase<Derived> {
  public:
    Pool(const Attributes& attributes, std::string_view op) : windows_(attributes, op) {}

    [[nodiscard]] Attributes attributes() const override { return windows_.attributes(); }
    [[nodiscard]] Shape infer(std::span<const Input> inputs, std::string_view who) const override {
        return windows_.infer(inputs, who);
    }
    [[nodiscard]] std::int64_t cost(std::span<const Input> inputs, const Shape& y) const override {
        return std::max(inputs[0].shape.size(), y.size() * windows_.size[0] * windows_.size[1]);
    }

  protected:
    Windows windows_;
};

class MaxPool2D : public Pool<MaxPool2D> {
  public:
    explicit MaxPool2D(const Attributes& attributes) : Pool(attributes, "max_pool2d") {}

    [[nodiscard]] std::string_view name() const override { return "max_pool2d"; }
    [[nodiscard]] std::int64_t saved_size(std::span<const Input>, const Shape& y,
                                          std::int64_t n) const override {
        return elements(y, n);  // where the largest stands in each window
    }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        const Pooling p = windows_.over(r.inputs[0].shape, *r.shape);
        for_image_rows(r.y, p.windows_w * p.channels, member, [&](std::int64_t row, std::int64_t end) {
            kernels<T>().max_pool(p, r.x[0].data(), r.y.data(), r.saved.data(), row, end);
        });
    }

    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        const Pooling p = windows_.over(r.inputs[0].shape, *r.shape);
        for_image_rows(r.dx[0], p.width * p.channels, member, [&](std::int64_t row, std::int64_t end) {
            kernels<T>().max_pool_backward(p, r.dy.data(), r.saved.data(), r.dx[0].data(), row, end,
                                           r.accumulate[0] != 0);
        });
    }
};

class AvgPool2D : public Pool<AvgPool2D> {
  public:
    explicit AvgPool2D(const Attributes& attributes) : Pool(attributes, "avg_pool2d") {}

    [[nodiscard]] std::string_view name() const override { return "avg_pool2d"; }

    template <class T>
    void run_forward(const Run<T>& r, const Member& member) const {
        const Pooling p = windows_.over(r.inputs[0].shape, *r.shape);
        const T n = static_cast<T>(p.size_h * p.size_w);  // divided by: the mean of equals is exact
        for_image_rows(r.y, p.windows_w * p.channels, member, [&](std::int64_t row, std::int64_t end) {
            kernels<T>().sum_pool(p, r.x[0].data(), n, r.y.data(), row, end, false);
        });
    }

    template <class T>
    void run_backward(const Run<T>& r, const Member& member) const {
        const Pooling p = windows_.over(r.inputs[0].shape, *r.shape);
        const T share = T(1) / static_cast<T>(p.size_h * p.size_w);
        for_image_rows(r.dx[0], p.width * p.channels, member, [&](std::int64_t row, std::int64_t end) {
            kernels<T>().sum_pool_backward(p, r.dy.data(), share, r.dx[0].data(), row, end,
                                           r.accumulate[0] != 0);
        });
    }
};

}  // namespace

OpPtr make_max_pool2d(const Attributes& attributes) { return std::make_shared<MaxPool2D>(attributes); }
OpPtr make_avg_pool2d(const Attributes& attributes) { return std::make_shared<AvgPool2D>(attributes); }

}  // namespace retrograd
