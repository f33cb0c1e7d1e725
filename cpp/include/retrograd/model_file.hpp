// The model file.
//
// A safetensors container, so that any reader of that format sees the weights:
//   tensors       every parameter by its name, F32 or F64, in the order of the flat buffer, without holes;
//   then every
//                 constant of the graph, named "constant:<name>"
//   __metadata__  "format"  "retrograd-model"
//                 "version" "1"
//                 "graph"   the graph as JSON (below)
//                 "check"   a self-check as JSON: {"seed":s,"rows":r,"outputs":[[...],...]}: the outputs for
//                 a batch
//                           that the seed determines; the loader runs the network on it and compares
//                 "user:*"  strings that the user saved with the model
//                 "retrograd.crc32"  see io/safetensors.hpp: one flipped bit is found
//
// graph: {"inputs":[id],"outputs":[id],"frozen":["name"],
//         "layers":[{"name","kind","config"}],
//         "nodes":[{"kind","name","shape","dtype","op","attributes","inputs","layer","role","call"}]}
// Nodes stand in topological order; fields that do not apply are absent.
//
// A checkpoint (checkpoint.hpp) is read as a model too: its trainer is passed over.
//
// Loading is strict: what is missing, unexpected or of another shape is listed, and nothing is loaded.
// Limits: those of the container; 65,536 nodes. Writing is atomic: a reader finds the old file whole or the
// new file whole.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include <retrograd/model.hpp>

namespace retrograd {

using AnyModel = std::variant<Model<float>, Model<double>>;

template <class T>
[[nodiscard]] std::vector<std::byte> to_bytes(const Model<T>& model);

template <class T>
void save(const Model<T>& model, const std::filesystem::path& path);

// The type is the file's own. Throw FileFormatError.
[[nodiscard]] AnyModel load_model(const std::filesystem::path& path);
[[nodiscard]] AnyModel model_from_bytes(std::vector<std::byte> bytes);

// The tensors of any safetensors file, as doubles.
struct NamedTensor {
    std::string name, dtype;
    std::vector<std::int64_t> shape;
    std::vector<std::byte> bytes;
};
[[nodiscard]] std::vector<NamedTensor> read_tensors(const std::filesystem::path& path);

}  // namespace retrograd
