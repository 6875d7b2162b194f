/* File calls at the very top of a stack, above which there is no memory. */
#include <sched.h>
#include <sys/mman.h>

#include "check.h"

#define PAGE 4096l

static int opens(void *result)
{
	*(int *)result = touch("present");
	return touch("absent") == -1 && errno == ENOENT ? 0 : 1;
}

int main(void)
{
	char *pages = mmap(NULL, 18 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int result = -1;

	mprotect(pages + PAGE, 16 * PAGE, PROT_READ | PROT_WRITE);
	say("child", outcome(clone(opens, pages + 17 * PAGE, CLONE_VM | CLONE_VFORK | SIGCHLD, &result)));
	say("open", result);
	return 0;
}
