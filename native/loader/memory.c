/* The four functions that a compiler may call without being told to. */
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);

/* Of no alignment, and of any type. */
typedef uint64_t word __attribute__((may_alias, aligned(1)));

void *memcpy(void *to, const void *from, size_t n)
{
	void *start = to;

#if defined(__x86_64__)
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
#else
	char *d = to;
	const char *s = from;

	for (; n >= sizeof(word); n -= sizeof(word), d += sizeof(word), s += sizeof(word))
		*(word *)d = *(const word *)s;
	while (n--)
		*d++ = *s++;
#endif
	return start;
}

void *memmove(void *to, const void *from, size_t n)
{
	char *d = to;
	const char *s = from;

	if (d <= s || d >= s + n)
		return memcpy(to, from, n);
	while (n--)
		d[n] = s[n];
	return to;
}

void *memset(void *to, int byte, size_t n)
{
	void *start = to;

#if defined(__x86_64__)
	__asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(byte) : "memory");
#else
	word bytes = 0x0101010101010101ul * (unsigned char)byte;
	char *d = to;

	for (; n >= sizeof(word); n -= sizeof(word), d += sizeof(word))
		*(word *)d = bytes;
	while (n--)
		*d++ = (char)byte;
#endif
	return start;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;

	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}
