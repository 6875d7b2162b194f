/*
 * The ioctls that change an object through a descriptor that is open for reading only: of
 * a layer's file they change the copy in the upper, as in ovl_fileattr_set.  The filter
 * sends no others here.
 */
#include "internal.h"

#define SET_FLAGS_ 0x40086602u        /* FS_IOC_SETFLAGS, chattr */
#define SET_FLAGS_32_ 0x40046602u
#define SET_ATTRIBUTES_ 0x401c5820u   /* FS_IOC_FSSETXATTR */
#define SET_VERSION_ 0x40087602u      /* FS_IOC_SETVERSION */
#define ENABLE_VERITY_ 0x40806685u
#define SET_ENCRYPTION_ 0x800c6613u

static const uint32_t requests[] = { SET_FLAGS_,   SET_FLAGS_32_,  SET_ATTRIBUTES_,
				     SET_VERSION_, ENABLE_VERITY_, SET_ENCRYPTION_ };

long core_ioctl_request(unsigned position)
{
	return position < sizeof(requests) / sizeof(*requests) ? (long)requests[position] : -1;
}

/* Those that overlayfs knows. */
static int is_known(uint32_t request)
{
	return request == SET_FLAGS_ || request == SET_FLAGS_32_ || request == SET_ATTRIBUTES_;
}

long call_ioctl(struct core_task *task, long nr, const long a[6])
{
	struct core_node node;
	uint32_t request = (uint32_t)a[1];
	int ours = 0;
	long r = 0;

	for (unsigned i = 0; core_ioctl_request(i) >= 0; i++)
		ours |= core_ioctl_request(i) == (long)request;
	if (ours) {
		r = target_of_fd(task, (int)a[0], 0, &node);
		if (r == TARGET_NONE)
			return is_known(request) ? 0 : -ENOTTY;
		if (r == TARGET_DESCRIPTOR)
			r = permission_fd(task, node.host, (int)a[0], PERMISSION_OWNER);
		else if (r == TARGET_NAME && !is_known(request))
			r = -ENOTTY;
		else if (r == TARGET_NAME)
			r = permission_of_owner(task, &node) ?: target_lift(task, (int)a[0], &node);
	}
	return r < 0 ? r : sys_wait6(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}
