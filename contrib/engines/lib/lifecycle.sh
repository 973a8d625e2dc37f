# shellcheck shell=bash
# shellcheck disable=SC2154 # here, state_root: set by ../engine; dir, socket, init: by need_up

cmd_start() {
	local name=${1-} kind=${2-} store=overlay2
	need_name "$@"
	shift
	[ $# -eq 0 ] || shift
	while [ $# -gt 0 ]; do
		case $1 in
		--store) store=${2-} && shift ;;
		--store=*) store=${1#*=} ;;
		*) die "unknown option '$1': usage is engine start NAME 20.10|29 [--store overlay2|containerd]" ;;
		esac
		shift || die "--store needs a value: overlay2 or containerd"
	done
	case $kind/$store in
	20.10/overlay2 | 29/overlay2 | 29/containerd) ;;
	20.10/containerd) die "20.10 has no containerd store: leave --store out, or start KIND 29" ;;
	*) die "usage: engine start NAME 20.10|29 [--store overlay2|containerd]" ;;
	esac

	if answers >/dev/null 2>&1; then
		[ "$(cat -- "$dir/kind")" = "$kind $store" ] ||
			die "'$name' is up as $(cat -- "$dir/kind"): stop it first with 'engine clean $name'"
		printf 'unix://%s\n' "$socket"
		return 0
	fi
	if [ -e "$dir/kind" ] && [ "$(cat -- "$dir/kind")" != "$kind $store" ]; then
		die "the data of '$name' is of $(cat -- "$dir/kind"): take another name, or 'engine clean $name' first"
	fi

	"install_${kind/./}"
	lock "$dir"
	stop_now # what a crash left
	hand_down_controllers
	mkdir -p -- "$dir/data" "$dir/run"
	chmod 711 "$dir" "$dir/data"
	printf '%s %s\n' "$kind" "$store" >"$dir/kind"
	local path
	path=$(engine_path "$kind")
	write_config "$name" "$kind" "$store"

	# A network, mounts and processes of its own: when its first process is
	# gone the kernel takes everything else along, however it ended.
	env -u KASM_REGISTRY_PASSWORD setsid unshare --net --mount --propagation slave --pid --fork \
		"$BASH" "$here/lib/supervise.sh" "$dir" "$path" \
		</dev/null >"$dir/log" 2>&1 {lock_fd}>&- &
	if ! await 60 answers_or_gone || ! answers >/dev/null 2>&1; then
		show_log "$dir/log"
		stop_now
		die "engine '$name' did not come up (all of it: $dir/log). Its data must not lie on an overlay: set KASM_ENGINES_STATE to a directory on ext4 or xfs; on data left over from elsewhere 'engine clean $name' helps"
	fi
	unlock
	printf 'unix://%s\n' "$socket"
}

# In a container on cgroup v2 the processes must leave the top group before its
# controllers can be handed down. On a machine the top group has no cgroup.type.
hand_down_controllers() {
	local top=/sys/fs/cgroup pid
	[ -e "$top/cgroup.type" ] || return 0
	mkdir -p "$top/init"
	while read -r pid; do
		echo "$pid" 2>/dev/null >"$top/init/cgroup.procs" || true # may have ended
	done <"$top/cgroup.procs"
}

engine_path() {
	local path=/usr/sbin:/usr/bin:/sbin:/bin
	[ "$1" != 29 ] || path=$(bin_29):$path
	rm -rf -- "${dir:?}/bin"
	# What "iptables" is may not be what this kernel has: ask it.
	local flavour
	for flavour in nft legacy; do
		if unshare --net "iptables-$flavour" -t nat -A POSTROUTING -s 172.17.0.0/16 -j MASQUERADE 2>/dev/null; then
			mkdir -p -- "$dir/bin"
			ln -sfn -- "$(command -v "iptables-$flavour")" "$dir/bin/iptables"
			ln -sfn -- "$(command -v "ip6tables-$flavour")" "$dir/bin/ip6tables"
			path=$dir/bin:$path
			break
		fi
	done
	printf '%s\n' "$path"
}

write_config() {
	local name=$1 kind=$2 store=$3 driver=overlay2 more=
	if [ "$kind" = 29 ]; then
		more=', "init-path": "/usr/bin/tini-static", "userland-proxy-path": "'$(bin_29)'/docker-proxy"'
		if [ "$store" = containerd ]; then
			driver=overlayfs
			more+=', "features": {"containerd-snapshotter": true}'
		else
			more+=', "features": {"containerd-snapshotter": false}'
		fi
	fi
	# Without iptables docker-proxy alone does the published ports.
	[ -d "$dir/bin" ] || more+=', "iptables": false, "ip6tables": false'
	cat >"$dir/daemon.json" <<-EOF
		{
		  "hosts": ["unix:///run/docker.sock"],
		  "data-root": "$dir/data", "exec-root": "/run/docker", "pidfile": "/run/docker.pid",
		  "storage-driver": "$driver", "cgroup-parent": "/docker-kasm-$name",
		  "exec-opts": ["native.cgroupdriver=cgroupfs"], "shutdown-timeout": 10$more
		}
	EOF
}

answers() { curl -fsS --max-time 5 --unix-socket "$socket" http://engine/_ping; }

# The supervisor writes its pid first; once that is gone there is nothing to await.
answers_or_gone() {
	answers && return 0
	[ -e "$dir/init" ] && ! init_pid
}

cmd_stop() {
	need_name "$@"
	[ -d "$dir" ] || die "there is no engine '$1': 'engine ls' lists them"
	stop_now
}

stop_now() {
	local init
	if init=$(init_pid); then
		kill -TERM "$init" 2>/dev/null || true
		# One that is past running already has no namespace any more.
		[ ! -e "/proc/$init/ns/net" ] || await 30 gone || say "no graceful end in 30 s, killing it; see $dir/log"
		gone || {
			kill -KILL "$init" 2>/dev/null || true
			await 10 thawed_and_gone || die "process $init does not end: look at it with 'cat /proc/$init/stack'"
		}
	fi
	sweep
}

gone() { ! init_pid >/dev/null; }

# The kernel waits for the last process, and on cgroup v1 a paused one cannot die.
thawed_and_gone() {
	thaw "/docker-kasm-${dir##*/}"
	gone
}

# sweep removes what a stopped or crashed engine leaves: everything but its data.
sweep() {
	local tree mount
	for tree in /sys/fs/cgroup "/sys/fs/cgroup"/*; do
		tree=$tree/docker-kasm-${dir##*/}
		[ -d "$tree" ] || continue
		await 5 remove_cgroups "$tree" || say "left behind: $tree"
	done
	# None unless someone mounted there by hand: an engine's own are in its namespace.
	while read -r mount; do
		umount -l -- "$mount" || true
	done < <(awk -v d="$dir/" 'index($5, d) == 1 {print $5}' /proc/self/mountinfo | sort -r)
	rm -rf -- "$dir/run" "$dir/init"
}

remove_cgroups() {
	find "$1" -depth -type d -exec rmdir -- {} + 2>/dev/null
	[ ! -d "$1" ]
}

cmd_clean() {
	local each
	if [ "${1-}" = --all ]; then
		for each in "$state_root"/*/kind; do
			[ ! -e "$each" ] || cmd_clean "$(basename -- "${each%/kind}")"
		done
		rmdir -- "$state_root" 2>/dev/null || true
		return 0
	fi
	need_name "$@"
	[ -d "$dir" ] || return 0
	stop_now
	rm -rf -- "$dir"
}

cmd_ls() {
	local each name up registries file
	printf '%-16s %-18s %-6s %-12s %s\n' NAME KIND STATE REGISTRIES DOCKER_HOST
	for each in "$state_root"/*/kind; do
		[ -e "$each" ] || continue
		name=$(basename -- "${each%/kind}")
		need_name "$name"
		up=down registries=
		if answers >/dev/null 2>&1; then
			up=up
			for file in "$dir"/run/registry-*.pid; do
				[ ! -e "$file" ] || registries+=,$(basename -- "${file##*registry-}" .pid)
			done
		fi
		registries=${registries#,}
		printf '%-16s %-18s %-6s %-12s %s\n' "$name" "$(cat -- "$each")" "$up" "${registries:--}" "unix://$socket"
	done
}

cmd_env() {
	need_up "$@"
	printf 'export DOCKER_HOST=%q\n' "unix://$socket"
}

cmd_log() {
	need_name "$@"
	cat -- "$dir/log"
}

cmd_exec() {
	need_up "$@"
	shift
	[ "${1-}" != -- ] || shift
	[ $# -gt 0 ] || die "usage: engine exec NAME -- COMMAND [ARG...]"
	DOCKER_HOST=unix://$socket exec nsenter --target "$init" --net -- "$@"
}
