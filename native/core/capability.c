/*
 * Capabilities of the root illusion, by the rules of capabilities(7).  They decide
 * nothing but who may become somebody else: a program that gives up being root while
 * it keeps them (PR_SET_KEEPCAPS, as setpriv does) may still choose its groups.
 */
#include <linux/capability.h>
#include <linux/prctl.h>

#include "internal.h"

#define ALL ((2ull << CAP_LAST_CAP) - 1)

void capabilities_begin(struct core_credentials *c)
{
	c->effective = !c->euid ? ALL : 0;
	c->permitted = !c->euid || !c->ruid ? ALL : 0;
	c->inheritable = 0;
}

int capable(const struct core_credentials *c, unsigned capability)
{
	return c->effective >> capability & 1;
}

int capabilities_root(const struct core_credentials *c)
{
	return !c->euid ? 2 : !c->ruid || !c->suid;
}

void capabilities_follow(struct core_credentials *c, int before)
{
	int now = capabilities_root(c);

	/* the kernel keeps the flag for us, and takes it back at exec */
	if (before && !now && sys_call2(__NR_prctl, PR_GET_KEEPCAPS, 0) <= 0)
		c->permitted = 0;
	if ((before == 2 && now < 2) || (before && !now))
		c->effective = 0;
	if (before < 2 && now == 2)
		c->effective = c->permitted;
}

static uint64_t wide(uint32_t low, uint32_t high)
{
	return (low | (uint64_t)high << 32) & ALL;
}

static long set(struct core_credentials *c, const struct __user_cap_data_struct *from, int words)
{
	const struct __user_cap_data_struct none = { 0 }, *high = words > 1 ? from + 1 : &none;
	uint64_t effective = wide(from->effective, high->effective);
	uint64_t permitted = wide(from->permitted, high->permitted);
	uint64_t inheritable = wide(from->inheritable, high->inheritable);

	if (permitted & ~c->permitted || effective & ~permitted ||
	    inheritable & ~(c->inheritable | c->permitted))
		return -EPERM;
	c->effective = effective;
	c->permitted = permitted;
	c->inheritable = inheritable;
	return 0;
}

static void get(const struct core_credentials *c, struct __user_cap_data_struct *to, int words)
{
	for (int i = 0; i < words; i++) {
		to[i].effective = (uint32_t)(c->effective >> 32 * i);
		to[i].permitted = (uint32_t)(c->permitted >> 32 * i);
		to[i].inheritable = (uint32_t)(c->inheritable >> 32 * i);
	}
}

long call_capabilities(struct core_task *task, long nr, const long a[6])
{
	struct __user_cap_header_struct *header = (void *)a[0];
	struct __user_cap_data_struct *data = (void *)a[1];
	int words = 2;
	size_t size;

	if (!task->view->illusion)
		return sys_call2(nr, a[0], a[1]);
	if (user_probe(task, header) < 0)
		return -EFAULT;
	switch (header->version) {
	case _LINUX_CAPABILITY_VERSION_1:
		words = 1;
		break;
	case _LINUX_CAPABILITY_VERSION_2:
	case _LINUX_CAPABILITY_VERSION_3:
		break;
	default: /* which says what version there is */
		return sys_call2(__NR_capget, a[0], nr == __NR_capget ? a[1] : 0) < 0 ||
				       nr == __NR_capset
			       ? -EINVAL
			       : 0;
	}
	if (header->pid && header->pid != sys_call0(__NR_getpid) && header->pid != sys_call0(__NR_gettid))
		return nr == __NR_capset ? -EPERM : sys_call2(nr, a[0], a[1]);
	size = (size_t)words * sizeof(*data);
	if (nr == __NR_capget) {
		if (!data)
			return 0;
		if (user_writable(task, data, size) < 0)
			return -EFAULT;
		get(&task->credentials, data, words);
		return 0;
	}
	if (user_probe(task, data) < 0 || user_probe(task, (char *)data + size - 1) < 0)
		return -EFAULT;
	return set(&task->credentials, data, words);
}
