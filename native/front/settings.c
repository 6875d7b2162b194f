/*
 * Where the store is: LPMX_STORE, a setting of the user's or the site's file, or the
 * user's data folder.  lpmx_runtime/settings.py says what is right; of what it accepts
 * this reads the plain forms.
 */
#include "front.h"

#define SITE_FILE "/etc/lpmx/config.json"
#define FILE_MAX (64 << 10)
#define DEPTH_MAX 4

/* Where in a JSON text we are; `odd` once there is something that is left to Python. */
struct json {
	const char *at;
	int odd;
};

/* Whether a path that goes on so is not in its plain form: "//", "/./" or "/../". */
static int is_detour(const char *rest)
{
	size_t dots = rest[0] != '.' ? 0 : rest[1] != '.' ? 1 : 2;

	return !rest[dots] || rest[dots] == '/';
}

/* Copy an absolute path in its plain form, without slashes at its end. */
static int plain(char to[FRONT_PATH_MAX], const char *path)
{
	size_t n = text_length(path);

	while (n && path[n - 1] == '/')
		n--;
	if (path[0] != '/' || !n || n + 1 > FRONT_PATH_MAX)
		return 0;
	bytes_copy(to, path, n);
	to[n] = 0;
	for (; *to; to++)
		if (*to == '/' && is_detour(to + 1))
			return 0;
	return 1;
}

/* The folder that XDG_..._HOME names, else the one in the home directory. */
static int folder(char to[FRONT_PATH_MAX], const struct front_caller *caller, const char *variable,
		  const char *at_home)
{
	char home[FRONT_PATH_MAX];
	const char *chosen = front_value(caller, variable), *owner = front_value(caller, "HOME");

	if (chosen && *chosen)
		return plain(to, chosen);
	return owner && plain(home, owner) && front_join(to, home, at_home);
}

/* ---- the files -------------------------------------------------------------------------- */

static int next_is(struct json *json, char c)
{
	while (*json->at == ' ' || *json->at == '\n' || *json->at == '\t' || *json->at == '\r')
		json->at++;
	if (*json->at != c)
		return 0;
	json->at++;
	return 1;
}

static void expect(struct json *json, char c)
{
	if (!next_is(json, c))
		json->odd = 1;
}

/* A string without escapes, into `to` if that is given. */
static void string(struct json *json, char *to, size_t size)
{
	size_t n = 0;

	expect(json, '"');
	for (; !json->odd && *json->at != '"'; json->at++) {
		if (*json->at < ' ' || *json->at > '~' || *json->at == '\\' || n + 1 >= size) {
			json->odd = 1;
			break;
		}
		if (to)
			to[n++] = *json->at;
	}
	if (to)
		to[n] = 0;
	if (!json->odd)
		json->at++;
}

static void skip(struct json *json, int depth)
{
	int object = next_is(json, '{');

	if (depth > DEPTH_MAX) {
		json->odd = 1;
	} else if (!object && !next_is(json, '[')) {
		string(json, 0, 2);
	} else if (!next_is(json, object ? '}' : ']')) {
		do {
			if (object) {
				string(json, 0, 2);
				expect(json, ':');
			}
			skip(json, depth + 1);
		} while (!json->odd && next_is(json, ','));
		expect(json, object ? '}' : ']');
	}
}

/* The setting "store" of a file, "" where there is none.  Settings that Python does not
 * know are errors there. */
static int store_setting(const char *file, char store[FRONT_PATH_MAX])
{
	static char text[FILE_MAX], key[64];
	struct json json = { text, 0 };
	long n = front_read(file, text, sizeof(text));

	store[0] = 0;
	if (n == -ENOENT || n == -ENOTDIR || n == -EACCES || n == -EPERM)
		return 1;
	if (n < 0)
		return 0;
	expect(&json, '{');
	if (!next_is(&json, '}')) {
		do {
			string(&json, key, sizeof(key));
			expect(&json, ':');
			if (text_equal(key, "store") && !store[0])
				string(&json, store, FRONT_PATH_MAX);
			else if (text_equal(key, "mirror") || text_equal(key, "insecure_registries") ||
				 text_equal(key, "registry_mirrors") || text_equal(key, "site_stores") ||
				 text_equal(key, "quota") || text_equal(key, "allowed_calls") ||
				 text_equal(key, "call_log"))
				skip(&json, 0);
			else
				json.odd = 1;
			json.odd |= text_equal(key, "store") && !store[0];
		} while (!json.odd && next_is(&json, ','));
		expect(&json, '}');
	}
	next_is(&json, 0); /* white space */
	return !json.odd && json.at == text + n + 1;
}

int front_settings(const struct front_caller *caller, char file[FRONT_PATH_MAX])
{
	char path[FRONT_PATH_MAX];

	return folder(path, caller, "XDG_CONFIG_HOME", ".config") &&
	       front_join(file, path, "lpmx/config.json");
}

int front_store(const struct front_caller *caller, const char *file, char store[FRONT_PATH_MAX])
{
	static char path[FRONT_PATH_MAX], chosen[FRONT_PATH_MAX];
	const char *told = front_value(caller, "LPMX_STORE");

	if (told && *told)
		return plain(store, told);
	if (!store_setting(file, chosen))
		return 0;
	if (!chosen[0] && !store_setting(SITE_FILE, chosen))
		return 0;
	if (chosen[0])
		return plain(store, chosen);
	return folder(path, caller, "XDG_DATA_HOME", ".local/share") && front_join(store, path, "lpmx");
}
