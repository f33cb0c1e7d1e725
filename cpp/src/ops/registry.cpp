// Every operation of a graph or a file, by name: an explicit list, and the families of the kernel table.
#include <algorithm>

#include "kernels/table.hpp"
#include "ops/list.hpp"
#include "ops/shape_rules.hpp"

namespace retrograd {

namespace {

struct Entry {
    std::string_view name;
    OpPtr (*make)(const Attributes&);
};

constexpr Entry entries[] = {
    {"linear", make_linear},
    {"conv1d", make_conv1d},
    {"conv2d", make_conv2d},
    {"conv_transpose2d", make_conv_transpose2d},
    {"matmul", make_matmul},
    {"clip", make_clip},
    {"identity", make_identity},
    {"stop_gradient", make_stop_gradient},
    {"where", make_where},
    {"sum", make_sum},
    {"mean", make_mean},
    {"max", make_max},
    {"logsumexp", make_logsumexp},
    {"reshape", make_reshape},
    {"flatten", make_flatten},
    {"transpose", make_transpose},
    {"concatenate", make_concatenate},
    {"slice", make_slice},
    {"expand", make_expand},
    {"one_hot", make_one_hot},
    {"gather", make_gather},
    {"softmax", make_softmax},
    {"log_softmax", make_log_softmax},
    {"batch_norm", make_batch_norm},
    {"dropout", make_dropout},
    {"cross_entropy", make_cross_entropy},
    {"label_weight", make_label_weight},
    {"weighted_mean", make_weighted_mean},
    {"max_pool2d", make_max_pool2d},
    {"avg_pool2d", make_avg_pool2d},
    {"upsample2d", make_upsample2d},
    {"standardize", make_standardize},
    {"simple_rnn", make_simple_rnn},
    {"lstm", make_lstm},
    {"gru", make_gru},
    {"layer_norm", make_layer_norm},
    {"rms_norm", make_rms_norm},
    {"attention", make_attention},
};

// Letters to insert, remove or change to make b of a.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::size_t diagonal = row[0]++;
        for (std::size_t j = 0; j < b.size(); ++j) {
            const std::size_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
            diagonal = row[j + 1];
            row[j + 1] = std::min({changed, diagonal + 1, row[j] + 1});
        }
    }
    return row.back();
}

[[noreturn]] void unknown(std::string_view name) {
    if (name.size() > 64)
        throw GraphError(text("there is no operation with a name of ", name.size(), " letters"));
    std::string near;
    for (const std::string& known : op_names()) {
        const bool part = name.size() >= 3 && known.find(name) != std::string::npos;
        if (part || distance(name, known) <= std::max<std::size_t>(1, name.size() / 3)) {
            near += (near.empty() ? "" : ", ") + known;
        }
    }
    throw GraphError(text("there is no operation '", name, "'", near.empty() ? "" : "; near names: ", near));
}

}  // namespace

OpPtr make_op(std::string_view name, const Attributes& attributes) {
    for (const Entry& entry : entries) {
        if (entry.name == name) return entry.make(attributes);
    }
    for (const auto make : {make_unary, make_binary, make_comparison, make_loss}) {
        if (OpPtr op = make(name, attributes)) return op;
    }
    unknown(name);
}

std::vector<std::string> op_names() {
    std::vector<std::string> names;
    const auto add = [&](const auto& list) {
        for (const auto& one : list) names.emplace_back(one.name);
    };
    add(entries);
    add(kernels<float>().unary);
    add(kernels<float>().binary);
    for (const char* name : {"less", "less_equal", "greater", "greater_equal", "equal", "not_equal"})
        names.emplace_back(name);
    add(kernels<float>().losses);
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
}

}  // namespace retrograd
