// Stride, padding, dilation and groups: read, checked, and met with the shapes of image and kernel.
#include "ops/attributes.hpp"
#include "ops/convolution.hpp"

namespace retrograd {

namespace {

std::vector<std::int64_t> sizes_of(const Attributes& given, const char* op, const char* name,
                                   std::size_t axes, std::int64_t otherwise, std::int64_t least) {
    if (!given.contains(name)) return std::vector<std::int64_t>(axes, otherwise);
    std::vector<std::int64_t> sizes = get_ints(given, name);
    const std::string shown = Shape{sizes, false}.str();
    if (sizes.size() != axes) {
        throw ArgumentError(text(op, ": ", name, " is ", shown, ", expected ", axes,
                                 axes == 1 ? " number" : " numbers, one for each axis"));
    }
    for (const std::int64_t size : sizes) {
        if (size < least || size > most_of_attribute) {
            throw ArgumentError(text(op, ": ", name, " is ", shown, ", expected numbers from ", least, " to ",
                                     most_of_attribute));
        }
    }
    return sizes;
}

std::string sizes_text(std::initializer_list<std::int64_t> sizes) { return Shape{sizes, false}.str(); }

}  // namespace

ConvAttributes read_conv_attributes(const Attributes& given, const char* op, std::size_t axes,
                                    bool transposed) {
    if (transposed)
        allow_attributes(given, op, {"stride", "padding", "output_padding", "dilation", "groups"});
    else
        allow_attributes(given, op, {"stride", "padding", "dilation", "groups"});
    ConvAttributes a;
    a.stride = sizes_of(given, op, "stride", axes, 1, 1);
    a.dilation = sizes_of(given, op, "dilation", axes, 1, 1);
    a.output_padding = sizes_of(given, op, "output_padding", axes, 0, 0);
    const auto padding = given.find("padding");
    if (padding != given.end() && std::holds_alternative<std::string>(padding->second) && !transposed) {
        const std::string& word = std::get<std::string>(padding->second);
        if (word != "same") {
            throw ArgumentError(text(op, ": padding is '", word, "', expected 'same' or ", axes, " numbers"));
        }
        a.same = true;
        a.padding.assign(axes, 0);
        for (const std::int64_t stride : a.stride) {
            if (stride == 1) continue;
            throw ArgumentError(text(op, ": padding 'same' needs stride 1, got ",
                                     Shape{a.stride, false}.str(), "; give the padding in numbers"));
        }
    } else {
        a.padding = sizes_of(given, op, "padding", axes, 0, 0);
    }
    for (std::size_t i = 0; i < axes; ++i) {
        if (a.output_padding[i] < std::max(a.stride[i], a.dilation[i])) continue;
        throw ArgumentError(text(op, ": output_padding ", Shape{a.output_padding, false}.str(),
                                 " must be smaller than stride ", Shape{a.stride, false}.str(),
                                 " or dilation ", Shape{a.dilation, false}.str()));
    }
    a.groups = int_or(given, "groups", 1);
    if (a.groups < 1) throw ArgumentError(text(op, ": groups is ", a.groups, ", expected at least 1"));
    return a;
}

Attributes as_attributes(const ConvAttributes& a, bool transposed) {
    Attributes all{{"stride", a.stride}, {"dilation", a.dilation}, {"groups", a.groups}};
    if (a.same)
        all["padding"] = std::string("same");
    else
        all["padding"] = a.padding;
    if (transposed) all["output_padding"] = a.output_padding;
    return all;
}

ConvSizes conv_sizes(const ConvAttributes& a, const std::vector<std::int64_t>& image,
                     const std::vector<std::int64_t>& kernel, std::int64_t batch) {
    const bool flat = image.size() == 2;  // (time, channels) is an image of one row
    const auto axis = [&](std::size_t i) {
        ConvAxis one{image[i], 0, kernel[i + 1], a.stride[i], a.padding[i], a.padding[i], a.dilation[i]};
        if (a.same) {  // of an odd number more stands behind
            const std::int64_t both = one.span() - 1;
            one.before = both / 2;
            one.after = both - one.before;
        }
        one.out = (one.in + one.before + one.after - one.span()) / one.stride + 1;
        return one;
    };
    ConvSizes s{};
    s.batch = batch;
    s.h = flat ? ConvAxis{1, 1, 1, 1, 0, 0, 1} : axis(0);
    s.w = axis(flat ? 0 : 1);
    s.channels = image.back();
    s.filters = kernel.front();
    s.groups = a.groups;
    return s;
}

ConvSizes transposed_sizes(const ConvAttributes& a, const std::vector<std::int64_t>& small,
                           const std::vector<std::int64_t>& kernel, std::int64_t batch) {
    const auto axis = [&](std::size_t i) {
        ConvAxis one{0, small[i], kernel[i + 1], a.stride[i], a.padding[i], a.padding[i], a.dilation[i]};
        one.in = checked_mul(one.out - 1, one.stride) + one.span() + a.output_padding[i] - 2 * a.padding[i];
        return one;
    };
    ConvSizes s{};
    s.batch = batch;
    s.h = axis(0);
    s.w = axis(1);
    s.channels = checked_mul(kernel.back(), a.groups);
    s.filters = small.back();
    s.groups = a.groups;
    return s;
}

void expect_image(const Input& x, const Input& weight, std::size_t axes, std::int64_t groups,
                  std::string_view who) {
    const char* const image = axes == 1 ? "(batch, time, channels)" : "(batch, height, width, channels)";
    if (x.shape.dims.size() != axes + 1) {
        throw ShapeError(
            text(who, ": input has shape ", x.shape.str(), ", expected ", image,
                 x.shape.dims.size() == axes ? "; rg.Reshape can add the axis of channels" : ""));
    }
    const Shape& w = weight.shape;
    if (w.batched || w.dims.size() != axes + 2) {
        throw ShapeError(text(who, ": weight is ", w.str(), ", expected ",
                              axes == 1 ? "(out, k, in/groups)" : "(out, kh, kw, in/groups)",
                              ", the same for all samples"));
    }
    for (std::size_t i = 1; i <= axes; ++i) {
        if (w.dims[i] <= most_of_attribute) continue;
        throw ShapeError(text(who, ": a kernel ", w.str(), " is too large"));
    }
    const std::int64_t channels = x.shape.last();
    if (channels % groups != 0) {
        throw ShapeError(text(who, ": groups=", groups, " does not divide the ", channels,
                              " channels of the input ", x.shape.str()));
    }
}

void expect_bias(std::span<const Input> inputs, std::int64_t filters, std::string_view who) {
    const Shape bias{{filters}, false};
    if (inputs.size() == 3 && inputs[2].shape != bias) {
        throw ShapeError(text(who, ": bias is ", inputs[2].shape.str(), " but weight is ",
                              inputs[1].shape.str(), "; expected bias ", bias.str()));
    }
}

void expect_kernel_fits(const ConvSizes& s, const Input& x, std::string_view who) {
    for (const ConvAxis& axis : {s.h, s.w}) {
        if (axis.span() <= axis.in + axis.before + axis.after) continue;
        const bool flat = x.shape.dims.size() == 2;
        throw ShapeError(
            text(who, ": the kernel covers ",
                 flat ? sizes_text({s.w.span()}) : sizes_text({s.h.span(), s.w.span()}), " but the input ",
                 x.shape.str(), " with padding ",
                 flat ? sizes_text({s.w.before}) : sizes_text({s.h.before, s.w.before}), " has only ",
                 flat ? sizes_text({s.w.in + s.w.before + s.w.after})
                      : sizes_text({s.h.in + s.h.before + s.h.after, s.w.in + s.w.before + s.w.after}),
                 "; choose a smaller kernel_size or dilation, or a larger padding"));
    }
}

}  // namespace retrograd
