/*
 * What was intercepted, told to a file (LPMX_TRACE).
 *
 * Each line is one write to a file opened for appending, so the lines of several
 * processes do not mix; the file is opened for each line, because programs close
 * descriptors that they do not know.  It is made for people who look for a fault: a
 * call costs several times as much, and means the same.  What cannot be written is
 * lost, and no call fails for that.
 */
#include "internal.h"

#define SECONDS_DIGITS 6 /* of microseconds */
#define PRIVATE_MODE 0600
#define CLOCK_REALTIME_ 0
#define OCTAL 8
#define DECIMAL 10
#define HEXADECIMAL 16

static const char *const errors[] = {
	0, "EPERM", "ENOENT", "ESRCH", "EINTR", "EIO", "ENXIO", "E2BIG", "ENOEXEC", "EBADF", "ECHILD",
	"EAGAIN", "ENOMEM", "EACCES", "EFAULT", "ENOTBLK", "EBUSY", "EEXIST", "EXDEV", "ENODEV",
	"ENOTDIR", "EISDIR", "EINVAL", "ENFILE", "EMFILE", "ENOTTY", "ETXTBSY", "EFBIG", "ENOSPC",
	"ESPIPE", "EROFS", "EMLINK", "EPIPE", "EDOM", "ERANGE", "EDEADLK", "ENAMETOOLONG", "ENOLCK",
	"ENOSYS", "ENOTEMPTY", "ELOOP",
};

/* Calls of the trap, which the core's table does not have. */
static const struct {
	long nr;
	struct call_name name;
} others[] = {
	{ __NR_execve, { "execve", "sp" } },
	{ __NR_execveat, { "execveat", "dsppx" } },
	{ __NR_rt_sigaction, { "rt_sigaction", "npp" } },
	{ __NR_rt_sigprocmask, { "rt_sigprocmask", "npp" } },
	{ __NR_rt_sigsuspend, { "rt_sigsuspend", "p" } },
	{ __NR_ppoll, { "ppoll", "pnpp" } },
	{ __NR_pselect6, { "pselect6", "npppp" } },
	{ __NR_epoll_pwait, { "epoll_pwait", "npnnp" } },
	{ 441, { "epoll_pwait2", "npnpp" } },
	{ __NR_sigaltstack, { "sigaltstack", "pp" } },
	{ __NR_ptrace, { "ptrace", "nn" } },
};

/* ---- text with an end ----------------------------------------------------------- */

static void add(struct core_trace *t, const char *s)
{
	while (*s && t->length < sizeof(t->text) - 1)
		t->text[t->length++] = *s++;
}

static void add_number(struct core_trace *t, uint64_t value, unsigned base)
{
	char digits[72];

	text_put_number(digits, value, base);
	add(t, digits);
}

static void add_signed(struct core_trace *t, long value)
{
	if (value < 0)
		add(t, "-");
	add_number(t, value < 0 ? -(uint64_t)value : (uint64_t)value, DECIMAL);
}

/* As C would have it in quotes, so that a line stays a line. */
static void add_quoted(struct core_trace *t, const char *s)
{
	char one[] = "x", code[] = "\\x00";

	add(t, "\"");
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '\n') {
			add(t, "\\n");
		} else if (c < ' ' || c == 0x7f) {
			code[2] = "0123456789abcdef"[c >> 4];
			code[3] = "0123456789abcdef"[c & 15];
			add(t, code);
		} else {
			if (c == '"' || c == '\\')
				add(t, "\\");
			one[0] = *s;
			add(t, one);
		}
	}
	add(t, "\"");
}

static void begin(struct core_trace *t, const char *way)
{
	struct { long seconds, nanoseconds; } now = { 0, 0 };
	char digits[72];

	t->length = 0;
	sys_call2(__NR_clock_gettime, CLOCK_REALTIME_, &now);
	add_number(t, (uint64_t)now.seconds, DECIMAL);
	text_put_number(digits, (uint64_t)now.nanoseconds / 1000, DECIMAL);
	add(t, ".");
	for (size_t n = text_length(digits); n < SECONDS_DIGITS; n++)
		add(t, "0");
	add(t, digits);
	add(t, " ");
	add_signed(t, sys_call0(__NR_gettid));
	add(t, " ");
	add(t, way);
	add(t, " ");
}

static void end(const struct core_task *task, struct core_trace *t)
{
	long fd = sys_call4(__NR_openat, AT_FDCWD, task->trace,
			    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
			    PRIVATE_MODE);

	if (fd < 0)
		return;
	/* the end of the line is there whatever had no room */
	t->text[t->length++] = '\n';
	sys_call3(__NR_write, fd, t->text, t->length);
	sys_call1(__NR_close, fd);
}

static void add_error(struct core_trace *t, long error)
{
	add_signed(t, error);
	if (-error < (long)(sizeof(errors) / sizeof(*errors))) {
		add(t, " ");
		add(t, errors[-error]);
	}
}

/* ---- lines ------------------------------------------------------------------------ */

static void add_argument(const struct core_task *task, struct core_trace *t, char kind, long value)
{
	char path[CORE_SAID_MAX];

	switch (kind) {
	case 'd':
		if ((int)value == AT_FDCWD)
			add(t, "AT_FDCWD");
		else
			add_signed(t, (int)value);
		return;
	case 'n':
		add_signed(t, (int)value);
		return;
	case 'm':
	case 'o':
		add(t, "0");
		add_number(t, (uint32_t)value, OCTAL);
		return;
	case 's':
		if (user_path(task, (const char *)value, path) >= 0) {
			add_quoted(t, path);
			return;
		}
	}
	add(t, "0x");
	add_number(t, kind == 'x' ? (uint32_t)value : (uint64_t)value, HEXADECIMAL);
}

static const struct call_name *name_of(long nr)
{
	const struct call_name *found = call_name(nr);

	for (size_t i = 0; !found && i < sizeof(others) / sizeof(*others); i++)
		if (others[i].nr == nr)
			return &others[i].name;
	return found;
}

NOINLINE void core_trace_call(const struct core_task *task, struct core_trace *t, const char *way,
			      long nr, const long a[6])
{
	const struct call_name *name = name_of(nr);
	const char *kinds = name ? name->arguments : "pppppp";

	begin(t, way);
	add(t, name ? name->name : "syscall_");
	if (!name)
		add_number(t, (uint64_t)nr, DECIMAL);
	add(t, "(");
	for (unsigned i = 0; i < 6 && kinds[i]; i++) {
		if (kinds[i] == 'm' && !(a[i - 1] & (O_CREAT | __O_TMPFILE)))
			break;
		if (i)
			add(t, ", ");
		add_argument(task, t, kinds[i], a[i]);
	}
	add(t, ")");
}

NOINLINE void core_trace_result(const struct core_task *task, struct core_trace *t, long result)
{
	add(t, " = ");
	if (SYS_FAILED(result))
		add_error(t, result);
	else
		add_signed(t, result);
	end(task, t);
}

NOINLINE void core_trace_program(const struct core_task *task, const char *way)
{
	struct core_trace t;

	begin(&t, way);
	add(&t, "program ");
	add_quoted(&t, task->program);
	add(&t, " is ");
	add_quoted(&t, task->program_host);
	end(task, &t);
}

NOINLINE void trace_path(const struct core_task *task, int dirfd, const char *path,
			 const struct core_node *node, long r)
{
	static const char *const places[] = {
		[CORE_ABSENT] = "absent", [CORE_UPPER] = "upper", [CORE_LOWER] = "lower",
		[CORE_BIND] = "bind",
	};
	struct core_trace t;

	begin(&t, "path");
	if (path[0] != '/') {
		add_argument(task, &t, 'd', dirfd);
		add(&t, " ");
	}
	add_quoted(&t, path);
	add(&t, " is ");
	if (r < 0) {
		add_error(&t, r);
	} else {
		add_quoted(&t, node->host[0] ? node->host : "/");
		add(&t, " ");
		add(&t, places[node->place]);
		if (node->place == CORE_LOWER) {
			add(&t, " ");
			add_number(&t, node->layer, DECIMAL);
		}
	}
	end(task, &t);
}
