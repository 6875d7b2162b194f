/*
 * The sets of the control page: "perhaps in" or "certainly not in".  Bits are
 * only ever set, by many processes at once; two positions for each hash.
 */
#ifndef LPMX_BLOOM_H
#define LPMX_BLOOM_H

#include <stdint.h>

#include "lpmx_abi.h"

#define BLOOM_MASK (LPMX_CONTROL_BLOOM_BITS - 1)
#define BLOOM_COARSE_MASK (LPMX_CONTROL_COARSE_BITS - 1)
#define BLOOM_CLOSED_MASK (LPMX_CONTROL_CLOSED_BITS - 1)

static inline int bloom_bit(const volatile uint64_t *words, uint32_t bit)
{
	return __atomic_load_n(&words[bit / 64], __ATOMIC_ACQUIRE) >> (bit % 64) & 1;
}

/* `mask`: of as many bits as the set has, a power of two. */
static inline int bloom_has(const volatile uint64_t *words, uint32_t mask, uint64_t hash)
{
	return bloom_bit(words, (uint32_t)hash & mask) &&
	       bloom_bit(words, (uint32_t)(hash >> 32) & mask);
}

static inline void bloom_set_bit(volatile uint64_t *words, uint32_t bit)
{
	/* most are set already: do not take the line from the others for nothing */
	if (!bloom_bit(words, bit))
		__atomic_fetch_or(&words[bit / 64], 1ull << (bit % 64), __ATOMIC_SEQ_CST);
}

static inline void bloom_set(volatile uint64_t *words, uint32_t mask, uint64_t hash)
{
	bloom_set_bit(words, (uint32_t)hash & mask);
	bloom_set_bit(words, (uint32_t)(hash >> 32) & mask);
}

#endif
