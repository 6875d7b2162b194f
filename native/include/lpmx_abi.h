/*
 * The contract between the parts that are built, stored or started apart:
 * the loader, the preload library, the contained `lpmx` tool, the front, the index
 * file, the view file, a container's start file and its control page.
 *
 * All integers are little-endian; all structures are laid out so that no
 * compiler inserts padding.  A reader refuses a file or a peer whose version
 * differs from its own and says both numbers.
 */
#ifndef LPMX_ABI_H
#define LPMX_ABI_H

#include <stdint.h>

#define LPMX_ABI_VERSION 2

/* ---- the loader's window ------------------------------------------------ */

/*
 * The loader is linked here, far from where the kernel, glibc, ASan or TSan
 * put anything.  System calls issued from the text window are exempt from
 * the trap; nothing else is.
 */
#if defined(__aarch64__)
/* Also where addresses have 39 bits only; and the sanitizers take it for a program's. */
#define LPMX_WINDOW 0x100000000ul
#else
#define LPMX_WINDOW 0x7e9000000000ul
#endif
/* What is left of the last 64 KB is for constants (loader/loader.lds). */
#define LPMX_WINDOW_SIZE 0x3d000ul
/*
 * From the window up to here, the calls that glibc's ld.so makes to find libraries are exempt, too:
 * in a host view the host's ld.so lies behind the window, in room of the first slot's stack
 * (trap/slots.c), which elsewhere is no place to run anything from.
 */
#define LPMX_EXEMPT_SIZE 0xc0000ul

/* What the seccomp filter puts into si_errno of our own traps. */
#define LPMX_TRAP_TAG 0x4c58

/* An unused system call number.  Inside a container it reaches the core
 * (argument 0 is one of LPMX_OP_*); elsewhere the kernel answers ENOSYS. */
#define LPMX_SYSCALL 0x4c58

/* A second unused number, answered by the filter itself with LPMX_PROBE_ERRNO:
 * "is the filter already installed?"  The other one: it also traps how a program installs
 * a filter of its own, as rewritten call sites need it. */
#define LPMX_PROBE_SYSCALL 0x4c59
#define LPMX_PROBE_ERRNO 2748
#define LPMX_PROBE_SITES_ERRNO 2749

enum lpmx_op {
	/* () -> address of struct lpmx_entry */
	LPMX_OP_ENTRY = 1,
	/* (name, value) -> 0; both NUL-terminated, no '=' in name */
	LPMX_OP_ENV_SET = 2,
	/* (name) -> 0 */
	LPMX_OP_ENV_UNSET = 3,
	/* (position, buffer, size) -> length of "NAME=VALUE" or "NAME" for an
	 * unset one, with its NUL; 0 at the end of the list.  Positions count up. */
	LPMX_OP_ENV_LIST = 4,
	/* (buffer, size) -> length: the container's name */
	LPMX_OP_NAME = 5,
	/* (path, buffer, size) -> length: the host path behind a path of the view */
	LPMX_OP_HOST_PATH = 6,
	/* (buffer, size) -> length: host path of the container's directory */
	LPMX_OP_DIRECTORY = 8,
	/* (dirfd, path, flags, mode) -> descriptor, as openat; -LPMX_NOT_READY, and
	 * nothing done, where the open could wait */
	LPMX_OP_OPEN = 9,
	/* (descriptor, buffer, size) -> length, as getdents64; with LPMX_LIST_ALL where
	 * nothing is left for a next time */
	LPMX_OP_LIST = 10,
	/* (path, buffer, size) -> length: the path that names what is there without links, as
	 * realpath says it, or -ENOENT, and the path up to the first name that is missing;
	 * -LPMX_NOT_READY, and nothing done, where that takes more than a look */
	LPMX_OP_REAL_PATH = 11,
};

#define LPMX_LIST_ALL (1l << 40)

/* Beyond the kernel's error numbers. */
#define LPMX_NOT_READY 2749

/*
 * What the preload library finds through LPMX_OP_ENTRY.  `call` runs a system
 * call through the core on a stack of its own and returns what the kernel
 * would: >= 0 or -errno.  It keeps every register but those a C call may
 * change, and touches no vector register.
 */
struct lpmx_entry {
	uint32_t version;  /* LPMX_ABI_VERSION */
	uint32_t size;     /* of this structure */
	long (*call)(long nr, long a0, long a1, long a2, long a3, long a4, long a5);
	/* The control page's generation of the live environment, or 0 where the
	 * view has none; and its value when this program started. */
	const volatile uint64_t *environment_generation;
	uint64_t environment_start;
	/* (name, own): the live value as the calling process should see it, `own`
	 * (the caller's own value, or 0) where none applies, 0 where it is unset. */
	const char *(*environment_get)(const char *name, const char *own);
};

/*
 * Right behind the window.  Who asks the probe (LPMX_PROBE_SYSCALL) and is told that the
 * filter is there may read it, for then there is a loader; one of an earlier version has no
 * such mark, and is asked by LPMX_OP_ENTRY.
 */
#define LPMX_DOOR_MAGIC 0x00524f4f44584d4cull /* "LMXDOOR" */
struct lpmx_door {
	uint64_t magic;
	const struct lpmx_entry *entry;
};

/* ---- private variables from exec to the loader --------------------------- */

/* Host path of the view file. */
#define LPMX_ENV_VIEW "LPMX_VIEW"
/* The program's canonical path in its view. */
#define LPMX_ENV_PROGRAM "LPMX_PROGRAM"
/* Credentials and the like, as core_task_save wrote them. */
#define LPMX_ENV_STATE "LPMX_STATE"

/* For a program that another view calls: the caller's working directory in its view.  With
 * LPMX_CALL_PRIVATE in front no other view has it: it is the container's own. */
#define LPMX_ENV_CALL "LPMX_CALL"
#define LPMX_CALL_PRIVATE '!'
/* For a call that the site does not allow: the reason, to be told instead of running it. */
#define LPMX_ENV_REFUSED "LPMX_REFUSED"
/* From an exec by who is traced: what trap_stop_hold said (trap/traced.c). */
#define LPMX_ENV_TRACED "LPMX_TRACED"

/* How far the live environment was when this one was made: later changes apply to the program
 * (lpmx_live_table.generation). */
#define LPMX_ENV_SINCE "LPMX_SINCE"

/* Host path of a file that is told each intercepted call (core/trace.c).  A user may
 * set it, too; it passes on to whatever the program executes. */
#define LPMX_ENV_TRACE "LPMX_TRACE"

/* "1": call sites that trap often are rewritten (trap/sites_x86_64.c), "0": they are not, whatever
 * the view says; a larger number: how often is often.  A user may set it, too; it passes on. */
#define LPMX_ENV_REWRITE "LPMX_REWRITE"

/* Where a container shows what is ours; it is not listed in "/".
 *   /.lpmx/bin       the contained `lpmx` command (native/tool)
 *   /.lpmx/lib       the preload library
 *   /.lpmx/python    Python modules for contained kernels
 *   /.lpmx/host/...  executing /.lpmx/host/usr/bin/x runs the host's /usr/bin/x
 *   /.lpmx/path/x    executing it runs the x of the host's PATH */
#define LPMX_PREFIX "/.lpmx"
#define LPMX_HOST_PREFIX "/.lpmx/host"
#define LPMX_HOST_SEARCH "/.lpmx/path"

/* ---- the view file -------------------------------------------------------- */

/*
 * NUL-terminated fields.  The first is LPMX_VIEW_MAGIC; then a key and its
 * values: every key has one value but `bind`, which has three.
 *
 *   kind       container | host | kernel
 *   name       the container's name
 *   directory  host path of the container's directory
 *   index      host path of the index of the layers (absent: layers are live
 *              directories without whiteouts, such as the host's own "/")
 *   layer      host path of a layer's tree; repeated, base first, in the order
 *              of the index's layer numbers
 *   upper work host paths; both on one file system; absent: read-only view
 *   control    host path of the control page
 *   loader     host path of the loader
 *   preload    host path of the preload library (absent: preload is off)
 *   rewrite    yes: call sites that trap often are rewritten (absent: they are not)
 *   bind       FLAGS VIRTUAL HOST   flags: "rw" or "ro"; VIRTUAL is canonical
 *   uid gid    identity shown for the caller's own (decimal); absent: real ones
 *   program    (kernel view only) the program that stays in the kernel view;
 *              calls made by its ELF interpreter pass untranslated
 *   container  (kernel view only) host path of the plain container's view file
 *   hostview   host path of the view file for host calls
 *   hostenv    host path of a file of NUL-terminated NAME=VALUE: the
 *              environment that host calls get
 *   rules      the site bounds what may be called: the file that says so
 *   allow      one of its rules; repeated, the first that matches decides
 *   calllog    host path of a file that is told each call
 */
#define LPMX_VIEW_MAGIC "lpmx-view 1"

/* ---- the start file ------------------------------------------------------- */

/*
 * What `lpmx exec` needs to start a program without Python (native/front), written by
 * lpmx_runtime/container/start.py.  NUL-terminated fields: LPMX_START_MAGIC, then a key
 * and its values; behind the last field the FNV-1a hash, 64 bit, of all before.
 *
 * As long as these hold, the rest is what Python would do:
 *   directory  host path of the container's directory
 *   front      PATH SIZE MTIME   the front that started the Python that wrote this;
 *              nobody else believes it.  Time of change in nanoseconds
 *   settings   PATH              where the caller's own settings are, or would be
 *   same       PATH SIZE MTIME   a file that was not touched since; repeated
 *   absent     PATH              there is none; repeated
 *   line       PATH TEXT         the file begins with this line; "" if it is not there
 *
 *   loader     host path of the loader
 *   cwd        where programs begin (absent: where the caller is)
 *   held       NAME=VALUE   a variable that is so whatever the caller has
 *   default    NAME=VALUE   one that is so unless the caller has another value
 *   keep       NAME         one that the caller's value is taken of, if it has one
 *   prefix     TEXT         likewise, all whose names begin so
 *   keep-all                likewise, all
 *   never      NAME         but not this one
 *   secret     NAME         nor do host calls get this one
 *   path-end   TEXT         what the caller's PATH gets at its end, unless it is there
 */
#define LPMX_START_MAGIC "lpmx-start 1"

/* ---- the call file --------------------------------------------------------- */

/*
 * What a program of another view is called with, for one name of a container.
 * NUL-terminated fields as in a view file: LPMX_CALL_MAGIC, then keys with one value
 * each, `view`, `program` and `called` first:
 *
 *   view      host path of the view file that the program runs in
 *   program   its path there
 *   called    what rules and the log call it: "host:/usr/bin/x", "container:NAME:/usr/bin/x"
 *   cwd       the directory to start in (absent: the caller's)
 *   base      host path of a file of NUL-terminated NAME=VALUE
 *   env       NAME=VALUE
 *   pass      NAME, PREFIX* or *: those of the caller's variables
 *
 * The last three make the program's environment, each in its turn: later ones win.
 * Readers leave out keys that they do not know.
 */
#define LPMX_CALL_MAGIC "lpmx-call 1"
#define LPMX_CALL_SIZE_MAX (1u << 20)
/* The runtime's own command, for those inside: a file of this name in the container's
 * directory, and what rules and the log call it. */
#define LPMX_CALL_COMMAND "lpmx"

/* ---- the index -------------------------------------------------------------- */

#define LPMX_INDEX_MAGIC "LPMXIDX"  /* with its NUL: 8 bytes */
#define LPMX_INDEX_VERSION 2

/*
 * The merged lower layers of one chain, whiteouts and opaque directories
 * already applied: what is not in here does not exist below the upper.
 *
 *   header | near slots | near strings | entries | slots | children | other strings
 *
 * slots:    uint32_t[slot_count], a power of two, at most half full: entry
 *           number + 1 or 0; linear probing from hash & (slot_count - 1).
 * near slots: the same for the first `near_count` entries alone, at most LPMX_INDEX_NEAR_MAX;
 *           the upper half of a slot has the uppermost 16 bits of the hash. There may be none. They,
 *           the strings of these entries and the entries are what each start reads,
 *           and are in the first LPMX_INDEX_NEAR_SIZE bytes, which are one page fault.
 * entries:  entry 0 is the root directory, whose path is "".
 * children: uint32_t entry numbers; a directory's are consecutive and sorted
 *           by LPMX_COOKIE(name hash), then by name bytes.
 * strings:  paths ("/usr/bin/env", canonical, no trailing slash) and link
 *           targets, each NUL-terminated; offset 0 is an empty string. Offsets count from the
 *           first byte of the near ones on to the end of the others, the entries between them
 *           and all else included.
 *
 * hash of a path: FNV-1a, 64 bit, over its bytes; the root's is the offset
 * basis.  It is incremental: hash(parent + "/" + name) continues hash(parent).
 */
struct lpmx_index_header {
	char magic[8];
	uint32_t version;
	uint32_t header_size;
	uint64_t file_size;
	uint64_t checksum;      /* of all behind it, see below */
	uint32_t entry_count;
	uint32_t slot_count;
	uint32_t child_count;
	uint32_t layer_count;
	uint64_t slots_offset;  /* from the start of the file, each 8-aligned */
	uint64_t entries_offset;
	uint64_t children_offset;
	uint64_t strings_offset;
	uint64_t strings_size;
	uint32_t near_count;
	uint32_t near_slot_count; /* 0: there are none */
	uint64_t near_slots_offset;
	uint32_t flags;           /* LPMX_INDEX_* */
	uint32_t reserved;
	uint8_t chain_id[32];   /* SHA-256 of the chain, OCI image spec "ChainID" */
};

#define LPMX_INDEX_NEAR_SIZE 65536u
/* There is no /etc/ld.so.preload, for which each ld.so looks; and the path's hash. */
#define LPMX_INDEX_NO_LD_PRELOAD 1u
#define LPMX_LD_PRELOAD "/etc/ld.so.preload"
#define LPMX_LD_PRELOAD_HASH 0x7d214c30873d4a48ull
#define LPMX_INDEX_NEAR_MAX 0xffffu

/* Checksum: CRC-32 (zlib's) of all bytes behind it, in the low 32 bits. */

struct lpmx_index_entry {
	uint64_t hash;          /* of the full path */
	uint32_t path;          /* offset into strings */
	uint32_t target;        /* symlink text, offset into strings, else 0 */
	uint16_t path_length;
	uint16_t name_offset;   /* of the last component inside the path */
	uint16_t layer;
	uint16_t flags;         /* LPMX_ENTRY_* */
	uint32_t mode;          /* st_mode as the image says, type included */
	uint32_t uid;
	uint32_t gid;
	uint32_t target_length;
	uint64_t size;
	int64_t mtime_ns;
	uint32_t rdev_major;    /* of a device; for others the number of names, 0: one */
	uint32_t rdev_minor;
	uint32_t parent;        /* entry number */
	uint32_t first_child;   /* position in children */
	uint32_t child_count;
	uint32_t link_group;    /* 0, or the same number for all names of one file */
};
_Static_assert(sizeof(struct lpmx_index_entry) == 80, "an index entry has 80 bytes");

/* The directory exists in more than one layer (never needed for look-up). */
#define LPMX_ENTRY_MERGED 1
/* The layer says nothing of attributes of this object, so what its tree has there carries none
 * of ours, and none that is shown.  An index of before this was said lacks it: it is asked. */
#define LPMX_ENTRY_BARE 2

#define LPMX_FNV_BASIS 0xcbf29ce484222325ull
#define LPMX_FNV_PRIME 0x100000001b3ull

/* d_off of a name in a merged directory: 42 bits of the name's own FNV-1a hash
 * (of the bare name), above the cookies of "." and "..". */
#define LPMX_COOKIE(name_hash) ((((name_hash) >> 22) & 0x3ffffffffffull) + 16)

/* ---- on-disk conventions of layers and upper -------------------------------- */

/*
 * A layer's tree holds every name of the layer but whiteouts and opaque
 * markers, which are only in the layer's entry list and so in the index.
 * What an ordinary user cannot store (owner, device nodes, modes that would
 * lock us out) is in the index; the tree holds an approximation:
 *   regular file  (mode & 0755) | 0600 | S_ISVTX: the mark says that it is a layer's
 *   directory     (mode | 0500) & 0777 & ~0222, always answered from the index
 *   device, fifo, socket: an empty regular file, mode 01600
 * In a store that a group shares the group may read and pass what the owner may.
 *
 * The upper is in the format of kernel overlayfs mounted with "userxattr":
 *   whiteout  character device 0/0; where the file system or kernel refuses
 *             it, an empty regular file with user.overlay.whiteout, in a
 *             directory with user.overlay.opaque "x" (Linux 6.7)
 *   opaque    directory with user.overlay.opaque = "y"
 * What cannot be real is in user.containers.override_stat, the attribute that
 * fuse-overlayfs and Podman use: "UID:GID:MODE[:TYPE]", MODE in
 * octal, TYPE "block-MAJOR:MINOR" or "char-MAJOR:MINOR" where it is not the real one.  Such an object has S_ISVTX
 * in its real mode, so that an ordinary one costs no look-up.
 *
 * Symlinks, fifos and sockets can carry no attribute.  Their records are symlinks in the
 * work directory, "objects/INODE-BIRTH" (of the real object; nanoseconds) with the text
 * "NUMBER:UID:GID:MODE", NUMBER being the inode number that is shown, 0: the real one.
 */
#define LPMX_XATTR_STAT "user.containers.override_stat"
#define LPMX_XATTR_OPAQUE "user.overlay.opaque"
/* On a directory: something in it has an inode number or a type other than the
 * real one, as overlayfs's attribute of that name says. */
#define LPMX_XATTR_IMPURE "user.overlay.impure"
/* Decimal: the inode number that what was copied up had in its layer and keeps.
 * Such an object has S_ISVTX in its real mode, too. */
#define LPMX_XATTR_INODE "user.lpmx.inode"
/* On a copy while its file's other names become names of it (core/copyup.c). */
#define LPMX_XATTR_NAMES "user.lpmx.names"
/* What all of ours begin with. */
#define LPMX_XATTR_OWN "user.lpmx."
/* Before the names of attributes that only root may have, "trusted." and "security.". */
#define LPMX_XATTR_ROOT "user.lpmx.root."
#define LPMX_XATTR_WHITEOUT "user.overlay.whiteout"

/* ---- the control page -------------------------------------------------------- */

#define LPMX_CONTROL_MAGIC "LPMXCTL"  /* with its NUL */
#define LPMX_CONTROL_VERSION 3
#define LPMX_CONTROL_CLOSED_BITS 2048u
#define LPMX_CONTROL_BLOOM_BITS (1u << 20)
#define LPMX_CONTROL_COARSE_BITS (1u << 15)
#define LPMX_CONTROL_TABLE_SLOTS 1024u
#define LPMX_CONTROL_HEAP_SIZE (8u << 20)

/*
 * One live table: name -> value, read without a lock, written under flock()
 * on the control page.  A slot is claimed once by publishing `name` and never
 * given back; `value` is swapped atomically to a new immutable record, so a
 * reader sees an old value or a new one, never a mixture.
 */
struct lpmx_live_slot {
	volatile uint64_t name;   /* heap offset of NUL-terminated name, 0: free */
	volatile uint64_t value;  /* heap offset of a struct lpmx_live_value */
};

struct lpmx_live_value {
	uint64_t generation;      /* of the table when it was set */
	uint32_t length;          /* without the NUL */
	uint32_t flags;           /* LPMX_LIVE_UNSET */
	uint64_t previous;        /* heap offset of the record before it, lower; 0: none */
	uint64_t time;            /* when it was set, in nanoseconds since 1970 */
	uint32_t pid;             /* who set it */
	uint32_t reserved;
	/* then the bytes and a NUL; records are 8-aligned */
};
#define LPMX_LIVE_UNSET 1u

struct lpmx_live_table {
	volatile uint64_t generation;  /* counts changes, starts at 1 */
	volatile uint32_t used;        /* slots claimed */
	uint32_t reserved;
	struct lpmx_live_slot slots[LPMX_CONTROL_TABLE_SLOTS]; /* by FNV of the name, linear probing */
};

struct lpmx_control {
	char magic[8];
	uint32_t version;
	uint32_t clean;                /* 1: the blooms describe the upper */
	uint64_t size;                 /* of the file */
	volatile uint64_t heap_used;   /* offset of the next free byte in heap */
	char boot[40];                 /* the boot in which the sets were last filled */
	volatile uint64_t kept;        /* 1: the names of the upper's own directories are synced */
	volatile uint64_t objects;     /* 1: there are records in the work directory */
	volatile uint64_t closed_known; /* 1: `closed` is kept */
	volatile uint64_t lists;       /* 1: access control lists may be in the upper */
	uint64_t reserved[19];
	/* directories of the upper, few, that not everybody may search */
	volatile uint64_t closed[LPMX_CONTROL_CLOSED_BITS / 64];
	/* `touched` and `special` in fewer bits, which are looked at first: all that a start reads
	 * as long as the upper holds little is in the first 64 KB, which are one page fault */
	volatile uint64_t coarse_touched[LPMX_CONTROL_COARSE_BITS / 64];
	volatile uint64_t coarse_special[LPMX_CONTROL_COARSE_BITS / 64];
	struct lpmx_live_table environment;
	/* in-container path -> "call:CALLFILE", "host:/usr/bin/x" or "VIEWFILE:/usr/bin/x" */
	struct lpmx_live_table exec_map;
	/* exists or is hidden in the upper; see core/upper.c */
	volatile uint64_t touched[LPMX_CONTROL_BLOOM_BITS / 64];
	/* of those: whiteouts, symlinks, opaque directories, anything but a
	 * plain file or a merged directory */
	volatile uint64_t special[LPMX_CONTROL_BLOOM_BITS / 64];
	char heap[LPMX_CONTROL_HEAP_SIZE];  /* sparse */
};
_Static_assert(__builtin_offsetof(struct lpmx_control, touched) <= 65536, "one page fault");

#endif
