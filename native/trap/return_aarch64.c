/*
 * The way back from a trap on aarch64.
 *
 * A system call destroys no register here but the result's, so no register is free to jump by:
 * only rt_sigreturn loads them all.  It needs a frame, and the kernel's own cannot be kept, for
 * as soon as we are on the slot's stack the next signal may be put over it (entry_aarch64.S).
 * So what the frame says is kept with the slot, and at the end it is written once more to the
 * place where the kernel had it.  The thread is then where it was when the kernel chose that
 * place for free: it is free again.  That holds while no signal is taken, and so all of them
 * are blocked from there to the return, which lets in what the program does not block itself.
 *
 * Of the records behind the registers those are kept that a system call leaves alone.  The
 * SVE registers are not, beyond the vector registers that FPSIMD has the names of; the state
 * of SME is, and may be large.
 */
#include <linux/signal.h>

#include "../core/text.h"
#include "trap.h"

#define RECORD_ESR 0x45535201u
#define RECORD_EXTRA 0x45585401u
#define RECORD_SVE 0x53564501u
#define FPSIMD_SIZE 528u
/* As the kernel limits it. */
#define FRAME_MAX 0x10000u

struct extra {
	struct trap_record head;
	uint64_t at;
	uint32_t size, padding[3];
};

/* A look at one record after the other, those that lie apart included. */
struct walk {
	const char *at, *end;
	int apart;
};

static const struct trap_record *next(struct walk *walk)
{
	while (walk->end - walk->at >= (long)sizeof(struct trap_record)) {
		const struct trap_record *record = (const void *)walk->at;

		if (record->magic == RECORD_EXTRA && !walk->apart) {
			const struct extra *extra = (const void *)record;

			walk->apart = 1;
			walk->at = (const char *)extra->at;
			walk->end = walk->at + (extra->size < FRAME_MAX ? extra->size : FRAME_MAX);
			continue;
		}
		if (!record->magic || record->size < 16 || record->size % 16 ||
		    record->size > walk->end - walk->at)
			return 0;
		walk->at += record->size;
		if (record->magic != RECORD_ESR && record->magic != RECORD_SVE)
			return record;
	}
	return 0;
}

static struct walk begin(const struct trap_ucontext *context)
{
	return (struct walk){ context->records, context->records + sizeof(context->records), 0 };
}

static char *terminate(char *to)
{
	bytes_zero(to, 16);
	return to + 16;
}

/* The place in the kernel's frame of what is at `p` of ours. */
static uint64_t there(const struct trap_frame *ours, uint64_t context, const char *p)
{
	return context - offsetof(struct trap_frame, context) + (uint64_t)(p - (const char *)ours);
}

static void put_records(struct trap_frame *to, const struct trap_ucontext *context, size_t size)
{
	struct walk walk = begin(context);
	const struct trap_record *record;
	char *at = to->context.records;
	int apart = size > TRAP_RECORDS_SIZE;

	for (; (record = next(&walk)); apart = 0) {
		bytes_copy(at, (const char *)record, record->size);
		at += record->size;
		size -= record->size;
		/* the first has room in any case; all others go behind the end */
		if (apart) {
			struct extra *extra = (void *)at;

			*extra = (struct extra){ .head = { RECORD_EXTRA, sizeof(*extra) },
						 .size = (uint32_t)size };
			at = terminate(at + sizeof(*extra));
			extra->at = there(to, (uint64_t)context, at);
		}
	}
	terminate(at);
}

void trap_keep(struct trap_slot *slot, const struct trap_ucontext *context)
{
	struct walk walk = begin(context);
	const struct trap_record *record;
	size_t records = sizeof(struct trap_record) * 2, size;
	struct trap_frame *kept;

	while ((record = next(&walk)))
		records += record->size;
	size = offsetof(struct trap_frame, context.records) + records;
	if (records > TRAP_RECORDS_SIZE)
		size += sizeof(struct extra) + 16;
	kept = slot->kept = (void *)(((uint64_t)slot - size) & ~15ul);
	bytes_copy((char *)kept, (const char *)context - offsetof(struct trap_frame, context),
		   offsetof(struct trap_frame, context.records));
	put_records(kept, context, records);
	bytes_copy((char *)slot->registers, (const char *)context->registers, sizeof(slot->registers));
}

struct trap_frame *trap_frame_again(struct trap_slot *slot)
{
	struct trap_ucontext *context = &slot->kept->context;
	struct trap_frame *frame = (void *)(slot->frame - offsetof(struct trap_frame, context));
	uint64_t all = ~0ul;

	sys_call4(__NR_rt_sigprocmask, SIG_SETMASK, &all, &context->mask, 8);
	if (slot->left.size) {
		/* they are blocked since before the alternate stack was there again */
		context->mask = slot->mask;
		slot->left.size = 0;
	}
	/* else it is as it was: handlers that set another have given this back */
	if (slot->number == __NR_sigaltstack)
		sys_call2(__NR_sigaltstack, 0, &context->altstack);
	bytes_copy((char *)context->registers, (const char *)slot->registers, sizeof(slot->registers));
	bytes_copy((char *)frame, (const char *)slot->kept, (size_t)((char *)slot - (char *)slot->kept));
	return frame;
}

void trap_frame_begin(struct trap_frame *frame, uint64_t sp, uint64_t entry)
{
	struct trap_record *vectors = (void *)frame->context.records;

	*vectors = (struct trap_record){ TRAP_RECORD_FPSIMD, FPSIMD_SIZE };
	frame->context.registers[TRAP_SP] = sp;
	frame->context.registers[TRAP_PC] = entry;
}
