# shellcheck shell=bash
# shellcheck disable=SC2154 # state_root: set by ../engine

say() { printf 'engine: %s\n' "$*" >&2; }

die() {
	say "$@"
	exit 1
}

need_name() {
	[ $# -ge 1 ] || die "which engine? Give its name; 'engine ls' lists them"
	local name=$1
	[[ $name =~ ^[a-z][a-z0-9-]{0,30}$ ]] ||
		die "'$name' is no engine name: lower-case letters, digits and '-', at most 31"
	dir=$state_root/$name
	socket=$dir/run/docker.sock
	# What a unix socket's address can hold; containerd's are a little longer.
	[ "${#socket}" -le 100 ] ||
		die "the path of the socket is too long ($socket): set KASM_ENGINES_STATE to a shorter one"
}

# need_up NAME: sets dir, socket and init, the host pid of the engine's first process.
need_up() {
	need_name "$@"
	if ! init=$(init_pid) || [ ! -e "/proc/$init/ns/net" ]; then
		die "engine '$1' is not up: start it with 'engine start $1 KIND'"
	fi
}

# init_pid prints the pid of the running engine in $dir. A number that was
# given to another process since does not count: start times must match.
init_pid() {
	local pid started
	[ -r "$dir/init" ] || return 1
	read -r pid started <"$dir/init" || return 1
	[ "$(start_time "$pid")" = "$started" ] || return 1
	printf '%s\n' "$pid"
}

start_time() {
	local stat
	read -r stat 2>/dev/null <"/proc/$1/stat" || return 0
	# shellcheck disable=SC2086 # the fields behind "pid (comm)", 20 is the 22nd of all
	set -- ${stat##*) }
	[ "$1" = Z ] || printf '%s\n' "${20}"
}

# enter COMMAND...: runs it as a process of the engine whose pid is $init.
enter() { nsenter --target "$init" --net --pid --mount -- "$@"; }

# await SECONDS COMMAND...: tries until it works.
await() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.1
	done
}

# thaw CGROUP: lets what is paused in it run, on cgroup v1.
thaw() {
	local file
	while read -r file; do
		echo THAWED 2>/dev/null >"$file" || true
	done < <(find "/sys/fs/cgroup/freezer$1" -name freezer.state 2>/dev/null)
}

show_log() {
	[ -s "$1" ] || return 0
	say "last lines of $1:"
	tail -n "${2:-25}" -- "$1" >&2
}

lock() {
	mkdir -p -- "$1"
	exec {lock_fd}>"$1/.lock"
	flock -w 900 "$lock_fd" || die "another 'engine' holds $1/.lock for 15 minutes: look at it with 'fuser -v $1/.lock'"
}

unlock() { exec {lock_fd}>&-; }
