"""Programs of every kind doing real work, each checked by what it prints: `t NAME PATTERN SCRIPT`
says PASS if what the script prints has the pattern in it.

All come from one image (tests/support/images.py, "programs-trixie").
"""
from __future__ import annotations

from typing import Sequence

from . import outcomes
from .suites import WAYS, Suite

T = r"""
export HOME=/tmp/home GOFLAGS=-p=2 PATH=/srv/tools/bin:$PATH; mkdir -p $HOME /tmp/programs; cd /tmp/programs
t() {
    got=$(timeout 300 bash -c "$3" 2>&1 </dev/null | tr -d '\000')
    if printf '%s\n' "$got" | grep -Eqz -- "$2"; then echo "PASS $1"; else
        echo "FAIL $1"; printf '%s\n' "$got" | tail -n 40 | sed 's/^/    /'; fi
}
"""

C = T + r"""
cat >hello.c <<'X'
#include <stdio.h>
#include <stdlib.h>
#include <pthread.h>
#include <pwd.h>
#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
static void *counts(void *n) { DIR *d = opendir("/etc"); while (readdir(d)) ++*(long *)n; closedir(d); return n; }
int main(void)
{
    long n[4] = { 0 }; pthread_t t[4]; struct stat s; char line[64] = "", exe[256] = ""; int status;
    for (int i = 0; i < 4; i++) pthread_create(t + i, 0, counts, n + i);
    for (int i = 0; i < 4; i++) pthread_join(t[i], 0);
    if (n[0] < 20 || n[0] != n[3] || stat("/etc/passwd", &s) || s.st_uid) return 1;
    FILE *f = fopen("/etc/debian_version", "r");
    if (!f || !fgets(line, sizeof line, f) || readlink("/proc/self/exe", exe, 255) < 0) return 2;
    FILE *p = popen("cat; echo to the child >&2", "w");
    fputs("through a pipe\n", p); pclose(p);
    pid_t child = fork();
    if (!child) { execlp("true", "true", NULL); _exit(1); }
    waitpid(child, &status, 0);
    if (access("/tmp/programs/new", F_OK) == 0) unlink("/tmp/programs/new");
    f = fopen("/tmp/programs/new", "wx"); fputs("x", f); fclose(f);
    printf("%s runs: %s status %d %ld", exe, line, status, (long)(stat("/tmp/programs/new", &s) ? -1 : s.st_size));
    return rename("/tmp/programs/new", "/tmp/programs/newer");
}
X
want='through a pipe.*/tmp/programs/hello-x runs: .*status 0 1'
while read name command; do
    t "$name" "$want" "rm -f hello-x; $command -w -pthread -o hello-x hello.c && ./hello-x"
done <<'X'
gcc gcc
gcc,-static gcc -static
gcc,-static-pie gcc -static-pie
gcc,-no-pie gcc -no-pie
gcc,-O3,-flto gcc -O3 -flto
clang clang
gold gcc -fuse-ld=gold
lld clang -fuse-ld=lld
mold clang -fuse-ld=mold
musl musl-gcc
musl,-static musl-gcc -static
zig,glibc python3 -m ziglang cc -target x86_64-linux-gnu
zig,musl python3 -m ziglang cc -target x86_64-linux-musl
X
t "C++ with exceptions and threads" 'caught 7' '
cat >t.cc <<X
#include <thread>
#include <filesystem>
#include <iostream>
int main() { int n = 0; std::thread t([&] { try { throw 7; } catch (int i) { n = i; } }); t.join();
    for (auto &e : std::filesystem::recursive_directory_iterator("/usr/include/linux")) (void)e; std::cout << "caught " << n; }
X
g++ -std=c++17 t.cc -o t-cc && ./t-cc'
t "make -j of forty files" '40 right' '
mkdir -p many && cd many && { echo "#include <stdio.h>"; for i in $(seq 40); do echo "int f$i(void);"; echo "int f$i(void) { return $i; }" >f$i.c; done
echo "int main(void) { int n = 0;"; for i in $(seq 40); do echo "n += f$i() == $i;"; done; echo "printf(\"%d right\\n\", n); return 0; }"; } >main.c
printf "prog: \$(patsubst %%.c,%%.o,\$(wildcard *.c))\n\tgcc -o \$@ \$^\n" >Makefile
make -s -j4 && ./prog'
"""

GO_SOURCE = T + r"""
mkdir -p go && cd go && cat >go.mod <<'X'
module hello
go 1.21
X
cat >main.go <<'X'
package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"path/filepath"
	"runtime/pprof"
	"sync"
	"syscall"
	"time"
)

func main() {
	var profile bytes.Buffer
	pprof.StartCPUProfile(&profile)
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	var group sync.WaitGroup
	var lock sync.Mutex
	total := 0
	for i := 0; i < 50; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			entries, err := os.ReadDir("/etc")
			out, err2 := exec.Command("sh", "-c", "cat /etc/debian_version | wc -l").Output()
			if err == nil && err2 == nil && string(bytes.TrimSpace(out)) == "1" {
				lock.Lock()
				total += len(entries)
				lock.Unlock()
			}
		}()
	}
	group.Wait()
	entries, _ := os.ReadDir("/etc")
	listener, _ := net.Listen("unix", filepath.Join(os.TempDir(), "go.sock"))
	go func() { c, _ := listener.Accept(); io.WriteString(c, "by a socket"); c.Close() }()
	c, err := net.Dial("unix", filepath.Join(os.TempDir(), "go.sock"))
	if err != nil { panic(err) }
	said, _ := io.ReadAll(c)
	listener.Close()
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	got := false
	for after := time.After(5 * time.Second); !got; {
		select {
		case s := <-signals: got = s == syscall.SIGUSR1
		case <-after: panic("no signal")
		}
	}
	pprof.StopCPUProfile()
	me, err := user.Current()
	fmt.Println(total == 50*len(entries), string(said), got, profile.Len() > 0, me.Username, err)
}
X
want='true by a socket true true root <nil>'
"""

GO = GO_SOURCE + r"""
t "go run" "$want" 'go run .'
t "static" "$want" 'CGO_ENABLED=0 go build -o static . && ./static && ./static && ./static'
t "PIE" "$want" 'go build -buildmode=pie -o pie . && ./pie && ./pie'
t "cgo" "$want" 'CGO_ENABLED=1 go build -tags netcgo,osusergo=false -o cgo . && ./cgo && ./cgo'
t "race detector" "$want" 'CGO_ENABLED=1 go build -race -o race . && ./race'
t "go vet and gofmt" 'fine' 'go vet . && gofmt -l . >/dev/null && echo fine'
t "rerun 100 times" 'right 100' 'n=0; for i in $(seq 100); do timeout 20 ./static >/dev/null && n=$((n+1)); done; echo right $n'
"""

RUST = T + r"""
cat >r.rs <<'X'
use std::{fs, io::Write, process::{Command, Stdio}, thread};
fn main() {
    let many: Vec<_> = (0..8).map(|_| thread::spawn(|| fs::read_dir("/etc").unwrap().count())).collect();
    let counts: Vec<usize> = many.into_iter().map(|t| t.join().unwrap()).collect();
    let mut child = Command::new("wc").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&[b'x'; 100000]).unwrap();
    let out = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    fs::create_dir_all("/tmp/programs/a/b/c").unwrap(); fs::remove_dir_all("/tmp/programs/a").unwrap();
    println!("{} {} {:?}", counts.iter().all(|c| *c == counts[0]), out.trim(), std::env::current_exe().unwrap());
    println!("{:?}", std::panic::catch_unwind(|| panic!("on purpose")).is_err());
}
X
t "rustc" 'true 100000 "/tmp/programs/r"' 'rustc -O -o r r.rs && ./r'
t "cargo" 'true 100000' 'rm -rf made && cargo new -q --vcs none made && cp r.rs made/src/main.rs && cd made && cargo build -q --offline && target/debug/made'
t "ripgrep" '[0-9]+ files' 'test "$(rg -l --no-ignore -uuu "include" /usr/include | sort | md5sum)" = "$(grep -rl "include" /usr/include | sort | md5sum)" && echo "$(rg --files -uuu /usr/include | wc -l) files"'
t "uv" 'Installed.*ruff [0-9]' 'rm -rf v && uv venv -q --no-cache v && VIRTUAL_ENV=$PWD/v uv pip install --no-cache --no-index --find-links /srv/give ruff && v/bin/ruff --version'
t "ruff" 'F401' 'printf "import os\n" >lint.py; ruff check --no-cache lint.py'
"""

JAVASCRIPT = T + r"""
cat >n.js <<'X'
const fs = require('fs'), cp = require('child_process'), http = require('http'), os = require('os');
const { Worker, isMainThread, parentPort } = require('worker_threads');
if (!isMainThread) { parentPort.postMessage(fs.readdirSync('/etc').length); return; }
(async () => {
  const counts = await Promise.all([...Array(4)].map(() => new Promise(r => new Worker(__filename).on('message', r))));
  const out = cp.execFileSync('sh', ['-c', 'echo from $0', 'a child']).toString().trim();
  const server = http.createServer((q, s) => fs.createReadStream('/etc/debian_version').pipe(s)).listen('/tmp/node.sock');
  const text = await new Promise(r => http.get({ socketPath: '/tmp/node.sock', path: '/' }, s => { let t = ''; s.on('data', d => t += d).on('end', () => r(t)); }));
  server.close();
  fs.mkdirSync('/tmp/programs/watched', { recursive: true });
  const seen = new Promise(r => { const w = fs.watch('/tmp/programs/watched', (e, n) => { if (n === 'x') { w.close(); r(n); } }); });
  fs.writeFileSync('/tmp/programs/watched/x', 'y');
  console.log(counts.every(c => c === counts[0]), out, text.trim() === fs.readFileSync('/etc/debian_version', 'utf8').trim(), await seen, os.userInfo().username);
})();
X
t "node" 'true from a child true x root' 'rm -f /tmp/node.sock; rm -rf watched; node n.js'
t "npm" 'added 1 package.*one plus' '
rm -rf p q && mkdir -p p q && echo "{\"name\":\"p\",\"version\":\"1.0.0\",\"main\":\"i.js\"}" >p/package.json && echo "module.exports=()=>\"one plus\"" >p/i.js
cd q && npm init -y >/dev/null && npm install --offline --no-audit --no-fund --install-links ../p && node -e "console.log(require(\"p\")())"'
t "esbuild" 'bundled 42' 'echo "export const n = 42" >m.ts; echo "import {n} from \"./m\"; console.log(\"bundled\", n as number)" >e.ts; esbuild --log-level=error --bundle --minify e.ts --outfile=e.js && node e.js'
"""

JAVA = T + r"""
cat >J.java <<'X'
import java.nio.file.*; import java.util.*; import java.util.concurrent.*;
class J {
  static int length(String s) { return s.length(); }
  public static void main(String[] a) throws Exception {
    int caught = 0;
    for (int i = 0; i < 200000; i++) { try { length(i % 2 == 0 ? null : "x"); } catch (NullPointerException e) { caught++; } }
    var pool = Executors.newFixedThreadPool(8);
    var all = new ArrayList<Future<String>>();
    for (int i = 0; i < 20; i++) all.add(pool.submit(() -> new String(new ProcessBuilder("sh", "-c", "cat /etc/hostname; pwd").directory(new java.io.File("/usr")).start().getInputStream().readAllBytes())));
    int right = 0;
    for (var f : all) if (f.get().endsWith("/usr\n")) right++;
    pool.shutdown();
    try (var files = Files.walk(Path.of("/etc"))) { System.out.println(caught + " " + right + " " + (files.count() > 100)); }
    try { recurse(0); } catch (StackOverflowError e) { System.out.println("overflow"); }
  }
  static int recurse(int n) { return recurse(n + 1) + 1; }
}
X
t "javac and java" '100000 20 true.overflow' 'javac J.java && java J'
t "without JIT, and with one thread for garbage" '100000 20 true' 'java -Xint J && java -XX:+UseSerialGC J'
t "jshell" '[|] +.*42|==> 42' 'echo "int n = 6 * 7;" | jshell -s - ; printf "int n = 6 * 7\n/exit n\n" | jshell; echo "==> $?"'
t "jar" 'overflow' 'echo "Main-Class: J" >m; jar cfm j.jar m J*.class && java -jar j.jar'
"""

PYTHON = T + r"""
cat >p.py <<'X'
import asyncio, concurrent.futures, multiprocessing, os, pathlib, subprocess, sqlite3, sys, tempfile, threading
def work(n): return len(os.listdir("/etc")) * n + len(subprocess.run(["sh", "-c", "echo $0", "x"], capture_output=True).stdout)
async def many():
    async def one(n):
        p = await asyncio.create_subprocess_exec("sh", "-c", "cat; exit %d" % n, stdin=-1, stdout=-1)
        out, _ = await p.communicate(b"%d" % n)
        return out == b"%d" % n and p.returncode == n
    return all(await asyncio.gather(*map(one, range(20))))
if __name__ == "__main__":
    want = [work(n) for n in range(8)]
    for method in ("fork", "forkserver", "spawn"):
        with multiprocessing.get_context(method).Pool(4) as pool:
            print(method, pool.map(work, range(8)) == want)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        print("threads", list(pool.map(work, range(8))) == want)
    print("asyncio", asyncio.run(many()))
    q = multiprocessing.shared_memory.SharedMemory(create=True, size=100) if hasattr(multiprocessing, "shared_memory") else None
    with tempfile.TemporaryDirectory() as d:
        c = sqlite3.connect(d + "/db"); c.execute("pragma journal_mode=wal"); c.execute("create table t(x)")
        c.executemany("insert into t values(?)", [(i,) for i in range(1000)]); c.commit()
        print("sqlite", c.execute("select sum(x) from t").fetchone()[0])
X
t "threads, multiprocessing, asyncio, sqlite" 'fork True.forkserver True.spawn True.threads True.asyncio True.sqlite 499500' 'python3 p.py'
t "venv and pip" 'Successfully installed' 'rm -rf pv && python3 -m venv pv && pv/bin/pip install --no-index --find-links /srv/give ruff && pv/bin/ruff --version'
t "numpy" 'True' 'python3 -c "import numpy as n; a=n.random.rand(300,300); print(n.allclose(n.linalg.inv(a)@a, n.eye(300)))"'
t "perl" 'child says 42, 4 threads, 1 link' 'perl -Mthreads -e "my \$p = open(my \$f, \"-|\") // die; if (!\$p) { print 42; exit } my \$s = <\$f>; my @t = map { threads->create(sub { scalar(() = glob(\"/etc/*\")) }) } 1..4; my \$n = grep { \$_->join > 20 } @t; symlink \"/etc\", \"l\$\$\"; my \$l = -l \"l\$\$\"; unlink \"l\$\$\"; print \"child says \$s, \$n threads, \$l link\n\""'
t "R" 'from a child.*TRUE' 'Rscript -e "cat(system(\"echo from a child\", intern=TRUE), \"\n\"); x <- 1:100; m <- lm(I(2*x+1) ~ x); f <- tempfile(); saveRDS(m, f); cat(isTRUE(all.equal(unname(coef(readRDS(f))), c(1,2))), parallel::mclapply(1:4, function(i) i, mc.cores=2)[[4]], \"\n\")"'
t "R package from source" 'hello from it' 'rm -rf rp && mkdir -p rp/R lib && printf "Package: rp\nVersion: 1.0\nTitle: X\nDescription: X.\nLicense: GPL-3\nAuthor: x\nMaintainer: x <x@x.x>\n" >rp/DESCRIPTION; echo "export(f)" >rp/NAMESPACE; echo "f <- function() cat(\"hello from it\n\")" >rp/R/f.R; R CMD INSTALL --no-docs -l lib rp && Rscript -e "library(rp, lib.loc=\"lib\"); f()"'
t "git" '300 fsck 0' '
rm -rf g h && git init -q g && cd g && git config user.email a@b && git config user.name a
for i in $(seq 300); do echo $i >f$i; done; git add . && git commit -qm one && git mv f1 moved && git commit -qm two
git gc -q --aggressive && cd .. && git clone -q g h && cd h && git log --stat >/dev/null && git fsck --full >/dev/null 2>&1; echo "$(ls | wc -l) fsck $?"'
"""

TERMINAL = T + r"""
export TERM=xterm
t "busybox sh" 'ash: root 3' 'busybox sh -c "echo ash: \$(busybox whoami) \$(busybox seq 3 | busybox tail -n 1)"'
t "tmux" 'in tmux: 42' 'tmux -L t kill-server; tmux -L t new-session -d -x 80 -y 24; tmux -L t send-keys "echo in tmux: \$((6*7)); tmux -L t wait-for -S done" Enter; timeout 20 tmux -L t wait-for done; tmux -L t capture-pane -p; tmux -L t kill-server'
t "vim" 'changed by vim' 'echo x >v.txt; vim -u NONE -N -es -c "%s/x/changed by vim/" -c wq v.txt; cat v.txt'
t "less in a terminal" 'Debian' 'script -qec "sh -c \"less -EX /etc/os-release\"" /dev/null'
t "top" 'PID +USER' 'top -bn1'
t "man" 'execve - execute program|execute program' 'man --nj -P cat 2 execve | head -8'
t "ps, pgrep and pidof know the program" 'sleep 54321.[0-9]+.[0-9]+' 'sleep 54321 & p=$!; ps -o args= -p $p; pgrep -f "^sleep 54321"; pidof sleep | tr " " "\n" | grep -x $p; kill $p'
t "file" 'ELF 64-bit' 'file -L /bin/ls'
t "script and job control" 'stopped.*resumed' 'script -qec "bash -ic \"sleep 100 & kill -STOP %1; sleep 0.2; jobs | grep -qi stopped && echo stopped; kill -CONT %1; kill %1; wait %1; echo resumed\"" /dev/null'
t "environment: env -i" '/tmp/programs' 'env -i /bin/sh -c pwd'
t "environment: another LD_PRELOAD" 'mine' 'echo "#include <unistd.h>
__attribute__((constructor)) static void f(void) { write(2, \"mine\n\", 5); }" >pre.c; gcc -w -shared -fPIC -o pre.so pre.c; LD_PRELOAD=$PWD/pre.so cat /etc/hostname; LD_PRELOAD= cat /etc/hostname; env -u LD_PRELOAD cat /etc/hostname'
t "environment: RPATH, \$ORIGIN, dlopen, LD_LIBRARY_PATH" '7 7 7' 'mkdir -p d/lib; echo "int f(void) { return 7; }" | gcc -shared -fPIC -o d/lib/libf.so -xc -
echo "#include <stdio.h>
int f(void); int main(void) { printf(\"%d \", f()); }" | gcc -xc - -o d/r -Ld/lib -lf "-Wl,-rpath,\$ORIGIN/lib"; echo "#include <stdio.h>
int f(void); int main(void) { printf(\"%d \", f()); }" | gcc -xc - -o d/n -Ld/lib -lf
echo "#include <stdio.h>
#include <dlfcn.h>
int main(void) { int (*f)(void) = dlsym(dlopen(\"/tmp/programs/d/lib/libf.so\", RTLD_NOW), \"f\"); printf(\"%d\", f()); }" | gcc -xc - -o d/o; d/r; LD_LIBRARY_PATH=d/lib d/n; d/o'
t "ldd, ldconfig, locale, iconv, getent" 'libc.so.6.*C.utf8.*caf.*root:x:0' 'ldd /bin/ls; ldconfig; ldconfig -p | grep -c libc.so.6; locale -a; printf "caf\303\251" | iconv -f utf8 -t latin1 | iconv -f latin1 -t utf8; echo; getent passwd root; getent services ssh'
"""

SERVERS = T + r"""
t "sqlite3" '5000.ok' 'rm -f s.db; sqlite3 s.db "pragma journal_mode=wal; create table t(x); insert into t select value from generate_series(1,5000); select count(*) from t; pragma integrity_check"'
t "redis" 'PONG.OK.42' 'rm -rf rd && mkdir rd && redis-server --port 0 --unixsocket /tmp/programs/rd/s --dir /tmp/programs/rd --daemonize yes --logfile /tmp/programs/rd/log; for i in $(seq 100); do redis-cli -s rd/s ping 2>/dev/null | grep -q PONG && break; sleep 0.1; done; redis-cli -s rd/s ping; redis-cli -s rd/s set n 42; redis-cli -s rd/s get n; redis-cli -s rd/s bgsave; redis-cli -s rd/s shutdown save; ls rd'
P=$(ls -d /usr/lib/postgresql/*/bin)
t "PostgreSQL" '100000 .*55' "rm -rf /tmp/pg; install -d -o postgres /tmp/pg; setpriv --reuid postgres --regid postgres --clear-groups sh -c '
$P/initdb -D /tmp/pg/d -A trust >/tmp/pg/init 2>&1 || cat /tmp/pg/init
$P/pg_ctl -D /tmp/pg/d -w -t 60 -l /tmp/pg/log -o \"-k /tmp/pg -c listen_addresses=\" start >/tmp/pg/start || cat /tmp/pg/log
psql -h /tmp/pg -Atc \"create table t as select generate_series(1,100000) n\" -c \"create index on t(n)\" -c \"select count(*) from t\" -c \"select sum(n) from t where n <= 10\" postgres | tr \"\\\\n\" \" \"
$P/pg_ctl -D /tmp/pg/d -w -m fast stop >/dev/null'"
t "OpenMPI, four processes" 'sum 6 of 4' 'cat >m.c <<X
#include <mpi.h>
#include <stdio.h>
int main(int c, char **v) { int r, n, s; MPI_Init(&c, &v); MPI_Comm_rank(MPI_COMM_WORLD, &r); MPI_Comm_size(MPI_COMM_WORLD, &n);
    MPI_Reduce(&r, &s, 1, MPI_INT, MPI_SUM, 0, MPI_COMM_WORLD); if (!r) printf("sum %d of %d\n", s, n); MPI_Finalize(); }
X
mpicc -o m m.c && mpirun --allow-run-as-root --oversubscribe -n 4 ./m'
"""

TRACERS = T + r"""
cat >bug.c <<'X'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <unistd.h>
int shared;
static void *race(void *n) { for (int i = 0; i < 1000; i++) shared++; return n; }
int inner(int n) { return n * 2; }
int main(int c, char **v)
{
    if (c > 1 && !strcmp(v[1], "over")) { char *p = malloc(8); p[8 + c - 2] = 1; return p[8]; }
    if (c > 1 && !strcmp(v[1], "shift")) { int n = 1; return n << (30 + c); }
    if (c > 1 && !strcmp(v[1], "race")) { pthread_t t; pthread_create(&t, 0, race, 0); race(0); pthread_join(t, 0); }
    if (c > 1 && !strcmp(v[1], "leak")) { volatile void *p = malloc(77); p = 0; }
    if (c > 1 && !strcmp(v[1], "wait")) { for (;;) { usleep(10000); inner(3); } }
    printf("doubled %d\n", inner(21));
    return 0;
}
X
gcc -g -w -pthread -o bug bug.c; gcc -g -w -no-pie -pthread -o bug-fixed bug.c
t "valgrind" 'Invalid write of size 1.*ERROR SUMMARY: [1-9]' 'valgrind ./bug over'
t "valgrind, leaks" 'definitely lost: 77 bytes' 'valgrind --leak-check=full ./bug leak'
t "AddressSanitizer" 'heap-buffer-overflow' 'gcc -g -w -fsanitize=address -pthread -o asan bug.c && ./asan over'
t "LeakSanitizer" '77 byte' './asan leak'
t "UBSan" 'shift exponent|left shift' 'gcc -g -w -fsanitize=undefined -pthread -o ubsan bug.c && ./ubsan shift x'
t "ThreadSanitizer" 'data race' 'gcc -g -w -fsanitize=thread -pthread -o tsan bug.c && ./tsan race'
t "strace" 'write\(1, "doubled 42' 'strace -f ./bug'
t "strace of a shell, its children counted" 'execve.*' 'strace -f -c sh -c "ls / | wc -l"'
t "gdb, breakpoint in a PIE" 'inner \(n=21\).*doubled 42' 'gdb -nx -batch -ex "break inner" -ex run -ex bt -ex continue ./bug'
t "gdb, breakpoint at a fixed address" 'inner \(n=21\).*doubled 42' 'gdb -nx -batch -ex "break inner" -ex run -ex bt -ex continue ./bug-fixed'
t "gdb attaches" 'inner \(n=3\)|usleep|nanosleep' './bug wait & p=$!; sleep 0.3; gdb -nx -batch -p $p -ex bt; kill $p'
t "gdb follows an exec and a fork" 'exited normally' 'gdb -nx -batch -ex "set follow-fork-mode child" -ex run --args sh -c "ls / >/dev/null; ./bug"'
"""

SANDBOXES = T + r"""
t "ssh to a server on loopback" 'through ssh: root' '
rm -rf sshd && mkdir -p sshd /run/sshd && for each in key host; do ssh-keygen -q -N "" -t ed25519 -f sshd/$each; done; port=$((20000 + $$ % 20000))
/usr/sbin/sshd -f /dev/null -o Port=$port -o ListenAddress=127.0.0.1 -h $PWD/sshd/host -o AuthorizedKeysFile=$PWD/sshd/key.pub -o StrictModes=no -o UsePAM=no -o PidFile=$PWD/sshd/pid -E $PWD/sshd/log; sleep 1
ssh -p $port -i sshd/key -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o BatchMode=yes 127.0.0.1 "echo through ssh: \$(whoami)" || cat sshd/log; kill $(cat sshd/pid)'
t "ssh-agent" 'SHA256' 'eval $(ssh-agent) >/dev/null; rm -f k; ssh-keygen -q -N "" -t ed25519 -f k; ssh-add k; ssh-add -l; kill $SSH_AGENT_PID'
page='<html><body><p id=p>no</p><script>document.getElementById("p").textContent = "six times seven is " + 6*7</script></body></html>'
echo "$page" >page.html
t "Chromium" 'six times seven is 42' 'chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir=/tmp/programs/chromium --dump-dom file:///tmp/programs/page.html'
t "a program with a seccomp filter of its own" 'refused.*fine' 'cat >own.c <<X
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
int main(void) {
    struct sock_filter f[] = { BPF_STMT(BPF_LD|BPF_W|BPF_ABS, offsetof(struct seccomp_data, nr)), BPF_JUMP(BPF_JMP|BPF_JEQ|BPF_K, SYS_socket, 0, 1),
        BPF_STMT(BPF_RET|BPF_K, SECCOMP_RET_ERRNO | EACCES), BPF_STMT(BPF_RET|BPF_K, SECCOMP_RET_ALLOW) };
    struct sock_fprog p = { 4, f }; struct stat s;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, 2, &p)) return 1;
    if (socket(1, 1, 0) < 0 && errno == EACCES) puts("refused");
    if (!stat("/etc/passwd", &s) && s.st_uid == 0) puts("fine"); }
X
gcc -w -o own own.c && ./own'
"""

IMAGE = "programs-trixie"


def programs(name: str, run: str, about: str, *, confined: bool = True,
             ways: Sequence[str] = WAYS) -> Suite:
    return Suite(name, run, outcomes.programs, image=IMAGE, ways=ways,
                 confined=confined, about=about)


PROGRAMS = (
    programs("C and C++: compilers, linkers, libcs", C,
             "Each compiler, linker and C library makes a program that reads directories in four threads, asks for "
             "its own name, writes through popen, forks, executes, makes and renames files."),
    programs("Go", GO,
             "Fifty goroutines list directories and start programs, others talk through a socket, all signals are asked "
             "for, the profiler runs; linked in each way."),
    programs("Rust, and programs made with it", RUST,
             "Threads, programs started and panics, compiled with rustc and cargo; a search through /usr/include compared "
             "with grep's; a virtual environment made and filled."),
    programs("JavaScript", JAVASCRIPT,
             "Node with worker threads, children, sockets and a watch; npm installs without a network; esbuild bundles."),
    programs("Java", JAVA,
             "Exceptions by signal, thread pools, programs started, stack overflows, a walk through /etc."),
    programs("Python, Perl, R, git", PYTHON,
             "Threads, processes by fork, forkserver and spawn, asyncio, packages installed and made; a repository of "
             "300 files made, collected, cloned and checked."),
    programs("terminals, processes, the environment", TERMINAL,
             "Programs for people in a terminal; what names of processes show; variables that are set, cleared and taken "
             "away; libraries found by each of the ways there are."),
    programs("servers and MPI", SERVERS,
             "Each is started in the container, used by its own client and stopped."),
    programs("sanitizers, valgrind, strace, gdb", TRACERS,
             "Each finds a fault that was put into a program for it, or stops and traces a program as it is asked to.",
             confined=False),
    programs("ssh, Chromium, filters", SANDBOXES,
             "A server and its client on loopback; a page whose script has run; filters above ours.", confined=False),
)
