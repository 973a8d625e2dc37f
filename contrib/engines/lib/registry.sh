# shellcheck shell=bash
# shellcheck disable=SC2154 # dir, init: set by need_up

cmd_registry() {
	local verb=${1-} name=${2-} auth='' port=''
	case $verb in
	start | stop) shift ;;
	*) die "usage: engine registry start|stop NAME [--htpasswd] [--port PORT]" ;;
	esac
	need_up "$@"
	shift
	while [ $# -gt 0 ]; do
		case $1 in
		--htpasswd) auth=1 ;;
		--port) port=${2-} && shift ;;
		--port=*) port=${1#*=} ;;
		*) die "unknown option '$1': usage is engine registry $verb NAME [--htpasswd] [--port PORT]" ;;
		esac
		shift || die "--port needs a number"
	done
	case $port in *[!0-9]*) die "--port needs a number, not '$port'" ;; esac
	"registry_$verb" "$name" "$auth" "$port"
}

registry_start() {
	local name=$1 auth=$2 port=${3:-5000} home
	[ -z "$auth" ] || port=${3:-5001}
	home=$dir/registry-$port
	if registry_up "$port"; then
		registry_kept "$auth" "$home" ||
			die "port $port of '$name' has a registry with other access: 'engine registry stop $name --port $port' first"
		printf '127.0.0.1:%s\n' "$port"
		return 0
	fi
	packages docker-registry
	mkdir -p -- "$home/data"
	rm -f -- "$home/htpasswd" "$home/secret"
	[ -z "$auth" ] || registry_htpasswd "$home"
	{
		printf 'version: 0.1\nlog: {level: info}\n'
		printf 'storage:\n  delete: {enabled: true}\n  filesystem: {rootdirectory: "%s"}\n' "$home/data"
		printf 'http: {addr: "127.0.0.1:%s"}\n' "$port"
		[ -z "$auth" ] || printf 'auth:\n  htpasswd: {realm: docker-kasm, path: "%s"}\n' "$home/htpasswd"
	} >"$home/config.yml"

	# shellcheck disable=SC2016 # expands in there, where $$ is the pid to note
	env -u KASM_REGISTRY_PASSWORD setsid nsenter --target "$init" --net --pid --mount -- sh -c '
		echo $$ >"/run/registry-$1.pid"
		exec docker-registry serve "$2"
	' sh "$port" "$home/config.yml" </dev/null >"$home/log" 2>&1 &
	await 20 registry_answers "$port" || {
		show_log "$home/log"
		die "no registry on port $port of '$name' after 20 s (all of it: $home/log): a taken port shows in 'engine exec $name -- ss -ltnp', --port takes another"
	}
	printf '127.0.0.1:%s\n' "$port"
}

# Without a port: all of them. What they hold stays for the next start.
registry_stop() {
	local file
	for file in "$dir"/run/registry-*.pid; do
		case $file in
		*'*'.pid) continue ;; # there is none
		*/registry-"${3:-*}".pid) ;;
		*) [ -z "$3" ] || continue ;;
		esac
		registry_end "$file"
	done
}

registry_end() {
	local pid
	read -r pid <"$1"
	enter kill -TERM "$pid" 2>/dev/null || true
	await 10 enter_fails kill -0 "$pid" || enter kill -KILL "$pid"
	rm -f -- "$1"
}

enter_fails() { ! enter "$@"; }

registry_up() { [ -e "$dir/run/registry-$1.pid" ] && registry_answers "$1"; }

# With credentials asked for it answers 401, which is an answer.
registry_answers() {
	enter curl -sS --max-time 2 -o /dev/null "http://127.0.0.1:$1/v2/"
}

# registry_kept AUTH HOME: does the running one ask for a password just as wanted?
registry_kept() {
	if [ -z "$1" ]; then [ ! -e "$2/htpasswd" ]; else [ -e "$2/htpasswd" ]; fi
}

# The password goes through a pipe: argument lists are for all to read.
registry_htpasswd() {
	if [ -z "${KASM_REGISTRY_USER-}" ] || [ -z "${KASM_REGISTRY_PASSWORD-}" ]; then
		die "--htpasswd needs KASM_REGISTRY_USER and KASM_REGISTRY_PASSWORD in the environment: export both"
	fi
	packages apache2-utils
	(umask 077 && printf '%s' "$KASM_REGISTRY_PASSWORD" | htpasswd -niB "$KASM_REGISTRY_USER" >"$1/htpasswd") ||
		die "htpasswd could not write $1/htpasswd: is the disk full, or a ':' in KASM_REGISTRY_USER?"
}
