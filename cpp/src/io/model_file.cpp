#include <retrograd/model_file.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>

#include <retrograd/error.hpp>
#include <retrograd/random.hpp>

#include "io/atomic_file.hpp"
#include "io/json.hpp"
#include "io/safetensors.hpp"
#include "nn/batch.hpp"

namespace retrograd {
namespace {

using io::Json;

constexpr std::int64_t check_rows = 2;
constexpr std::int64_t check_outputs = 64;  // of each output, so that the check stays small
constexpr std::string_view constant_prefix = "constant:";
constexpr std::string_view user_prefix = "user:";

template <class T>
constexpr const char* dtype_of = std::is_same_v<T, float> ? "F32" : "F64";

Json to_json(const Attribute& attribute) {
    return std::visit(
        [](const auto& value) -> Json {
            using V = std::decay_t<decltype(value)>;
            if constexpr (std::is_same_v<V, std::vector<std::int64_t>> ||
                          std::is_same_v<V, std::vector<double>>) {
                Json list = Json::array();
                for (const auto& one : value) list.push(one);
                return list;
            } else {
                return Json(value);
            }
        },
        attribute);
}

Json to_json(const Attributes& attributes) {
    Json object = Json::object();
    for (const auto& [key, value] : attributes) object.set(key, to_json(value));
    return object;
}

Attributes attributes_from(const Json& json) {
    Attributes attributes;
    for (const Json::Member& member : json.as_object("attributes")) {
        const Json& value = member.value;
        switch (value.kind()) {
            case io::JsonKind::boolean: attributes[member.key] = value.as_bool(member.key); break;
            case io::JsonKind::integer: attributes[member.key] = value.as_int(member.key); break;
            case io::JsonKind::real: attributes[member.key] = value.as_double(member.key); break;
            case io::JsonKind::string: attributes[member.key] = value.as_string(member.key); break;
            case io::JsonKind::array: {
                const Json::Array& list = value.as_array(member.key);
                if (!list.empty() && list[0].kind() == io::JsonKind::real) {
                    std::vector<double> numbers;
                    for (const Json& one : list) numbers.push_back(one.as_double(member.key));
                    attributes[member.key] = std::move(numbers);
                } else {
                    std::vector<std::int64_t> numbers;
                    for (const Json& one : list) numbers.push_back(one.as_int(member.key));
                    attributes[member.key] = std::move(numbers);
                }
                break;
            }
            default:
                throw FileFormatError("attribute '" + member.key + "' is neither a number, text nor list");
        }
    }
    return attributes;
}

constexpr const char* kind_names[] = {"input", "placeholder", "parameter", "constant", "operation"};

template <class T>
Json graph_to_json(const Model<T>& model) {
    const Graph& graph = *model.graph();
    Json layers = Json::array();
    std::map<int, std::tuple<int, std::string, int>> places;  // node -> layer, role, call
    for (std::size_t l = 0; l < graph.layers().size(); ++l) {
        const GraphLayer& layer = graph.layers()[l];
        Json calls = Json::array();
        for (const std::vector<int>& given : layer.inputs) {
            Json ids = Json::array();
            for (const int id : given) ids.push(id);
            calls.push(std::move(ids));
        }
        layers.push(Json::object()
                        .set("name", layer.name)
                        .set("kind", layer.kind)
                        .set("config", to_json(layer.config))
                        .set("inputs", std::move(calls)));
        for (const auto* list : {&layer.parameters, &layer.buffers}) {
            for (const auto& [role, id] : *list) places[id] = {static_cast<int>(l), role, 0};
        }
        for (std::size_t call = 0; call < layer.calls.size(); ++call) {
            for (const auto& [role, id] : layer.calls[call]) {
                places[id] = {static_cast<int>(l), role, static_cast<int>(call)};
            }
        }
    }
    Json nodes = Json::array();
    for (int id = 0; id < graph.size(); ++id) {
        const GraphNode& node = graph[id];
        Json entry = Json::object();
        entry.set("kind", kind_names[static_cast<int>(node.kind)]).set("name", node.name);
        if (node.op) {
            Json operands = Json::array();
            for (const int operand : node.inputs) operands.push(operand);
            entry.set("op", node.op->name()).set("attributes", to_json(node.op->attributes()));
            entry.set("inputs", std::move(operands));
        } else {
            Json dims = Json::array();
            for (const std::int64_t dim : node.shape.dims) dims.push(dim);
            entry.set("shape", std::move(dims)).set("dtype", node.dtype == DType::index ? "index" : "real");
        }
        if (const auto place = places.find(id); place != places.end()) {
            const auto& [layer, role, call] = place->second;
            entry.set("layer", layer).set("role", role).set("call", call);
        }
        nodes.push(std::move(entry));
    }
    Json inputs = Json::array(), outputs = Json::array(), frozen = Json::array();
    for (const int id : model.inputs()) inputs.push(id);
    for (const int id : model.outputs()) outputs.push(id);
    for (int id = 0; id < graph.size(); ++id) {
        if (model.frozen()[static_cast<std::size_t>(id)]) frozen.push(graph[id].name);
    }
    Json json = Json::object();
    json.set("inputs", std::move(inputs)).set("outputs", std::move(outputs)).set("frozen", std::move(frozen));
    json.set("layers", std::move(layers)).set("nodes", std::move(nodes));
    return json;
}

struct Description {
    std::vector<Node> inputs, outputs;
    std::vector<std::string> frozen;
};

Description graph_from_json(const Json& json) {
    std::vector<std::shared_ptr<const LayerTag>> tags;
    std::vector<const Json*> call_inputs;  // for each layer: what each of its calls was given
    for (const Json& layer : json.get_array("layers")) {
        call_inputs.push_back(layer.find("inputs"));
        tags.push_back(
            std::make_shared<const LayerTag>(LayerTag{layer.get_string("kind"), layer.get_string("name"),
                                                      attributes_from(layer.get_object("config"))}));
    }
    std::vector<Node> nodes;
    const auto node_at = [&](const Json& id, const std::string& name) {
        const std::int64_t i = id.as_int("inputs");
        if (i < 0 || i >= static_cast<std::int64_t>(nodes.size())) {
            throw FileFormatError("node '" + name + "' reads node " + std::to_string(i) +
                                  ", which does not stand before it");
        }
        return nodes[static_cast<std::size_t>(i)];
    };
    const Json::Array& entries = json.get_array("nodes");
    if (entries.size() > 65536) throw FileFormatError("graph: it has more than 65,536 nodes");
    for (const Json& entry : entries) {
        const std::string& kind = entry.get_string("kind");
        const std::string& name = entry.get_string("name");
        std::vector<std::int64_t> dims;
        if (kind != "operation") {
            for (const Json& dim : entry.get_array("shape")) dims.push_back(dim.as_int("shape"));
        }
        std::optional<Node> node;
        const bool layered = entry.find("layer") != nullptr;
        const std::string given = layered ? "" : name;  // what a layer made is named after its layer
        if (kind == "input") {
            node = input(dims, entry.get_string("dtype") == "index" ? DType::index : DType::real, given);
        } else if (kind == "parameter") {
            node = parameter(dims, Initial{}, given);
        } else if (kind == "constant") {
            const auto size = Shape{dims, false}.size();
            if (size > 1 << 28) throw FileFormatError("constant '" + name + "' is too large");
            node = constant(dims, std::vector<double>(static_cast<std::size_t>(size)), given);
        } else if (kind == "operation") {
            std::vector<Node> operands;
            for (const Json& operand : entry.get_array("inputs")) operands.push_back(node_at(operand, name));
            node = apply(make_op(entry.get_string("op"), attributes_from(entry.get_object("attributes"))),
                         std::move(operands), name, given);
        } else {
            throw FileFormatError("node '" + name + "' is of unknown kind '" + kind + "'");
        }
        if (layered) {
            const std::int64_t layer = entry.get_int("layer", 0, static_cast<std::int64_t>(tags.size()) - 1);
            const auto call = static_cast<std::size_t>(entry.get_int("call", 0, 65535));
            std::vector<Node> inputs;
            const Json* calls = call_inputs[static_cast<std::size_t>(layer)];
            if (kind == "operation" && calls != nullptr && call < calls->as_array("inputs").size()) {
                for (const Json& id : calls->as_array("inputs")[call].as_array("inputs"))
                    inputs.push_back(node_at(id, name));
            }
            node = tag(*node, tags[static_cast<std::size_t>(layer)], entry.get_string("role"),
                       static_cast<int>(call), std::move(inputs));
        }
        nodes.push_back(*node);
    }
    Description description;
    const auto pick = [&](const char* key, std::vector<Node>& list) {
        for (const Json& id : json.get_array(key)) {
            const std::int64_t i = id.as_int(key);
            if (i < 0 || i >= static_cast<std::int64_t>(nodes.size())) {
                throw FileFormatError(std::string(key) + ": there is no node " + std::to_string(i));
            }
            list.push_back(nodes[static_cast<std::size_t>(i)]);
        }
    };
    pick("inputs", description.inputs);
    pick("outputs", description.outputs);
    for (const Json& name : json.get_array("frozen")) description.frozen.push_back(name.as_string("frozen"));
    return description;
}

// The outputs for a batch that the seed alone determines.
template <class T>
std::vector<std::vector<T>> run_check(Model<T>& model, std::uint64_t seed) {
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
void verify(Model<T>& model, const Json& check, const std::string& source) {
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
std::shared_ptr<Model<T>> read_model(const io::SafetensorsFile& file, const Description& description) {
    auto model = std::make_shared<Model<T>>(description.inputs, description.outputs, 0);
    const Graph& graph = *model->graph();
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
    fill(graph.parameters(), "", model->parameters());
    fill(graph.constants(), constant_prefix, model->constants());
    if (used < file.tensors().size()) {
        for (const io::TensorInfo& info : file.tensors()) {
            const bool constant = info.name.starts_with(constant_prefix);
            const int id =
                graph.find(constant ? std::string_view(info.name).substr(constant_prefix.size()) : info.name);
            const NodeKind kind = constant ? NodeKind::constant : NodeKind::parameter;
            if (id < 0 || graph[id].kind != kind) list(unexpected, info.name);
        }
    }
    std::string problems;
    if (!missing.empty()) problems += "; missing: " + missing;
    if (!unexpected.empty()) problems += "; unexpected: " + unexpected;
    if (!different.empty()) problems += "; different: " + different;
    if (!problems.empty())
        throw FileFormatError(file.source() + ": the tensors do not fit the graph" + problems);
    for (const std::string& name : description.frozen) model->set_frozen(name, true);
    return model;
}

AnyModel parse_model(const io::SafetensorsFile& file) {
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
    if (text("format") != "retrograd-model") {
        throw FileFormatError(file.source() + ": expected format 'retrograd-model', got '" + text("format") +
                              "'");
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
        for (const io::TensorInfo& info : file.tensors()) wide |= info.dtype == "F64";
        const auto finish = [&](auto model) -> AnyModel {
            for (const auto& [key, value] : file.metadata()) {
                if (key.starts_with(user_prefix)) model->metadata[key.substr(user_prefix.size())] = value;
            }
            verify(*model, check, file.source());
            return model;
        };
        if (wide) return finish(read_model<double>(file, description));
        return finish(read_model<float>(file, description));
    } catch (const FileFormatError&) {
        throw;
    } catch (const Error& error) {  // a graph that could not have been built
        throw FileFormatError(file.source() + ": the graph in this file is not valid: " + error.what());
    }
}

}  // namespace

template <class T>
std::vector<std::byte> to_bytes(const Model<T>& model) {
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
    for (const std::vector<T>& output : run_check(const_cast<Model<T>&>(model), seed)) {
        Json list = Json::array();
        for (const T value : output)
            list.push(std::isfinite(value) ? Json(static_cast<double>(value)) : Json());
        outputs.push(std::move(list));
    }
    Json check = Json::object();
    check.set("seed", static_cast<std::int64_t>(seed))
        .set("rows", check_rows)
        .set("outputs", std::move(outputs));

    io::Metadata metadata = {{"format", "retrograd-model"}, {"version", "1"}};
    metadata.emplace_back("graph", graph_to_json(model).text());
    metadata.emplace_back("check", check.text());
    for (const auto& [key, value] : model.metadata)
        metadata.emplace_back(std::string(user_prefix) + key, value);

    const Graph& graph = *model.graph();
    std::vector<io::TensorView> tensors;
    const auto add = [&](const std::vector<int>& nodes, std::string_view prefix, std::span<const T> flat) {
        for (const int id : nodes) {
            const GraphNode& node = graph[id];
            tensors.push_back({std::string(prefix) + node.name, dtype_of<T>, node.shape.dims,
                               std::as_bytes(flat.subspan(static_cast<std::size_t>(node.offset),
                                                          static_cast<std::size_t>(node.shape.size())))});
        }
    };
    add(graph.parameters(), "", model.parameters());
    add(graph.constants(), constant_prefix, model.constants());
    return io::write_safetensors(tensors, metadata, io::Checksum::whole_file);
}

template <class T>
void save(const Model<T>& model, const std::filesystem::path& path) {
    io::write_atomically(path, to_bytes(model));
}

AnyModel load_model(const std::filesystem::path& path) {
    return parse_model(io::SafetensorsFile::read(path));
}

AnyModel model_from_bytes(std::vector<std::byte> bytes) {
    return parse_model(io::SafetensorsFile::from_bytes(std::move(bytes), "data"));
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

template std::vector<std::byte> to_bytes<float>(const Model<float>&);
template std::vector<std::byte> to_bytes<double>(const Model<double>&);
template void save<float>(const Model<float>&, const std::filesystem::path&);
template void save<double>(const Model<double>&, const std::filesystem::path&);

}  // namespace retrograd
