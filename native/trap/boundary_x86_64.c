/*
 * Where instructions begin.
 *
 * Code cannot be read backwards: the bytes of `mov $13, %eax` also end
 * `movl $13, -72(%rsp)`.  So it is read forwards, from each of as many places before as the
 * longest instruction has bytes: one of them is a beginning, and from there each next one is.
 * If every reading that makes sense comes by `at`, then so does the right one.
 *
 * Only lengths matter here.  What no processor decodes ends a reading; what this file does
 * not know for certain (an encoding of after AVX-512) ends the question: the answer is no.
 */
#include "trap.h"

#define LONGEST 15u
/* Readings from different places come together soon, but not at once. */
#define BEFORE 96u
#define NONSENSE 0
#define UNKNOWN (-1)

/* What follows an opcode. */
enum {
	N = 0,       /* nothing */
	M = 1,       /* ModRM, and what that asks for */
	B = 2,       /* a byte */
	W = 4,       /* two bytes */
	Z = 8,       /* four, or two after an operand-size prefix */
	A = 16,      /* an address: eight, or four after an address-size prefix */
	G = 32,      /* immediate only where ModRM.reg is 0 or 1 (test in f6 and f7) */
	V = 64,      /* eight after REX.W, else as Z */
	X = 128,     /* none in 64-bit mode */
};

static const unsigned char one[256] = {
#define ALU M, M, M, M, B, Z, X, X
#define EIGHT(k) k, k, k, k, k, k, k, k
	ALU, ALU, ALU, ALU, ALU, ALU, ALU, ALU,
	EIGHT(X), EIGHT(X),                        /* 40: REX, taken before */
	EIGHT(N), EIGHT(N),                        /* 50 */
	X, X, X, M, X, X, X, X,                    /* 60 */
	Z, M | Z, B, M | B, N, N, N, N,
	EIGHT(B), EIGHT(B),                        /* 70 */
	M | B, M | Z, X, M | B, M, M, M, M,        /* 80 */
	EIGHT(M),
	EIGHT(N), N, N, X, N, N, N, N, N,          /* 90 */
	A, A, A, A, N, N, N, N,                    /* a0 */
	B, Z, N, N, N, N, N, N,
	EIGHT(B), EIGHT(V),                        /* b0 */
	M | B, M | B, W, N, X, X, M | B, M | Z,    /* c0 */
	W | B, N, W, N, N, B, X, N,
	M, M, M, M, X, X, X, N,                    /* d0 */
	EIGHT(M),
	B, B, B, B, B, B, B, B,                    /* e0 */
	Z, Z, X, B, N, N, N, N,
	X, N, X, X, N, N, M | B | G, M | Z | G,    /* f0 */
	N, N, N, N, N, N, M, M,
};

/* After 0f. */
static const unsigned char two[256] = {
	M, M, M, M, X, N, N, N, N, N, X, N, X, M, N, M | B, /* 00 */
	EIGHT(M), EIGHT(M),                        /* 10 */
	M, M, M, M, X, X, X, X, EIGHT(M),          /* 20 */
	N, N, N, N, N, N, X, N, X, X, X, X, X, X, X, X, /* 30: 38 and 3a, taken before */
	EIGHT(M), EIGHT(M),                        /* 40 */
	EIGHT(M), EIGHT(M),
	EIGHT(M), EIGHT(M),
	M | B, M | B, M | B, M | B, M, M, M, N, M, M, X, X, M, M, M, M, /* 70 */
	EIGHT(Z), EIGHT(Z),                        /* 80 */
	EIGHT(M), EIGHT(M),
	N, N, N, M, M | B, M, X, X, N, N, N, M, M | B, M, M, M, /* a0 */
	EIGHT(M), M, M, M | B, M, M, M, M, M,      /* b0 */
	M, M, M | B, M, M | B, M | B, M | B, M, EIGHT(N), /* c0 */
	EIGHT(M), EIGHT(M),
	EIGHT(M), EIGHT(M),
	EIGHT(M), EIGHT(M),
};

struct reading {
	const unsigned char *p;
	int wide, short_operand, short_address;
};

/* The bytes of ModRM, SIB and displacement. */
static unsigned address_length(const unsigned char *p)
{
	unsigned mod = p[0] >> 6, rm = p[0] & 7, n = 1;

	if (mod == 3)
		return n;
	if (rm == 4) {
		n++;
		if (!mod && (p[1] & 7) == 5)
			n += 4;
	} else if (!mod && rm == 5) {
		n += 4;
	}
	return n + (mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

/* What comes behind the opcode, by its kind. */
static const unsigned char *behind(struct reading *r, unsigned kind)
{
	const unsigned char *p = r->p;
	unsigned operand = r->short_operand && !r->wide ? 2 : 4;

	if (kind & G && (*p & 0x38) > 8)
		kind &= ~(unsigned)(B | Z);
	if (kind & M)
		p += address_length(p);
	if (kind & B)
		p++;
	if (kind & W)
		p += 2;
	if (kind & Z)
		p += operand;
	if (kind & V)
		p += r->wide ? 8 : operand;
	if (kind & A)
		p += r->short_address ? 4 : 8;
	return p;
}

/* VEX and EVEX: `map` says which table, and all but one have ModRM. */
static int is_known_map(unsigned map)
{
	return (map >= 1 && map <= 3) || map == 5 || map == 6;
}

static const unsigned char *vector(struct reading *r, unsigned map)
{
	unsigned opcode = *r->p++;

	if (map == 1 && opcode == 0x77)
		return r->p;
	return behind(r, map == 3 || (map == 1 && two[opcode] & B) ? M | B : M);
}

static const unsigned char *after_0f(struct reading *r)
{
	unsigned opcode = *r->p++;

	if (opcode == 0x38 || opcode == 0x3a) {
		r->p++;
		return behind(r, opcode == 0x38 ? M : M | B);
	}
	return two[opcode] == X ? 0 : behind(r, two[opcode]);
}

static void prefixes(struct reading *r)
{
	for (unsigned n = 0; n < LONGEST; n++, r->p++)
		switch (*r->p) {
		case 0x66:
			r->short_operand = 1;
			break;
		case 0x67:
			r->short_address = 1;
			break;
		case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65: case 0xf0: case 0xf2:
		case 0xf3:
			break;
		default:
			return;
		}
}

/* How long the instruction at `code` is, NONSENSE or UNKNOWN. */
static int length(const unsigned char *code)
{
	struct reading r = { code, 0, 0, 0 };
	const unsigned char *end;
	unsigned opcode, map;

	prefixes(&r);
	if ((*r.p & 0xf0) == 0x40)
		r.wide = *r.p++ >> 3 & 1;
	opcode = *r.p++;
	switch (opcode) {
	case 0x0f:
		end = after_0f(&r);
		break;
	case 0xc5:
		r.p++;
		end = vector(&r, 1);
		break;
	case 0xc4:
	case 0x62:
		map = *r.p & (opcode == 0xc4 ? 31 : 7);
		if (!is_known_map(map))
			return UNKNOWN;
		r.p += opcode == 0xc4 ? 2 : 3;
		end = vector(&r, map);
		break;
	case 0xd5: /* REX2 */
		return UNKNOWN;
	case 0x8f: /* pop, or XOP of some processors */
		if (*r.p & 0x38)
			return UNKNOWN;
		end = behind(&r, M);
		break;
	default:
		end = one[opcode] == X ? 0 : behind(&r, one[opcode]);
	}
	return end && end - code <= (long)LONGEST ? (int)(end - code) : NONSENSE;
}

/* The reading from `p`: 1 if it comes by `at`, NONSENSE if it ends before, -1 if it does not. */
static int comes_by(const unsigned char *p, const unsigned char *at)
{
	while (p < at) {
		int n = length(p);

		if (n <= 0)
			return n;
		p += n;
	}
	return p == at ? 1 : -1;
}

int trap_is_boundary(uint64_t at)
{
	const unsigned char *start = (void *)(at - BEFORE);
	int right = 0;

	if (!trap_readable(start, BEFORE + LONGEST + 1))
		return 0;
	for (unsigned i = 0; i < LONGEST; i++) {
		int r = comes_by(start + i, (void *)at);

		if (r < 0)
			return 0;
		right += r;
	}
	return right > 0;
}
