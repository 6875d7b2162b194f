/*
 * Bytes, strings and numbers without a libc.  Everything is static inline: the
 * loader, the core inside Python and the tests each get their own copy and no
 * symbol of ours can collide with a program's.
 */
#ifndef LPMX_TEXT_H
#define LPMX_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "lpmx_abi.h"

static inline size_t text_length(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

static inline int text_equal(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

/* Eight bytes, wherever they lie. */
static inline uint64_t word_at(const void *p)
{
	uint64_t word;

	__builtin_memcpy(&word, p, sizeof(word));
	return word;
}

static inline int text_same(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;

	while (n--)
		if (*x++ != *y++)
			return 0;
	return 1;
}

/* text_same of what is known to have `n` bytes on both sides. */
static inline int bytes_same(const void *a, const void *b, size_t n)
{
	const char *x = a, *y = b;

	for (; n >= 8; n -= 8, x += 8, y += 8)
		if (word_at(x) != word_at(y))
			return 0;
	return text_same(x, y, n);
}

/* Does `s` begin with `prefix`?  Returns the prefix's length, or 0. */
static inline size_t text_begins(const char *s, const char *prefix)
{
	size_t n = 0;

	for (; prefix[n]; n++)
		if (s[n] != prefix[n])
			return 0;
	return n;
}

/* The last name of a path. */
static inline const char *text_base(const char *path)
{
	const char *base = path;

	for (; *path; path++)
		if (*path == '/')
			base = path + 1;
	return base;
}

/* From the front, so that `to` may lie before `from` in one piece of memory. */
static inline void bytes_copy(void *to, const void *from, size_t n)
{
	char *d = to;
	const char *s = from;

	for (; n >= 8; n -= 8, d += 8, s += 8) {
		uint64_t word = word_at(s);

		__builtin_memcpy(d, &word, sizeof(word));
	}
	while (n--)
		*d++ = *s++;
}

static inline void bytes_zero(void *to, size_t n)
{
	const uint64_t none = 0;
	char *d = to;

	for (; n >= 8; n -= 8, d += 8)
		__builtin_memcpy(d, &none, sizeof(none));
	while (n--)
		*d++ = 0;
}

/* Copy `s` with its NUL; returns a pointer to the NUL written. */
static inline char *text_put(char *to, const char *s)
{
	while ((*to = *s))
		to++, s++;
	return to;
}

static inline char *text_put_number(char *to, uint64_t value, unsigned base)
{
	char digits[66];
	int n = 0;

	do
		digits[n++] = "0123456789abcdef"[value % base];
	while (value /= base);
	while (n)
		*to++ = digits[--n];
	*to = 0;
	return to;
}

/* Read digits of `base`; moves *s behind them. */
static inline uint64_t text_number(const char **s, unsigned base)
{
	uint64_t value = 0;

	for (;; (*s)++) {
		unsigned digit = (unsigned char)**s - '0';

		if (digit >= base || digit > 9)
			return value;
		value = value * base + digit;
	}
}

static inline uint64_t fnv_more(uint64_t hash, const char *s, size_t n)
{
	while (n--)
		hash = (hash ^ (unsigned char)*s++) * LPMX_FNV_PRIME;
	return hash;
}

static inline uint64_t fnv(const char *s, size_t n)
{
	return fnv_more(LPMX_FNV_BASIS, s, n);
}

#endif
