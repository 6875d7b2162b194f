/*
 * Call sites that trap often are rewritten: what comes from them afterwards comes without a
 * signal, at about the cost of the preload library's way.  Off unless asked for; what it gives,
 * and what it cannot do, is in docs/decisions/0025-call-sites.md.
 *
 * Nearly all are `mov $number, %eax; syscall`.  The mov, five bytes, becomes a jump to a stub
 * (stubs_x86_64.c), which goes to trap_site_entry.  The syscall stays: for who jumps to it, and for
 * the entry itself, which goes on there, as if nothing had been rewritten, whenever it is not
 * sure.  So the signal is always right, and a rewritten site only a way to save it.
 *
 * What is rewritten:
 *   text of a file, mapped privately and not writable: what a compiler makes at run time,
 *   and may make again, is its own;
 *   a mov for certain: the bytes say the number that was trapped, and an instruction begins
 *   there (boundary_x86_64.c).
 *
 * When: in a process of one thread, with all signals blocked, that nobody traces.  A vfork
 * child asks that of the process whose memory it is in.  Threads that the kernel does not
 * count (a clone that shares memory and nothing else) see the mov or the jump, as the five
 * bytes change in one locked exchange within a cache line, and both are right.
 *
 * Where there is no /proc or no room for stubs, or the kernel refuses a mapping or the right to
 * write (a policy, a sealed mapping), nothing is changed; after a refusal of the kernel's
 * nothing more is tried in this process.
 *
 * A process that installs a seccomp filter of its own is to have every call seen by it: from
 * then on all sites go by the signal again, here and in what it executes.  So nothing is
 * rewritten below a filter that does not tell us of that (filter.c).
 */
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/signal.h>

#include "../core/text.h"
#include "trap.h"

#define SEEN_BITS 6
#define ENOUGH 16
#define ENOUGH_MAX 1000000
#define TOLD_SIZE 8
#define PAGE 4096ul
#define LINE 64ul
#define MOV 5ul
#define SYSCALL 2ul
#define STATUS_SIZE 2048
#define LINE_SIZE 128
#define LOWEST_ADDRESS 0x10000ul

static struct {
	uint64_t ip;
	uint32_t count;
} seen[1 << SEEN_BITS];

static int wanted;
/* How often a site must have trapped; 0: ENOUGH times. */
static uint32_t enough;
/* The user's word, a number; or that of a program's filter. */
static char told[TOLD_SIZE];
static volatile uint32_t busy;

/* The entry looks here; 0 lets all sites go by the signal. */
volatile uint32_t trap_sites_open;

void trap_sites_begin(const char *said)
{
	if (said) {
		uint64_t number = text_number(&said, 10);

		if (*said || number > ENOUGH_MAX)
			return;
		text_put_number(told, number, 10);
		if (number > 1)
			enough = (uint32_t)number;
		if (!number)
			return;
	}
	wanted = trap_filter_sees_filters() && trap_slots_for_sites();
	trap_sites_open = (uint32_t)wanted;
}

void trap_sites_stop(void)
{
	wanted = 0;
	trap_sites_open = 0;
	text_put(told, "0");
}

const char *trap_sites_told(void)
{
	return told;
}

/* Is it `mov $nr, %eax; syscall` that ends at `ip`, the mov within one line of the cache? */
static int is_plain(uint64_t ip, uint64_t nr)
{
	uint64_t at = ip - SYSCALL - MOV;
	const unsigned char *p = (void *)at;
	uint32_t number;

	if (at % LINE > LINE - MOV || !trap_is_boundary(at) || p[0] != 0xb8 || p[5] != 0x0f ||
	    p[6] != 0x05)
		return 0;
	bytes_copy(&number, p + 1, sizeof(number));
	return number == (uint32_t)nr;
}

/* ---- what /proc says ------------------------------------------------------------- */

/* What is behind `key` in the text of a /proc/PID/status, or NULL. */
static const char *value_of(const char *status, const char *key)
{
	for (const char *p = status; *p; p++)
		if ((p == status || p[-1] == '\n') && text_begins(p, key))
			return p + text_begins(p, key);
	return 0;
}

static int is_number(const char *status, const char *key, uint64_t number)
{
	const char *value = value_of(status, key);

	return value && *value != '\n' && text_number(&value, 10) == number;
}

static void read_status(const char *process, char status[STATUS_SIZE])
{
	char path[48];
	long fd, n = 0;

	text_put(text_put(text_put(path, "/proc/"), process), "/status");
	fd = sys_call4(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd >= 0) {
		n = sys_call3(__NR_read, fd, status, STATUS_SIZE - 1);
		sys_call1(__NR_close, fd);
	}
	status[n > 0 ? n : 0] = 0;
}

/* Has the process whose memory this is one thread, and no tracer? */
static int is_alone(void)
{
	char status[STATUS_SIZE], parent[24];
	const char *number;

	read_status("self", status);
	if (trap_in_vfork_child()) {
		/* by the number that this /proc knows it by */
		number = value_of(status, "PPid:\t");
		if (!number)
			return 0;
		text_put_number(parent, text_number(&number, 10), 10);
		read_status(parent, status);
	}
	return is_number(status, "Threads:\t", 1) && is_number(status, "TracerPid:\t", 0);
}

static uint64_t hexadecimal(const char **s)
{
	uint64_t value = 0;

	for (;; (*s)++) {
		unsigned digit = (unsigned char)**s, letter = digit - 'a';

		digit = letter < 6 ? letter + 10 : digit - '0';
		if (digit > 15)
			return value;
		value = value << 4 | digit;
	}
}

/* " r-xp OFFSET DEVICE INODE ...": is it of a file, and not to be written to? */
static int is_text(const char *line)
{
	const char *p = line + text_begins(line, " r-xp ");

	if (p == line)
		return 0;
	for (int words = 0; words < 2; words++) {
		while (*p && *p != ' ')
			p++;
		p += *p == ' ';
	}
	return *p >= '1' && *p <= '9';
}

/* What is looked for in /proc/self/maps, and what was found. */
struct search {
	uint64_t at;          /* an address of text */
	uint64_t behind;      /* the end of the mapping before */
	uint64_t gap_end;     /* of the last gap with room for stubs */
	int is_text;
	int done;
};

static void read_line(struct search *s, const char *line)
{
	uint64_t from, to;

	from = hexadecimal(&line);
	line += *line == '-';
	to = hexadecimal(&line);
	/* a page of nothing stays on each side */
	if (from - s->behind >= 4 * PAGE)
		s->gap_end = from - PAGE;
	s->behind = to;
	s->done = s->at < to;
	s->is_text = s->done && from <= s->at && is_text(line);
}

/* Is `at` in text of a file?  *gap_end: the end of the nearest gap below it. */
static int in_text(uint64_t at, uint64_t *gap_end)
{
	char block[1024], line[LINE_SIZE];
	struct search s = { .at = at, .behind = LOWEST_ADDRESS };
	size_t n = 0;
	long got, fd = sys_call4(__NR_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);

	if (fd < 0)
		return 0;
	while (!s.done && (got = sys_call3(__NR_read, fd, block, sizeof(block))) > 0)
		for (long i = 0; i < got && !s.done; i++) {
			if (block[i] != '\n') {
				if (n < sizeof(line) - 1)
					line[n++] = block[i];
				continue;
			}
			line[n] = 0;
			n = 0;
			read_line(&s, line);
		}
	sys_call1(__NR_close, fd);
	*gap_end = s.gap_end;
	return s.is_text;
}

/* ---- the change ------------------------------------------------------------------- */

/* Put `jump` over the mov at `at` unless something else is there by now (a breakpoint). */
static void exchange(uint64_t at, uint64_t nr, const unsigned char jump[MOV])
{
	/* eight bytes around it, in its line: where they begin, and the mov in them */
	uint64_t start = at % LINE > LINE - 8 ? at - (at % LINE - (LINE - 8)) : at, before, after;
	unsigned char *mov = (unsigned char *)&before + (at - start);

	bytes_copy(&before, (void *)start, sizeof(before));
	after = before;
	mov[0] = 0xb8;
	bytes_copy(mov + 1, &nr, MOV - 1);
	bytes_copy((unsigned char *)&after + (at - start), jump, MOV);
	__sync_bool_compare_and_swap((uint64_t *)start, before, after);
}

/* 0, or what was refused. */
static long rewrite(uint64_t ip, uint64_t nr)
{
	uint64_t at = ip - SYSCALL - MOV, page = at & -PAGE, gap_end;
	unsigned char jump[MOV] = { 0xe9 };
	int32_t distance;
	long r, stub;

	if (!in_text(at, &gap_end))
		return 0;
	stub = trap_stub(ip, nr, gap_end);
	if (stub <= 0)
		return stub;
	r = sys_call3(__NR_mprotect, page, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
	if (r)
		return r;
	distance = (int32_t)((uint64_t)stub - (at + MOV));
	bytes_copy(jump + 1, &distance, sizeof(distance));
	exchange(at, nr, jump);
	return sys_call3(__NR_mprotect, page, PAGE, PROT_READ | PROT_EXEC);
}

static __attribute__((noinline)) void often(uint64_t ip, uint64_t nr)
{
	uint64_t all = ~0ul, before;

	if (!is_plain(ip, nr) || !__sync_bool_compare_and_swap(&busy, 0, 1))
		return;
	sys_call4(__NR_rt_sigprocmask, SIG_BLOCK, &all, &before, 8);
	if (is_alone() && rewrite(ip, nr))
		wanted = 0;
	sys_call4(__NR_rt_sigprocmask, SIG_SETMASK, &before, 0, 8);
	busy = 0;
}

/*
 * Of which calls: those that always trap, and the two of signals that nearly always do.  From a
 * rewritten site come the others of that number, too, and what the filter lets through is for
 * the kernel to answer: sigaltstack tells where the stack pointer is.
 */
static int is_wanted(long nr)
{
	return nr == __NR_rt_sigprocmask || nr == __NR_rt_sigaction || trap_filter_is_whole(nr);
}

void trap_site_seen(uint64_t ip, uint64_t nr)
{
	unsigned i = (unsigned)(ip * 0x9e3779b97f4a7c15ul >> (64 - SEEN_BITS));

	if (!wanted || !is_wanted((long)nr))
		return;
	if (seen[i].ip != ip) {
		seen[i].ip = ip;
		seen[i].count = 0;
	}
	if (++seen[i].count == (enough ? enough : ENOUGH))
		often(ip, nr);
}
