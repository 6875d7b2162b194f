/* With an argument: have that as root, and be executed again there.  Without: say where it is,
 * and stay until the input ends. */
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char path[4096];

	if (argc > 1) {
		if (chroot(argv[1]) || chdir("/"))
			return 1;
		execl("/bin/tool", "tool", NULL);
		return 2;
	}
	printf("%s %d %d\n", getcwd(path, sizeof(path)), access("/bin/tool", X_OK),
	       access("/r", F_OK));
	fflush(stdout);
	return read(0, path, 1) != 0;
}
