#include <retrograd/checkpoint.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <set>
#include <type_traits>

#include <retrograd/error.hpp>

#include "io/atomic_file.hpp"
#include "io/graph_json.hpp"
#include "io/model_parts.hpp"
#include "train/trainer_state.hpp"

namespace retrograd {

// The trainer's friend.
struct TrainerFile {
    template <class T>
    [[nodiscard]] static TrainerState<T>& state(const Trainer<T>& trainer) {
        return *trainer.state_;
    }
};

namespace {

using io::Json;
using Settings = std::map<std::string, double>;

constexpr std::string_view note_prefix = "note:";

template <class T>
constexpr const char* dtype_of = std::is_same_v<T, float> ? "F32" : "F64";

// ------------------------------------------------------------------------------------------------- numbers

Json number(double value) {
    if (std::isfinite(value)) return value;
    return std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
}

double number_from(const Json& json, const std::string& what) {
    if (json.kind() != io::JsonKind::string) return json.as_double(what);
    constexpr double infinity = std::numeric_limits<double>::infinity();
    const std::string& text = json.as_string(what);
    if (text == "inf") return infinity;
    if (text == "-inf") return -infinity;
    if (text == "nan") return std::numeric_limits<double>::quiet_NaN();
    throw FileFormatError(what + ": expected a number, got '" + io::printable(text) + "'");
}

double number_at(const Json& json, const std::string& key) { return number_from(json.at(key), key); }

Json to_json(const Settings& settings) {
    Json object = Json::object();
    for (const auto& [key, value] : settings) object.set(key, number(value));
    return object;
}

Settings settings_from(const Json& json) {
    Settings settings;
    for (const Json::Member& member : json.as_object("settings")) {
        settings[member.key] = number_from(member.value, member.key);
    }
    return settings;
}

Json to_json(const Schedule& schedule) {
    return Json::object().set("name", schedule.name).set("settings", to_json(schedule.settings));
}

Schedule schedule_from(const Json& json) {
    return {json.get_string("name"), settings_from(json.get_object("settings"))};
}

std::uint64_t seed_from(const std::string& text) {
    std::uint64_t seed = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
    if (error != std::errc() || end != text.data() + text.size()) {
        throw FileFormatError("seed: expected a whole number, got '" + io::printable(text) + "'");
    }
    return seed;
}

// ----------------------------------------------------------------------------------------- a loss function

std::string constant_name(std::size_t recipe, std::size_t step) {
    return "loss:" + std::to_string(recipe) + ":" + std::to_string(step);
}

Json to_json(const LossRecipe& recipe) {
    Json targets = Json::array(), steps = Json::array();
    for (const TargetKind& kind : recipe.kinds) {
        targets.push(Json::object().set("index", kind.index).set("shape", io::list_to_json(kind.dims)));
    }
    for (const LossRecipe::Step& step : recipe.steps) {
        Json entry = Json::object();
        if (step.target >= 0) {
            entry.set("target", step.target);
        } else if (step.values) {
            entry.set("constant", io::list_to_json(step.dims)).set("name", step.name);
        } else {
            entry.set("op", step.op->name()).set("attributes", io::to_json(step.op->attributes()));
            entry.set("inputs", io::list_to_json({step.inputs.begin(), step.inputs.end()}));
            entry.set("name", step.name);
        }
        steps.push(std::move(entry));
    }
    return Json::object()
        .set("targets", std::move(targets))
        .set("steps", std::move(steps))
        .set("result", recipe.result);
}

// Tensors of a file by name, each to be used once.
class Store {
  public:
    explicit Store(const io::SafetensorsFile& file) : file_(file) {}

    template <class N>
    void read(const std::string& name, const std::vector<std::int64_t>& shape, std::span<N> numbers) {
        const io::TensorInfo* info = file_.find(name);
        if (info == nullptr) return list(missing_, name);
        used_.insert(name);
        if (info->dtype != dtype_of<N> || info->shape != shape) {
            return list(different_, name + " (file: " + info->dtype + " " + Shape{info->shape, false}.str() +
                                        ", expected: " + dtype_of<N> + " " + Shape{shape, false}.str() + ")");
        }
        const std::span<const std::byte> bytes = file_.bytes(*info);
        if (!bytes.empty()) std::memcpy(numbers.data(), bytes.data(), bytes.size());
    }

    // Of a tensor whose size is not known beforehand.
    template <class N>
    [[nodiscard]] std::vector<N> read(const std::string& name, const std::vector<std::int64_t>& shape) {
        const io::TensorInfo* info = file_.find(name);
        const bool fits = info != nullptr && info->shape == shape;
        std::vector<N> numbers(fits ? static_cast<std::size_t>(Shape{shape, false}.size()) : 0);
        read(name, shape, std::span<N>(numbers));
        return numbers;
    }

    // Throws where something was missing or of another kind, or is left over.
    void finish(const Graph& graph) {
        std::string unexpected;
        for (const io::TensorInfo& info : file_.tensors()) {
            const int id = graph.find(info.name);
            const bool parameter = id >= 0 && graph[id].kind == NodeKind::parameter;
            if (!parameter && io::belongs_to_trainer(info.name) && !info.name.starts_with(note_prefix) &&
                !used_.contains(info.name)) {
                list(unexpected, info.name);
            }
        }
        std::string problems;
        if (!missing_.empty()) problems += "; missing: " + missing_;
        if (!unexpected.empty()) problems += "; unexpected: " + unexpected;
        if (!different_.empty()) problems += "; different: " + different_;
        if (!problems.empty()) {
            throw FileFormatError(file_.source() + ": the tensors do not fit the trainer" + problems);
        }
    }

  private:
    static void list(std::string& text, const std::string& name) {
        text += (text.empty() ? "" : ", ") + name;
    }

    const io::SafetensorsFile& file_;
    std::set<std::string> used_;
    std::string missing_, different_;
};

LossRecipe recipe_from(const Json& json, std::size_t number_of_recipe, Store& store) {
    LossRecipe recipe;
    for (const Json& target : json.get_array("targets")) {
        recipe.kinds.push_back({target.get_bool("index"), io::list_from(target.at("shape"), "shape")});
    }
    constexpr std::int64_t most = std::numeric_limits<int>::max();
    for (const Json& entry : json.get_array("steps")) {
        LossRecipe::Step step;
        if (entry.find("target") != nullptr) {
            step.target = static_cast<int>(entry.get_int("target", 0, most));
        } else if (const Json* shape = entry.find("constant")) {
            step.dims = io::list_from(*shape, "constant");
            step.values = std::make_shared<const std::vector<double>>(
                store.read<double>(constant_name(number_of_recipe, recipe.steps.size()), step.dims));
            step.name = entry.get_string("name");
        } else {
            step.op = make_op(entry.get_string("op"), io::attributes_from(entry.get_object("attributes")));
            for (const std::int64_t id : io::list_from(entry.at("inputs"), "inputs")) {
                if (id < 0 || id > most)
                    throw FileFormatError("loss: there is no node " + std::to_string(id));
                step.inputs.push_back(static_cast<int>(id));
            }
            step.name = entry.get_string("name");
        }
        recipe.steps.push_back(std::move(step));
    }
    recipe.result = static_cast<int>(json.get_int("result", 0, most));
    return recipe;
}

// What was made in this process takes the place of what came from a file. Before the function was ever used,
// it is asked for the targets that are likely, and what it cannot make of those is in no file.
template <class T>
std::vector<LossRecipe> recipes_of(const TrainerState<T>& s) {
    const Graph& graph = *s.model.graph();
    if (s.recipes.empty() && !s.train.loss && !s.evaluation.loss) {
        const std::vector<TargetKind> kinds = likely_target_kinds(s.options, graph, s.model.outputs());
        try {
            return {
                recipe_of(extend_with_loss(s.options, graph, s.model.outputs(), kinds, false), graph, kinds)};
        } catch (const std::exception&) {
            return {};
        }
    }
    std::vector<LossRecipe> recipes = s.recipes;
    for (const auto* compiled : {&s.train, &s.evaluation}) {
        if (!compiled->loss) continue;
        LossRecipe made = recipe_of(*compiled->loss, graph, compiled->kinds);
        const auto same = std::ranges::find(recipes, made.kinds, &LossRecipe::kinds);
        if (same == recipes.end()) {
            recipes.push_back(std::move(made));
        } else if (compiled == &s.train || s.train.kinds != made.kinds) {
            *same = std::move(made);
        }
    }
    return recipes;
}

// ------------------------------------------------------------------------------------------ running epochs

template <class T>
Json running_json(const EpochProgress<T>& progress) {
    return Json::object()
        .set("rows", progress.cursor.rows)
        .set("total", progress.cursor.total)
        .set("batch_size", progress.cursor.batch_size)
        .set("shuffle", progress.cursor.shuffle)
        .set("iterations", progress.iterations)
        .set("loss", number(progress.loss.sum))
        .set("weight", number(progress.loss.weight))
        .set("penalty", number(progress.penalty))
        .set("norm", number(progress.norm))
        .set("recorded", progress.recorded)
        .set("outputs", !progress.outputs.empty())
        .set("layers", !progress.gradients.empty());
}

std::string output_name(std::size_t k) { return "epoch:output:" + std::to_string(k); }

template <class T>
std::vector<std::int64_t> output_shape(const Model<T>& model, std::size_t k, std::int64_t rows) {
    std::vector<std::int64_t> shape = (*model.graph())[model.outputs()[k]].shape.dims;
    shape.insert(shape.begin(), rows);
    return shape;
}

template <class T>
EpochProgress<T> running_from(const Json& json, const Model<T>& model, Store& store) {
    EpochProgress<T> progress;
    EpochCursor& cursor = progress.cursor;
    cursor.total = json.get_int("total", 1);
    cursor.rows = json.get_int("rows", 1, cursor.total);
    cursor.batch_size = json.get_int("batch_size", 1);
    cursor.shuffle = json.get_bool("shuffle");
    progress.iterations = json.get_int("iterations", 1);
    progress.loss = {number_at(json, "loss"), number_at(json, "weight")};
    progress.penalty = number_at(json, "penalty");
    progress.norm = number_at(json, "norm");
    progress.recorded = json.get_int("recorded", 0);
    if (json.get_bool("outputs")) {
        for (std::size_t k = 0; k < model.outputs().size(); ++k) {
            progress.outputs.push_back(store.read<T>(output_name(k), output_shape(model, k, cursor.rows)));
        }
    }
    if (json.get_bool("layers")) {
        const auto count = static_cast<std::int64_t>(model.graph()->parameters().size());
        progress.gradients = store.read<double>("epoch:gradient_norms", {count});
        progress.updates = store.read<double>("epoch:update_norms", {count});
    }
    return progress;
}

// -------------------------------------------------------------------------------------------------- saving

template <class T>
Json trainer_json(const TrainerState<T>& s, const std::vector<LossRecipe>& recipes) {
    const TrainerOptions& options = s.options;
    Json loss = Json::object(), weights = Json::array(), groups = Json::array(), list = Json::array();
    if (options.loss.function) {
        for (const LossRecipe& recipe : recipes) list.push(to_json(recipe));
        loss.set("graphs", std::move(list));
    } else {
        for (const LossTerm& term : options.loss.terms) {
            list.push(Json::object().set("name", term.name).set("attributes", io::to_json(term.attributes)));
        }
        loss.set("terms", std::move(list));
    }
    for (const double weight : options.loss_weights) weights.push(number(weight));
    for (const ParamGroup& group : options.groups) {
        groups.push(Json::object().set("pattern", group.pattern).set("settings", to_json(group.settings)));
    }
    Json optimizer = Json::object();
    optimizer.set("name", options.optimizer.name).set("hyper", to_json(options.optimizer.hyper));
    return Json::object()
        .set("loss", std::move(loss))
        .set("loss_weights", std::move(weights))
        .set("optimizer", std::move(optimizer))
        .set("schedule", to_json(options.optimizer.lr))
        .set("present", to_json(s.pace.present()))
        .set("schedule_state", to_json(s.pace.newest().state()))
        .set("groups", std::move(groups))
        .set("l1", number(options.l1))
        .set("l2", number(options.l2))
        .set("clip_norm", number(options.clip_norm))
        .set("clip_value", number(options.clip_value))
        .set("threads", options.threads)
        .set("seed", std::to_string(options.seed))
        .set("iteration", std::int64_t{s.iteration})
        .set("epoch", std::int64_t{s.epoch})
        .set("running", s.is_unfinished() ? running_json(s.progress) : Json());
}

}  // namespace

template <class T>
void save(const Trainer<T>& trainer, const std::filesystem::path& path, const Notes& notes) {
    TrainerState<T>& s = TrainerFile::state(trainer);
    const Reading reading(s.model.use());
    io::Parts parts = io::parts_of(s.model, io::checkpoint_format);
    const auto add = [&](std::string name, const char* dtype, std::vector<std::int64_t> shape,
                         std::span<const std::byte> bytes) {
        parts.tensors.push_back({std::move(name), dtype, std::move(shape), bytes});
    };
    const Graph& graph = *s.model.graph();
    const std::vector<std::string>& slots = s.updater.rule().slots();
    for (std::size_t i = 0; i < slots.size(); ++i) {
        const std::span<const T> flat = s.updater.buffers()->slots[i].span();
        for (const int id : graph.parameters()) {
            add("optimizer:" + slots[i] + ":" + graph[id].name, dtype_of<T>, graph[id].shape.dims,
                std::as_bytes(flat.subspan(static_cast<std::size_t>(graph[id].offset),
                                           static_cast<std::size_t>(graph[id].shape.size()))));
        }
    }
    std::vector<LossRecipe> recipes;
    if (s.options.loss.function) recipes = recipes_of(s);
    for (std::size_t r = 0; r < recipes.size(); ++r) {
        for (std::size_t i = 0; i < recipes[r].steps.size(); ++i) {
            const LossRecipe::Step& step = recipes[r].steps[i];
            if (step.values) {
                add(constant_name(r, i), "F64", step.dims, std::as_bytes(std::span(*step.values)));
            }
        }
    }
    if (s.is_unfinished()) {
        const EpochProgress<T>& progress = s.progress;
        for (std::size_t k = 0; k < progress.outputs.size(); ++k) {
            std::vector<std::int64_t> shape = output_shape(s.model, k, progress.cursor.rows);
            const auto count = static_cast<std::size_t>(Shape{shape, false}.size());
            add(output_name(k), dtype_of<T>, std::move(shape),
                std::as_bytes(std::span(progress.outputs[k]).first(count)));
        }
        const auto parameters = static_cast<std::int64_t>(progress.gradients.size());
        if (parameters > 0) {
            add("epoch:gradient_norms", "F64", {parameters}, std::as_bytes(std::span(progress.gradients)));
            add("epoch:update_norms", "F64", {parameters}, std::as_bytes(std::span(progress.updates)));
        }
    }
    parts.metadata.emplace_back("trainer", trainer_json(s, recipes).text());
    for (const auto& [name, text] : notes.strings) {
        parts.metadata.emplace_back(std::string(note_prefix) + name, text);
    }
    for (const NamedTensor& tensor : notes.tensors) {
        parts.tensors.push_back({std::string(note_prefix) + tensor.name, tensor.dtype, tensor.shape,
                                 std::span<const std::byte>(tensor.bytes)});
    }
    io::write_atomically(path,
                         io::write_safetensors(parts.tensors, parts.metadata, io::Checksum::whole_file));
}

// ------------------------------------------------------------------------------------------------- loading

namespace {

TrainerOptions options_from(const Json& json, Store& store, std::vector<LossRecipe>& recipes) {
    TrainerOptions options;
    const Json& loss = json.get_object("loss");
    if (const Json* graphs = loss.find("graphs")) {
        for (const Json& graph : graphs->as_array("graphs")) {
            recipes.push_back(recipe_from(graph, recipes.size(), store));
        }
    } else {
        for (const Json& term : loss.get_array("terms")) {
            options.loss.terms.push_back(
                {term.get_string("name"), io::attributes_from(term.get_object("attributes"))});
        }
    }
    for (const Json& weight : json.get_array("loss_weights")) {
        options.loss_weights.push_back(number_from(weight, "loss_weights"));
    }
    const Json& optimizer = json.get_object("optimizer");
    options.optimizer = {optimizer.get_string("name"), settings_from(optimizer.get_object("hyper")),
                         schedule_from(json.get_object("schedule"))};
    for (const Json& group : json.get_array("groups")) {
        options.groups.push_back({group.get_string("pattern"), settings_from(group.get_object("settings"))});
    }
    options.l1 = number_at(json, "l1");
    options.l2 = number_at(json, "l2");
    options.clip_norm = number_at(json, "clip_norm");
    options.clip_value = number_at(json, "clip_value");
    options.threads = static_cast<int>(json.get_int("threads", 0, std::numeric_limits<int>::max()));
    options.seed = seed_from(json.get_string("seed"));
    return options;
}

template <class T>
Trainer<T> trainer_from(const io::SafetensorsFile& file, const Json& json, Model<T> model,
                        LossFunction loss) {
    Store store(file);
    std::vector<LossRecipe> recipes;
    TrainerOptions options = options_from(json, store, recipes);
    if (options.loss.terms.empty()) {
        options.loss.function = loss ? std::move(loss) : loss_of(model.graph(), recipes);
    }
    Trainer<T> trainer(model, std::move(options));
    TrainerState<T>& s = TrainerFile::state(trainer);
    s.recipes = std::move(recipes);
    const Graph& graph = *model.graph();
    const std::vector<std::string>& slots = s.updater.rule().slots();
    for (std::size_t i = 0; i < slots.size(); ++i) {
        const std::span<T> flat = s.updater.buffers()->slots[i].span();
        for (const int id : graph.parameters()) {
            store.read("optimizer:" + slots[i] + ":" + graph[id].name, graph[id].shape.dims,
                       flat.subspan(static_cast<std::size_t>(graph[id].offset),
                                    static_cast<std::size_t>(graph[id].shape.size())));
        }
    }
    trainer.set_iteration(json.get_int("iteration", 0));
    trainer.set_epoch(json.get_int("epoch", 0));
    trainer.set_schedule(schedule_from(json.get_object("present")));
    const Settings state = settings_from(json.get_object("schedule_state"));
    if (!state.empty() || !trainer.schedule_state().empty()) trainer.set_schedule_state(state);
    if (const Json& running = json.at("running"); !running.is_null()) {
        s.progress = running_from(running, model, store);
        s.progress.epoch = s.epoch;
        s.progress.iteration = s.iteration;
    }
    store.finish(graph);
    return trainer;
}

void check_loss(const Json& json, const LossFunction& loss, const std::string& source) {
    const Json* graphs = json.get_object("loss").find("graphs");
    if (graphs == nullptr && loss) {
        throw ArgumentError("loss: " + source +
                            " has a loss of the library's own, which needs no function; leave loss= out");
    }
    if (graphs != nullptr && graphs->as_array("graphs").empty() && !loss) {
        throw ArgumentError("loss: " + source +
                            " was saved before its loss, a function of one's own, was first used, so it has "
                            "no graph of it; pass the function: loss=");
    }
}

Notes notes_of(const io::SafetensorsFile& file) {
    Notes notes;
    for (const auto& [key, text] : file.metadata()) {
        if (key.starts_with(note_prefix)) notes.strings[key.substr(note_prefix.size())] = text;
    }
    for (const io::TensorInfo& info : file.tensors()) {
        if (!info.name.starts_with(note_prefix)) continue;
        const std::span<const std::byte> bytes = file.bytes(info);
        notes.tensors.push_back(
            {info.name.substr(note_prefix.size()), info.dtype, info.shape, {bytes.begin(), bytes.end()}});
    }
    return notes;
}

}  // namespace

Checkpoint load_checkpoint(const std::filesystem::path& path, LossFunction loss) {
    const io::SafetensorsFile file = io::SafetensorsFile::read(path);
    const std::string* format = file.find_metadata("format");
    if (format != nullptr && *format == io::model_format) {
        throw FileFormatError(file.source() +
                              ": it is a model without a trainer; load it as a model (rg.load) and make a "
                              "new Trainer, or save by trainer.save");
    }
    const AnyModel model = io::model_of(file);  // checks format, version and checksum
    const std::string* text = file.find_metadata("trainer");
    if (text == nullptr) {
        throw FileFormatError(file.source() + ": metadata 'trainer' is missing, so this is no checkpoint");
    }
    const Json json = Json::parse(*text, file.source() + ": trainer");
    check_loss(json, loss, file.source());
    try {
        return std::visit(
            [&](const auto& one) -> Checkpoint {
                return {trainer_from(file, json, one, std::move(loss)), notes_of(file)};
            },
            model);
    } catch (const FileFormatError& error) {
        const std::string what = error.what();
        throw FileFormatError(what.starts_with(file.source()) ? what : file.source() + ": trainer: " + what);
    } catch (const Error& error) {  // a trainer that could not have been made
        throw FileFormatError(file.source() + ": the trainer in this file is not valid: " + error.what());
    }
}

template <class T>
void Trainer<T>::save(const std::filesystem::path& path) const {
    retrograd::save(*this, path, {});
}

template <class T>
Trainer<T> Trainer<T>::load(const std::filesystem::path& path, LossFunction loss) {
    Checkpoint checkpoint = load_checkpoint(path, std::move(loss));
    if (Trainer* trainer = std::get_if<Trainer>(&checkpoint.trainer)) return std::move(*trainer);
    constexpr bool wide = std::is_same_v<T, double>;
    throw DTypeError(io::shown(path) + ": it was trained in " + (wide ? "float32" : "float64") +
                     "; load it by Trainer<" + (wide ? "float" : "double") + ">");
}

template void save<float>(const Trainer<float>&, const std::filesystem::path&, const Notes&);
template void save<double>(const Trainer<double>&, const std::filesystem::path&, const Notes&);
template void Trainer<float>::save(const std::filesystem::path&) const;
template void Trainer<double>::save(const std::filesystem::path&) const;
template Trainer<float> Trainer<float>::load(const std::filesystem::path&, LossFunction);
template Trainer<double> Trainer<double>::load(const std::filesystem::path&, LossFunction);

}  // namespace retrograd
