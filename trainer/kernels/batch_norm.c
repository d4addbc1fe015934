/* Batch norm in training, and the ReLU after it, in two passes over the images each way instead of five and eight.

   Ioffe and Szegedy 2015, "Batch Normalization", algorithm 1. Images are rows of channels, (rows, channels) in memory;
   channels are a multiple of 16. Sums are taken over stretches of rows in float, relative to the mean of a few rows so
   that a large mean costs them no digits, and over the stretches in double, in their order: the same bits for any threads. */

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#include "vectors.h"

#define STRETCH 256
#define FEW 16

static inline ptrdiff_t end_of(ptrdiff_t stretch, ptrdiff_t rows) {
    return (stretch + 1) * STRETCH < rows ? (stretch + 1) * STRETCH : rows;
}

/* NaN stays NaN, as in torch: nothing hides it. */
static inline vec rectified(vec value) { return (vec)((bits)value & ~(value < 0)); }

/* The gradient where the rectified value is above zero. */
static inline vec passed(vec gradient, vec value) { return (vec)((bits)gradient & ~(value <= 0)); }

/* Sums of a channel over all stretches; two numbers a channel and stretch, (stretches, 2, channels). */
static void total(const float *parts, ptrdiff_t stretches, ptrdiff_t channels, ptrdiff_t channel, double *one, double *two) {
    *one = *two = 0;
    for (ptrdiff_t each = 0; each < stretches; each++) {
        *one += parts[each * 2 * channels + channel];
        *two += parts[(each * 2 + 1) * channels + channel];
    }
}

/* results = images normalised, rectified if asked. mean and inverse_std (channels) are for the way back; the running
   figures move by momentum, the variance unbiased. 0 if memory runs out. */
int batch_norm_forward(const float *images, float *results, const float *weight, const float *bias, float *mean,
                       float *inverse_std, float *running_mean, float *running_var, ptrdiff_t rows, ptrdiff_t channels,
                       double eps, double momentum, int rectify) {
    ptrdiff_t stretches = (rows + STRETCH - 1) / STRETCH;
    float *parts = calloc(stretches * 2 * channels + 3 * channels, sizeof(float));
    if (!parts) return 0;
    float *scale = parts + stretches * 2 * channels, *offset = scale + channels, *near = offset + channels;
    for (ptrdiff_t each = 0; each < FEW; each++)
        for (ptrdiff_t c = 0; c < channels; c++) near[c] += images[(each + 1) * rows / (FEW + 1) * channels + c] / FEW;
#pragma omp parallel for schedule(static)
    for (ptrdiff_t stretch = 0; stretch < stretches; stretch++) {
        float *sums = parts + stretch * 2 * channels, *squares = sums + channels;
        for (ptrdiff_t row = stretch * STRETCH; row < end_of(stretch, rows); row++)
            for (ptrdiff_t c = 0; c < channels; c += LANES) {
                vec apart = load(images + row * channels + c) - load(near + c);
                store(sums + c, load(sums + c) + apart);
                store(squares + c, load(squares + c) + apart * apart);
            }
    }
    for (ptrdiff_t c = 0; c < channels; c++) {
        double sum, square;
        total(parts, stretches, channels, c, &sum, &square);
        double apart = sum / rows, variance = square / rows - apart * apart;
        variance = variance < 0 ? 0 : variance;
        mean[c] = near[c] + apart;
        inverse_std[c] = 1 / sqrt(variance + eps);
        scale[c] = weight[c] * inverse_std[c];
        offset[c] = bias[c] - mean[c] * scale[c];
        running_mean[c] += momentum * (mean[c] - running_mean[c]);
        running_var[c] += momentum * (variance * rows / (rows - 1) - running_var[c]);
    }
#pragma omp parallel for schedule(static)
    for (ptrdiff_t stretch = 0; stretch < stretches; stretch++)
        for (ptrdiff_t row = stretch * STRETCH; row < end_of(stretch, rows); row++)
            for (ptrdiff_t c = 0; c < channels; c += LANES) {
                vec value = load(images + row * channels + c) * load(scale + c) + load(offset + c);
                store(results + row * channels + c, rectify ? rectified(value) : value);
            }
    free(parts);
    return 1;
}

/* The gradients of images, weight and bias from that of the results. 0 if memory runs out. */
int batch_norm_backward(const float *gradient, const float *images, const float *weight, const float *bias,
                        const float *mean, const float *inverse_std, float *of_images, float *of_weight, float *of_bias,
                        ptrdiff_t rows, ptrdiff_t channels, int rectify) {
    ptrdiff_t stretches = (rows + STRETCH - 1) / STRETCH;
    float *parts = calloc(stretches * 2 * channels + 4 * channels, sizeof(float));
    if (!parts) return 0;
    float *scale = parts + stretches * 2 * channels, *offset = scale + channels;
    float *slope = offset + channels, *level = slope + channels;
    for (ptrdiff_t c = 0; c < channels; c++) {
        scale[c] = weight[c] * inverse_std[c];
        offset[c] = bias[c] - mean[c] * scale[c];
    }
#pragma omp parallel for schedule(static)
    for (ptrdiff_t stretch = 0; stretch < stretches; stretch++) {
        float *sums = parts + stretch * 2 * channels, *products = sums + channels;
        for (ptrdiff_t row = stretch * STRETCH; row < end_of(stretch, rows); row++)
            for (ptrdiff_t c = 0; c < channels; c += LANES) {
                vec image = load(images + row * channels + c), each = load(gradient + row * channels + c);
                if (rectify) each = passed(each, image * load(scale + c) + load(offset + c));
                store(sums + c, load(sums + c) + each);
                store(products + c, load(products + c) + each * (image - load(mean + c)));
            }
    }
    for (ptrdiff_t c = 0; c < channels; c++) {
        double sum, product;
        total(parts, stretches, channels, c, &sum, &product);
        double share = product * inverse_std[c] * inverse_std[c] / rows;
        of_weight[c] = product * inverse_std[c];
        of_bias[c] = sum;
        slope[c] = -share * scale[c];
        level[c] = -sum / rows * scale[c];
    }
#pragma omp parallel for schedule(static)
    for (ptrdiff_t stretch = 0; stretch < stretches; stretch++)
        for (ptrdiff_t row = stretch * STRETCH; row < end_of(stretch, rows); row++)
            for (ptrdiff_t c = 0; c < channels; c += LANES) {
                vec image = load(images + row * channels + c), each = load(gradient + row * channels + c);
                if (rectify) each = passed(each, image * load(scale + c) + load(offset + c));
                vec tilt = (image - load(mean + c)) * load(slope + c) + load(level + c);
                store(of_images + row * channels + c, each * load(scale + c) + tilt);
            }
    free(parts);
    return 1;
}
