/* 3x3 convolutions, padding 1, stride 1 or 2, by Winograd's algorithm: a quarter, or 0.56, of the multiplications.

   Lavin and Gray 2015, "Fast Algorithms for Convolutional Neural Networks", section 4.3. An image is cut into tiles of
   4x4 output pixels. With the transforms below, on rows and then on columns,

       y = gather[ widen(w) * see(x) ]            forward, and for the images' gradient with w turned round
       dw = narrow[ spread(dy) * see(x) ]         the weights' gradient, summed over the tiles

   and at each of the places of a tile the product over channels is one matrix product. At stride 1 a line of a tile has
   6 places: F(4, 3). At stride 2 it has 9: the pixels between those of the output meet the middle weight alone, 4
   places; the others meet the outer two, as in a convolution of stride 1 with two weights: F(4, 2), 5 places.

   Images are (B, H, W, C) in memory; all channel counts are multiples of 16. What is transformed lies in panels of 16
   channels, so that every kernel reads its memory in order:

       tiles       (places, C / 16, tiles, 16)
       weights     (to / 16, places, from, 16)
       their sums  (to / 16, from / 16, places, 16, 16)

   Between one place and the next a line of the cache is left out: else the places, a power of two apart, would drive each
   other out of it. */

#include <omp.h>
#include <stddef.h>
#include <stdlib.h>

#include "vectors.h"

#define TILE 4
#define MOST 9

/* A stretch of a thread's own: bytes at most, for its cache, but so many tiles at least that the weights are worth their
   reading. Where there are not so many stretches for each thread, or more bytes of all weights, stretches are shared. */
#define OWN_BYTES (400 << 10)
#define OWN_TILES 24
#define OWN_STRETCHES 4
#define OWN_WEIGHTS_BYTES (3 << 20)
/* A shared one: tiles at most, and channels whose weights a thread transforms at a time. */
#define SHARED_TILES 256
#define SHARED_DEPTH 128

#define INLINE static inline __attribute__((always_inline))

typedef void transform(const vec *from, vec *to);

/* Floats from one place to the next. */
static inline ptrdiff_t place_size(ptrdiff_t rows, ptrdiff_t channels) { return rows * channels + PANEL; }
/* And of sums. */
#define BLOCK (PANEL * PANEL + PANEL)

/* F(4, 3), at the points 0, 1, -1, 2, -2 and infinity. */

INLINE void see3(const vec *x, vec *r) {
    vec even = x[4] - 4 * x[2], odd = x[3] - 4 * x[1], near = x[4] - x[2], far = 2 * (x[3] - x[1]);
    r[0] = 4 * x[0] - 5 * x[2] + x[4];
    r[1] = even + odd;
    r[2] = even - odd;
    r[3] = near + far;
    r[4] = near - far;
    r[5] = 4 * x[1] - 5 * x[3] + x[5];
}

INLINE void gather3(const vec *m, vec *r) {
    vec sum = m[1] + m[2], difference = m[1] - m[2], sum2 = m[3] + m[4], difference2 = m[3] - m[4];
    r[0] = m[0] + sum + sum2;
    r[1] = difference + 2 * difference2;
    r[2] = sum + 4 * sum2;
    r[3] = difference + 8 * difference2 + m[5];
}

INLINE void spread3(const vec *y, vec *r) {
    vec even = y[0] + y[2], odd = y[1] + y[3], even2 = y[0] + 4 * y[2], odd2 = 2 * y[1] + 8 * y[3];
    r[0] = y[0];
    r[1] = even + odd;
    r[2] = even - odd;
    r[3] = even2 + odd2;
    r[4] = even2 - odd2;
    r[5] = y[3];
}

INLINE void widen3(const vec *w, vec *r) {
    vec even = w[0] + w[2], even2 = w[0] + 4 * w[2];
    r[0] = w[0] * (1 / 4.f);
    r[1] = (even + w[1]) * (-1 / 6.f);
    r[2] = (even - w[1]) * (-1 / 6.f);
    r[3] = (even2 + 2 * w[1]) * (1 / 24.f);
    r[4] = (even2 - 2 * w[1]) * (1 / 24.f);
    r[5] = w[2];
}

INLINE void narrow3(const vec *u, vec *r) {
    vec sum = u[1] + u[2], difference = u[2] - u[1], sum2 = u[3] + u[4], difference2 = u[3] - u[4];
    r[0] = u[0] * (1 / 4.f) - sum * (1 / 6.f) + sum2 * (1 / 24.f);
    r[1] = difference * (1 / 6.f) + difference2 * (1 / 12.f);
    r[2] = (sum2 - sum) * (1 / 6.f) + u[5];
}

/* F(4, 2), at the points 0, 1, -1, 2 and infinity; x, y and w are `step` apart. */

INLINE void see2(const vec *x, int step, vec *r) {
    vec a = x[step], b = x[2 * step], c = x[3 * step];
    r[0] = 2 * (x[0] - b) + c - a;
    r[1] = c - b - 2 * a;
    r[2] = c - 3 * b + 2 * a;
    r[3] = c - a;
    r[4] = 2 * (a - c) + x[4 * step] - b;
}

INLINE void gather2(const vec *m, vec *r) {
    vec sum = m[1] + m[2], difference = m[1] - m[2];
    r[0] = m[0] + sum + m[3];
    r[1] = difference + 2 * m[3];
    r[2] = sum + 4 * m[3];
    r[3] = difference + 8 * m[3] + m[4];
}

/* Stride 2: 4 places of the middle weight, then the 5 of F(4, 2). */

INLINE void see_strided(const vec *x, vec *r) {
    for (int k = 0; k < TILE; k++) r[k] = x[2 * k + 1];
    see2(x, 2, r + TILE);
}

INLINE void gather_strided(const vec *m, vec *r) {
    gather2(m + TILE, r);
    for (int k = 0; k < TILE; k++) r[k] += m[k];
}

INLINE void spread_strided(const vec *y, vec *r) {
    vec even = y[0] + y[2], odd = y[1] + y[3];
    for (int k = 0; k < TILE; k++) r[k] = y[k];
    r[4] = y[0];
    r[5] = even + odd;
    r[6] = even - odd;
    r[7] = y[0] + 2 * y[1] + 4 * y[2] + 8 * y[3];
    r[8] = y[3];
}

INLINE void widen_strided(const vec *w, vec *r) {
    for (int k = 0; k < TILE; k++) r[k] = w[1];
    r[4] = w[0] * (1 / 2.f);
    r[5] = (w[0] + w[2]) * (-1 / 2.f);
    r[6] = (w[2] - w[0]) * (1 / 6.f);
    r[7] = (w[0] + 2 * w[2]) * (1 / 6.f);
    r[8] = w[2];
}

INLINE void narrow_strided(const vec *u, vec *r) {
    r[0] = (u[4] - u[5]) * (1 / 2.f) + (u[7] - u[6]) * (1 / 6.f);
    r[1] = u[0] + u[1] + u[2] + u[3];
    r[2] = u[5] * (-1 / 2.f) + u[6] * (1 / 6.f) + u[7] * (1 / 3.f) + u[8];
}

/* And its way back: 5 pixels of the small image give 8 of the large one, in turn by the middle and by the outer weights. */

INLINE void see_back(const vec *y, vec *r) {
    for (int k = 0; k < TILE; k++) r[k] = y[k];
    see2(y, 1, r + TILE);
}

INLINE void gather_back(const vec *m, vec *r) {
    vec between[TILE];
    gather2(m + TILE, between);
    for (int k = 0; k < TILE; k++) r[2 * k] = m[k], r[2 * k + 1] = between[k];
}

/* Images (height, width, channels), and of all their tiles (down by across each) those from first on. */
struct stretch {
    ptrdiff_t height, width, channels, down, across, first, count;
};

/* Each function below deals with one tile, or block of weights. The macros after them make one of each transform, so that
   the compiler sees it, and the lengths of its lines, as constants; those of tiles loop over a stretch, with all threads
   unless it is the stretch of one. */

/* change, on rows and columns, of what a tile sees: `in` pixels a line, the first `before` the tile's own, which are
   `step` apart. result: (out * out, channels / 16, tiles, 16). */
INLINE void take(const float *images, float *result, const struct stretch *s, ptrdiff_t tile, transform *change, int in,
                 int out, int step, int before) {
    static const float nothing[LANES];
    ptrdiff_t panel = s->count * PANEL, place = place_size(s->count, s->channels), at = s->first + tile;
    ptrdiff_t left = at % s->across * step - before, top = at / s->across % s->down * step - before;
    const float *image = images + at / (s->across * s->down) * s->height * s->width * s->channels;
    for (ptrdiff_t channel = 0; channel < s->channels; channel += LANES) {
        vec halfway[MOST][MOST], x[MOST], r[MOST];
        for (int i = 0; i < in; i++) {
            for (int j = 0; j < in; j++) {
                ptrdiff_t y = top + i, z = left + j;
                int inside = y >= 0 && y < s->height && z >= 0 && z < s->width;
                x[j] = load(inside ? image + (y * s->width + z) * s->channels + channel : nothing);
            }
            change(x, halfway[i]);
        }
        float *to = result + channel / PANEL * panel + tile * PANEL + channel % PANEL;
        for (int j = 0; j < out; j++) {
            for (int i = 0; i < in; i++) x[i] = halfway[i][j];
            change(x, r);
            for (int i = 0; i < out; i++) store(to + (i * out + j) * place, r[i]);
        }
    }
}

/* The way back: change of `in` places a line to `out` pixels, which lie side by side in the images. */
INLINE void put(const float *products, float *images, const struct stretch *s, ptrdiff_t tile, transform *change, int in,
                int out) {
    ptrdiff_t panel = s->count * PANEL, place = place_size(s->count, s->channels), at = s->first + tile;
    ptrdiff_t left = at % s->across * out, top = at / s->across % s->down * out;
    float *image = images + at / (s->across * s->down) * s->height * s->width * s->channels;
    for (ptrdiff_t channel = 0; channel < s->channels; channel += LANES) {
        const float *from = products + channel / PANEL * panel + tile * PANEL + channel % PANEL;
        vec halfway[MOST][MOST], m[MOST], r[MOST];
        for (int i = 0; i < in; i++) {
            for (int j = 0; j < in; j++) m[j] = load(from + (i * in + j) * place);
            change(m, halfway[i]);
        }
        for (int j = 0; j < out && left + j < s->width; j++) {
            for (int i = 0; i < in; i++) m[i] = halfway[i][j];
            change(m, r);
            for (int i = 0; i < out && top + i < s->height; i++)
                store(image + ((top + i) * s->width + left + j) * s->channels + channel, r[i]);
        }
    }
}

/* Weights (to, from, 3, 3) with these strides, in floats; turned: by half a turn. */
struct weights {
    const float *first;
    ptrdiff_t to, from, strides[4];
    int turned;
};

/* change of 16 by 16 weights, from these two channels on, into places which are `place` floats apart, (from, 16) each.
   They are copied first: read in any other order, their lines would drive each other out of the caches. */
INLINE void widen(const struct weights *w, float *wide, ptrdiff_t to, ptrdiff_t from, ptrdiff_t place, transform *change,
                  int out) {
    float copy[3][3][PANEL][PANEL];
    const float *corner = w->first + to * w->strides[0] + from * w->strides[1];
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) {
            int row = w->turned ? 2 - i : i, column = w->turned ? 2 - j : j;
            const float *pixel = corner + row * w->strides[2] + column * w->strides[3];
            for (int lane = 0; lane < PANEL; lane++)
                for (int channel = 0; channel < PANEL; channel++)
                    copy[i][j][channel][lane] = pixel[lane * w->strides[0] + channel * w->strides[1]];
        }
    for (int channel = 0; channel < PANEL; channel++) {
        for (int part = 0; part < PANEL; part += LANES) {
            vec halfway[3][MOST], x[3], r[MOST];
            for (int i = 0; i < 3; i++) {
                for (int j = 0; j < 3; j++) x[j] = load(copy[i][j][channel] + part);
                change(x, halfway[i]);
            }
            for (int j = 0; j < out; j++) {
                for (int i = 0; i < 3; i++) x[i] = halfway[i][j];
                change(x, r);
                for (int i = 0; i < out; i++) store(wide + (i * out + j) * place + channel * PANEL + part, r[i]);
            }
        }
    }
}

/* change of sums of 16 by 16 weights into weights (to, 3, 3, from), from these two channels on; or that much more, if
   add. */
INLINE void narrow(const float *sums, float *weights, ptrdiff_t to, ptrdiff_t from, ptrdiff_t channels, int add,
                   transform *change, int in) {
    for (int lane = 0; lane < PANEL; lane++) {
        for (int part = 0; part < PANEL; part += LANES) {
            vec halfway[MOST][3], u[MOST], r[3];
            for (int i = 0; i < in; i++) {
                for (int j = 0; j < in; j++) u[j] = load(sums + (i * in + j) * BLOCK + lane * PANEL + part);
                change(u, halfway[i]);
            }
            for (int j = 0; j < 3; j++) {
                for (int i = 0; i < in; i++) u[i] = halfway[i][j];
                change(u, r);
                for (int i = 0; i < 3; i++) {
                    float *weight = weights + (((to + lane) * 3 + i) * 3 + j) * channels + from + part;
                    store(weight, add ? load(weight) + r[i] : r[i]);
                }
            }
        }
    }
}

#define TAKE(CHANGE, ...)                                                                          \
    static void take_##CHANGE(const float *images, float *result, const struct stretch *s) {       \
        _Pragma("omp parallel for schedule(static) if (omp_get_level() == 0)")                     \
        for (ptrdiff_t t = 0; t < s->count; t++)                                                   \
            take(images, result, s, t, CHANGE, __VA_ARGS__);                                       \
    }
#define PUT(CHANGE, ...)                                                                           \
    static void put_##CHANGE(const float *products, float *images, const struct stretch *s) {      \
        _Pragma("omp parallel for schedule(static) if (omp_get_level() == 0)")                     \
        for (ptrdiff_t t = 0; t < s->count; t++)                                                   \
            put(products, images, s, t, CHANGE, __VA_ARGS__);                                      \
    }
#define WIDEN(CHANGE, OUT)                                                                         \
    static void block_##CHANGE(const struct weights *w, float *wide, ptrdiff_t to, ptrdiff_t from, \
                               ptrdiff_t place) {                                                  \
        widen(w, wide, to, from, place, CHANGE, OUT);                                              \
    }
#define NARROW(CHANGE, IN)                                                                         \
    static void block_##CHANGE(const float *sums, float *weights, ptrdiff_t to, ptrdiff_t from,   \
                                ptrdiff_t channels, int add) {                                     \
        narrow(sums, weights, to, from, channels, add, CHANGE, IN);                                \
    }

TAKE(see3, 6, 6, TILE, 1)
TAKE(spread3, TILE, 6, TILE, 0)
PUT(gather3, 6, TILE)
WIDEN(widen3, 6)
NARROW(narrow3, 6)

TAKE(see_strided, 9, 9, 2 * TILE, 1)
TAKE(spread_strided, TILE, 9, TILE, 0)
PUT(gather_strided, 9, TILE)
TAKE(see_back, 5, 9, TILE, 0)
PUT(gather_back, 9, 2 * TILE)
WIDEN(widen_strided, 9)
NARROW(narrow_strided, 9)

/* A few rows of 16 sums: sums[i] = a[i * row + d * step] times b[d], summed over the depth of all panels of a; or that
   much more, if add. */
#define PRODUCT(ROWS)                                                                                               \
    static inline void product_##ROWS(const float *a, ptrdiff_t row, ptrdiff_t step, const float *b, float *sums,     \
                                      ptrdiff_t depth, ptrdiff_t panel, ptrdiff_t panels, int add) {                  \
        vec c[ROWS][PANEL / LANES];                                                                                   \
        _Pragma("GCC unroll 16") for (int i = 0; i < ROWS; i++)                                                       \
            _Pragma("GCC unroll 2") for (int v = 0; v < PANEL / LANES; v++)                                           \
                c[i][v] = (vec){0};                                                                                   \
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
                store(sums + i * PANEL + v * LANES, add ? load(sums + i * PANEL + v * LANES) + c[i][v] : c[i][v]);    \
    }
PRODUCT(6)
PRODUCT(4)
PRODUCT(1)

/* The work on a batch: the tiles of its output, cut into stretches. Either each thread deals with stretches of its own,
   short enough for its core's cache, beside all the weights; or, where these are too large for that or the tiles too few,
   all threads deal with one stretch after the other, each with some of the weights. */
struct work {
    ptrdiff_t height, width, small_height, small_width, down, across;
    ptrdiff_t places, from, to, tiles, length, stretches;
    int threads, own, rooms; /* all; whether they have stretches of their own; how many stretches are in work at a time */
};

/* Of some panels of channels, from `to` on: products (places, to / 16, tiles, 16), or more on top of them, if add, = tiles
   seen (places, from / 16, tiles, 16) times weights (panels, places, depth, 16), for `depth` channels from first on. */
static void multiply(const float *seen, const float *wide, float *products, const struct work *w, ptrdiff_t tiles,
                     ptrdiff_t to, ptrdiff_t panels, ptrdiff_t first, ptrdiff_t depth, int add) {
    for (ptrdiff_t place = 0; place < w->places; place++) {
        const float *a = seen + place * place_size(tiles, w->from) + first * tiles;
        for (ptrdiff_t each = 0; each < panels; each++) {
            const float *b = wide + (each * w->places + place) * place_size(depth, PANEL);
            float *c = products + place * place_size(tiles, w->to) + (to + each * PANEL) * tiles;
            ptrdiff_t tile = 0;
            for (; tile + 6 <= tiles; tile += 6)
                product_6(a + tile * PANEL, PANEL, 1, b, c + tile * PANEL, PANEL, tiles * PANEL, depth / PANEL, add);
            for (; tile + 4 <= tiles; tile += 4)
                product_4(a + tile * PANEL, PANEL, 1, b, c + tile * PANEL, PANEL, tiles * PANEL, depth / PANEL, add);
            for (; tile < tiles; tile++)
                product_1(a + tile * PANEL, PANEL, 1, b, c + tile * PANEL, PANEL, tiles * PANEL, depth / PANEL, add);
        }
    }
}

/* Of 16 channels of `to` and 16 of `from`: sums (places, 16, 16), or more on top of them, if add, = over the tiles, spread
   (places, to / 16, tiles, 16) transposed times seen (places, from / 16, tiles, 16). */
static void correlate(const float *spread, const float *seen, float *sums, const struct work *w, ptrdiff_t tiles,
                      ptrdiff_t to, ptrdiff_t from, int add) {
    for (ptrdiff_t place = 0; place < w->places; place++) {
        const float *a = spread + place * place_size(tiles, w->to) + to * tiles;
        const float *b = seen + place * place_size(tiles, w->from) + from * tiles;
        float *c = sums + place * BLOCK;
        product_6(a, 1, PANEL, b, c, tiles, 0, 1, add);
        product_6(a + 6, 1, PANEL, b, c + 6 * PANEL, tiles, 0, 1, add);
        product_4(a + 12, 1, PANEL, b, c + 12 * PANEL, tiles, 0, 1, add);
    }
}

static struct work plan(ptrdiff_t batch, ptrdiff_t height, ptrdiff_t width, ptrdiff_t from, ptrdiff_t to,
                        ptrdiff_t stride) {
    struct work w = {.height = height, .width = width, .from = from, .to = to, .places = stride == 1 ? 36 : 81};
    w.small_height = (height + stride - 1) / stride, w.small_width = (width + stride - 1) / stride;
    w.down = (w.small_height + TILE - 1) / TILE, w.across = (w.small_width + TILE - 1) / TILE;
    w.tiles = batch * w.down * w.across;
    ptrdiff_t tile = w.places * (from + to) * sizeof(float), weights = w.places * from * to * sizeof(float);
    w.threads = omp_get_max_threads();
    w.own = weights <= OWN_WEIGHTS_BYTES && w.tiles >= OWN_STRETCHES * OWN_TILES * w.threads;
    ptrdiff_t most = !w.own ? SHARED_TILES : OWN_BYTES / tile > OWN_TILES ? OWN_BYTES / tile : OWN_TILES;
    w.rooms = w.own ? w.threads : 1;
    w.stretches = (w.tiles + most - 1) / most;
    w.length = (w.tiles + w.stretches - 1) / w.stretches;
    return w;
}

static struct stretch stretch_of(const struct work *w, ptrdiff_t each, ptrdiff_t channels, int small) {
    ptrdiff_t first = each * w->length, count = first + w->length < w->tiles ? w->length : w->tiles - first;
    return (struct stretch){small ? w->small_height : w->height, small ? w->small_width : w->width,
                            channels, w->down, w->across, first, count};
}

static float *room(ptrdiff_t floats) { return aligned_alloc(64, (floats * sizeof(float) + 63) / 64 * 64); }

typedef void widener(const struct weights *w, float *wide, ptrdiff_t to, ptrdiff_t from, ptrdiff_t place);

/* All the weights, as multiply takes them. */
static void widen_all(const struct weights *given, float *wide, ptrdiff_t places, widener *widen) {
    ptrdiff_t place = place_size(given->from, PANEL);
#pragma omp parallel for collapse(2) schedule(static)
    for (ptrdiff_t to = 0; to < given->to; to += PANEL)
        for (ptrdiff_t from = 0; from < given->from; from += PANEL)
            widen(given, wide + to / PANEL * places * place + from * PANEL, to, from, place);
}

/* multiply, with weights that are transformed on the way, a few at a time. */
static void widen_and_multiply(const float *seen, const struct weights *given, float *wide, float *products,
                               const struct work *w, ptrdiff_t tiles, widener *widen) {
#pragma omp parallel for schedule(static) num_threads(w->threads)
    for (ptrdiff_t to = 0; to < w->to; to += PANEL) {
        float *few = wide + omp_get_thread_num() * w->places * place_size(SHARED_DEPTH, PANEL);
        for (ptrdiff_t first = 0; first < w->from; first += SHARED_DEPTH) {
            ptrdiff_t depth = first + SHARED_DEPTH < w->from ? SHARED_DEPTH : w->from - first;
            for (ptrdiff_t from = 0; from < depth; from += PANEL)
                widen(given, few + from * PANEL, to, first + from, place_size(depth, PANEL));
            multiply(seen, few, products, w, tiles, to, 1, first, depth, first > 0);
        }
    }
}

struct convolution {
    struct work w;
    struct weights given;
    const float *images;
    float *results, *wide, *rooms;
    ptrdiff_t stride, of_seen, of_products;
    widener *widen;
    int back;
};

static void convolve(const struct convolution *c, ptrdiff_t each, int thread) {
    float *seen = c->rooms + thread * (c->of_seen + c->of_products), *products = seen + c->of_seen;
    struct stretch in = stretch_of(&c->w, each, c->w.from, c->back), out = stretch_of(&c->w, each, c->w.to, !c->back);
    (c->stride == 1 ? take_see3 : c->back ? take_see_back : take_see_strided)(c->images, seen, &in);
    if (c->w.own)
        multiply(seen, c->wide, products, &c->w, in.count, 0, c->w.to / PANEL, 0, c->w.from, 0);
    else
        widen_and_multiply(seen, &c->given, c->wide, products, &c->w, in.count, c->widen);
    (c->stride == 1 ? put_gather3 : c->back ? put_gather_back : put_gather_strided)(products, c->results, &out);
}

/* A convolution whose input is (batch, height, width, from) and whose output has every stride-th pixel of it.
   back = 0: results (B, H', W', to) of images (B, H, W, from), with weights (to, from, 3, 3) of any strides.
   back = 1: results (B, H, W, to), the gradient of the input, of images (B, H', W', from), that of the output.
   0 if memory runs out. */
int winograd_convolve(const float *images, const float *weights, float *results, ptrdiff_t batch, ptrdiff_t height,
                      ptrdiff_t width, ptrdiff_t from, ptrdiff_t to, const ptrdiff_t *strides, ptrdiff_t stride, int back) {
    const struct work w = plan(batch, height, width, from, to, stride);
    struct convolution c = {.w = w, .images = images, .results = results, .stride = stride, .back = back};
    c.given = (struct weights){weights, to, from, {strides[0], strides[1], strides[2], strides[3]}, back};
    c.widen = stride == 1 ? block_widen3 : block_widen_strided;
    c.of_seen = w.places * place_size(w.length, from), c.of_products = w.places * place_size(w.length, to);
    ptrdiff_t panel = w.places * place_size(w.own ? from : SHARED_DEPTH, PANEL);
    c.wide = room((w.own ? to / PANEL : w.threads) * panel), c.rooms = room(w.rooms * (c.of_seen + c.of_products));
    int enough = c.wide && c.rooms;
    if (enough && w.own) {
        widen_all(&c.given, c.wide, w.places, c.widen);
#pragma omp parallel for schedule(static) num_threads(w.threads)
        for (ptrdiff_t each = 0; each < w.stretches; each++) convolve(&c, each, omp_get_thread_num());
    } else if (enough)
        for (ptrdiff_t each = 0; each < w.stretches; each++) convolve(&c, each, 0);
    free(c.wide), free(c.rooms);
    return enough;
}

struct gradient {
    struct work w;
    const float *images, *gradient;
    float *weights, *sums, *rooms;
    ptrdiff_t stride, of_seen, of_spread, of_block, blocks;
    void (*narrow)(const float *, float *, ptrdiff_t, ptrdiff_t, ptrdiff_t, int);
    char *begun; /* by thread: whether there are sums of its own */
};

/* Narrows these sums into their block of weights, or on top of them, if add. */
static void narrow_block(const struct gradient *g, const float *sums, ptrdiff_t block, int add) {
    ptrdiff_t across = g->w.from / PANEL;
    g->narrow(sums, g->weights, block / across * PANEL, block % across * PANEL, g->w.from, add);
}

static void differentiate(const struct gradient *g, ptrdiff_t each, int thread) {
    const struct work *w = &g->w;
    float *seen = g->rooms + thread * (g->of_seen + g->of_spread), *spread = seen + g->of_seen;
    struct stretch in = stretch_of(w, each, w->from, 0), out = stretch_of(w, each, w->to, 1);
    (g->stride == 1 ? take_see3 : take_see_strided)(g->images, seen, &in);
    (g->stride == 1 ? take_spread3 : take_spread_strided)(g->gradient, spread, &out);
#pragma omp parallel for schedule(static) num_threads(w->threads) if (!w->own)
    for (ptrdiff_t block = 0; block < g->blocks; block++) {
        float *here = g->sums + (w->own ? thread * g->blocks + block : omp_get_thread_num()) * g->of_block;
        ptrdiff_t row = block / (w->from / PANEL) * PANEL, column = block % (w->from / PANEL) * PANEL;
        correlate(spread, seen, here, w, in.count, row, column, w->own && g->begun[thread]);
        if (!w->own) narrow_block(g, here, block, each > 0);
    }
    g->begun[thread] = 1;
}

/* The sums of all threads, which are added in the threads' order, as weights. */
static void gather_sums(const struct gradient *g) {
#pragma omp parallel for schedule(static)
    for (ptrdiff_t block = 0; block < g->blocks; block++) {
        float *sum = g->sums + block * g->of_block;
        for (int thread = 1; thread < g->w.threads && g->begun[thread]; thread++)
            for (ptrdiff_t place = 0; place < g->w.places; place++)
                for (ptrdiff_t i = place * BLOCK; i < place * BLOCK + PANEL * PANEL; i++)
                    sum[i] += sum[thread * g->blocks * g->of_block + i];
        narrow_block(g, sum, block, 0);
    }
}

/* weights (to, 3, 3, from): their gradient, of images (B, H, W, from) and the output's gradient (B, H', W', to). The same
   bits for the same number of threads. 0 if memory runs out. */
int winograd_weights(const float *images, const float *gradient, float *weights, ptrdiff_t batch, ptrdiff_t height,
                     ptrdiff_t width, ptrdiff_t from, ptrdiff_t to, ptrdiff_t stride) {
    const struct work w = plan(batch, height, width, from, to, stride);
    struct gradient g = {.w = w, .images = images, .gradient = gradient, .weights = weights, .stride = stride};
    g.narrow = stride == 1 ? block_narrow3 : block_narrow_strided;
    g.of_seen = w.places * place_size(w.length, from), g.of_spread = w.places * place_size(w.length, to);
    g.of_block = w.places * BLOCK, g.blocks = to / PANEL * (from / PANEL);
    g.sums = room(w.threads * (w.own ? g.blocks : 1) * g.of_block);
    g.rooms = room(w.rooms * (g.of_seen + g.of_spread));
    g.begun = calloc(w.rooms, 1);
    int enough = g.sums && g.rooms && g.begun;
    if (enough && w.own) {
#pragma omp parallel for schedule(static) num_threads(w.threads)
        for (ptrdiff_t each = 0; each < w.stretches; each++) differentiate(&g, each, omp_get_thread_num());
        gather_sums(&g);
    } else if (enough)
        for (ptrdiff_t each = 0; each < w.stretches; each++) differentiate(&g, each, 0);
    free(g.sums), free(g.rooms), free(g.begun);
    return enough;
}
