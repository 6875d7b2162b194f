/*
 * Who the program is.  In the root illusion the credentials are kept here, by
 * the rules of credentials(7), and the kernel's are left alone: nothing that
 * contained code does can change what its user may really do.
 */
#include <linux/capability.h>
#include <linux/prctl.h>

#include "internal.h"

#define NONE (~0u)

static long put(struct core_task *task, long at, uint32_t value)
{
	if (user_probe(task, (void *)at) < 0)
		return -EFAULT;
	*(uint32_t *)at = value;
	return 0;
}

static long put3(struct core_task *task, const long a[6], uint32_t x, uint32_t y, uint32_t z)
{
	long r = put(task, a[0], x);

	if (!r)
		r = put(task, a[1], y);
	return r ? r : put(task, a[2], z);
}

static int one_of(uint32_t id, uint32_t x, uint32_t y, uint32_t z)
{
	return id == NONE || id == x || id == y || id == z;
}

/* The set*id calls over one kind of id: real, effective, saved, file system. */
struct ids {
	uint32_t *real, *effective, *saved, *file;
};

static long set_all(struct ids i, int privileged, uint32_t id)
{
	if (id == NONE)
		return -EINVAL;
	if (privileged)
		*i.real = *i.saved = id;
	else if (id != *i.real && id != *i.saved)
		return -EPERM;
	*i.effective = *i.file = id;
	return 0;
}

static long set_two(struct ids i, int privileged, uint32_t real, uint32_t effective)
{
	uint32_t old = *i.real;

	if (!privileged && (!one_of(real, *i.real, *i.effective, *i.real) ||
			    !one_of(effective, *i.real, *i.effective, *i.saved)))
		return -EPERM;
	if (real != NONE)
		*i.real = real;
	if (effective != NONE)
		*i.effective = effective;
	if (real != NONE || (effective != NONE && effective != old))
		*i.saved = *i.effective;
	*i.file = *i.effective;
	return 0;
}

static long set_three(struct ids i, int privileged, uint32_t real, uint32_t effective,
		      uint32_t saved)
{
	if (!privileged && (!one_of(real, *i.real, *i.effective, *i.saved) ||
			    !one_of(effective, *i.real, *i.effective, *i.saved) ||
			    !one_of(saved, *i.real, *i.effective, *i.saved)))
		return -EPERM;
	if (real != NONE)
		*i.real = real;
	if (effective != NONE)
		*i.effective = effective;
	if (saved != NONE)
		*i.saved = saved;
	*i.file = *i.effective;
	return 0;
}

static long set_file(struct ids i, int privileged, uint32_t id)
{
	uint32_t old = *i.file;

	if (privileged || one_of(id, *i.real, *i.effective, *i.saved))
		if (id != NONE)
			*i.file = id;
	return old;
}

static long get_groups(struct core_task *task, const long a[6])
{
	const struct core_credentials *c = &task->credentials;

	if (a[0] < 0)
		return -EINVAL;
	if (a[0]) {
		if ((uint32_t)a[0] < c->group_count)
			return -EINVAL;
		for (uint32_t i = 0; i < c->group_count; i++) {
			long r = put(task, a[1] + 4 * (long)i, c->groups[i]);

			if (r < 0)
				return r;
		}
	}
	return c->group_count;
}

static long set_groups(struct core_task *task, const long a[6])
{
	struct core_credentials *c = &task->credentials;

	if (!capable(c, CAP_SETGID))
		return -EPERM;
	if (a[0] < 0 || a[0] > 65536)
		return -EINVAL;
	/* of very many, the first are kept */
	for (long i = 0; i < a[0]; i++)
		if (user_probe(task, (char *)a[1] + 4 * i) < 0)
			return -EFAULT;
	c->group_count = a[0] > 64 ? 64 : (uint32_t)a[0];
	for (uint32_t i = 0; i < c->group_count; i++)
		c->groups[i] = ((uint32_t *)a[1])[i];
	return 0;
}

static long identity(struct core_task *task, long nr, const long a[6])
{
	struct core_credentials *c = &task->credentials;
	struct ids u = { &c->ruid, &c->euid, &c->suid, &c->fsuid };
	struct ids g = { &c->rgid, &c->egid, &c->sgid, &c->fsgid };
	int user = capable(c, CAP_SETUID), group = capable(c, CAP_SETGID);

	switch (nr) {
	case __NR_getuid:
		return c->ruid;
	case __NR_geteuid:
		return c->euid;
	case __NR_getgid:
		return c->rgid;
	case __NR_getegid:
		return c->egid;
	case __NR_getresuid:
		return put3(task, a, c->ruid, c->euid, c->suid);
	case __NR_getresgid:
		return put3(task, a, c->rgid, c->egid, c->sgid);
	case __NR_getgroups:
		return get_groups(task, a);
	case __NR_setgroups:
		return set_groups(task, a);
	case __NR_setuid:
		return set_all(u, user, (uint32_t)a[0]);
	case __NR_setgid:
		return set_all(g, group, (uint32_t)a[0]);
	case __NR_setreuid:
		return set_two(u, user, (uint32_t)a[0], (uint32_t)a[1]);
	case __NR_setregid:
		return set_two(g, group, (uint32_t)a[0], (uint32_t)a[1]);
	case __NR_setresuid:
		return set_three(u, user, (uint32_t)a[0], (uint32_t)a[1], (uint32_t)a[2]);
	case __NR_setresgid:
		return set_three(g, group, (uint32_t)a[0], (uint32_t)a[1], (uint32_t)a[2]);
	case __NR_setfsuid:
		return set_file(u, user, (uint32_t)a[0]);
	case __NR_setfsgid:
		return set_file(g, group, (uint32_t)a[0]);
	default:
		return -ENOSYS;
	}
}

/*
 * The kernel's credentials stay what they are, but are others now for what was opened before
 * (link_source in rename.c): as of every call that sets something of them.
 */
static void renew(void)
{
	long keep = sys_call2(__NR_prctl, PR_GET_KEEPCAPS, 0);

	if (keep >= 0)
		sys_call2(__NR_prctl, PR_SET_KEEPCAPS, keep);
}

long call_identity(struct core_task *task, long nr, const long a[6])
{
	struct core_credentials *c = &task->credentials, old;
	int before = capabilities_root(c);
	long r;

	if (!task->view->illusion)
		return sys_call6(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	old = *c;
	r = identity(task, nr, a);
	if (r >= 0)
		capabilities_follow(c, before);
	if (!bytes_same(&old, c, sizeof(old)))
		renew();
	return r;
}
