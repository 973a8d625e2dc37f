#!/usr/bin/env bash
# The first process of an engine, alone in new network, mount and pid namespaces.
# It sets them up, runs dockerd (which runs its own containerd) and ends with it,
# unless it was killed: then it runs it again, as an init system does.
set -eu
# shellcheck source=lib/common.sh
. "${0%/*}/common.sh"

main() {
	dir=$1
	export PATH=$2
	unset DOCKER_HOST DOCKER_CONTEXT DOCKER_CONFIG KASM_REGISTRY_PASSWORD

	# /proc is still the host's: this pid is the one to know the engine by.
	read -r stat </proc/self/stat
	pid=${stat%% *}
	# shellcheck disable=SC2086
	set -- ${stat##*) }
	printf '%s %s\n' "$pid" "${20}" >"$dir/init.new"
	mv -- "$dir/init.new" "$dir/init"

	mount -t proc proc /proc
	# Its own /run, seen from outside as $dir/run: so /var/run/docker.sock in here
	# is this engine's, as on a machine that has one engine.
	mount --bind "$dir/run" /run
	ip link set lo up

	end=
	trap 'end=1; kill -TERM "$dockerd" 2>/dev/null || true' TERM INT
	while :; do
		dockerd --config-file "$dir/daemon.json" &
		dockerd=$!
		status=0
		while kill -0 "$dockerd" 2>/dev/null; do
			wait "$dockerd" && status=0 || status=$?
		done
		if [ -n "$end" ] || [ "$status" -ne 137 ]; then
			break
		fi
		echo "engine: dockerd was killed, running it again"
		rm -f /run/docker.pid # its number may be another's by now
	done
	[ -n "$end" ] || echo "engine: dockerd ended by itself"
	thaw "/docker-kasm-${dir##*/}" # a paused container would keep the kernel from ending us
	# containerd, registries and whoever came in from outside; the kernel kills the rest.
	kill -TERM -1 2>/dev/null || true
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		kill -0 -1 2>/dev/null || break
		sleep 0.1
	done
}

# On one line: bash reads scripts as it goes, and this one may change meanwhile.
main "$@"; exit 0
