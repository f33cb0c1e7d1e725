/* The C interface: a saved model predicts a row, takes a training step, and says what is wrong.
 *   predict_c MODEL.safetensors */
#include <stdio.h>
#include <stdlib.h>

#include <retrograd/retrograd.h>

static int failed(void) {
    fprintf(stderr, "%s\n", rg_last_error());
    return 1;
}

int main(int count, char** arguments) {
    if (count != 2) {
        fprintf(stderr, "usage: predict_c MODEL.safetensors\n");
        return 2;
    }
    rg_model* model = rg_model_load(arguments[1]);
    if (model == NULL) return failed();
    const int64_t inputs = rg_model_input_size(model), outputs = rg_model_output_size(model);
    float* x = calloc((size_t)inputs, sizeof(float));
    float* y = calloc((size_t)outputs, sizeof(float));
    if (x == NULL || y == NULL) return 1;
    if (rg_model_predict(model, x, 1, y) != 0) return failed();
    for (int64_t k = 0; k < outputs; ++k) printf("%.9g\n", y[k]);

    const rg_trainer_options options = {.loss = "cross_entropy", .optimizer = "sgd", .lr = 0.1};
    rg_trainer* trainer = rg_trainer_new(model, &options);
    if (trainer == NULL) return failed();
    const int64_t label = 0;
    float loss = 0;
    if (rg_trainer_step_labels(trainer, x, &label, 1, &loss) != 0) return failed();
    printf("loss %.9g\n", loss);

    rg_trainer_free(trainer);
    rg_model_free(model);
    free(x);
    free(y);
    return 0;
}
