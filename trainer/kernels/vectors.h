/* Vectors as wide as the processor's registers, and panels of 16 channels that are made of them. */

#ifndef VECTORS_H
#define VECTORS_H

#ifndef LANES
#ifdef __AVX512F__
#define LANES 16
#else
#define LANES 8
#endif
#endif
#define PANEL 16

typedef float vec __attribute__((vector_size(LANES * sizeof(float))));
typedef int bits __attribute__((vector_size(LANES * sizeof(int))));
typedef float loose __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));

static inline vec load(const float *from) { return *(const loose *)from; }
static inline void store(float *to, vec value) { *(loose *)to = value; }

#endif
