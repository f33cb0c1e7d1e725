// face FOLDER: every builder of the public headers once, the model handle, and the C interface; files go into
// FOLDER. tests/test_cpp_face.py makes the same models in Python.
#include <algorithm>
#include <cstring>
#include <thread>

#include <retrograd/retrograd.h>

#include "face.hpp"

namespace {

void check_model(const std::filesystem::path& folder) {
    rg::Sequential<float> net(rg::input({3}), {rg::layers::dense(4, {"relu"}), rg::layers::dense(2)}, 1);
    rg::Model<float> same = net;
    same.parameter("dense_0.weight")[0] = 5;
    check(net.parameters()[0] == 5, "copies of a model are one network");
    rg::Model<float> other = net.copy_as<float>();
    other.parameters()[0] = 6;
    check(net.parameters()[0] == 5, "copy_as makes another network");

    net.freeze("dense_0");
    check(std::ranges::count(net.frozen(), true) == 2, "freeze: both parameters of a layer");
    net.unfreeze("*.bias");
    check(std::ranges::count(net.frozen(), true) == 1, "unfreeze by a pattern");
    net.unfreeze();
    check_throws<rg::ArgumentError>(
        [&] { net.freeze("conv*"); },
        "freeze: 'conv*' matches no parameter; there are dense_0.weight, dense_0.bias");
    check_throws<rg::ArgumentError>([&] { (void)net.parameter("weight"); },
                                    "no parameter is named 'weight'; there are dense_0.weight");
    check_throws<rg::ArgumentError>([&] { (void)net.buffer("mean"); },
                                    "no buffer is named 'mean'; there are none");

    const std::vector<float> x = {1, 2, 3, 4, 5, 6};
    const std::vector<float> y = net.predict(x);
    std::vector<float> into(4);
    net.predict(x, into);
    check(y == into && y.size() == 4, "predict");
    check_throws<rg::ShapeError>([&] { (void)net.predict(std::vector<float>(4)); },
                                 "4 numbers are no whole number of samples of shape (3), which have 3 each");
    check_throws<rg::ShapeError>([&] { net.predict(x, std::span(into).first(3)); },
                                 "out: expected 4 elements, got 3");
    check_throws<rg::ShapeError>([&] { (void)net.predict(std::vector<float>()); }, "x: it has no rows");

    const std::filesystem::path wide = folder / "wide.safetensors";
    net.copy_as<double>().save(wide);
    check_throws<rg::DTypeError>([&] { (void)rg::Model<float>::load(wide); },
                                 "it holds F64, expected F32; pass Convert::yes");
    check(rg::Model<float>::load(wide, rg::Convert::yes).predict(x) == y, "converted as asked for");
    check(rg::Model<double>::load(wide).parameters()[0] == 5, "load in the file's own type");
    check_throws<rg::FileFormatError>([&] { (void)rg::Model<float>::load(folder / "none"); }, "none");

    const rg::Node a = rg::input({2});
    const rg::Node result = 2.0 * a + 1.0 - (3.0 - a) / 4.0 + -a * (1.0 / (a + 5.0)) + (a - 0.5) * a / a;
    check(rg::Model<double>({a}, {result}).predict(std::vector<double>{1, 2}) ==
              std::vector<double>{2.0 + 1 - 0.5 - 1.0 / 6 + 0.5, 4.0 + 1 - 0.25 - 2.0 * (1.0 / 7) + 1.5},
          "arithmetic of nodes");
    const std::vector<std::uint8_t> bytes = {1, 2, 3};
    check(rg::view(bytes).type == rg::ElementType::u8 && rg::view(bytes).rows() == 3, "a view of bytes");
    check(rg::element_type<std::int16_t>() == rg::ElementType::i16 &&
              rg::element_type<bool>() == rg::ElementType::boolean &&
              rg::element_type<double>() == rg::ElementType::f64,
          "types of elements");
}

bool error_has(const char* expected) { return std::strstr(rg_last_error(), expected) != nullptr; }

void check_c(const std::filesystem::path& folder) {
    const std::string file = (folder / "c.safetensors").string();
    rg::Sequential<float> net(rg::input({3}), {rg::layers::dense(2)}, 1);
    net.save(file);
    check(rg_model_load(nullptr) == nullptr && error_has("path: it is NULL"), "C: no path");
    check(rg_model_load((file + ".none").c_str()) == nullptr && error_has("c.safetensors.none"),
          "C: no file");
    check(rg_model_load((folder / "wide.safetensors").string().c_str()) == nullptr && error_has("F64"),
          "C: float64");
    check(rg_model_load((folder / "add.safetensors").string().c_str()) == nullptr &&
              error_has("2 inputs and 1 outputs"),
          "C: two inputs");
    std::string elsewhere = "x";
    std::thread([&] { elsewhere = rg_last_error(); }).join();
    check(elsewhere.empty(), "C: errors are a thread's own");

    rg_model* model = rg_model_load(file.c_str());
    check(model != nullptr && rg_model_input_size(model) == 3 && rg_model_output_size(model) == 2,
          "C: sizes");
    check(rg_model_input_size(nullptr) == -1 && rg_model_output_size(nullptr) == -1, "C: sizes of nothing");
    const float x[] = {1, 2, 3, 4, 5, 6};
    float y[4] = {};
    check(rg_model_predict(model, x, 2, y) == 0, "C: predict");
    check(std::vector<float>(y, y + 4) == net.predict(std::span(x)), "C: predict gives the same bytes");
    check(rg_model_predict(model, x, 0, y) == -1 && error_has("rows is 0"), "C: no rows");
    check(rg_model_predict(model, nullptr, 2, y) == -1 && error_has("x: it is NULL"), "C: no x");
    check(rg_model_predict(nullptr, x, 2, y) == -1 && error_has("model: it is NULL"), "C: no model");

    rg_trainer_options options = {};
    check(rg_trainer_new(model, &options) == nullptr && error_has("options: loss: it is NULL"), "C: no loss");
    options.loss = "cross_entropy";
    options.optimizer = "sdg";
    check(rg_trainer_new(model, &options) == nullptr && error_has("unknown name 'sdg'"), "C: no optimizer");
    options.optimizer = "sgd";
    options.lr = 0.1;
    rg_trainer* trainer = rg_trainer_new(model, &options);
    check(trainer != nullptr, rg_last_error());
    const std::int64_t labels[] = {1, 0}, wrong[] = {1, 2};
    float loss = 0;
    check(rg_trainer_step_labels(trainer, x, labels, 2, &loss) == 0 && loss > 0, "C: step");
    check(rg_trainer_step_labels(trainer, x, wrong, 2, nullptr) == -1 && error_has("2"),
          "C: a label too large");
    const float shares[] = {0.5, 0.5, 1, 0};
    check(rg_trainer_step(trainer, x, shares, 2, nullptr) == 0, "C: step with shares");
    check(rg_trainer_step(nullptr, x, shares, 2, nullptr) == -1 && error_has("trainer: it is NULL"),
          "C: none");

    rg::Trainer<float> twin(net, {.loss = rg::cross_entropy(), .optimizer = rg::sgd({.lr = 0.1})});
    twin.step(std::span(x), std::span(labels));
    twin.step(std::span(x), std::span(shares));
    check(rg_model_save(model, file.c_str()) == 0, "C: save");
    const auto saved = rg::Model<float>::load(file);
    check(std::ranges::equal(saved.parameters(), net.parameters()), "C and C++ train alike");
    check(rg_model_save(model, (folder / "none" / "x").string().c_str()) == -1,
          "C: a folder that is not there");
    rg_model_free(model);  // before its trainer
    check(rg_trainer_step(trainer, x, shares, 2, nullptr) == 0, "C: a trainer keeps its model alive");
    rg_trainer_free(trainer);
    rg_trainer_free(nullptr);
    rg_model_free(nullptr);
    rg_prepare_process();
}

}  // namespace

int main(int count, char** arguments) try {
    if (count != 2) return 2;
    const std::filesystem::path folder = arguments[1];
    make_layers(folder);
    make_trained(folder);
    check_model(folder);
    check_c(folder);
    return failures == 0 ? 0 : 1;
} catch (const std::exception& error) {
    std::printf("FAILED: %s\n", error.what());
    return 1;
}
