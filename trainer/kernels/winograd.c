/* 3x3 convolutions, stride 1, padding 1, by Winograd's F(4x4, 3x3): a quarter of the multiplications.

   Lavin and Gray 2015, "Fast Algorithms for Convolutional Neural Networks", section 4.3. An image is cut into tiles of
   4x4 output pixels; each is seen through 6x6 input pixels. With the transforms below

       y = A' [ (G w G') * (B' x B) ] A          forward, and for the images' gradient with w turned round
       dw = G' [ (A dy A') * (B' x B) ] G        the weights' gradient, summed over the tiles

   and at each of the 36 places of a tile the product over channels is one matrix product.

   Images are (B, H, W, C) in memory. What is transformed lies in panels of 16 channels: (36, C / 16, rows, 16), the
   rows being tiles or, of weights, channels: so every kernel reads its memory in order. All channel counts are multiples
   of 16. A stretch of tiles is dealt with at a time, so that what is transformed stays in the caches. */

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "vectors.h"

#define PLACES 36
#define TILE 4
#define SEEN 6
#define STRETCH_BYTES (6 << 20)

/* Sums over the last axis, in the order of the text. */
static inline void see(const vec d[SEEN], vec r[SEEN]) {
    vec even = d[4] - 4 * d[2], odd = d[3] - 4 * d[1], near = d[4] - d[2], far = 2 * (d[3] - d[1]);
    r[0] = 4 * d[0] - 5 * d[2] + d[4];
    r[1] = even + odd;
    r[2] = even - odd;
    r[3] = near + far;
    r[4] = near - far;
    r[5] = 4 * d[1] - 5 * d[3] + d[5];
}

static inline void gather(const vec m[SEEN], vec r[TILE]) {
    vec sum = m[1] + m[2], difference = m[1] - m[2], sum2 = m[3] + m[4], difference2 = m[3] - m[4];
    r[0] = m[0] + sum + sum2;
    r[1] = difference + 2 * difference2;
    r[2] = sum + 4 * sum2;
    r[3] = difference + 8 * difference2 + m[5];
}

static inline void spread(const vec y[TILE], vec r[SEEN]) {
    vec even = y[0] + y[2], odd = y[1] + y[3], even2 = y[0] + 4 * y[2], odd2 = 2 * y[1] + 8 * y[3];
    r[0] = y[0];
    r[1] = even + odd;
    r[2] = even - odd;
    r[3] = even2 + odd2;
    r[4] = even2 - odd2;
    r[5] = y[3];
}

static inline void widen(const vec w[3], vec r[SEEN]) {
    vec even = w[0] + w[2], even2 = w[0] + 4 * w[2];
    r[0] = w[0] * (1 / 4.f);
    r[1] = (even + w[1]) * (-1 / 6.f);
    r[2] = (even - w[1]) * (-1 / 6.f);
    r[3] = (even2 + 2 * w[1]) * (1 / 24.f);
    r[4] = (even2 - 2 * w[1]) * (1 / 24.f);
    r[5] = w[2];
}

static inline void narrow(const vec u[SEEN], vec r[3]) {
    vec sum = u[1] + u[2], difference = u[2] - u[1], sum2 = u[3] + u[4], difference2 = u[3] - u[4];
    r[0] = u[0] * (1 / 4.f) - sum * (1 / 6.f) + sum2 * (1 / 24.f);
    r[1] = difference * (1 / 6.f) + difference2 * (1 / 12.f);
    r[2] = (sum2 - sum) * (1 / 6.f) + u[5];
}

/* Tiles first to first + count of all the images' tiles. */
struct stretch {
    ptrdiff_t height, width, channels, down, across, first, count;
};

static struct stretch stretch_of(ptrdiff_t height, ptrdiff_t width, ptrdiff_t channels, ptrdiff_t first, ptrdiff_t count) {
    return (struct stretch){height, width, channels, (height + TILE - 1) / TILE, (width + TILE - 1) / TILE, first, count};
}

/* B' x B of every tile. */
static void see_images(const float *images, float *seen, struct stretch s) {
    static const float nothing[LANES];
    ptrdiff_t panel = s.count * PANEL, place = s.channels / PANEL * panel;
#pragma omp parallel for schedule(static)
    for (ptrdiff_t tile = 0; tile < s.count; tile++) {
        ptrdiff_t column = (s.first + tile) % s.across, row = (s.first + tile) / s.across % s.down;
        ptrdiff_t left = column * TILE - 1, top = row * TILE - 1;
        const float *image = images + (s.first + tile) / (s.across * s.down) * s.height * s.width * s.channels;
        for (ptrdiff_t channel = 0; channel < s.channels; channel += LANES) {
            vec halfway[SEEN][SEEN], x[SEEN], r[SEEN];
            for (int i = 0; i < SEEN; i++) {
                for (int j = 0; j < SEEN; j++) {
                    ptrdiff_t y = top + i, z = left + j;
                    int inside = y >= 0 && y < s.height && z >= 0 && z < s.width;
                    x[j] = load(inside ? image + (y * s.width + z) * s.channels + channel : nothing);
                }
                see(x, halfway[i]);
            }
            float *to = seen + channel / PANEL * panel + tile * PANEL + channel % PANEL;
            for (int j = 0; j < SEEN; j++) {
                for (int i = 0; i < SEEN; i++) x[i] = halfway[i][j];
                see(x, r);
                for (int i = 0; i < SEEN; i++) store(to + (i * SEEN + j) * place, r[i]);
            }
        }
    }
}

/* A dy A' of every tile. */
static void spread_images(const float *images, float *result, struct stretch s) {
    static const float nothing[LANES];
    ptrdiff_t panel = s.count * PANEL, place = s.channels / PANEL * panel;
#pragma omp parallel for schedule(static)
    for (ptrdiff_t tile = 0; tile < s.count; tile++) {
        ptrdiff_t left = (s.first + tile) % s.across * TILE, top = (s.first + tile) / s.across % s.down * TILE;
        const float *image = images + (s.first + tile) / (s.across * s.down) * s.height * s.width * s.channels;
        for (ptrdiff_t channel = 0; channel < s.channels; channel += LANES) {
            vec halfway[TILE][SEEN], y[TILE], r[SEEN];
            for (int i = 0; i < TILE; i++) {
                for (int j = 0; j < TILE; j++) {
                    int inside = top + i < s.height && left + j < s.width;
                    y[j] = load(inside ? image + ((top + i) * s.width + left + j) * s.channels + channel : nothing);
                }
                spread(y, halfway[i]);
            }
            float *to = result + channel / PANEL * panel + tile * PANEL + channel % PANEL;
            for (int j = 0; j < SEEN; j++) {
                for (int i = 0; i < TILE; i++) y[i] = halfway[i][j];
                spread(y, r);
                for (int i = 0; i < SEEN; i++) store(to + (i * SEEN + j) * place, r[i]);
            }
        }
    }
}

/* A' m A of every tile, into the images. */
static void gather_images(const float *products, float *images, struct stretch s) {
    ptrdiff_t panel = s.count * PANEL, place = s.channels / PANEL * panel;
#pragma omp parallel for schedule(static)
    for (ptrdiff_t tile = 0; tile < s.count; tile++) {
        ptrdiff_t left = (s.first + tile) % s.across * TILE, top = (s.first + tile) / s.across % s.down * TILE;
        float *image = images + (s.first + tile) / (s.across * s.down) * s.height * s.width * s.channels;
        for (ptrdiff_t channel = 0; channel < s.channels; channel += LANES) {
            const float *from = products + channel / PANEL * panel + tile * PANEL + channel % PANEL;
            vec halfway[SEEN][TILE], m[SEEN], r[TILE];
            for (int i = 0; i < SEEN; i++) {
                for (int j = 0; j < SEEN; j++) m[j] = load(from + (i * SEEN + j) * place);
                gather(m, halfway[i]);
            }
            for (int j = 0; j < TILE && left + j < s.width; j++) {
                for (int i = 0; i < SEEN; i++) m[i] = halfway[i][j];
                gather(m, r);
                for (int i = 0; i < TILE && top + i < s.height; i++)
                    store(image + ((top + i) * s.width + left + j) * s.channels + channel, r[i]);
            }
        }
    }
}

/* G w G', as (36, to / 16, from, 16). weights: (to, from, 3, 3) with these strides, in floats; turned: by half a turn.
   A block of 16 by 16 channels is copied first: read in any other order, its lines would drive each other out. */
static void widen_weights(const float *weights, float *wide, ptrdiff_t to, ptrdiff_t from, const ptrdiff_t strides[4],
                          int turned) {
#pragma omp parallel for collapse(2) schedule(static)
    for (ptrdiff_t panel = 0; panel < to / PANEL; panel++) {
        for (ptrdiff_t block = 0; block < from / PANEL; block++) {
            float copy[3][3][PANEL][PANEL];
            const float *corner = weights + panel * PANEL * strides[0] + block * PANEL * strides[1];
            for (int i = 0; i < 3; i++)
                for (int j = 0; j < 3; j++) {
                    const float *place = corner + (turned ? 2 - i : i) * strides[2] + (turned ? 2 - j : j) * strides[3];
                    for (int lane = 0; lane < PANEL; lane++)
                        for (int channel = 0; channel < PANEL; channel++)
                            copy[i][j][channel][lane] = place[lane * strides[0] + channel * strides[1]];
                }
            for (int channel = 0; channel < PANEL; channel++) {
                for (int part = 0; part < PANEL; part += LANES) {
                    vec halfway[3][SEEN], w[3], r[SEEN];
                    for (int i = 0; i < 3; i++) {
                        for (int j = 0; j < 3; j++) w[j] = load(copy[i][j][channel] + part);
                        widen(w, halfway[i]);
                    }
                    ptrdiff_t row = block * PANEL + channel;
                    for (int j = 0; j < SEEN; j++) {
                        for (int i = 0; i < 3; i++) w[i] = halfway[i][j];
                        widen(w, r);
                        for (int i = 0; i < SEEN; i++)
                            store(wide + (((i * SEEN + j) * (to / PANEL) + panel) * from + row) * PANEL + part, r[i]);
                    }
                }
            }
        }
    }
}

/* G' u G, from (36, from / 16, to, 16) into (to, 3, 3, from). */
static void narrow_weights(const float *wide, float *weights, ptrdiff_t to, ptrdiff_t from) {
#pragma omp parallel for schedule(static)
    for (ptrdiff_t channel = 0; channel < to; channel++) {
        for (ptrdiff_t other = 0; other < from; other += LANES) {
            vec halfway[SEEN][3], u[SEEN], r[3];
            for (int i = 0; i < SEEN; i++) {
                for (int j = 0; j < SEEN; j++)
                    u[j] = load(wide + (((i * SEEN + j) * (from / PANEL) + other / PANEL) * to + channel) * PANEL + other % PANEL);
                narrow(u, halfway[i]);
            }
            for (int j = 0; j < 3; j++) {
                for (int i = 0; i < SEEN; i++) u[i] = halfway[i][j];
                narrow(u, r);
                for (int i = 0; i < 3; i++) store(weights + ((channel * 3 + i) * 3 + j) * from + other, r[i]);
            }
        }
    }
}

/* A few rows of 16 sums: sums[row] += rows' own a[row * stride + depth * step] times b[depth][16], over one panel. */
#define PRODUCT(ROWS)                                                                                               \
    static inline void product_##ROWS(const float *a, ptrdiff_t row, ptrdiff_t step, const float *b, float *sums,     \
                                      ptrdiff_t depth, ptrdiff_t panel, ptrdiff_t panels, int add) {                  \
        vec c[ROWS][PANEL / LANES];                                                                                   \
        _Pragma("GCC unroll 16") for (int i = 0; i < ROWS; i++)                                                       \
            _Pragma("GCC unroll 2") for (int v = 0; v < PANEL / LANES; v++)                                           \
                c[i][v] = add ? load(sums + i * PANEL + v * LANES) : (vec){0};                                        \
        for (ptrdiff_t each = 0; each < panels; each++, a += panel)                                                   \
            for (ptrdiff_t d = 0; d < depth; d++, b += PANEL) {                                                       \
                vec of_b[PANEL / LANES];                                                                              \
                _Pragma("GCC unroll 2") for (int v = 0; v < PANEL / LANES; v++) of_b[v] = load(b + v * LANES);        \
                _Pragma("GCC unroll 16") for (int i = 0; i < ROWS; i++)                                               \
                    _Pragma("GCC unroll 2") for (int v = 0; v < PANEL / LANES; v++)                                   \
                        c[i][v] += a[i * row + d * step] * of_b[v];                                                   \
            }                                                                                                         \
        _Pragma("GCC unroll 16") for (int i = 0; i < ROWS; i++)                                                       \
            _Pragma("GCC unroll 2") for (int v = 0; v < PANEL / LANES; v++)                                           \
                store(sums + i * PANEL + v * LANES, c[i][v]);                                                         \
    }
PRODUCT(6)
PRODUCT(4)
PRODUCT(1)

/* (36, to / 16, tiles, 16) = (36, from / 16, tiles, 16) times (36, to / 16, from, 16). */
static void multiply(const float *seen, const float *wide, float *products, ptrdiff_t tiles, ptrdiff_t from, ptrdiff_t to) {
    const ptrdiff_t most = 48, chunks = (tiles + most - 1) / most;
#pragma omp parallel for collapse(2) schedule(static)
    for (ptrdiff_t place = 0; place < PLACES; place++) {
        for (ptrdiff_t chunk = 0; chunk < chunks; chunk++) {
            ptrdiff_t first = chunk * most, last = first + most < tiles ? first + most : tiles;
            const float *a = seen + place * from * tiles;
            for (ptrdiff_t panel = 0; panel < to / PANEL; panel++) {
                const float *b = wide + (place * (to / PANEL) + panel) * from * PANEL;
                float *c = products + (place * (to / PANEL) + panel) * tiles * PANEL;
                ptrdiff_t tile = first;
                for (; tile + 6 <= last; tile += 6)
                    product_6(a + tile * PANEL, PANEL, 1, b, c + tile * PANEL, PANEL, tiles * PANEL, from / PANEL, 0);
                for (; tile + 4 <= last; tile += 4)
                    product_4(a + tile * PANEL, PANEL, 1, b, c + tile * PANEL, PANEL, tiles * PANEL, from / PANEL, 0);
                for (; tile < last; tile++)
                    product_1(a + tile * PANEL, PANEL, 1, b, c + tile * PANEL, PANEL, tiles * PANEL, from / PANEL, 0);
            }
        }
    }
}

/* (36, from / 16, to, 16) += over tiles, (36, to / 16, tiles, 16) transposed times (36, from / 16, tiles, 16). */
static void correlate(const float *spread, const float *seen, float *sums, ptrdiff_t tiles, ptrdiff_t from, ptrdiff_t to,
                      int add) {
    const ptrdiff_t most = 256;
#pragma omp parallel for collapse(2) schedule(static)
    for (ptrdiff_t place = 0; place < PLACES; place++) {
        for (ptrdiff_t rows = 0; rows < to / PANEL; rows++) {
            for (ptrdiff_t first = 0; first < tiles; first += most) {
                ptrdiff_t depth = first + most < tiles ? most : tiles - first;
                const float *a = spread + ((place * (to / PANEL) + rows) * tiles + first) * PANEL;
                for (ptrdiff_t panel = 0; panel < from / PANEL; panel++) {
                    const float *b = seen + ((place * (from / PANEL) + panel) * tiles + first) * PANEL;
                    float *c = sums + ((place * (from / PANEL) + panel) * to + rows * PANEL) * PANEL;
                    product_6(a, 1, PANEL, b, c, depth, 0, 1, add || first);
                    product_6(a + 6, 1, PANEL, b, c + 6 * PANEL, depth, 0, 1, add || first);
                    product_4(a + 12, 1, PANEL, b, c + 12 * PANEL, depth, 0, 1, add || first);
                }
            }
        }
    }
}

static ptrdiff_t tiles_of(ptrdiff_t batch, ptrdiff_t height, ptrdiff_t width) {
    return batch * ((height + TILE - 1) / TILE) * ((width + TILE - 1) / TILE);
}

static ptrdiff_t stretch_length(ptrdiff_t tiles, ptrdiff_t channels) {
    ptrdiff_t most = STRETCH_BYTES / (ptrdiff_t)(PLACES * sizeof(float) * channels);
    most = most < 48 ? 48 : most;
    ptrdiff_t stretches = (tiles + most - 1) / most;
    return (tiles + stretches - 1) / stretches;
}

static float *room(ptrdiff_t floats) { return aligned_alloc(64, (floats * sizeof(float) + 63) / 64 * 64); }

/* results (B, H, W, to) of images (B, H, W, from); weights as for widen_weights. 0 if memory runs out. */
int winograd_convolve(const float *images, const float *weights, float *results, ptrdiff_t batch, ptrdiff_t height,
                      ptrdiff_t width, ptrdiff_t from, ptrdiff_t to, const ptrdiff_t *strides, int turned) {
    ptrdiff_t tiles = tiles_of(batch, height, width), length = stretch_length(tiles, from + to);
    float *wide = room(PLACES * from * to), *seen = room(PLACES * length * from), *products = room(PLACES * length * to);
    int enough = wide && seen && products;
    if (enough) {
        widen_weights(weights, wide, to, from, strides, turned);
        for (ptrdiff_t first = 0; first < tiles; first += length) {
            ptrdiff_t count = first + length < tiles ? length : tiles - first;
            see_images(images, seen, stretch_of(height, width, from, first, count));
            multiply(seen, wide, products, count, from, to);
            gather_images(products, results, stretch_of(height, width, to, first, count));
        }
    }
    free(wide), free(seen), free(products);
    return enough;
}

/* weights (to, 3, 3, from): the gradient, of images (B, H, W, from) and the results' gradient (B, H, W, to). */
int winograd_weights(const float *images, const float *gradient, float *weights, ptrdiff_t batch, ptrdiff_t height,
                     ptrdiff_t width, ptrdiff_t from, ptrdiff_t to) {
    ptrdiff_t tiles = tiles_of(batch, height, width), length = stretch_length(tiles, from + to);
    float *wide = room(PLACES * from * to), *seen = room(PLACES * length * from), *spread = room(PLACES * length * to);
    int enough = wide && seen && spread;
    if (enough) {
        for (ptrdiff_t first = 0; first < tiles; first += length) {
            ptrdiff_t count = first + length < tiles ? length : tiles - first;
            see_images(images, seen, stretch_of(height, width, from, first, count));
            spread_images(gradient, spread, stretch_of(height, width, to, first, count));
            correlate(spread, seen, wide, count, from, to, first > 0);
        }
        narrow_weights(wide, weights, to, from);
    }
    free(wide), free(seen), free(spread);
    return enough;
}
