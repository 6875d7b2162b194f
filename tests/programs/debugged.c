/* A function to stop at. */
#include "check.h"

__attribute__((noinline, noclone)) long twice(long n)
{
	__asm__ volatile("" : "+r"(n));
	return 2 * n;
}

int main(void)
{
	say("opened", touch("present"));
	say("twice", twice(21));
	return 0;
}
