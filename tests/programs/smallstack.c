/* File calls with an alternate stack that the signal frame itself does not fit. */
#include <sys/mman.h>

#include "check.h"

int main(void)
{
	stack_t stack = { .ss_size = 2048 };
	char *pages = mmap(NULL, 3 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mprotect(pages + 4096, 4096, PROT_READ | PROT_WRITE);
	stack.ss_sp = pages + 4096;
	say("accepted", sigaltstack(&stack, NULL));
	for (int i = 0; i < 3; i++)
		say("open", touch("present"));
	return 0;
}
