/*
 * What the kernel believes about this process: its name, where its code, heap
 * and arguments are.  Debuggers and ps read it; malloc grows the heap from it.
 */
#include <linux/prctl.h>

#include "../core/text.h"
#include "../sys/sys.h"
#include "loader.h"

#define PAGE 4096ul
#define HEAP_RANDOM_PAGES 8192u

void loader_set_name(const char *name, int told)
{
	static const char gone[] = " (deleted)";
	const char *base = text_base(name);
	char comm[16];
	size_t n, length;

	length = text_length(base);
	if (told && length > sizeof(gone) - 1 && text_equal(base + length - sizeof(gone) + 1, gone))
		length -= sizeof(gone) - 1;
	for (n = 0; n < length && n < sizeof(comm) - 1; n++)
		comm[n] = base[n];
	comm[n] = 0;
	sys_call5(__NR_prctl, PR_SET_NAME, comm, 0, 0, 0);
}

/*
 * Some kernels do not allow it (CONFIG_CHECKPOINT_RESTORE); the heap then
 * begins behind the loader, and a debugger that attaches knows the wrong base.
 */
void loader_describe(const struct loader_stack *stack, const struct loader_image *image,
		     uint64_t sp, int randomize)
{
	uint16_t number = 0;
	struct prctl_mm_map map = {
		.start_code = image->code_low,
		.end_code = image->code_high,
		.start_data = image->data_low,
		.end_data = image->data_high,
		.start_stack = sp,
		.arg_start = stack->arg_start,
		.arg_end = stack->arg_end,
		.env_start = stack->env_start,
		.env_end = stack->env_end,
		.auxv = (__u64 *)stack->auxv,
		.auxv_size = (__u32)(sizeof(*stack->auxv) * (size_t)(stack->auxc + 1)),
		.exe_fd = ~0u,
	};

	if (randomize)
		sys_call3(__NR_getrandom, &number, sizeof(number), 1 /* GRND_NONBLOCK */);
	map.start_brk = map.brk = image->high + PAGE * (1 + number % HEAP_RANDOM_PAGES);
	sys_call5(__NR_prctl, PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0);
}
