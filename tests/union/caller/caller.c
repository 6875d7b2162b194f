/*
 * Requests come a line each, a batch ends with an empty line; each is answered by one line,
 * all of a batch together. Words of a request: a name, 123 for a number, =HEX for bytes.
 *
 * Some requests are about others:
 *
 *   under =DIRECTORY OPERATION    the working directory's place is taken by a descriptor
 *   old OPERATION                 by the calls that have no descriptor, where they can say it
 *   fork K                        another process, as this one is now
 *   in K OPERATION                done by that process
 *   end K                         that is the end of it
 *   enter =PLACE                  a new world, in which nothing has happened
 */
#include "caller.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define PROCESSES 4

int old_calls;

static int slots[SLOTS], here;
static struct process {
	pid_t pid;
	int to, from;
} processes[PROCESSES];

/* Where the world lies that a process is in by chroot: a path that the kernel tells from
 * outside of any root begins with it. */
static char own_place[4096];

static char *answer;
static size_t answered, answer_room;

/* ---- answers */

static void make_room(size_t size)
{
	if (answered + size + 1 > answer_room) {
		answer_room = (answered + size + 1) * 2;
		answer = realloc(answer, answer_room);
		if (!answer)
			abort();
	}
}

void say(const char *format, ...)
{
	va_list list;
	int size;

	make_room(256);
	va_start(list, format);
	size = vsnprintf(answer + answered, answer_room - answered, format, list);
	va_end(list);
	if ((size_t)size >= answer_room - answered) {
		make_room((size_t)size);
		va_start(list, format);
		vsnprintf(answer + answered, answer_room - answered, format, list);
		va_end(list);
	}
	answered += (size_t)size;
}

void say_bytes(const void *data, long size)
{
	const unsigned char *byte = data;

	make_room((size_t)size * 3);
	for (long i = 0; i < size; i++) {
		if (byte[i] > ' ' && byte[i] < 0x7f && byte[i] != '%')
			answer[answered++] = (char)byte[i];
		else
			answered += (size_t)sprintf(answer + answered, "%%%02x", byte[i]);
	}
}

void say_content(const void *data, long size)
{
	if (size <= 40)
		say_bytes(data, size);
	else
		say("#%lx", (long)hash(HASH_START, data, size));
}

void say_error(long result)
{
	const char *name = result < 0 ? strerrorname_np((int)-result) : "ok";

	if (name)
		say("%s", name);
	else
		say("%ld", result);
}

uint64_t hash(uint64_t start, const void *data, long size)
{
	const unsigned char *byte = data;

	for (long i = 0; i < size; i++)
		start = (start ^ byte[i]) * 0x100000001b3u;
	return start;
}

const char *from_root(const char *path)
{
	size_t size = strlen(own_place);

	if (!size || strncmp(path, own_place, size) || (path[size] && path[size] != '/'))
		return path;
	return path[size] ? path + size : "/";
}

/* ---- descriptors */

int fd_of(long number)
{
	if (number == AT_FDCWD)
		return here;
	return number >= 0 && number < SLOTS ? slots[number] : -1;
}

void drop(long slot)
{
	if (slot >= 0 && slot < SLOTS)
		slots[slot] = -1;
}

void keep(long slot, long result)
{
	if (result < 0 || slot < 0 || slot >= SLOTS)
		return;
	if (slots[slot] >= 0)
		call(SYS_close, slots[slot]);
	slots[slot] = (int)result;
}

/* ---- doors */

#ifdef SHARED

/* Of the core's binding: core_call, and what opens another view. */
static long (*core_call)(void *task, long nr, const long a[6]);
static void *(*open_view)(const char *place);
static void *task;

long door(long nr, const long a[6])
{
	return core_call(task, nr, a);
}

static long enter(const char *place)
{
	task = open_view(place);
	return task ? 0 : -EIO;
}

#else

static int outside = -1; /* the root directory we started in */

static long enter(const char *place)
{
	if (outside < 0)
		outside = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	snprintf(own_place, sizeof(own_place), "%s", place);
	if (fchdir(outside) || chroot(".") || chroot(place) || chdir("/"))
		return -errno;
	return 0;
}

static long by_number(long nr, const long a[6])
{
#ifdef LIBC
	switch (nr) {
	case SYS_open:
		return open((char *)a[0], (int)a[1], (mode_t)a[2]);
	case SYS_creat:
		return creat((char *)a[0], (mode_t)a[1]);
	case SYS_openat:
		return openat((int)a[0], (char *)a[1], (int)a[2], (mode_t)a[3]);
	case SYS_stat:
		return stat((char *)a[0], (struct stat *)a[1]);
	case SYS_lstat:
		return lstat((char *)a[0], (struct stat *)a[1]);
	case SYS_fstat:
		return fstat((int)a[0], (struct stat *)a[1]);
	case SYS_newfstatat:
		return fstatat((int)a[0], (char *)a[1], (struct stat *)a[2], (int)a[3]);
	case SYS_statx:
		return statx((int)a[0], (char *)a[1], (int)a[2], (unsigned)a[3], (struct statx *)a[4]);
	case SYS_access:
		return access((char *)a[0], (int)a[1]);
	case SYS_readlink:
		return readlink((char *)a[0], (char *)a[1], (size_t)a[2]);
	case SYS_readlinkat:
		return readlinkat((int)a[0], (char *)a[1], (char *)a[2], (size_t)a[3]);
	case SYS_getxattr:
		return getxattr((char *)a[0], (char *)a[1], (void *)a[2], (size_t)a[3]);
	case SYS_lgetxattr:
		return lgetxattr((char *)a[0], (char *)a[1], (void *)a[2], (size_t)a[3]);
	case SYS_listxattr:
		return listxattr((char *)a[0], (char *)a[1], (size_t)a[2]);
	case SYS_llistxattr:
		return llistxattr((char *)a[0], (char *)a[1], (size_t)a[2]);
	case SYS_getuid:
		return (long)getuid();
	case SYS_geteuid:
		return (long)geteuid();
	case SYS_getgid:
		return (long)getgid();
	case SYS_getegid:
		return (long)getegid();
	}
#endif
	return syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

long door(long nr, const long a[6])
{
	long result = by_number(nr, a);

	return result == -1 ? -errno : result;
}

#endif

/* ---- requests */

static const struct named_operation *const families[] = {
	name_operations, descriptor_operations, listing_operations, attribute_operations,
	socket_operations, look_operations, watch_operations, copy_operations, long_operations,
};

/* By a hash of the name: looking through all of them costs more than most operations. */
static operation *find(const char *name)
{
	static struct named_operation table[512];
	static int filled;

	if (!filled) {
		for (size_t f = 0; f < sizeof(families) / sizeof(*families); f++) {
			for (const struct named_operation *o = families[f]; o->name; o++) {
				uint64_t at = hash(HASH_START, o->name, (long)strlen(o->name));

				while (table[at % 512].name)
					at++;
				table[at % 512] = *o;
			}
		}
		filled = 1;
	}
	for (uint64_t at = hash(HASH_START, name, (long)strlen(name)); table[at % 512].name; at++) {
		if (!strcmp(table[at % 512].name, name))
			return table[at % 512].perform;
	}
	return NULL;
}

static void serve(int in, int out);

static void write_all(int fd, const char *data, size_t size)
{
	while (size) {
		ssize_t done = write(fd, data, size);

		if (done < 0)
			_exit(3);
		data += done;
		size -= (size_t)done;
	}
}

static void end_process(struct process *process)
{
	if (process->pid > 0) {
		close(process->to);
		close(process->from);
		kill(process->pid, SIGKILL);
		waitpid(process->pid, NULL, 0);
		memset(process, 0, sizeof(*process));
	}
}

/* In a new process: those of its parent are none of its business. */
static void forget_processes(void)
{
	for (int k = 0; k < PROCESSES; k++) {
		if (processes[k].to) {
			close(processes[k].to);
			close(processes[k].from);
		}
	}
	memset(processes, 0, sizeof(processes));
}

static void fork_process(struct process *process)
{
	int to[2], from[2];

	end_process(process);
	if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
		abort();
	process->pid = fork();
	if (!process->pid) {
		close(to[1]);
		close(from[0]);
		forget_processes();
		serve(to[0], from[1]);
		_exit(0);
	}
	close(to[0]);
	close(from[1]);
	process->to = to[1];
	process->from = from[0];
	say(process->pid < 0 ? "no process" : "ok");
}

/* Hand the rest of the line to the process, and its answer on. */
static void pass(struct process *process, const char *line)
{
	char data[4096];

	if (process->pid <= 0) {
		say("no process");
		return;
	}
	write_all(process->to, line, strlen(line));
	write_all(process->to, "\n\n", 2);
	for (;;) {
		ssize_t size = read(process->from, data, sizeof(data));

		if (size <= 0) {
			say("the process has ended");
			end_process(process);
			return;
		}
		make_room((size_t)size);
		memcpy(answer + answered, data, (size_t)size);
		answered += (size_t)size;
		if (data[size - 1] == '\n') {
			answered--;
			return;
		}
	}
}

static void begin_again(const char *place)
{
	for (int k = 0; k < PROCESSES; k++)
		end_process(&processes[k]);
	for (int slot = 0; slot < SLOTS; slot++) {
		if (slots[slot] >= 0)
			close(slots[slot]);
		slots[slot] = -1;
	}
	here = AT_FDCWD;
	umask(022);
	if (place)
		say_error(enter(place));
	call(SYS_chdir, P("/"));
}

static int hex(char c)
{
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

/*
 * "/proc/self/fd/{3}" names the process's own number of the scenario's descriptor 3, and
 * "/proc/{1}/" the number of its process 1.
 */
static void number_in_place(struct word *word)
{
	static char data[WORDS][4400];
	static int at;
	const char *from = word->text;
	char *to, *end;

	if (strncmp(from, "/proc/", 6) || !strchr(from, '{') || strlen(from) > 4096)
		return;
	at = (at + 1) % WORDS;
	to = data[at];
	for (; *from; from = end) {
		end = (char *)from + 1;
		if (*from != '{') {
			*to++ = *from;
			continue;
		}
		if (from == word->text + 6)
			to += sprintf(to, "%d", processes[strtol(from + 1, &end, 10) % PROCESSES].pid);
		else
			to += sprintf(to, "%d", fd_of(strtol(from + 1, &end, 10)));
		end += *end == '}';
	}
	*to = 0;
	word->text = data[at];
	word->size = (long)strlen(data[at]);
}

/* Split the line where it stands. */
static struct request parse(char *line)
{
	struct request request = { .name = line };

	line += strcspn(line, " ");
	while (*line && request.count < WORDS) {
		struct word *word = &request.word[request.count++];

		*line++ = 0;
		if (*line == '=') {
			word->text = line++;
			for (; *line && *line != ' '; line += 2)
				word->text[word->size++] = (char)(hex(line[0]) << 4 | hex(line[1]));
			/* its NUL falls on "=" or a digit that has been read */
			word->text[word->size] = 0;
			if (!word->size)
				continue;
			number_in_place(word);
		} else {
			word->number = strtol(line, &line, 10);
		}
	}
	return request;
}

static char *after_words(char *line, int words)
{
	while (words--) {
		line += strcspn(line, " ");
		if (*line)
			*line++ = 0;
	}
	return line;
}

static void perform(char *line)
{
	size_t size = strcspn(line, " ");
	struct request request;
	operation *found;

#define IS(word) (size == sizeof(word) - 1 && !memcmp(line, word, size))
	if (IS("in")) {
		char *rest = after_words(line, 2);

		pass(&processes[atoi(line + 3) % PROCESSES], rest);
		return;
	}
	if (IS("old")) {
		old_calls = 1;
		perform(after_words(line, 1));
		old_calls = 0;
		return;
	}
	if (IS("under")) {
		char *rest = after_words(line, 2);
		struct request directory = { 0 };
		char whole[9000];

		snprintf(whole, sizeof(whole), "under %s", line + 6);
		directory = parse(whole);
		keep(UNDER, call(SYS_openat, AT_FDCWD, P(directory.word[0].text),
				 O_PATH | O_DIRECTORY | O_CLOEXEC));
		here = slots[UNDER];
		perform(rest);
		here = AT_FDCWD;
		if (slots[UNDER] >= 0)
			call(SYS_close, slots[UNDER]);
		slots[UNDER] = -1;
		return;
	}
#undef IS
	request = parse(line);
	if (!strcmp(request.name, "fork")) {
		fork_process(&processes[request.word[0].number % PROCESSES]);
	} else if (!strcmp(request.name, "end")) {
		end_process(&processes[request.word[0].number % PROCESSES]);
		say("ok");
	} else if (!strcmp(request.name, "enter")) {
		begin_again(request.word[0].text);
	} else {
		found = find(request.name);
		if (found)
			found(request.word);
		else
			say("there is no operation %s", request.name);
	}
}

/* Answer what comes from `in` until it ends. */
static void serve(int in, int out)
{
	size_t room = 1 << 16, have = 0;
	char *data = malloc(room), *end;

	answered = 0;
	while (data) {
		ssize_t size = read(in, data + have, room - have - 1);

		if (size < 0 && errno == EINTR)
			continue;
		if (size <= 0)
			break;
		have += (size_t)size;
		data[have] = 0;
		if (have + 1 == room)
			data = realloc(data, room *= 2);
		if (have < 2 || memcmp(data + have - 2, "\n\n", 2))
			continue;
		for (char *line = data; *line != '\n'; line = end + 1) {
			end = strchr(line, '\n');
			*end = 0;
			perform(line);
			say("\n");
		}
		write_all(out, answer, answered);
		answered = have = 0;
	}
	free(data);
	for (int k = 0; k < PROCESSES; k++)
		end_process(&processes[k]);
}

static void begin(void)
{
	for (int slot = 0; slot < SLOTS; slot++)
		slots[slot] = -1;
	here = AT_FDCWD;
	signal(SIGPIPE, SIG_IGN);
}

#ifdef SHARED
void serve_view(long (*core)(void *, long, const long *), void *(*opener)(const char *))
{
	core_call = core;
	open_view = opener;
	begin();
	serve(0, 1);
}
#else
int main(void)
{
	begin();
	umask(022);
	serve(0, 1);
	return 0;
}
#endif
