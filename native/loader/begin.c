/* A start, from the kernel's jump to ours. */
#include <asm-generic/errno.h>
#include <linux/auxvec.h>
#include <linux/elf.h>
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/personality.h>

#include "../core/text.h"
#include "../trap/trap.h"
#include "loader.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif
#define CANNOT_RUN 125
#define NOT_EXECUTABLE 126
#define PAGE 4096ul

/* A view file is mostly smaller. */
#define VIEW_FILE_ROOM 8192ul

const char *loader_view_file;

/* on one page, but for many layers */
static struct core_view the_view __attribute__((aligned(PAGE)));
static struct loader_stack the_stack;
static struct loader_image program, interpreter;

/*
 * Texts that stay: programs write over their environment.  One behind the other, for each page
 * that a start touches costs it.
 */
static char texts[3 * CORE_PATH_MAX + CORE_HOST_MAX + CORE_SAID_MAX + VIEW_FILE_ROOM];
static size_t texts_used;

/* `text` is shorter than what there is room for. */
static const char *keep(const char *text)
{
	char *to = texts + texts_used;

	texts_used += (size_t)(text_put(to, text) - to) + 1;
	return to;
}

static void open_view(const struct loader_stack *s)
{
	long r;

	if (!s->view || !s->program) {
		loader_say("lpmx: cannot start: this is the loader of containers, and it was "
			   "started without one", (char *)0);
		loader_say("hint: use \"lpmx run\"", (char *)0);
		loader_leave(CANNOT_RUN);
	}
	r = text_length(s->view) < CORE_PATH_MAX ? 0 : -ENAMETOOLONG;
	if (!r) {
		loader_view_file = keep(s->view);
		r = core_view_open_in(&the_view, loader_view_file, texts + texts_used, VIEW_FILE_ROOM);
	}
	if (!r && !the_view.file_is_mapped)
		texts_used += the_view.file.length;
	if (r == -ENOENT && s->call) {
		loader_say("lpmx: cannot run \"", s->program, "\": its container is gone: there is "
			   "no view file \"", s->view, "\"", (char *)0);
		loader_say("hint: make the container again, or take the link away with "
			   "\"lpmx unlink\"", (char *)0);
		loader_leave(CANNOT_RUN);
	}
	if (r < 0) {
		loader_say("lpmx: cannot open the view file \"", s->view, "\": ",
			   r == -EINVAL ? "it is not one of this version"
			   : r == -EIO  ? "the index or control page it names is damaged"
					: loader_error(r), (char *)0);
		loader_say("hint: run \"lpmx check\"", (char *)0);
		loader_leave(CANNOT_RUN);
	}
	core_task_init(&trap_task, &the_view);
	trap_task.check_pointers = 1;
	if (s->env_end > (uint64_t)s->sp) {
		trap_task.stack_low = (uint64_t)s->sp;
		trap_task.stack_high = s->env_end;
	}
	if (s->state)
		core_task_load(&trap_task, s->state);
	if (s->trace && s->trace[0] == '/' && text_length(s->trace) < CORE_SAID_MAX)
		trap_task.trace = keep(s->trace);
}

/* What the variable says goes before what the view says, and passes on. */
static int wants_sites(const struct loader_stack *s)
{
	return s->rewrite && s->rewrite[0] ? !text_equal(s->rewrite, "0") : the_view.rewrite;
}

static void start_sites(const struct loader_stack *s)
{
	if (s->rewrite && s->rewrite[0])
		trap_sites_begin(s->rewrite);
	else if (the_view.rewrite)
		trap_sites_begin(0);
}

static void start_trap(const struct loader_stack *s)
{
	long r;

	trap_slots_begin(TRAP_THREAD_IS_FAST(loader_auxiliary(s, AT_HWCAP2)), (uint64_t)s->sp);
	trap_altstack_begin(loader_auxiliary(s, AT_MINSIGSTKSZ));
	trap_signals_begin();
	r = s->no_trap ? 0 : trap_filter_install(TRAP_SITES && wants_sites(s));
	if (r < 0 && the_view.kind != CORE_VIEW_HOST) {
		/* what is meant for the container would be done to the host */
		loader_say("lpmx: cannot run programs in container \"", the_view.name.text,
			   "\": the kernel refuses the seccomp filter", (char *)0);
		loader_say("hint: run \"lpmx check\", which says what this host allows", (char *)0);
		loader_leave(CANNOT_RUN);
	}
	if (s->no_trap && !s->start) {
		loader_say("lpmx: system calls cannot be trapped here: " LOADER_ENV_NO_TRAP
			   " is set", (char *)0);
		loader_say("hint: unset it; programs see the host where they should see the "
			   "container", (char *)0);
	}
}

static __attribute__((noreturn)) void cannot_map(const char *what, long error)
{
	loader_say("lpmx: cannot run \"", trap_task.program, "\" in container \"",
		   the_view.name.text, "\": cannot map ", what, ": ", loader_error(error),
		   (char *)0);
	/* what the kernel says where a file system is mounted so */
	loader_say("hint: ", error == -EPERM ? "the file system it lies on is mounted noexec: point "
					       "LPMX_STORE at another" : "run \"lpmx check\"", (char *)0);
	loader_leave(NOT_EXECUTABLE);
}

/* A program of the host, which may have been called by a link. */
static long open_on_host(const char *said)
{
	char *name = texts + texts_used;
	long fd = core_host_program(&the_view, AT_FDCWD, said, O_RDONLY, name);

	if (fd >= 0) {
		trap_task.program_host = name;
		texts_used += text_length(name) + 1;
	}
	return fd;
}

/*
 * Open what exec found LPMX_PROGRAM to be, or take the descriptor that it passed.  `command`: what
 * it is called after, as since Linux 6.14 the file itself where no path was said (begin_new_exec).
 */
static long open_program(const struct loader_stack *s, const char **name, const char **command)
{
	const char *p = s->start;
	long fd = -1;

	if (*p >= '0' && *p <= '9')
		fd = (long)text_number(&p, 10);
	*command = *p == LOADER_BY_DESCRIPTOR ? s->program : 0;
	p += *p == LOADER_BY_DESCRIPTOR;
	*name = p + (*p == ':');
	if (!*command)
		*command = *name;
	if (text_length(s->program) >= CORE_PATH_MAX)
		return -ENAMETOOLONG;
	trap_task.program = trap_task.program_host = keep(s->program);
	if (fd >= 0)
		return fd;
	if (!s->file)
		return -ENOENT;
	if (text_length(s->file) >= CORE_HOST_MAX)
		return -ENAMETOOLONG;
	if (the_view.kind == CORE_VIEW_HOST)
		return open_on_host(s->file);
	trap_task.program_host = keep(s->file);
	return core_host_open(s->file, O_RDONLY | O_CLOEXEC);
}

/* The page above the vDSO, where a process that the kernel made has its interpreter; 0: none. */
static uint64_t above_vdso(const struct loader_stack *s)
{
	uint64_t vdso = loader_auxiliary(s, AT_SYSINFO_EHDR), end = 0;
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)vdso;

	if (!vdso)
		return 0;
	for (unsigned i = 0; i < header->e_phnum; i++) {
		const Elf64_Phdr *part = (const Elf64_Phdr *)(vdso + header->e_phoff) + i;

		if (part->p_type == PT_LOAD)
			end = part->p_vaddr + part->p_memsz;
	}
	return (vdso + end + PAGE - 1) & ~(PAGE - 1);
}

/*
 * Something there, where the interpreter is not.  Who reads /proc/self/maps may lose the line behind
 * that of the vDSO (PMIx does, which starts the processes of Open MPI), and must not lose the
 * stack's.
 */
static void part_vdso_from_stack(uint64_t above)
{
	if (above && interpreter.low != above)
		sys_call6(__NR_mmap, above, PAGE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

/*
 * What glibc's ld.so asks of the host is answered by the kernel, and it asks for five files before
 * the smallest program runs: where it lies behind the window this is not trapped.  Who traces wants to see it;
 * and musl's has all of a program's libc in it, which may ask for the program itself (hostview.c).
 */
static int is_exempt_linker(const char *name)
{
	return the_view.kind == CORE_VIEW_HOST && !trap_task.trace && text_begins(text_base(name), "ld-linux");
}

/* Where exec found the interpreter, unless another program is by now at the path; or NULL. */
static const char *found_interpreter(const struct loader_stack *s)
{
	const char *p = s->interpreter;
	size_t n;

	if (!p)
		return 0;
	n = text_number(&p, 10);
	p += *p == ':';
	if (n != text_length(program.interpreter) || !text_same(p, program.interpreter, n))
		return 0;
	return p + n;
}

static __attribute__((noinline)) long find_interpreter(const char **host)
{
	static struct core_node node;

	*host = node.host;
	return core_resolve(&trap_task, AT_FDCWD, program.interpreter, 0, &node);
}

static void map_interpreter(const struct loader_stack *s)
{
	const char *host = found_interpreter(s);
	uint64_t above = above_vdso(s);
	long fd, r = 0;

	if (!host && the_view.kind == CORE_VIEW_CONTAINER)
		r = find_interpreter(&host);
	else if (!host) /* the kernel view's program is the host's, and so is its interpreter */
		host = program.interpreter;
	fd = r < 0 ? r : core_host_open(host, O_RDONLY | O_CLOEXEC);
	r = fd < 0 ? fd
		   : loader_map(fd, is_exempt_linker(program.interpreter) ? trap_room_for_linker() : above,
				&interpreter);
	if (r < 0)
		cannot_map(program.interpreter, r == -ENOEXEC ? -ELIBBAD : r);
	sys_call1(__NR_close, fd);
	part_vdso_from_stack(above);
	if (the_view.kind == CORE_VIEW_KERNEL) {
		trap_untranslated_low = interpreter.low;
		trap_untranslated_high = interpreter.high;
	}
}

/* From sp to the end of the strings: where the program's frames will be. */
static void make_stack_executable(uint64_t sp, uint64_t end)
{
	uint64_t low = sp & ~(PAGE - 1), high = (end + PAGE - 1) & ~(PAGE - 1);

	sys_call3(__NR_mprotect, low, high - low,
		  PROT_READ | PROT_WRITE | PROT_EXEC | PROT_GROWSDOWN);
}

/* What was changed since our variables were made is new to the program. */
static void changed_since(const char *told)
{
	uint64_t generation = text_number(&told, 10);

	if (generation < trap_task.environment_start)
		trap_task.environment_start = generation;
}

__attribute__((used)) struct loader_jump loader_begin(uint64_t *sp)
{
	struct loader_stack *s = &the_stack;
	struct loader_jump jump;
	const char *name, *command;
	int randomize;
	long fd, r;

	loader_stack_read(s, sp);
	open_view(s);
	start_trap(s);
	start_sites(s);
	if (s->traced)
		trap_stop_begin(s->traced[0]);
	core_environment_begin(&trap_task, s->envp);
	/* who calls from another view knows nothing of what was changed in this one */
	if (s->call)
		trap_task.environment_start = 0;
	else if (s->since)
		changed_since(s->since);
	trap_begin_program();
	if (!s->start)
		loader_first(s);

	randomize = !(sys_call1(__NR_personality, 0xffffffff) & ADDR_NO_RANDOMIZE);
	fd = open_program(s, &name, &command);
	program.interpreter = texts + texts_used;
	r = fd < 0 ? fd : loader_map(fd, loader_pie_base(randomize), &program);
	if (r < 0)
		cannot_map("it", r);
	texts_used += text_length(program.interpreter) + 1;
	sys_call1(__NR_close, fd);
	if (program.interpreter[0])
		map_interpreter(s);
	loader_set_name(command, command != name);
	jump.sp = loader_stack_write(s, &program, program.interpreter[0] ? &interpreter : 0, name);
	jump.entry = program.interpreter[0] ? interpreter.entry : program.entry;
	if (program.executable_stack)
		make_stack_executable(jump.sp, s->env_end);
	loader_describe(s, &program, jump.sp, randomize);
	if (trap_task.trace)
		core_trace_program(&trap_task, "loader");
	if (trap_stop_is_due())
		trap_stop_enter(jump.sp, jump.entry);
	return jump;
}
