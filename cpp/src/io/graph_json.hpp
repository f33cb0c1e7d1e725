// Graphs as JSON: what model files and checkpoints share.
#pragma once

#include <string>
#include <vector>

#include <retrograd/model.hpp>

#include "io/json.hpp"

namespace retrograd::io {

[[nodiscard]] Json to_json(const Attributes& attributes);
[[nodiscard]] Attributes attributes_from(const Json& json);

[[nodiscard]] Json list_to_json(const std::vector<std::int64_t>& numbers);
[[nodiscard]] std::vector<std::int64_t> list_from(const Json& json, const std::string& what);

// The field "graph" of model_file.hpp.
template <class T>
[[nodiscard]] Json graph_to_json(const Model<T>& model);

struct Description {
    std::vector<Node> inputs, outputs;
    std::vector<std::string> frozen;
};

// Throws FileFormatError, and what building such a graph throws.
[[nodiscard]] Description graph_from_json(const Json& json);

}  // namespace retrograd::io
