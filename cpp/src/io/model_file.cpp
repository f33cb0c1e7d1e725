#include <retrograd/model_file.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>
#include <type_traits>

#include <retrograd/error.hpp>
#include <retrograd/random.hpp>

#include "io/atomic_file.hpp"
#include "io/graph_json.hpp"
#include "io/json.hpp"
#include "io/model_parts.hpp"
#include "io/safetensors.hpp"
#include "nn/batch.hpp"

namespace retrograd {
namespace {

using io::Json;

constexpr std::int64_t check_rows = 2;
constexpr std::int64_t check_outputs = 64;  // of each output, so that the check stays small
constexpr std::string_view constant_prefix = "constant:";
constexpr std::string_view user_prefix = "user:";
constexpr std::string_view trainer_prefixes[] = {"optimizer:", "loss:", "epoch:", "note:"};

template <class T>
constexpr const char* dtype_of = std::is_same_v<T, float> ? "F32" : "F64";

// The outputs for a batch that the seed alone determines.
template <class T>
std::vector<std::vector<T>> run_check(const Model<T>& model, std::uint64_t seed) {
    const Graph& graph = *model.graph();
    const Plan plan(model.graph(), model.outputs(), -1,
                    std::vector<bool>(static_cast<std::size_t>(graph.size()), false), {});
    std::vector<std::vector<double>> numbers;
    std::vector<ArrayView> x;
    for (std::size_t i = 0; i < model.inputs().size(); ++i) {
        const GraphNode& node = graph[model.inputs()[i]];
        const Op::Range range = range_of(plan, model.inputs()[i]);
        const bool index = node.dtype == DType::index;
        std::vector<double> values(static_cast<std::size_t>(check_rows * node.shape.size()));
        const RandomKey key{seed, Purpose::check, static_cast<std::uint32_t>(i), 0};
        for (std::size_t k = 0; k < values.size(); ++k) {
            const double u = uniform(key, k);
            values[k] = index           ? std::floor(u * (range.bounded ? range.high + 1 : 2))
                        : range.bounded ? range.low + u * (range.high - range.low)
                                        : 2 * u - 1;
        }
        ArrayView view;
        view.type = ElementType::f64;
        view.shape = node.shape.dims;
        view.shape.insert(view.shape.begin(), check_rows);
        view.strides.assign(view.shape.size(), static_cast<std::int64_t>(sizeof(double)));
        for (std::size_t a = view.shape.size(); a-- > 1;)
            view.strides[a - 1] = view.strides[a] * view.shape[a];
        if (index) {
            std::vector<std::int64_t> whole(values.begin(), values.end());
            std::memcpy(values.data(), whole.data(), whole.size() * sizeof(double));
            view.type = ElementType::i64;
        }
        numbers.push_back(std::move(values));
        x.push_back(std::move(view));
    }
    for (std::size_t i = 0; i < x.size(); ++i)
        x[i].data = reinterpret_cast<const std::byte*>(numbers[i].data());
    std::vector<std::vector<T>> outputs;
    std::vector<std::span<T>> spans;
    for (const int id : model.outputs()) {
        outputs.emplace_back(static_cast<std::size_t>(check_rows * graph[id].shape.size()));
    }
    for (auto& output : outputs) spans.emplace_back(output);
    model.predict(x, spans, check_rows, 1);
    for (auto& output : outputs) output.resize(std::min<std::size_t>(output.size(), check_outputs));
    return outputs;
}

template <class T>
void verify(const Model<T>& model, const Json& check, const std::string& source) {
    const std::vector<std::vector<T>> found =
        run_check(model, static_cast<std::uint64_t>(check.get_int("seed", 0)));
    const Json::Array& expected = check.get_array("outputs");
    const double tolerance =
        std::is_same_v<T, float> ? 1e-3 : 1e-9;  // other instruction sets round otherwise
    bool same = expected.size() == found.size();
    for (std::size_t k = 0; same && k < found.size(); ++k) {
        const Json::Array& numbers = expected[k].as_array("outputs");
        same = numbers.size() == found[k].size();
        double scale = 0;
        for (const T value : found[k])
            scale = std::max(scale, std::isfinite(value) ? std::abs(static_cast<double>(value)) : 0.0);
        for (std::size_t i = 0; same && i < numbers.size(); ++i) {
            const auto value = static_cast<double>(found[k][i]);
            // JSON has no NaN and no infinity: null stands for both.
            same = numbers[i].is_null()
                       ? !std::isfinite(value)
                       : std::abs(numbers[i].as_double("outputs") - value) <= tolerance * (1e-6 + scale);
        }
    }
    if (!same) {
        throw FileFormatError(
            source +
            ": the self-check failed: the network does not give the outputs that were saved "
            "with it; the file was altered, or it comes from a newer version");
    }
}

template <class T>
Model<T> read_model(const io::SafetensorsFile& file, const io::Description& description, bool with_trainer) {
    Model<T> model(description.inputs, description.outputs, 0);
    const Graph& graph = *model.graph();
    std::string missing, unexpected, different;
    const auto list = [](std::string& text, const std::string& name) {
        text += (text.empty() ? "" : ", ") + name;
    };
    std::size_t used = 0;
    const auto fill = [&](const std::vector<int>& nodes, std::string_view prefix, std::span<T> flat) {
        for (const int id : nodes) {
            const GraphNode& node = graph[id];
            const io::TensorInfo* info = file.find(std::string(prefix) + node.name);
            if (info == nullptr) {
                list(missing, std::string(prefix) + node.name);
                continue;
            }
            ++used;
            if (info->shape != node.shape.dims || info->dtype != dtype_of<T>) {
                list(different, node.name + " (file: " + info->dtype + " " + Shape{info->shape, false}.str() +
                                    ", graph: " + dtype_of<T> + " " + node.shape.str() + ")");
                continue;
            }
            const std::span<const std::byte> bytes = file.bytes(*info);
            std::memcpy(flat.data() + node.offset, bytes.data(), bytes.size());
        }
    };
    fill(graph.parameters(), "", model.parameters());
    fill(graph.constants(), constant_prefix, model.constants());
    if (used < file.tensors().size()) {
        for (const io::TensorInfo& info : file.tensors()) {
            const bool constant = info.name.starts_with(constant_prefix);
            const int id =
                graph.find(constant ? std::string_view(info.name).substr(constant_prefix.size()) : info.name);
            const NodeKind kind = constant ? NodeKind::constant : NodeKind::parameter;
            if (id >= 0 && graph[id].kind == kind) continue;
            if (!with_trainer || !io::belongs_to_trainer(info.name)) list(unexpected, info.name);
        }
    }
    std::string problems;
    if (!missing.empty()) problems += "; missing: " + missing;
    if (!unexpected.empty()) problems += "; unexpected: " + unexpected;
    if (!different.empty()) problems += "; different: " + different;
    if (!problems.empty())
        throw FileFormatError(file.source() + ": the tensors do not fit the graph" + problems);
    for (const std::string& name : description.frozen) model.set_frozen(name, true);
    return model;
}

}  // namespace

bool io::belongs_to_trainer(std::string_view tensor) {
    return std::ranges::any_of(trainer_prefixes,
                               [&](std::string_view prefix) { return tensor.starts_with(prefix); });
}

template <class T>
io::Parts io::parts_of(const Model<T>& model, std::string_view format) {
    for (const int id : model.graph()->parameters()) {
        const GraphNode& node = (*model.graph())[id];
        for (std::int64_t i = 0; i < node.shape.size(); ++i) {
            if (std::isfinite(model.parameters()[static_cast<std::size_t>(node.offset + i)])) continue;
            throw NonFiniteError("save: " + node.name + " holds NaN or infinity at element " +
                                 std::to_string(i) + "; a model like that is not saved");
        }
    }
    constexpr std::uint64_t seed = 1;
    Json outputs = Json::array();
    for (const std::vector<T>& output : run_check(model, seed)) {
        Json list = Json::array();
        for (const T value : output)
            list.push(std::isfinite(value) ? Json(static_cast<double>(value)) : Json());
        outputs.push(std::move(list));
    }
    Json check = Json::object();
    check.set("seed", static_cast<std::int64_t>(seed))
        .set("rows", check_rows)
        .set("outputs", std::move(outputs));

    Parts parts;
    Metadata& metadata = parts.metadata;
    metadata = {{"format", std::string(format)}, {"version", "1"}};
    metadata.emplace_back("graph", graph_to_json(model).text());
    metadata.emplace_back("check", check.text());
    std::map<std::string, std::string> strings = model.metadata();
    strings.try_emplace(std::string(link_key), model.outputs().size() - 1, ',');
    for (const auto& [key, value] : strings) metadata.emplace_back(std::string(user_prefix) + key, value);

    const Graph& graph = *model.graph();
    const auto add = [&](const std::vector<int>& nodes, std::string_view prefix, std::span<const T> flat) {
        for (const int id : nodes) {
            const GraphNode& node = graph[id];
            parts.tensors.push_back(
                {std::string(prefix) + node.name, dtype_of<T>, node.shape.dims,
                 std::as_bytes(flat.subspan(static_cast<std::size_t>(node.offset),
                                            static_cast<std::size_t>(node.shape.size())))});
        }
    };
    add(graph.parameters(), "", model.parameters());
    add(graph.constants(), constant_prefix, model.constants());
    return parts;
}

AnyModel io::model_of(const SafetensorsFile& file) {
    const auto text = [&](const char* key) -> const std::string& {
        const std::string* value = file.find_metadata(key);
        if (value == nullptr) {
            throw FileFormatError(
                file.source() + ": metadata '" + key +
                "' is missing, so this is no retrograd model; weights alone can be read into a model "
                "with net.set_parameters(path)");
        }
        return *value;
    };
    const bool with_trainer = text("format") == checkpoint_format;
    if (!with_trainer && text("format") != model_format) {
        throw FileFormatError(file.source() + ": expected format '" + std::string(model_format) + "' or '" +
                              std::string(checkpoint_format) + "', got '" + text("format") + "'");
    }
    if (!file.has_checksum()) {
        throw FileFormatError(file.source() +
                              ": its checksum is missing, so the file was altered; save the model again");
    }
    if (text("version") != "1") {
        throw FileFormatError(file.source() + ": it has version " + text("version") +
                              ", this program reads version 1; use a newer retrograd");
    }
    const Json graph = Json::parse(text("graph"), file.source() + ": graph");
    const Json check = Json::parse(text("check"), file.source() + ": check");
    try {
        const Description description = graph_from_json(graph);
        bool wide = false;
        for (const TensorInfo& info : file.tensors())
            wide |= info.dtype == "F64" && !(with_trainer && belongs_to_trainer(info.name));
        const auto finish = [&](auto model) -> AnyModel {
            for (const auto& [key, value] : file.metadata()) {
                if (key.starts_with(user_prefix)) model.metadata()[key.substr(user_prefix.size())] = value;
            }
            verify(model, check, file.source());
            return model;
        };
        if (wide) return finish(read_model<double>(file, description, with_trainer));
        return finish(read_model<float>(file, description, with_trainer));
    } catch (const FileFormatError&) {
        throw;
    } catch (const Error& error) {  // a graph that could not have been built
        throw FileFormatError(file.source() + ": the graph in this file is not valid: " + error.what());
    }
}

template <class T>
std::vector<std::byte> to_bytes(const Model<T>& model) {
    const io::Parts parts = io::parts_of(model, io::model_format);
    return io::write_safetensors(parts.tensors, parts.metadata, io::Checksum::whole_file);
}

template <class T>
void save(const Model<T>& model, const std::filesystem::path& path) {
    io::write_atomically(path, to_bytes(model));
}

template <class T>
void Model<T>::save(const std::filesystem::path& path) const {
    const std::lock_guard lock(saving());
    retrograd::save(*this, path);
}

template <class T>
Model<T> Model<T>::load(const std::filesystem::path& path, Convert convert) {
    using Other = std::conditional_t<std::is_same_v<T, float>, double, float>;
    const AnyModel found = load_model(path);
    if (const auto* own = std::get_if<Model<T>>(&found)) return *own;
    if (convert == Convert::yes) return std::get<Model<Other>>(found).template copy_as<T>();
    throw DTypeError(path.string() + ": it holds " + dtype_of<Other> + ", expected " + dtype_of<T> +
                     "; pass Convert::yes to have it converted");
}

AnyModel load_model(const std::filesystem::path& path) {
    return io::model_of(io::SafetensorsFile::read(path));
}

AnyModel model_from_bytes(std::vector<std::byte> bytes) {
    return io::model_of(io::SafetensorsFile::from_bytes(std::move(bytes), "data"));
}

std::vector<NamedTensor> read_tensors(const std::filesystem::path& path) {
    const io::SafetensorsFile file = io::SafetensorsFile::read(path);
    std::vector<NamedTensor> tensors;
    for (const io::TensorInfo& info : file.tensors()) {
        const std::span<const std::byte> bytes = file.bytes(info);
        tensors.push_back({info.name, info.dtype, info.shape, {bytes.begin(), bytes.end()}});
    }
    return tensors;
}

template io::Parts io::parts_of<float>(const Model<float>&, std::string_view);
template io::Parts io::parts_of<double>(const Model<double>&, std::string_view);
template std::vector<std::byte> to_bytes<float>(const Model<float>&);
template std::vector<std::byte> to_bytes<double>(const Model<double>&);
template void save<float>(const Model<float>&, const std::filesystem::path&);
template void save<double>(const Model<double>&, const std::filesystem::path&);
template void Model<float>::save(const std::filesystem::path&) const;
template void Model<double>::save(const std::filesystem::path&) const;
template Model<float> Model<float>::load(const std::filesystem::path&, Convert);
template Model<double> Model<double>::load(const std::filesystem::path&, Convert);

}  // namespace retrograd
