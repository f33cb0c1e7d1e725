/* A row after the other through fann_train: what a C program with FANN would do for the XOR example. */
#include <floatfann.h>

struct fann *bench_make(unsigned inputs, unsigned hidden, unsigned outputs, float rate) {
    struct fann *net = fann_create_standard(3, inputs, hidden, outputs);
    if (!net) return net;
    /* with a steepness of 1/2 FANN's sigmoid is 1 / (1 + exp(-z)) */
    fann_set_activation_function_hidden(net, FANN_SIGMOID);
    fann_set_activation_function_output(net, FANN_SIGMOID);
    fann_set_activation_steepness_hidden(net, 0.5F);
    fann_set_activation_steepness_output(net, 0.5F);
    fann_set_training_algorithm(net, FANN_TRAIN_INCREMENTAL);
    fann_set_train_error_function(net, FANN_ERRORFUNC_LINEAR);
    fann_set_learning_rate(net, rate);
    fann_set_learning_momentum(net, 0.0F);
    return net;
}

void bench_free(struct fann *net) { fann_destroy(net); }

/* The weights as FANN orders them: for every unit its inputs, the bias the last of them. */
void bench_set(struct fann *net, const float *weights) {
    unsigned n = fann_get_total_connections(net);
    struct fann_connection all[64];
    if (n > 64) return;
    fann_get_connection_array(net, all);
    for (unsigned i = 0; i < n; ++i) all[i].weight = weights[i];
    fann_set_weight_array(net, all, n);
}

void bench_get(struct fann *net, float *weights) {
    unsigned n = fann_get_total_connections(net);
    struct fann_connection all[64];
    if (n > 64) return;
    fann_get_connection_array(net, all);
    for (unsigned i = 0; i < n; ++i) weights[i] = all[i].weight;
}

void bench_run(struct fann *net, float *x, float *y, unsigned rows, unsigned epochs) {
    const unsigned inputs = fann_get_num_input(net), outputs = fann_get_num_output(net);
    for (unsigned e = 0; e < epochs; ++e)
        for (unsigned i = 0; i < rows; ++i) fann_train(net, x + i * inputs, y + i * outputs);
}
