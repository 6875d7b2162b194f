/* Threads cancelled in open and in fdatasync: while it waits, between two that do not, and not at all. */
#include <pthread.h>

#include "check.h"

static int cleaned;
static volatile int opened;

static void clean(void *number)
{
	(void)number;
	cleaned++;
}

static void *wait_in_open(void *path)
{
	pthread_cleanup_push(clean, NULL);
	open(path, O_RDONLY);
	pthread_cleanup_pop(0);
	return NULL;
}

static void *open_for_ever(void *path)
{
	pthread_cleanup_push(clean, NULL);
	for (;;) {
		int fd = open(path, O_RDONLY);

		opened++;
		/* a close is a cancellation point as well: not here */
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
		close(fd);
		pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	}
	pthread_cleanup_pop(0);
	return NULL;
}

static void *sync_for_ever(void *path)
{
	int fd = open(path, O_RDONLY);

	pthread_cleanup_push(clean, NULL);
	for (;;) {
		fdatasync(fd);
		opened++;
	}
	pthread_cleanup_pop(0);
	return NULL;
}

static void *not_to_be_cancelled(void *path)
{
	int before = opened;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	while (opened < before + 100) {
		close(open(path, O_RDONLY));
		opened++;
	}
	return path;
}

static void cancel(const char *name, void *(*run)(void *), void *path)
{
	pthread_t thread;
	void *result;
	int before = opened;

	pthread_create(&thread, NULL, run, path);
	/* until it is at it; who waits in open does not count */
	for (int i = 0; i < 100 && opened == before; i++)
		usleep(1000);
	pthread_cancel(thread);
	pthread_join(thread, &result);
	say(name, result == PTHREAD_CANCELED);
	say("cleaned up", cleaned);
}

int main(void)
{
	mkfifo("waiting", 0600);
	cancel("waiting", wait_in_open, "waiting");
	cancel("opening", open_for_ever, "present");
	cancel("syncing", sync_for_ever, "present");
	cancel("not to be cancelled", not_to_be_cancelled, "present");
	return unlink("waiting");
}
