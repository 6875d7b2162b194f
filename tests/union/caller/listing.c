/* What is in directories, read in pieces of any size, from any position, while it changes. */
#include "caller.h"

static void add_entries(struct listing *listing, char *data, long size)
{
	for (long at = 0; at < size;) {
		struct record *record = (struct record *)(data + at);

		if (listing->count % 64 == 0)
			listing->entries = realloc(listing->entries, sizeof(struct entry)
						   * (size_t)(listing->count + 64));
		listing->entries[listing->count++] = (struct entry){
			strdup(record->name), record->type, record->inode, record->next };
		at += record->size;
	}
}

long read_entries(int fd, long room, struct listing *listing)
{
	char *data = malloc((size_t)room);
	long size;

	while ((size = call(SYS_getdents64, fd, P(data), room)) > 0)
		add_entries(listing, data, size);
	free(data);
	return size;
}

static int by_name(const void *one, const void *other)
{
	return strcmp(((const struct entry *)one)->name, ((const struct entry *)other)->name);
}

void sort_entries(struct listing *listing)
{
	if (listing->count)
		qsort(listing->entries, (size_t)listing->count, sizeof(struct entry), by_name);
}

void free_entries(struct listing *listing)
{
	for (long i = 0; i < listing->count; i++)
		free(listing->entries[i].name);
	free(listing->entries);
	*listing = (struct listing){ 0 };
}

/* In the order of names, which is no file system's; all but those given. */
static void say_entries(struct listing *listing, const char *but, const char *nor)
{
	sort_entries(listing);
	for (long i = 0; i < listing->count; i++) {
		struct entry *entry = &listing->entries[i];

		if (but && (!strcmp(entry->name, but) || !strcmp(entry->name, nor)))
			continue;
		if (i && !strcmp(entry->name, entry[-1].name))
			say(" twice=");
		else
			say(" %u:", entry->type);
		say_bytes(entry->name, (long)strlen(entry->name));
	}
}

static long open_directory(const char *path)
{
	return call(SYS_openat, fd_of(AT_FDCWD), P(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* list SLOT ROOM */
static void list(const struct word *a)
{
	struct listing listing = { 0 };
	long room = a[1].number ? a[1].number : 8192;

	call(SYS_lseek, fd_of(a[0].number), 0, SEEK_SET);
	say_error(read_entries(fd_of(a[0].number), room, &listing));
	say_entries(&listing, NULL, NULL);
	free_entries(&listing);
}

/* openlist =PATH ROOM */
static void openlist(const struct word *a)
{
	struct listing listing = { 0 };
	long fd = open_directory(a[0].text);

	if (fd < 0) {
		say_error(fd);
		return;
	}
	say_error(read_entries((int)fd, a[1].number, &listing));
	call(SYS_close, fd);
	say_entries(&listing, NULL, NULL);
	free_entries(&listing);
}

/* Whether what follows `position` begins with `expected`, or is nothing where that is NULL. */
static int follows(long fd, int64_t position, const struct entry *expected)
{
	char data[1024];
	long at = call(SYS_lseek, fd, position, SEEK_SET);
	long size = call(SYS_getdents64, fd, P(data), sizeof(data));

	if (at != position)
		return 0;
	if (!expected)
		return size == 0;
	return size > 0 && !strcmp(((struct record *)data)->name, expected->name);
}

/* positions =PATH ROOM: each position that is told leads back to where it was told. */
static void positions(const struct word *a)
{
	struct listing listing = { 0 };
	long fd = open_directory(a[0].text), lost = 0;

	if (fd < 0) {
		say_error(fd);
		return;
	}
	say_error(read_entries((int)fd, a[1].number, &listing));
	for (long i = listing.count; i-- > 0;)
		lost += !follows(fd, listing.entries[i].next,
				 i + 1 < listing.count ? &listing.entries[i + 1] : NULL);
	lost += listing.count && !follows(fd, 0, &listing.entries[0]);
	call(SYS_close, fd);
	say(" lost=%ld", lost);
	say_entries(&listing, NULL, NULL);
	free_entries(&listing);
}

/*
 * meanwhile =PATH ROOM =GONE =MADE: list a part, remove one name and make another, list the
 * rest.  Names that nobody touched appear once; of the others POSIX promises nothing until
 * the directory is read from the start again.
 */
static void meanwhile(const struct word *a)
{
	struct listing listing = { 0 };
	long fd = open_directory(a[0].text), room = a[1].number, size, made;
	char data[8192];

	if (fd < 0) {
		say_error(fd);
		return;
	}
	if (room > (long)sizeof(data))
		room = sizeof(data);
	size = call(SYS_getdents64, fd, P(data), room);
	add_entries(&listing, data, size);
	say_error(call(SYS_unlinkat, fd, P(a[2].text), 0));
	made = call(SYS_openat, fd, P(a[3].text), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	say(" ");
	say_error(made < 0 ? made : call(SYS_close, made));
	say(" ");
	say_error(size < 0 ? size : read_entries((int)fd, room, &listing));
	say_entries(&listing, a[2].text, a[3].text);
	free_entries(&listing);
	call(SYS_lseek, fd, 0, SEEK_SET);
	say(" again ");
	say_error(read_entries((int)fd, 8192, &listing));
	say_entries(&listing, NULL, NULL);
	free_entries(&listing);
	call(SYS_close, fd);
}

const struct named_operation listing_operations[] = {
	{ "list", list }, { "openlist", openlist }, { "positions", positions },
	{ "meanwhile", meanwhile }, { NULL, NULL },
};
